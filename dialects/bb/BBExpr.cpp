//===- BBExpr.cpp - The text of expressions, element types and shapes -----===//
#include "dialects/bb/BBDialect.h"
#include "dialects/bb/Nearest.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>

using namespace mlir;
using namespace bitbyte::bb;

Attribute bitbyte::bb::combine(MLIRContext *ctx, char op, Attribute a,
                               Attribute b) {
  auto x = dyn_cast<DimAttr>(a), y = dyn_cast<DimAttr>(b);
  if (x && y) {
    switch (op) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    default:
      if (!y.isWhole(0))
        return x / y;
    }
  }
  const char *fn = op == '+'   ? "add"
                   : op == '-' ? "sub"
                   : op == '*' ? "mul"
                               : "div";
  auto n = NumAttr::get(ctx, StringAttr::get(ctx, fn), {a, b});
  if (auto v = evaluate(n))
    return FloatAttr::get(Float64Type::get(ctx), *v);
  return n;
}
static ParseResult parseFactor(AsmParser &p, Attribute &out) {
  MLIRContext *ctx = p.getContext();
  SMLoc loc = p.getCurrentLocation();
  int64_t i;
  StringRef word;
  if (succeeded(p.parseOptionalMinus())) {
    Attribute a;
    if (parseFactor(p, a))
      return failure();
    out = combine(ctx, '-', DimAttr::get(ctx, 0), a);
    return success();
  }
  // parseOptionalInteger would take `true` too, and read it as -1.
  for (bool v : {false, true})
    if (succeeded(p.parseOptionalKeyword(v ? "true" : "false"))) {
      out = DimAttr::get(ctx, v);
      return success();
    }
  OptionalParseResult r = p.parseOptionalInteger(i);
  if (r.has_value()) {
    out = DimAttr::get(ctx, i);
    return *r;
  }
  if (succeeded(p.parseOptionalKeyword(&word))) {
    static const llvm::StringRef fns[] = {
        "ceildiv", "floordiv", "round_up", "min", "max", "sqrt", "log"};
    if (llvm::is_contained(fns, word) && succeeded(p.parseOptionalLParen())) {
      SmallVector<Attribute> args;
      do {
        Attribute a;
        if (parseExpr(p, a))
          return failure();
        args.push_back(a);
      } while (succeeded(p.parseOptionalComma()));
      if (p.parseRParen())
        return failure();
      if (word == "sqrt" || word == "log") {
        out = NumAttr::get(ctx, StringAttr::get(ctx, word), args);
        if (auto v = evaluate(out))
          out = FloatAttr::get(Float64Type::get(ctx), *v);
        return success();
      }
      SmallVector<DimAttr> dims;
      for (Attribute a : args) {
        auto d = dyn_cast<DimAttr>(a);
        if (!d)
          return p.emitError(loc, "'") << word << "' takes whole numbers";
        dims.push_back(d);
      }
      if (dims.size() != 2)
        return p.emitError(loc, "'") << word << "' takes two arguments";
      out = applyFn(ctx, word, dims);
      return success();
    }
    if (succeeded(p.parseOptionalLParen()))
      return p.emitError(loc, "'")
             << word << "' is not a function" << hintOrList(word, fns);
    out = DimAttr::symbol(ctx, word);
    return success();
  }
  if (succeeded(p.parseOptionalLParen()))
    return failure(parseExpr(p, out) || p.parseRParen());
  double d;
  if (p.parseFloat(d))
    return failure();
  out = FloatAttr::get(Float64Type::get(ctx), d);
  return success();
}
static ParseResult parseTerm(AsmParser &p, Attribute &out) {
  if (parseFactor(p, out))
    return failure();
  for (;;) {
    char op = succeeded(p.parseOptionalStar())    ? '*'
              : succeeded(p.parseOptionalSlash()) ? '/'
                                                  : 0;
    if (!op)
      return success();
    Attribute b;
    if (parseFactor(p, b))
      return failure();
    out = combine(p.getContext(), op, out, b);
  }
}
ParseResult bitbyte::bb::parseExpr(AsmParser &p, Attribute &out) {
  if (parseTerm(p, out))
    return failure();
  for (;;) {
    char op = succeeded(p.parseOptionalPlus())    ? '+'
              : succeeded(p.parseOptionalMinus()) ? '-'
                                                  : 0;
    if (!op)
      return success();
    Attribute b;
    if (parseTerm(p, b))
      return failure();
    out = combine(p.getContext(), op, out, b);
  }
}
ParseResult bitbyte::bb::parseDim(AsmParser &p, DimAttr &out) {
  SMLoc loc = p.getCurrentLocation();
  Attribute a;
  if (parseExpr(p, a))
    return failure();
  if (!(out = dyn_cast<DimAttr>(a)))
    return p.emitError(loc, "a dim must be a whole number");
  return success();
}
ParseResult bitbyte::bb::parseDims(AsmParser &p,
                                   SmallVectorImpl<DimAttr> &out) {
  return p.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
    DimAttr d;
    if (parseDim(p, d))
      return failure();
    out.push_back(d);
    return success();
  });
}
void bitbyte::bb::printExpr(raw_ostream &os, Attribute e) {
  if (auto d = dyn_cast<DimAttr>(e)) {
    os << d.str();
    return;
  }
  if (auto f = dyn_cast<FloatAttr>(e)) {
    double v = f.getValueAsDouble();
    char buf[40];
    for (int prec = 1; prec < 18; ++prec) {
      snprintf(buf, sizeof buf, "%.*e", prec, v);
      if (strtod(buf, nullptr) == v)
        break;
    }
    std::string s = buf; // tidy 2.0e-02 -> 0.02 where short
    if (v == 0 || (std::abs(v) >= 1e-3 && std::abs(v) < 1e7)) {
      for (int prec = 1; prec < 18; ++prec) {
        snprintf(buf, sizeof buf, "%.*f", prec, v);
        if (strtod(buf, nullptr) == v) {
          s = buf;
          break;
        }
      }
    }
    os << s;
    return;
  }
  if (auto s = dyn_cast<StringAttr>(e)) {
    os << '"' << s.getValue() << '"';
    return;
  }
  auto n = cast<NumAttr>(e);
  StringRef f = n.getFn();
  const char *op = f == "add"   ? " + "
                   : f == "sub" ? " - "
                   : f == "mul" ? " * "
                   : f == "div" ? " / "
                                : nullptr;
  if (op) {
    os << "(";
    printExpr(os, n.getArgs()[0]);
    os << op;
    printExpr(os, n.getArgs()[1]);
    os << ")";
    return;
  }
  os << f << "(";
  llvm::interleaveComma(n.getArgs(), os,
                        [&](Attribute a) { printExpr(os, a); });
  os << ")";
}
Attribute DimAttr::parse(AsmParser &p, Type) {
  DimAttr d;
  if (p.parseLess() || parseDim(p, d) || p.parseGreater())
    return {};
  return d;
}
void DimAttr::print(AsmPrinter &p) const { p << "<" << str() << ">"; }
Attribute DimFnAttr::parse(AsmParser &p, Type) {
  p.emitError(p.getCurrentLocation(), "write #bb.dim");
  return {};
}
Attribute NumAttr::parse(AsmParser &p, Type) {
  Attribute a;
  if (p.parseLess() || parseExpr(p, a) || p.parseGreater())
    return {};
  return a;
}
void NumAttr::print(AsmPrinter &p) const {
  p << "<";
  printExpr(p.getStream(), *this);
  p << ">";
}
Attribute InitAttr::parse(AsmParser &p, Type) {
  StringRef word;
  SmallVector<Attribute> args;
  if (p.parseLess() || p.parseKeyword(&word))
    return {};
  if (succeeded(p.parseOptionalLParen())) {
    do {
      Attribute a;
      if (parseExpr(p, a))
        return {};
      args.push_back(a);
    } while (succeeded(p.parseOptionalComma()));
    if (p.parseRParen())
      return {};
  }
  if (p.parseGreater())
    return {};
  return get(p.getContext(), StringAttr::get(p.getContext(), word), args);
}
void InitAttr::print(AsmPrinter &p) const {
  p << "<" << getFn().getValue();
  if (!getArgs().empty()) {
    p << "(";
    llvm::interleaveComma(getArgs(), p.getStream(),
                          [&](Attribute a) { printExpr(p.getStream(), a); });
    p << ")";
  }
  p << ">";
}

static std::pair<const char *, Type> elements(MLIRContext *c, int i) {
  switch (i) {
  case 0:
    return {"real", RealType::get(c)};
  case 1:
    return {"f32", Float32Type::get(c)};
  case 2:
    return {"bf16", BFloat16Type::get(c)};
  case 3:
    return {"f16", Float16Type::get(c)};
  case 4:
    return {"u8", IntegerType::get(c, 8, IntegerType::Unsigned)};
  case 5:
    return {"i8", IntegerType::get(c, 8)};
  case 6:
    return {"i32", IntegerType::get(c, 32)};
  case 7:
    return {"i1", IntegerType::get(c, 1)};
  case 8:
    return {"e4m3", Float8E4M3FNType::get(c)};
  case 9:
    return {"e5m2", Float8E5M2Type::get(c)};
  default:
    return {nullptr, {}};
  }
}
ParseResult bitbyte::bb::parseElement(AsmParser &p, Type &out, bool optional) {
  MLIRContext *c = p.getContext();
  SMLoc loc = p.getCurrentLocation();
  StringRef w;
  if (failed(p.parseOptionalKeyword(&w))) {
    if (!optional)
      return p.emitError(loc, "expected an element type");
    out = RealType::get(c);
    return success();
  }
  for (int i = 0; elements(c, i).first; ++i)
    if (w == elements(c, i).first) {
      out = elements(c, i).second;
      return success();
    }
  if (succeeded(p.parseOptionalSlash())) { // codec/block: nf4/64, int8/row
    int64_t n;
    StringRef b;
    std::string block;
    auto r = p.parseOptionalInteger(n);
    if (r.has_value()) {
      if (*r)
        return failure();
      block = std::to_string(n);
    } else {
      if (p.parseKeyword(&b))
        return failure();
      block = b.str();
    }
    out = QuantType::get(c, StringAttr::get(c, w), StringAttr::get(c, block));
    return success();
  }
  SmallVector<StringRef> names;
  for (int i = 0; elements(c, i).first; ++i)
    names.push_back(elements(c, i).first);
  return p.emitError(loc, "'")
         << w << "' is not an element type" << hint(w, names);
}
std::string bitbyte::bb::elementName(Type t) {
  for (int i = 0; elements(t.getContext(), i).first; ++i)
    if (elements(t.getContext(), i).second == t)
      return elements(t.getContext(), i).first;
  if (auto q = dyn_cast<QuantType>(t))
    return (q.getCodec().getValue() + "/" + q.getBlock().getValue()).str();
  return "?";
}
ParseResult bitbyte::bb::parseShape(AsmParser &p, Type &out) {
  Type e;
  SmallVector<DimAttr> dims;
  if (parseElement(p, e, true) || parseDims(p, dims))
    return failure();
  out = GraphTensorType::get(p.getContext(), dims, e);
  return success();
}
std::string bitbyte::bb::shapeStr(ArrayRef<DimAttr> dims) {
  std::string s = "[";
  for (auto [i, d] : llvm::enumerate(dims)) {
    if (i)
      s += ", ";
    s += d.str();
  }
  return s + "]";
}
std::string GraphTensorType::str() const {
  return (isa<RealType>(getElement()) ? "" : elementName(getElement())) +
         shapeStr(getShape());
}
Type GraphTensorType::parse(AsmParser &p) {
  Type t;
  if (p.parseLess() || parseShape(p, t) || p.parseGreater())
    return {};
  return t;
}
void GraphTensorType::print(AsmPrinter &p) const { p << "<" << str() << ">"; }
