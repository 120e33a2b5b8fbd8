//===- BBFused.cpp - Text and rules of fused regions ----------------------===//
#include "dialects/bb/BBText.h"

#include "llvm/ADT/SmallBitVector.h"

using namespace mlir;
using namespace bitbyte::bb;

AffineMap FusedOp::inputMap(unsigned i) {
  auto map = dyn_cast<AffineMapAttr>(getMaps()[i]);
  return map ? map.getValue() : AffineMap();
}
AffineMap FusedOp::outputMap(unsigned i) {
  return cast<AffineMapAttr>(getMaps()[getNumOperands() + i]).getValue();
}
ContractOp FusedOp::anchor() {
  for (auto op : getBody().front().getOps<ContractOp>())
    return op;
  return {};
}
EmitOp FusedOp::emit() {
  return cast<EmitOp>(getBody().front().getTerminator());
}

Type bitbyte::bb::scalarOf(GraphTensorType type) {
  Type element = type.getElement();
  if (isa<FloatType>(element))
    return Float32Type::get(type.getContext());
  if (element.isInteger(1))
    return element;
  return IntegerType::get(type.getContext(), 32);
}

//===-- text --------------------------------------------------------------===//

static ParseResult parseAt(OpAsmParser &p,
                           ArrayRef<std::pair<StringRef, AffineExpr>> dims,
                           Attribute &map) {
  SmallVector<AffineExpr> axes;
  if (p.parseCommaSeparatedList(AsmParser::Delimiter::Paren, [&] {
        return p.parseAffineExpr(dims, axes.emplace_back());
      }))
    return failure();
  map =
      AffineMapAttr::get(AffineMap::get(dims.size(), 0, axes, p.getContext()));
  return success();
}

ParseResult FusedOp::parse(OpAsmParser &p, OperationState &state) {
  Builder b(p.getContext());
  SmallVector<Attribute> names, maps;
  SmallVector<int64_t> sizes;
  SmallVector<std::pair<StringRef, AffineExpr>> dims;
  if (p.parseKeyword("dims") ||
      p.parseCommaSeparatedList(AsmParser::Delimiter::Square,
                                [&]() -> ParseResult {
                                  StringRef name;
                                  if (p.parseKeyword(&name) || p.parseEqual() ||
                                      p.parseInteger(sizes.emplace_back()))
                                    return failure();
                                  names.push_back(b.getStringAttr(name));
                                  return success();
                                }))
    return failure();
  for (auto [i, name] : llvm::enumerate(names))
    dims.push_back({cast<StringAttr>(name).getValue(), b.getAffineDimExpr(i)});

  Names inputs;
  SmallVector<Type> types;
  if (p.parseKeyword("reads") ||
      p.parseCommaSeparatedList(AsmParser::Delimiter::Paren,
                                [&]() -> ParseResult {
                                  if (p.parseOperand(inputs.emplace_back()))
                                    return failure();
                                  maps.push_back(b.getUnitAttr());
                                  return failure(
                                      succeeded(p.parseOptionalKeyword("at")) &&
                                      failed(parseAt(p, dims, maps.back())));
                                }) ||
      resolve(p, inputs, state.operands))
    return failure();
  if (p.parseKeyword("writes") ||
      p.parseCommaSeparatedList(
          AsmParser::Delimiter::Paren, [&]() -> ParseResult {
            if (parseShape(p, types.emplace_back()) || p.parseKeyword("at"))
              return failure();
            return parseAt(p, dims, maps.emplace_back());
          }))
    return failure();
  state.addAttribute("dim_names", b.getArrayAttr(names));
  state.addAttribute("dim_sizes", b.getDenseI64ArrayAttr(sizes));
  state.addAttribute("maps", b.getArrayAttr(maps));
  state.addTypes(types);
  if (succeeded(p.parseOptionalKeyword("recompute")))
    state.addAttribute("recompute", b.getUnitAttr());
  if (p.parseRegion(*state.addRegion()))
    return failure();
  TypeScope::defineResults(p, types);
  return success();
}

/// Prints an affine expression with the dims' own names.
static void printAxis(raw_ostream &os, AffineExpr e, ArrayAttr names) {
  if (auto d = dyn_cast<AffineDimExpr>(e)) {
    os << cast<StringAttr>(names[d.getPosition()]).getValue();
    return;
  }
  if (auto c = dyn_cast<AffineConstantExpr>(e)) {
    os << c.getValue();
    return;
  }
  auto binary = cast<AffineBinaryOpExpr>(e);
  const char *op = " + ";
  if (e.getKind() == AffineExprKind::Mul)
    op = " * ";
  else if (e.getKind() == AffineExprKind::Mod)
    op = " mod ";
  else if (e.getKind() == AffineExprKind::FloorDiv)
    op = " floordiv ";
  else if (e.getKind() == AffineExprKind::CeilDiv)
    op = " ceildiv ";
  os << '(';
  printAxis(os, binary.getLHS(), names);
  os << op;
  printAxis(os, binary.getRHS(), names);
  os << ')';
}
static void printAt(raw_ostream &os, Attribute map, ArrayAttr names) {
  auto affine = dyn_cast<AffineMapAttr>(map);
  if (!affine)
    return;
  os << " at (";
  llvm::interleaveComma(affine.getValue().getResults(), os,
                        [&](AffineExpr e) { printAxis(os, e, names); });
  os << ')';
}
void FusedOp::print(OpAsmPrinter &p) {
  p << " dims [";
  llvm::interleaveComma(llvm::zip(getDimNames(), getDimSizes()), p.getStream(),
                        [&](auto it) {
                          p << cast<StringAttr>(std::get<0>(it)).getValue()
                            << " = " << std::get<1>(it);
                        });
  p << "] reads (";
  llvm::interleaveComma(
      llvm::enumerate(getInputs()), p.getStream(), [&](auto it) {
        p << it.value();
        printAt(p.getStream(), getMaps()[it.index()], getDimNames());
      });
  p << ") writes (";
  llvm::interleaveComma(
      llvm::enumerate(getResultTypes()), p.getStream(), [&](auto it) {
        p << cast<GraphTensorType>(it.value()).str();
        printAt(p.getStream(), getMaps()[getNumOperands() + it.index()],
                getDimNames());
      });
  p << (getOperation()->hasAttr("recompute") ? ") recompute " : ") ");
  p.printRegion(getBody());
}

/// `[n, k]` for dim numbers, by the names of the region around `op`.
static void printOver(OpAsmPrinter &p, Operation *op, ArrayRef<int64_t> over) {
  auto fused = dyn_cast_or_null<FusedOp>(op->getParentOp());
  p << " over [";
  llvm::interleaveComma(over, p.getStream(), [&](int64_t dim) {
    if (fused && dim >= 0 && dim < (int64_t)fused.dimCount())
      p << "d" << dim;
    else
      p << dim;
  });
  p << ']';
}
static ParseResult parseDimNumber(OpAsmParser &p, int64_t &dim) {
  StringRef word;
  SMLoc loc = p.getCurrentLocation();
  if (p.parseKeyword(&word))
    return failure();
  if (!word.consume_front("d") || word.getAsInteger(10, dim))
    return p.emitError(loc, "expected a dim by number: d0, d1, ...");
  return success();
}
static ParseResult parseOver(OpAsmParser &p, OperationState &state) {
  SmallVector<int64_t> over;
  if (p.parseKeyword("over") ||
      p.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
        return parseDimNumber(p, over.emplace_back());
      }))
    return failure();
  state.addAttribute("over", p.getBuilder().getDenseI64ArrayAttr(over));
  return success();
}

ParseResult ContractOp::parse(OpAsmParser &p, OperationState &state) {
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  Type f32 = p.getBuilder().getF32Type();
  if (p.parseOperandList(operands) || parseOver(p, state) ||
      p.resolveOperands(operands, f32, state.operands))
    return failure();
  if (operands.size() < 2)
    return p.emitError(p.getNameLoc(), "needs a left and a right operand");
  state.addTypes(SmallVector<Type>(operands.size() - 1, f32));
  return success();
}
void ContractOp::print(OpAsmPrinter &p) {
  p << ' ' << getOperands();
  printOver(p, *this, getOver());
}

ParseResult ReduceOverOp::parse(OpAsmParser &p, OperationState &state) {
  StringRef by;
  OpAsmParser::UnresolvedOperand x;
  Type f32 = p.getBuilder().getF32Type();
  if (p.parseKeyword(&by) || p.parseOperand(x) || parseOver(p, state) ||
      p.resolveOperand(x, f32, state.operands))
    return failure();
  state.addAttribute("by", p.getBuilder().getStringAttr(by));
  state.addTypes(f32);
  return success();
}
void ReduceOverOp::print(OpAsmPrinter &p) {
  p << ' ' << getBy() << ' ' << getX();
  printOver(p, *this, getOver());
}
LogicalResult ReduceOverOp::verify() {
  if (getBy() != "add" && getBy() != "max")
    return emitOpError() << "combines by add or max, not '" << getBy() << "'";
  return success();
}

ParseResult IndexOp::parse(OpAsmParser &p, OperationState &state) {
  int64_t dim;
  if (parseDimNumber(p, dim))
    return failure();
  state.addAttribute("dim", p.getBuilder().getI64IntegerAttr(dim));
  state.addTypes(p.getBuilder().getI32Type());
  return success();
}
void IndexOp::print(OpAsmPrinter &p) { p << " d" << getDim(); }

//===-- rules -------------------------------------------------------------===//

LogicalResult FusedOp::verify() {
  if (getMaps().size() != getNumOperands() + getNumResults())
    return emitOpError() << "has " << getMaps().size() << " maps for "
                         << getNumOperands() << " operands and "
                         << getNumResults() << " results";
  if (getDimNames().size() != getDimSizes().size())
    return emitOpError("needs a size for each dim");
  for (auto [i, attr] : llvm::enumerate(getMaps())) {
    bool input = i < getNumOperands();
    auto type = cast<GraphTensorType>(
        input ? getOperand(i).getType()
              : getResult(i - getNumOperands()).getType());
    auto map = dyn_cast<AffineMapAttr>(attr);
    if (!map) {
      if (!input)
        return emitOpError()
               << "result " << i - getNumOperands() << " needs a map";
      continue;
    }
    if ((int64_t)map.getValue().getNumResults() != type.getRank() ||
        map.getValue().getNumDims() != dimCount())
      return emitOpError() << "map " << map << " does not fit " << type.str();
  }
  return success();
}
LogicalResult FusedOp::verifyRegions() {
  Block &body = getBody().front();
  if (body.getNumArguments() != getNumOperands())
    return emitOpError() << "has " << getNumOperands()
                         << " operands, but its body takes "
                         << body.getNumArguments();
  for (auto [i, argument] : llvm::enumerate(body.getArguments())) {
    auto type = cast<GraphTensorType>(getOperand(i).getType());
    Type want = inputMap(i) ? scalarOf(type) : Type(type);
    if (argument.getType() != want)
      return emitOpError() << "operand " << i << " is " << type.str()
                           << ", so its block argument must be " << want
                           << ", but it is " << argument.getType();
  }
  auto end = dyn_cast<EmitOp>(body.getTerminator());
  if (!end || end.getNumOperands() != getNumResults())
    return emitOpError() << "must emit " << getNumResults() << " values";
  int64_t anchors = llvm::range_size(body.getOps<ContractOp>());
  if (anchors > 1)
    return emitOpError() << "has " << anchors
                         << " contractions; one is the most";
  ContractOp contract = anchor();
  for (auto reduce : body.getOps<ReduceOverOp>()) {
    int64_t summed = 1;
    for (int64_t d : reduce.getOver()) {
      if (d < 0 || d >= dimCount())
        return emitOpError()
               << "sums over d" << d << ", but has " << dimCount() << " dims";
      if (summed <= widestRow)
        summed *= dimSize(d);
    }
    if (contract && reduce->isBeforeInBlock(contract))
      return emitOpError("sums before its contraction; only behind one");
    if (contract && summed > widestRow)
      return emitOpError() << "sums " << summed
                           << " elements behind its contraction; " << widestRow
                           << " are the most";
  }
  return success();
}
