//===- BBStructure.cpp - Text and checks of models, blocks, control -------===//
#include "dialects/bb/BBText.h"
#include "dialects/bb/Nearest.h"
#include "llvm/ADT/StringSet.h"
using namespace mlir;
using namespace bitbyte::bb;

//===-- config lists ----------------------------------------------------===//

static ParseResult parseConfig(OpAsmParser &p, AsmParser::Delimiter delim,
                               StringRef attr, OperationState &state) {
  SmallVector<Attribute> list;
  Builder b(p.getContext());
  auto one = [&]() -> ParseResult {
    StringRef name, next, role = "value";
    if (p.parseKeyword(&name))
      return failure();
    if ((name == "batch" || name == "stream") &&
        succeeded(p.parseOptionalKeyword(&next))) {
      role = name;
      name = next;
    }
    Attribute value;
    if (succeeded(p.parseOptionalEqual())) {
      std::string text;
      if (succeeded(p.parseOptionalString(&text)))
        value = b.getStringAttr(text);
      else if (parseExpr(p, value))
        return failure();
    }
    list.push_back(ConfigAttr::get(p.getContext(), b.getStringAttr(name),
                                   b.getStringAttr(role), value));
    return success();
  };
  if (delim == AsmParser::Delimiter::OptionalLessGreater ||
      delim == AsmParser::Delimiter::Paren ||
      delim == AsmParser::Delimiter::Braces) {
    if (p.parseCommaSeparatedList(delim, one))
      return failure();
  }
  state.addAttribute(attr, b.getArrayAttr(list));
  return success();
}
static void printConfig(OpAsmPrinter &p, ArrayAttr list, char open,
                        char close) {
  p << open;
  llvm::interleaveComma(list, p.getStream(), [&](Attribute a) {
    auto c = cast<ConfigAttr>(a);
    if (c.getRole() != "value")
      p << c.getRole().getValue() << ' ';
    p << c.getName().getValue();
    if (c.getValue()) {
      p << " = ";
      printExpr(p.getStream(), c.getValue());
    }
  });
  p << close;
}

ParseResult ModelOp::parse(OpAsmParser &p, OperationState &s) {
  StringAttr name;
  return failure(p.parseSymbolName(name, "sym_name", s.attributes) ||
                 parseConfig(p, AsmParser::Delimiter::Paren, "config", s) ||
                 p.parseRegion(*s.addRegion()));
}
void ModelOp::print(OpAsmPrinter &p) {
  p << ' ';
  p.printSymbolName(getSymName());
  printConfig(p, getConfig(), '(', ')');
  p << ' ';
  p.printRegion(getBody());
}
LogicalResult ModelOp::verifyRegions() { return success(); }

ParseResult PresetOp::parse(OpAsmParser &p, OperationState &s) {
  StringAttr name;
  return failure(p.parseSymbolName(name, "sym_name", s.attributes) ||
                 parseConfig(p, AsmParser::Delimiter::Braces, "config", s));
}
void PresetOp::print(OpAsmPrinter &p) {
  p << ' ';
  p.printSymbolName(getSymName());
  p << ' ';
  printConfig(p, getConfig(), '{', '}');
}

//===-- blocks and programs ---------------------------------------------===//

static ParseResult parseCallable(OpAsmParser &p, OperationState &s) {
  StringAttr name;
  Builder b(p.getContext());
  SmallVector<OpAsmParser::Argument> args;
  SmallVector<Attribute> results, ahead, argNames, resultNames;
  bool any = false, named = false;
  if (p.parseSymbolName(name, "sym_name", s.attributes) ||
      parseConfig(p, AsmParser::Delimiter::OptionalLessGreater, "config", s))
    return failure();
  if (p.parseCommaSeparatedList(
          AsmParser::Delimiter::Paren, [&]() -> ParseResult {
            auto &a = args.emplace_back();
            if (p.parseArgument(a) || p.parseColon() || parseShape(p, a.type))
              return failure();
            DimAttr by = DimAttr::get(p.getContext(), 0);
            if (succeeded(p.parseOptionalKeyword("ahead"))) {
              any = true;
              if (parseDim(p, by))
                return failure();
            }
            ahead.push_back(by);
            argNames.push_back(b.getStringAttr(a.ssaName.name.drop_front()));
            return success();
          }))
    return failure();
  if (succeeded(p.parseOptionalArrow()))
    do {
      Type t;
      if (parseShape(p, t))
        return failure();
      results.push_back(TypeAttr::get(t));
      std::string name;
      if (succeeded(p.parseOptionalKeyword("as")) && p.parseString(&name))
        return failure();
      named |= !name.empty();
      resultNames.push_back(b.getStringAttr(name));
    } while (succeeded(p.parseOptionalComma()));
  s.addAttribute("result_types", b.getArrayAttr(results));
  s.addAttribute("arg_names", b.getArrayAttr(argNames));
  if (named)
    s.addAttribute("result_names", b.getArrayAttr(resultNames));
  if (any)
    s.addAttribute("ahead", b.getArrayAttr(ahead));
  TypeScope scope(/*isolated=*/true);
  for (auto &a : args)
    TypeScope::define(a.ssaName.name, a.ssaName.number, a.type);
  return p.parseRegion(*s.addRegion(), args);
}
template <typename OpTy>
static void printCallable(OpAsmPrinter &p, OpTy op) {
  p << ' ';
  p.printSymbolName(op.getSymName());
  if (!op.getConfig().empty())
    printConfig(p, op.getConfig(), '<', '>');
  p << '(';
  llvm::interleaveComma(
      llvm::enumerate(ArrayRef<BlockArgument>(op.getBody().getArguments())),
      p.getStream(), [&](auto it) {
        p << it.value() << ": "
          << cast<GraphTensorType>(it.value().getType()).str();
        if (op.getAhead())
          if (auto d = cast<DimAttr>((*op.getAhead())[it.index()]);
              !d.isWhole(0))
            p << " ahead " << d.str();
      });
  p << ')';
  if (!op.getResultTypes().empty()) {
    p << " -> ";
    llvm::interleaveComma(
        llvm::enumerate(op.getResultTypes()), p.getStream(), [&](auto it) {
          p << cast<GraphTensorType>(cast<TypeAttr>(it.value()).getValue())
                   .str();
          if (op.getResultNames())
            if (auto n = cast<StringAttr>((*op.getResultNames())[it.index()]);
                !n.empty())
              p << " as " << n;
        });
  }
  p << ' ';
  p.printRegion(op.getBody(), /*printEntryBlockArgs=*/false);
}
template <typename OpTy>
static StringRef argNameOf(OpTy op, unsigned i) {
  if (auto names = op.getArgNames(); names && i < names->size())
    return cast<StringAttr>((*names)[i]).getValue();
  return {};
}
template <typename OpTy>
static std::string resultNameOf(OpTy op, unsigned i) {
  if (auto names = op.getResultNames(); names && i < names->size())
    if (StringRef n = cast<StringAttr>((*names)[i]).getValue(); !n.empty())
      return n.str();
  std::string base = op.getSymName().split('.').first.str();
  return op.getResultTypes().size() == 1 ? base
                                         : base + "." + std::to_string(i);
}
// Each name in a dim must be a config name, a name bound by an argument's
// shape, or the index of an enclosing repeat.
template <typename OpTy>
static LogicalResult verifyCallable(OpTy op) {
  auto ret = dyn_cast<ReturnOp>(op.getBody().front().getTerminator());
  if (!ret)
    return op.emitOpError("must end in 'return'");
  if (ret.getNumOperands() != op.getResultTypes().size())
    return ret.emitOpError()
           << "gives " << ret.getNumOperands() << " values, but @"
           << op.getSymName() << " declares " << op.getResultTypes().size();
  for (auto [v, t] : llvm::zip(ret.getValues(), op.getResultTypes()))
    if (v.getType() != cast<TypeAttr>(t).getValue()) {
      auto d = ret.emitOpError()
               << "gives " << cast<GraphTensorType>(v.getType()).str()
               << ", but @" << op.getSymName() << " declares "
               << cast<GraphTensorType>(cast<TypeAttr>(t).getValue()).str();
      d.attachNote(v.getLoc()) << "the value comes from here";
      return d;
    }
  llvm::StringSet<> known;
  auto declare = [&](ArrayAttr list) {
    for (Attribute a : list)
      known.insert(cast<ConfigAttr>(a).getName());
  };
  declare(op.getConfig());
  if (auto model = dyn_cast_or_null<ModelOp>(op->getParentOp()))
    declare(model.getConfig());
  SmallVector<StringAttr> names;
  auto fromType = [&](Type t) {
    if (auto x = dyn_cast<GraphTensorType>(t))
      for (DimAttr d : x.getShape())
        collectSymbols(d, names);
  };
  if (isa<BlockOp>(op.getOperation())) {
    for (Type t : op.getBody().getArgumentTypes())
      fromType(t);
    for (StringAttr n : names)
      known.insert(n);
  }
  op.getBody().walk([&](RepeatOp r) { known.insert(r.getIndex()); });
  WalkResult walk = op.getBody().walk([&](Operation *inner) {
    names.clear();
    for (Type t : inner->getResultTypes())
      fromType(t);
    if (auto model = dyn_cast_or_null<ModelOp>(op->getParentOp());
        model && isa<ParamOp>(inner))
      for (StringAttr n : names)
        for (Attribute a : model.getConfig())
          if (auto c = cast<ConfigAttr>(a);
              c.getName() == n && c.getRole() != "value") {
            inner->emitOpError()
                << "shape uses '" << n.getValue() << "', a "
                << c.getRole().getValue()
                << " name: a parameter must be the same for all of them";
            return WalkResult::interrupt();
          }
    for (NamedAttribute a : inner->getAttrs()) {
      collectSymbols(a.getValue(), names);
      if (auto init = dyn_cast<InitAttr>(a.getValue()))
        for (Attribute x : init.getArgs())
          collectSymbols(x, names);
    }
    for (StringAttr n : names)
      if (!known.contains(n)) {
        SmallVector<StringRef> all(known.keys());
        llvm::sort(all);
        inner->emitOpError()
            << "uses '" << n.getValue() << "', which is not a config name here"
            << hint(n.getValue(), all);
        return WalkResult::interrupt();
      }
    return WalkResult::advance();
  });
  return failure(walk.wasInterrupted());
}
#define CALLABLE(Op)                                                           \
  ParseResult Op::parse(OpAsmParser &p, OperationState &s) {                   \
    return parseCallable(p, s);                                                \
  }                                                                            \
  void Op::print(OpAsmPrinter &p) { printCallable(p, *this); }                 \
  LogicalResult Op::verifyRegions() { return verifyCallable(*this); }          \
  StringRef Op::argName(unsigned i) { return argNameOf(*this, i); }            \
  std::string Op::resultName(unsigned i) { return resultNameOf(*this, i); }    \
  void Op::getAsmBlockArgumentNames(Region &region,                            \
                                    OpAsmSetValueNameFn setName) {             \
    for (BlockArgument a : region.getArguments())                              \
      if (StringRef n = argName(a.getArgNumber()); !n.empty())                 \
        setName(a, n);                                                         \
  }
CALLABLE(BlockOp)
CALLABLE(ProgramOp)

ParseResult CallOp::parse(OpAsmParser &p, OperationState &s) {
  FlatSymbolRefAttr callee;
  Names names;
  std::string scope;
  Builder b(p.getContext());
  if (p.parseAttribute(callee, "callee", s.attributes) ||
      parseConfig(p, AsmParser::Delimiter::OptionalLessGreater, "config", s) ||
      p.parseOperandList(names, OpAsmParser::Delimiter::Paren) ||
      resolve(p, names, s.operands))
    return failure();
  if (succeeded(p.parseOptionalKeyword("as"))) {
    if (p.parseString(&scope))
      return failure();
    s.addAttribute("scope", b.getStringAttr(scope));
  }
  SmallVector<Type> types;
  if (succeeded(p.parseOptionalArrow()))
    do {
      Type t;
      if (parseShape(p, t))
        return failure();
      types.push_back(t);
    } while (succeeded(p.parseOptionalComma()));
  else if (!s.operands.empty())
    types.push_back(s.operands[0].getType());
  s.addTypes(types);
  TypeScope::defineResults(p, types);
  return success();
}
void CallOp::print(OpAsmPrinter &p) {
  p << ' ' << getCalleeAttr();
  if (!getConfig().empty())
    printConfig(p, getConfig(), '<', '>');
  p << '(' << getOperands() << ')';
  if (getScope())
    p << " as \"" << *getScope() << '"';
  if (getNumResults() != 1 || !getNumOperands() ||
      getResult(0).getType() != getOperand(0).getType()) {
    p << " -> ";
    llvm::interleaveComma(getResultTypes(), p.getStream(),
                          [&](Type t) { p << cast<GraphTensorType>(t).str(); });
  }
}

ParseResult RepeatOp::parse(OpAsmParser &p, OperationState &s) {
  StringRef index;
  DimAttr count;
  std::string scope;
  Builder b(p.getContext());
  SmallVector<OpAsmParser::Argument> args;
  Names names;
  if (p.parseKeyword(&index) || p.parseLess() || parseDim(p, count))
    return failure();
  s.addAttribute("index", b.getStringAttr(index));
  s.addAttribute("count", count);
  if (succeeded(p.parseOptionalKeyword("as"))) {
    if (p.parseString(&scope))
      return failure();
    s.addAttribute("scope", b.getStringAttr(scope));
  }
  if (succeeded(p.parseOptionalKeyword("with")))
    do {
      if (p.parseArgument(args.emplace_back()) || p.parseEqual() ||
          p.parseOperand(names.emplace_back()))
        return failure();
    } while (succeeded(p.parseOptionalComma()));
  if (resolve(p, names, s.operands))
    return failure();
  {
    TypeScope inner(/*isolated=*/false);
    for (auto [a, v] : llvm::zip(args, s.operands)) {
      a.type = v.getType();
      TypeScope::define(a.ssaName.name, a.ssaName.number, a.type);
      s.addTypes(a.type);
    }
    if (p.parseRegion(*s.addRegion(), args))
      return failure();
  }
  TypeScope::defineResults(p, s.types);
  return success();
}
void RepeatOp::print(OpAsmPrinter &p) {
  p << ' ' << getIndex() << " < " << getCount().str();
  if (getScope())
    p << " as \"" << *getScope() << '"';
  if (getNumOperands()) {
    p << " with ";
    llvm::interleaveComma(
        llvm::zip(getBody().getArguments(), getInits()), p.getStream(),
        [&](auto it) { p << std::get<0>(it) << " = " << std::get<1>(it); });
  }
  p << ' ';
  p.printRegion(getBody(), false);
}
LogicalResult RepeatOp::verifyRegions() {
  auto y = dyn_cast<YieldOp>(getBody().front().getTerminator());
  if (!y || y.getNumOperands() != getNumResults())
    return emitOpError() << "must yield " << getNumResults() << " values";
  for (auto [i, v, t] : llvm::enumerate(y.getValues(), getResultTypes()))
    if (v.getType() != t) {
      auto d = y.emitOpError()
               << "gives " << cast<GraphTensorType>(v.getType()).str()
               << " as value " << i << ", but each round must keep "
               << cast<GraphTensorType>(t).str();
      d.attachNote(v.getLoc()) << "the value comes from here";
      return d;
    }
  return success();
}

ParseResult IfOp::parse(OpAsmParser &p, OperationState &s) {
  Builder b(p.getContext());
  DimAttr lhs, rhs;
  std::string cmp;
  if (succeeded(p.parseOptionalKeyword("not")))
    cmp = "not";
  if (parseDim(p, lhs))
    return failure();
  s.addAttribute("lhs", lhs);
  if (succeeded(p.parseOptionalEqual())) {
    if (p.parseEqual())
      return failure();
    cmp = "==";
  } else if (succeeded(p.parseOptionalLess()))
    cmp = "<";
  if (!cmp.empty())
    s.addAttribute("cmp", b.getStringAttr(cmp));
  if (cmp == "==" || cmp == "<") {
    if (parseDim(p, rhs))
      return failure();
    s.addAttribute("rhs", rhs);
  }
  for (int i = 0; i < 2; ++i) {
    if (i && p.parseKeyword("else"))
      return failure();
    TypeScope inner(false);
    if (p.parseRegion(*s.addRegion()))
      return failure();
  }
  SmallVector<Type> types;
  if (!s.regions[0]->empty())
    if (auto y = dyn_cast<YieldOp>(s.regions[0]->front().back()))
      types.append(y->operand_type_begin(), y->operand_type_end());
  s.addTypes(types);
  TypeScope::defineResults(p, types);
  return success();
}
void IfOp::print(OpAsmPrinter &p) {
  if (getCmp() && *getCmp() == "not")
    p << " not";
  p << ' ' << getLhs().str();
  if (getRhs())
    p << ' ' << *getCmp() << ' ' << getRhs()->str();
  p << ' ';
  p.printRegion(getThenBody());
  p << " else ";
  p.printRegion(getElseBody());
}

template <typename OpTy>
static ParseResult parseTerminator(OpAsmParser &p, OperationState &s) {
  Names names;
  return failure(p.parseOperandList(names) || resolve(p, names, s.operands));
}
ParseResult ReturnOp::parse(OpAsmParser &p, OperationState &s) {
  return parseTerminator<ReturnOp>(p, s);
}
ParseResult YieldOp::parse(OpAsmParser &p, OperationState &s) {
  return parseTerminator<YieldOp>(p, s);
}
void ReturnOp::print(OpAsmPrinter &p) {
  if (getNumOperands())
    p << ' ' << getOperands();
}
void YieldOp::print(OpAsmPrinter &p) {
  if (getNumOperands())
    p << ' ' << getOperands();
}
