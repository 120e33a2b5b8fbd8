//===- BBDims.cpp - The algebra of dims -----------------------------------===//
//
// Polynomials with rational coefficients whose monomials
// may have negative exponents. `/` is exact division, so `h * (d / h)` is `d`.
//
//===----------------------------------------------------------------------===//
#include "dialects/bb/BBDialect.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>
#include <map>
#include <numeric>
using namespace mlir;
using namespace bitbyte::bb;

namespace {
struct Rational {
  int64_t n = 0, d = 1;
};
Rational make(int64_t n, int64_t d) {
  if (d < 0)
    n = -n, d = -d;
  int64_t g = std::gcd(n, d);
  return g ? Rational{n / g, d / g} : Rational{0, 1};
}
using Monomial = std::map<std::string, int64_t>; // atom -> exponent
struct Poly {
  std::map<Monomial, Rational> terms;
  std::map<std::string, Attribute> atoms;
};
std::string atomName(Attribute a) {
  if (auto s = dyn_cast<StringAttr>(a))
    return s.str();
  std::string text;
  llvm::raw_string_ostream os(text);
  auto fn = cast<DimFnAttr>(a);
  os << fn.getFn().getValue() << "(";
  llvm::interleaveComma(fn.getArgs(), os, [&](DimAttr d) { os << d.str(); });
  os << ")";
  return text;
}
Poly read(DimAttr dim) {
  Poly p;
  SmallVector<std::string> names;
  for (Attribute a : dim.getAtoms()) {
    names.push_back(atomName(a));
    p.atoms[names.back()] = a;
  }
  ArrayRef<int64_t> c = dim.getCode();
  for (size_t i = 0; i < c.size();) {
    Rational r{c[i], c[i + 1]};
    int64_t n = c[i + 2];
    i += 3;
    Monomial m;
    for (int64_t k = 0; k < n; ++k, i += 2)
      m[names[c[i]]] = c[i + 1];
    p.terms[m] = r;
  }
  return p;
}
DimAttr write(MLIRContext *ctx, const Poly &p) {
  std::map<std::string, int64_t> index;
  SmallVector<Attribute> atoms;
  SmallVector<int64_t> code;
  for (auto &[m, r] : p.terms)
    for (auto &[name, e] : m)
      index[name] = 0;
  int64_t i = 0;
  for (auto &[name, at] : index) {
    at = i++;
    atoms.push_back(p.atoms.at(name));
  }
  for (auto &[m, r] : p.terms) {
    code.append({r.n, r.d, (int64_t)m.size()});
    for (auto &[name, e] : m)
      code.append({index[name], e});
  }
  return DimAttr::get(ctx, atoms, code);
}
void addTerm(Poly &p, const Monomial &m, Rational r) {
  auto &t = p.terms[m];
  t = make(t.n * r.d + r.n * t.d, t.d * r.d);
  if (!t.n)
    p.terms.erase(m);
}
Poly add(Poly a, const Poly &b, int64_t sign) {
  a.atoms.insert(b.atoms.begin(), b.atoms.end());
  for (auto &[m, r] : b.terms)
    addTerm(a, m, {sign * r.n, r.d});
  return a;
}
Poly mul(const Poly &a, const Poly &b) {
  Poly p;
  p.atoms = a.atoms;
  p.atoms.insert(b.atoms.begin(), b.atoms.end());
  for (auto &[ma, ra] : a.terms)
    for (auto &[mb, rb] : b.terms) {
      Monomial m = ma;
      for (auto &[name, e] : mb)
        if (!(m[name] += e))
          m.erase(name);
      addTerm(p, m, make(ra.n * rb.n, ra.d * rb.d));
    }
  return p;
}
} // namespace

DimAttr DimAttr::get(MLIRContext *ctx, int64_t v) {
  if (!v)
    return get(ctx, ArrayRef<Attribute>{}, ArrayRef<int64_t>{});
  return get(ctx, ArrayRef<Attribute>{}, ArrayRef<int64_t>{v, 1, 0});
}
DimAttr DimAttr::symbol(MLIRContext *ctx, StringRef name) {
  return get(ctx, ArrayRef<Attribute>{StringAttr::get(ctx, name)},
             ArrayRef<int64_t>{1, 1, 1, 0, 1});
}
std::optional<int64_t> DimAttr::constant() const {
  if (getCode().empty())
    return 0;
  if (!getAtoms().empty() || getCode()[1] != 1)
    return std::nullopt;
  return getCode()[0];
}
StringAttr DimAttr::bareSymbol() const {
  if (getCode() == ArrayRef<int64_t>{1, 1, 1, 0, 1})
    return dyn_cast<StringAttr>(getAtoms()[0]);
  return {};
}
DimAttr DimAttr::operator+(DimAttr o) const {
  return write(getContext(), add(read(*this), read(o), 1));
}
DimAttr DimAttr::operator-(DimAttr o) const {
  return write(getContext(), add(read(*this), read(o), -1));
}
DimAttr DimAttr::operator*(DimAttr o) const {
  return write(getContext(), mul(read(*this), read(o)));
}
DimAttr DimAttr::operator/(DimAttr o) const {
  Poly b = read(o);
  if (*this == o)
    return get(getContext(), 1);
  if (b.terms.size() == 1) {
    Poly inv;
    inv.atoms = b.atoms;
    auto &[m, r] = *b.terms.begin();
    Monomial n;
    for (auto &[name, e] : m)
      n[name] = -e;
    inv.terms[n] = make(r.d, r.n);
    return write(getContext(), mul(read(*this), inv));
  }
  Poly p;
  auto fn = DimFnAttr::get(getContext(), StringAttr::get(getContext(), "div"),
                           {*this, o});
  p.atoms[atomName(fn)] = fn;
  p.terms[{{atomName(fn), 1}}] = {1, 1};
  return write(getContext(), p);
}
std::string DimAttr::str() const {
  Poly p = read(*this);
  if (p.terms.empty())
    return "0";
  std::string out;
  auto emit = [&](const Monomial &m, Rational r) {
    if (out.empty()) {
      if (r.n < 0)
        out += "-";
    } else
      out += r.n < 0 ? " - " : " + ";
    std::string t;
    int64_t n = std::abs(r.n);
    auto times = [&](const std::string &s) {
      if (!t.empty())
        t += "*";
      t += s;
    };
    if (n != 1)
      times(std::to_string(n));
    for (auto &[name, e] : m)
      for (int64_t k = 0; k < e; ++k)
        times(name);
    if (t.empty())
      t = "1";
    for (auto &[name, e] : m)
      for (int64_t k = 0; k < -e; ++k)
        t += "/" + name;
    if (r.d != 1)
      t += "/" + std::to_string(r.d);
    out += t;
  };
  for (auto &[m, r] : p.terms)
    if (!m.empty())
      emit(m, r);
  for (auto &[m, r] : p.terms)
    if (m.empty())
      emit(m, r);
  return out;
}

DimAttr bitbyte::bb::applyFn(MLIRContext *ctx, StringRef fn,
                             ArrayRef<DimAttr> a) {
  if (fn == "div")
    return a[0] / a[1];
  if (fn == "round_up")
    return applyFn(ctx, "ceildiv", a) * a[1];
  auto x = a[0].constant(), y = a[1].constant();
  if (x && y && (*y || fn == "min" || fn == "max")) {
    if (fn == "ceildiv")
      return DimAttr::get(ctx, (*x + *y - 1) / *y);
    if (fn == "floordiv")
      return DimAttr::get(ctx, *x / *y);
    if (fn == "min")
      return DimAttr::get(ctx, std::min(*x, *y));
    if (fn == "max")
      return DimAttr::get(ctx, std::max(*x, *y));
  }
  Poly p;
  auto f = DimFnAttr::get(ctx, StringAttr::get(ctx, fn), a);
  p.atoms[atomName(f)] = f;
  p.terms[{{atomName(f), 1}}] = {1, 1};
  return write(ctx, p);
}

static Attribute substituteDim(DimAttr dim, const Env &env) {
  if (dim.getAtoms().empty())
    return dim;
  MLIRContext *ctx = dim.getContext();
  if (StringAttr s = dim.bareSymbol()) { // may stand for a float or a string
    auto it = env.find(s);
    return it == env.end() ? Attribute(dim) : it->second;
  }
  SmallVector<Attribute> atoms;
  for (Attribute a : dim.getAtoms()) {
    if (auto s = dyn_cast<StringAttr>(a)) {
      auto it = env.find(s);
      bool number = it != env.end() && !isa<StringAttr>(it->second);
      atoms.push_back(number ? it->second : DimAttr::symbol(ctx, s));
    } else {
      auto fn = cast<DimFnAttr>(a);
      SmallVector<DimAttr> args;
      for (DimAttr d : fn.getArgs()) {
        auto v = dyn_cast<DimAttr>(substitute(d, env));
        args.push_back(v ? v : d);
      }
      atoms.push_back(applyFn(ctx, fn.getFn(), args));
    }
  }
  // A name that stands for a real number makes the sum one.
  Attribute sum = DimAttr::get(ctx, 0);
  ArrayRef<int64_t> c = dim.getCode();
  for (size_t i = 0; i < c.size();) {
    Attribute t = DimAttr::get(ctx, c[i]) / DimAttr::get(ctx, c[i + 1]);
    int64_t n = c[i + 2];
    i += 3;
    for (int64_t k = 0; k < n; ++k, i += 2) {
      for (int64_t e = 0; e < c[i + 1]; ++e)
        t = combine(ctx, '*', t, atoms[c[i]]);
      for (int64_t e = 0; e < -c[i + 1]; ++e)
        t = combine(ctx, '/', t, atoms[c[i]]);
    }
    sum = combine(ctx, '+', sum, t);
  }
  return sum;
}
Attribute bitbyte::bb::substitute(Attribute expr, const Env &env) {
  if (auto d = dyn_cast<DimAttr>(expr))
    return substituteDim(d, env);
  auto list = [&](ArrayRef<Attribute> in) {
    SmallVector<Attribute> out;
    for (Attribute a : in)
      out.push_back(substitute(a, env));
    return out;
  };
  if (auto n = dyn_cast<NumAttr>(expr)) {
    auto r = NumAttr::get(n.getContext(), n.getFn(), list(n.getArgs()));
    if (auto v = evaluate(r))
      return FloatAttr::get(Float64Type::get(n.getContext()), *v);
    return r;
  }
  return expr;
}
std::optional<double> bitbyte::bb::evaluate(Attribute e) {
  if (auto f = dyn_cast<FloatAttr>(e))
    return f.getValueAsDouble();
  if (auto d = dyn_cast<DimAttr>(e)) {
    if (!d.getAtoms().empty())
      return std::nullopt;
    return d.getCode().empty()
               ? 0.0
               : double(d.getCode()[0]) / double(d.getCode()[1]);
  }
  auto n = dyn_cast<NumAttr>(e);
  if (!n)
    return std::nullopt;
  SmallVector<double> a;
  for (Attribute x : n.getArgs()) {
    auto v = evaluate(x);
    if (!v)
      return std::nullopt;
    a.push_back(*v);
  }
  StringRef f = n.getFn();
  if (f == "add")
    return a[0] + a[1];
  if (f == "sub")
    return a[0] - a[1];
  if (f == "mul")
    return a[0] * a[1];
  if (f == "div")
    return a[0] / a[1];
  if (f == "sqrt")
    return std::sqrt(a[0]);
  if (f == "log")
    return std::log(a[0]);
  return std::nullopt;
}
bool bitbyte::bb::neverWhole(DimAttr d) {
  return d.getAtoms().empty() && !d.getCode().empty() && d.getCode()[1] != 1;
}
void bitbyte::bb::collectSymbols(Attribute e,
                                 SmallVectorImpl<StringAttr> &out) {
  if (auto d = dyn_cast<DimAttr>(e)) {
    for (Attribute a : d.getAtoms())
      if (auto s = dyn_cast<StringAttr>(a))
        out.push_back(s);
      else
        for (DimAttr x : cast<DimFnAttr>(a).getArgs())
          collectSymbols(x, out);
  } else if (auto n = dyn_cast<NumAttr>(e)) {
    for (Attribute a : n.getArgs())
      collectSymbols(a, out);
  }
}

void DimFnAttr::print(AsmPrinter &p) const {
  p << "<" << atomName(*this) << ">";
}
