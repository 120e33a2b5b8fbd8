//===- BBText.cpp - One grammar for every graph op ------------------------===//
#include "dialects/bb/BBText.h"

#include "dialects/bb/Nearest.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace bitbyte::bb;

thread_local TypeScope *TypeScope::current = nullptr;

ParseResult bitbyte::bb::resolve(OpAsmParser &p, const Names &names,
                                 SmallVectorImpl<Value> &out,
                                 ArrayRef<Type> given) {
  if (!given.empty() && given.size() != names.size())
    return p.emitError(p.getNameLoc())
           << names.size() << " operands but " << given.size() << " types";
  for (auto [i, n] : llvm::enumerate(names)) {
    Type t = given.empty() ? TypeScope::lookup(n.name, n.number) : given[i];
    if (!t)
      return p.emitError(n.location) << "'" << n.name
                                     << "' is not defined above (or its type "
                                        "must be written after ':')";
    if (p.resolveOperand(n, t, out))
      return failure();
  }
  return success();
}

namespace {
struct Clause {
  StringRef name, kind;
};
struct Syntax {
  SmallVector<StringRef> operands;
  SmallVector<Clause> clauses;
  unsigned required = 0;
  bool variadic = false;
  explicit Syntax(StringRef text) {
    auto [left, right] = text.split('|');
    SmallVector<StringRef> words;
    left.split(words, ' ', -1, false);
    for (StringRef w : words) {
      if (w.consume_front("*"))
        variadic = true;
      else if (!w.consume_front("?"))
        ++required;
      operands.push_back(w);
    }
    words.clear();
    right.split(words, ' ', -1, false);
    for (StringRef w : words) {
      auto [n, k] = w.split(':');
      clauses.push_back({n, k});
    }
  }
};
} // namespace

/// Whether the next token stands on the line of the one before it.
static bool goesOnInLine(OpAsmParser &p) {
  const char *next = p.getCurrentLocation().getPointer();
  if (!llvm::isAlpha(*next))
    return false;
  // Behind the name of an op, so that there is something in front.
  for (--next; *next != '\n'; --next)
    if (*next != ' ' && *next != '\t' && *next != '\r')
      return true;
  return false;
}

/// After the clauses, a word on the same line is a misspelt clause, unless it
/// begins the next op.
static ParseResult refuseOtherClauses(OpAsmParser &p, const Syntax &syntax) {
  if (!goesOnInLine(p))
    return success();
  StringRef rest(p.getCurrentLocation().getPointer());
  StringRef word = rest.take_while(
      [](char c) { return llvm::isAlnum(c) || c == '_' || c == '.'; });
  if (word == "loc" || word == "recompute" ||
      RegisteredOperationName::lookup("bb." + word.str(), p.getContext()) ||
      RegisteredOperationName::lookup(word, p.getContext()))
    return success();
  SmallVector<StringRef> names;
  for (const Clause &clause : syntax.clauses)
    names.push_back(clause.name);
  return p.emitError(p.getCurrentLocation())
         << "has no clause '" << word << "'" << hintOrList(word, names);
}

ParseResult bitbyte::bb::parseBySyntax(OpAsmParser &p, StringRef text,
                                       bool segments, ParsedGraphOp &out) {
  Syntax syntax(text);
  Builder b(p.getContext());
  if (!syntax.operands.empty()) {
    SMLoc loc = p.getCurrentLocation();
    do {
      OpAsmParser::UnresolvedOperand o;
      if (p.parseOperand(o))
        return failure();
      out.names.push_back(o);
    } while (succeeded(p.parseOptionalComma()));
    if (out.names.size() < syntax.required ||
        (!syntax.variadic && out.names.size() > syntax.operands.size()))
      return p.emitError(loc)
             << "takes " << syntax.required
             << (syntax.required == syntax.operands.size() ? "" : " or more")
             << " operands (" << llvm::join(syntax.operands, ", ") << "), got "
             << out.names.size();
  }
  SmallVector<int32_t> sizes;
  for (unsigned i = 0; i < syntax.operands.size(); ++i)
    sizes.push_back(i < out.names.size());
  SmallVector<std::optional<OpAsmParser::UnresolvedOperand>> values;
  SmallVector<StringRef> valueNames;
  for (Clause &c : syntax.clauses)
    if (c.kind == "value")
      valueNames.push_back(c.name);
  values.resize(valueNames.size());
  for (bool progress = true; progress;) {
    progress = false;
    for (Clause &c : syntax.clauses) {
      if (failed(p.parseOptionalKeyword(c.name)))
        continue;
      progress = true;
      if (c.kind == "flag")
        out.attrs.append(c.name, b.getUnitAttr());
      else if (c.kind == "dim") {
        DimAttr d;
        if (parseDim(p, d))
          return failure();
        out.attrs.append(c.name, d);
      } else if (c.kind == "num") {
        Attribute a;
        if (parseExpr(p, a))
          return failure();
        out.attrs.append(c.name, a);
      } else if (c.kind == "word") {
        StringRef w;
        if (p.parseKeyword(&w))
          return failure();
        out.attrs.append(c.name, b.getStringAttr(w));
      } else if (c.kind == "text") {
        std::string w;
        if (p.parseString(&w))
          return failure();
        out.attrs.append(c.name, b.getStringAttr(w));
      } else if (c.kind == "element") {
        Type t;
        if (parseElement(p, t, false))
          return failure();
        out.attrs.append(c.name, TypeAttr::get(t));
      } else if (c.kind == "dims") {
        SmallVector<DimAttr> d;
        if (parseDims(p, d))
          return failure();
        out.attrs.append(
            c.name, b.getArrayAttr(SmallVector<Attribute>(d.begin(), d.end())));
      } else {
        OpAsmParser::UnresolvedOperand o;
        if (p.parseOperand(o))
          return failure();
        values[llvm::find(valueNames, c.name) - valueNames.begin()] = o;
      }
    }
  }
  if (refuseOtherClauses(p, syntax))
    return failure();
  for (auto &v : values) {
    sizes.push_back(v.has_value());
    if (v)
      out.names.push_back(*v);
  }
  if (segments)
    out.attrs.append("operandSegmentSizes", b.getDenseI32ArrayAttr(sizes));
  out.recompute = succeeded(p.parseOptionalKeyword("recompute"));
  if (succeeded(p.parseOptionalColon()))
    do {
      Type t;
      if (parseShape(p, t))
        return failure();
      out.given.push_back(t);
    } while (succeeded(p.parseOptionalComma()));
  return success();
}

void bitbyte::bb::printGraphOp(OpAsmPrinter &p, Operation *op, StringRef text) {
  Syntax syntax(text);
  unsigned fixed = op->getNumOperands();
  SmallVector<int32_t> seg;
  if (auto s = op->getAttrOfType<DenseI32ArrayAttr>("operandSegmentSizes")) {
    seg.assign(s.asArrayRef().begin(), s.asArrayRef().end());
    fixed = 0;
    for (unsigned i = 0; i < syntax.operands.size(); ++i)
      fixed += seg[i];
  } else if (llvm::any_of(syntax.clauses, [](Clause &c) {
               return c.kind == "value";
             })) { // one optional operand: no segments
    fixed = syntax.required;
    seg.assign(syntax.required, 1);
    seg.push_back(op->getNumOperands() > fixed);
  }
  if (fixed)
    p << ' ' << op->getOperands().take_front(fixed);
  unsigned next = fixed, s = syntax.operands.size();
  for (Clause &c : syntax.clauses) {
    if (c.kind == "value") {
      if (seg[s++])
        p << ' ' << c.name << ' ' << op->getOperand(next++);
      continue;
    }
    Attribute a = op->getAttr(c.name);
    if (!a)
      continue;
    p << ' ' << c.name;
    if (c.kind == "flag")
      continue;
    p << ' ';
    if (auto l = dyn_cast<ArrayAttr>(a)) {
      p << '[';
      llvm::interleaveComma(l, p.getStream(),
                            [&](Attribute d) { printExpr(p.getStream(), d); });
      p << ']';
    } else if (auto t = dyn_cast<TypeAttr>(a))
      p << elementName(t.getValue());
    else if (auto w = dyn_cast<StringAttr>(a)) {
      if (c.kind == "text")
        p << w;
      else
        p << w.getValue();
    } else
      printExpr(p.getStream(), a);
  }
  if (op->hasAttr("recompute"))
    p << " recompute";
  Operation *parent = op->getParentOp();
  if (op->getNumOperands() &&
      !(parent && isa<ProgramOp, BlockOp, RepeatOp, IfOp>(parent))) {
    p << " : ";
    llvm::interleaveComma(op->getOperandTypes(), p.getStream(),
                          [&](Type t) { p << cast<GraphTensorType>(t).str(); });
  }
}
