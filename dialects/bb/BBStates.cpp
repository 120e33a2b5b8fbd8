//===- BBStates.cpp - Text of parameters, states, rules, constants --------===//
#include "dialects/bb/BBText.h"
#include "dialects/bb/Nearest.h"

using namespace mlir;
using namespace bitbyte::bb;

static ParseResult parseInit(OpAsmParser &p, InitAttr &init) {
  static const StringRef known[] = {
      "normal",   "uniform",         "zeros",     "ones",
      "constant", "kaiming_uniform", "log_range", "softplus_inverse"};
  StringRef word;
  SmallVector<Attribute> args;
  SMLoc loc = p.getCurrentLocation();
  if (p.parseKeyword(&word))
    return failure();
  if (!llvm::is_contained(known, word))
    return p.emitError(loc, "'")
           << word << "' is not a way to start" << hintOrList(word, known);
  if (succeeded(p.parseOptionalLParen())) {
    do {
      Attribute a;
      if (parseExpr(p, a))
        return failure();
      args.push_back(a);
    } while (succeeded(p.parseOptionalComma()));
    if (p.parseRParen())
      return failure();
  }
  init = InitAttr::get(p.getContext(), StringAttr::get(p.getContext(), word),
                       args);
  return success();
}
static void printInit(OpAsmPrinter &p, InitAttr init) {
  p << " init " << init.getFn().getValue();
  if (!init.getArgs().empty()) {
    p << '(';
    llvm::interleaveComma(init.getArgs(), p.getStream(),
                          [&](Attribute a) { printExpr(p.getStream(), a); });
    p << ')';
  }
}
ParseResult ParamOp::parse(OpAsmParser &p, OperationState &s) {
  std::string name;
  Type t;
  InitAttr init;
  Builder b(p.getContext());
  if (p.parseString(&name) || parseShape(p, t) || p.parseKeyword("init") ||
      parseInit(p, init))
    return failure();
  if (succeeded(p.parseOptionalKeyword("no_decay")))
    s.addAttribute("no_decay", b.getUnitAttr());
  s.addAttribute("name", b.getStringAttr(name));
  s.addAttribute("init", init);
  s.addTypes(t);
  TypeScope::defineResults(p, t);
  return success();
}
void ParamOp::print(OpAsmPrinter &p) {
  p << " \"" << getName() << "\" " << cast<GraphTensorType>(getType()).str();
  printInit(p, getInit());
  if (getNoDecay())
    p << " no_decay";
}

ParseResult StateOp::parse(OpAsmParser &p, OperationState &s) {
  StringAttr n;
  Type t;
  StringRef kind;
  Builder b(p.getContext());
  SMLoc loc;
  if (p.parseSymbolName(n, "sym_name", s.attributes) || parseShape(p, t) ||
      p.getCurrentLocation(&loc) || p.parseKeyword(&kind))
    return failure();
  auto k = symbolizeStateKind(kind);
  if (!k)
    return p.emitError(loc, "'") << kind
                                 << "' is not a kind of state: parameter "
                                    "gradient moment counter derived cache";
  s.addAttribute("type", TypeAttr::get(t));
  s.addAttribute("kind", StateKindAttr::get(p.getContext(), *k));
  if (succeeded(p.parseOptionalKeyword("init"))) {
    InitAttr init;
    if (parseInit(p, init))
      return failure();
    s.addAttribute("init", init);
  }
  if (succeeded(p.parseOptionalKeyword("group"))) {
    std::string g;
    if (p.parseString(&g))
      return failure();
    s.addAttribute("group", b.getStringAttr(g));
  }
  if (succeeded(p.parseOptionalKeyword("slice"))) {
    FlatSymbolRefAttr of;
    int64_t at;
    if (p.parseKeyword("of") ||
        p.parseAttribute(of, "slice_of", s.attributes) ||
        p.parseKeyword("at") || p.parseInteger(at))
      return failure();
    s.addAttribute("offset", b.getI64IntegerAttr(at));
  }
  if (succeeded(p.parseOptionalKeyword("saved")))
    s.addAttribute("saved", b.getUnitAttr());
  return success();
}
void StateOp::print(OpAsmPrinter &p) {
  p << ' ';
  p.printSymbolName(getSymName());
  p << ' ' << cast<GraphTensorType>(getType()).str() << ' '
    << stringifyStateKind(getKind());
  if (getInit())
    printInit(p, *getInit());
  if (getGroup())
    p << " group \"" << *getGroup() << '"';
  if (getSliceOf())
    p << " slice of " << getSliceOfAttr() << " at " << *getOffset();
  if (getSaved())
    p << " saved";
}
LogicalResult StateOp::verify() {
  if (getSliceOf().has_value() != getOffset().has_value())
    return emitOpError("needs both a flat state and an offset, or neither");
  return success();
}
ParseResult ReadOp::parse(OpAsmParser &p, OperationState &s) {
  FlatSymbolRefAttr n;
  Type t;
  if (p.parseAttribute(n, "state", s.attributes) || parseShape(p, t))
    return failure();
  s.addTypes(t);
  TypeScope::defineResults(p, t);
  return success();
}
void ReadOp::print(OpAsmPrinter &p) {
  p << ' ' << getStateAttr() << ' '
    << cast<GraphTensorType>(getY().getType()).str();
}
ParseResult WriteOp::parse(OpAsmParser &p, OperationState &s) {
  FlatSymbolRefAttr n;
  Names names;
  if (p.parseAttribute(n, "state", s.attributes) || p.parseComma() ||
      p.parseOperand(names.emplace_back()))
    return failure();
  return resolve(p, names, s.operands);
}
void WriteOp::print(OpAsmPrinter &p) {
  p << ' ' << getStateAttr() << ", " << getX();
}

ParseResult ImportRuleOp::parse(OpAsmParser &p, OperationState &s) {
  Builder b(p.getContext());
  SmallVector<Attribute> names;
  std::string text;
  auto name = [&]() -> ParseResult {
    if (p.parseString(&text))
      return failure();
    names.push_back(b.getStringAttr(text));
    return success();
  };
  if (succeeded(p.parseOptionalKeyword("ignore"))) {
    s.addAttribute("ignore", b.getUnitAttr());
    if (name())
      return failure();
    while (succeeded(p.parseOptionalComma()))
      if (name())
        return failure();
    s.addAttribute("names", b.getArrayAttr(names));
    return success();
  }
  if (p.parseString(&text))
    return failure();
  s.addAttribute("pattern", b.getStringAttr(text));
  if (succeeded(p.parseOptionalKeyword("name")) && name())
    return failure();
  while (succeeded(p.parseOptionalKeyword("also"))) {
    if (names.empty())
      names.push_back(b.getStringAttr(text));
    if (name())
      return failure();
  }
  if (!names.empty())
    s.addAttribute("names", b.getArrayAttr(names));
  if (succeeded(p.parseOptionalKeyword("transpose")))
    s.addAttribute("transpose", b.getUnitAttr());
  if (succeeded(p.parseOptionalKeyword("reshape"))) {
    SmallVector<DimAttr> dims;
    if (parseDims(p, dims))
      return failure();
    s.addAttribute("reshape", b.getArrayAttr(SmallVector<Attribute>(
                                  dims.begin(), dims.end())));
  }
  return success();
}
void ImportRuleOp::print(OpAsmPrinter &p) {
  if (getIgnore()) {
    p << " ignore ";
    llvm::interleaveComma(*getNames(), p.getStream(),
                          [&](Attribute a) { p << a; });
    return;
  }
  p << ' ' << getPatternAttr();
  if (getNames())
    for (auto [i, a] : llvm::enumerate(*getNames()))
      p << (i ? " also " : " name ") << a;
  if (getTranspose())
    p << " transpose";
  if (getReshape()) {
    p << " reshape [";
    llvm::interleaveComma(getReshape()->getAsRange<DimAttr>(), p.getStream(),
                          [&](DimAttr size) { p << size.str(); });
    p << ']';
  }
}

ParseResult ConstantOp::parse(OpAsmParser &p, OperationState &s) {
  std::string name;
  ElementsAttr value;
  Builder b(p.getContext());
  if (p.parseString(&name) || p.parseAttribute(value, "value", s.attributes))
    return failure();
  s.addAttribute("name", b.getStringAttr(name));
  SmallVector<DimAttr> dims;
  for (int64_t d : value.getShapedType().getShape())
    dims.push_back(DimAttr::get(p.getContext(), d));
  s.addTypes(
      GraphTensorType::get(p.getContext(), dims, value.getElementType()));
  TypeScope::defineResults(p, s.types);
  return success();
}
void ConstantOp::print(OpAsmPrinter &p) {
  p << ' ' << getNameAttr() << ' ' << getValueAttr();
}
