//===- TileOps.cpp - Text and checks of tile ops --------------------------===//
#include "dialects/tile/TileOps.h"

#include "dialects/bb/BBText.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Interfaces/FunctionImplementation.h"

/// Takes no text: tells the graph ops around a dispatch the types of its
/// results, which they print without.
static mlir::ParseResult parseGraphScope(mlir::OpAsmParser &parser,
                                         llvm::ArrayRef<mlir::Type> results) {
  bitbyte::bb::TypeScope::defineResults(parser, results);
  return mlir::success();
}
static void printGraphScope(mlir::OpAsmPrinter &, mlir::Operation *,
                            mlir::TypeRange) {}

#define GET_OP_CLASSES
#include "dialects/tile/TileOps.cpp.inc"

using namespace mlir;

namespace bitbyte::tile {

//===-- Kernels and their calls -------------------------------------------===//

ParseResult KernelOp::parse(OpAsmParser &parser, OperationState &result) {
  return function_interface_impl::parseFunctionOp(
      parser, result, /*allowVariadic=*/false,
      getFunctionTypeAttrName(result.name),
      [](Builder &builder, ArrayRef<Type> arguments, ArrayRef<Type> results,
         function_interface_impl::VariadicFlag,
         std::string &) { return builder.getFunctionType(arguments, results); },
      getArgAttrsAttrName(result.name), getResAttrsAttrName(result.name));
}

void KernelOp::print(OpAsmPrinter &printer) {
  function_interface_impl::printFunctionOp(
      printer, *this, /*isVariadic=*/false, getFunctionTypeAttrName(),
      getArgAttrsAttrName(), getResAttrsAttrName());
}

/// Whether a commit follows `op` in its block or in a block around it.
static bool reachesCommit(Operation *op) {
  for (; !isa<KernelOp>(op); op = op->getParentOp())
    for (Operation *next = op->getNextNode(); next; next = next->getNextNode())
      if (isa<CommitOp>(next))
        return true;
  return false;
}

/// Copies reach a commit, and none is under way when the kernel ends.
static LogicalResult verifyGroups(KernelOp kernel) {
  CommitOp open;
  WalkResult walk = kernel.walk([&](Operation *op) {
    if (isa<CopyAsyncOp>(op) && !reachesCommit(op)) {
      op->emitOpError("is followed by no tile.commit");
      return WalkResult::interrupt();
    }
    if (auto commit = dyn_cast<CommitOp>(op))
      open = commit;
    if (auto wait = dyn_cast<WaitOp>(op); wait && wait.getPending() == 0)
      open = {};
    return WalkResult::advance();
  });
  if (walk.wasInterrupted())
    return failure();
  if (open)
    return open.emitOpError("is followed by no `tile.wait 0`, so that copies "
                            "may outlive the program");
  return success();
}

LogicalResult KernelOp::verify() {
  if (!getResultTypes().empty())
    return emitOpError("writes its results to its last arguments; it cannot "
                       "return values");
  for (auto [index, type] : llvm::enumerate(getArgumentTypes())) {
    auto buffer = dyn_cast<BufType>(type);
    if (!buffer || buffer.getSpace() != Space::Global)
      return emitOpError("argument ")
             << index << " must be a global buffer, but is " << type;
  }
  if (getBody().empty())
    return emitOpError("needs a body");
  return verifyGroups(*this);
}

KernelOp lookupKernel(Operation *from, StringAttr symbol) {
  for (Operation *op = from; op; op = op->getParentOp())
    if (op->hasTrait<OpTrait::SymbolTable>())
      if (auto kernel = dyn_cast_if_present<KernelOp>(
              SymbolTable::lookupSymbolIn(op, symbol)))
        return kernel;
  return {};
}

LogicalResult DispatchOp::verify() {
  std::optional<ArrayRef<int64_t>> inplace = getInplace();
  if (getPartial() && (!inplace || llvm::is_contained(*inplace, -1)))
    return emitOpError("is `partial`, so that `inplace` must name an operand "
                       "for each result");
  if (!inplace)
    return success();
  if (inplace->size() != getNumResults())
    return emitOpError("has ")
           << getNumResults() << " results, but `inplace` has "
           << inplace->size() << " entries";
  for (int64_t operand : *inplace)
    if (operand < -1 || operand >= static_cast<int64_t>(getInputs().size()))
      return emitOpError("`inplace` names operand ")
             << operand << " of " << getInputs().size();
  return success();
}

LogicalResult DispatchOp::verifySymbolUses(SymbolTableCollection &tables) {
  KernelOp kernel;
  for (Operation *op = *this; op && !kernel; op = op->getParentOp())
    if (op->hasTrait<OpTrait::SymbolTable>())
      kernel = dyn_cast_if_present<KernelOp>(
          tables.lookupSymbolIn(op, getKernelAttr().getAttr()));
  if (!kernel)
    return emitOpError("calls @")
           << getKernel() << ", which is not a tile.kernel";
  size_t given = getInputs().size() + getNumResults();
  size_t wanted = kernel.getArgumentTypes().size();
  if (given == wanted)
    return success();
  InFlightDiagnostic diagnostic =
      emitOpError("has ") << given << " operands and results, but @"
                          << getKernel() << " has " << wanted << " arguments";
  diagnostic.attachNote(kernel.getLoc()) << "the kernel is here";
  return diagnostic;
}

//===-- Memory ------------------------------------------------------------===//

LogicalResult AllocOp::verify() {
  if (getType().getSpace() != Space::Scratch)
    return emitOpError("makes scratch memory, but the type says global");
  return success();
}

SmallVector<int64_t> ViewOp::getDroppedAxes() {
  if (std::optional<ArrayRef<int64_t>> drop = getDrop())
    return SmallVector<int64_t>(*drop);
  int64_t source = getSource().getType().getRank();
  int64_t result = getType().getRank();
  return llvm::to_vector(llvm::seq<int64_t>(0, source - result));
}

LogicalResult ViewOp::verify() {
  BufType source = getSource().getType(), result = getType();
  if (source.getElementType() != result.getElementType() ||
      source.getSpace() != result.getSpace())
    return emitOpError("keeps the element type and space of its source");
  if (getOffsets().size() > source.getRank())
    return emitOpError("has ") << getOffsets().size() << " offsets for "
                               << source.getRank() << " axes";
  SmallVector<int64_t> drop = getDroppedAxes();
  if (result.getRank() + drop.size() != source.getRank())
    return emitOpError("drops ")
           << drop.size() << " of " << source.getRank()
           << " axes, but its result has " << result.getRank();
  if (!llvm::is_sorted(drop, std::less_equal<>()) && drop.size() > 1)
    return emitOpError("names the axes to drop in ascending order");
  if (!drop.empty() && (drop.front() < 0 ||
                        drop.back() >= static_cast<int64_t>(source.getRank())))
    return emitOpError("drops an axis that the source does not have");

  if (source.isPanel()) {
    if (source.getLayout() != result.getLayout() ||
        source.getShape().take_back(2) != result.getShape().take_back(2) ||
        getOffsets().size() > source.getRank() - 2)
      return emitOpError("of a panel only drops leading axes");
    return success();
  }
  if (result.isPanel())
    return emitOpError("cannot make a panel of rows");

  SmallVector<int64_t> sourceStrides = source.getStrides();
  SmallVector<int64_t> resultStrides = result.getStrides();
  unsigned at = 0;
  for (unsigned axis = 0; axis < source.getRank(); ++axis) {
    if (llvm::is_contained(drop, axis))
      continue;
    if (result.getShape()[at] > source.getShape()[axis])
      return emitOpError("result axis ")
             << at << " has " << result.getShape()[at]
             << " elements, but the source's axis " << axis << " has "
             << source.getShape()[axis];
    if (result.getShape()[at] > 1 && resultStrides[at] != sourceStrides[axis])
      return emitOpError("result axis ")
             << at << " has stride " << resultStrides[at]
             << ", but the source's axis " << axis << " has "
             << sourceStrides[axis] << "; give the result #tile.strided";
    ++at;
  }
  return success();
}

LogicalResult PrefetchOp::verify() {
  BufType type = getBuffer().getType();
  if (type.isPanel() || type.getRank() < 1 || type.getRank() > 2 ||
      type.getStrides().back() != 1)
    return emitOpError("takes one row, or rows, that are contiguous; here: ")
           << type;
  return success();
}

/// Memory may hold `memory` where registers hold `reg`: the same type, or a
/// smaller float as f32, or a smaller integer as i32.
static bool converts(Type memory, Type reg) {
  if (memory == reg)
    return true;
  unsigned width = memory.getIntOrFloatBitWidth();
  if (isa<FloatType>(memory))
    return reg.isF32() && width < 32;
  if (!reg.isSignlessInteger())
    return false;
  return reg.getIntOrFloatBitWidth() == width ||
         (reg.isInteger(32) && width < 32);
}

static LogicalResult verifyAccess(Operation *op, BufType buffer, Type element,
                                  size_t offsets) {
  if (offsets != buffer.getRank())
    return op->emitOpError("has ") << offsets << " offsets, but the buffer has "
                                   << buffer.getRank() << " axes";
  if (!converts(buffer.getElementType(), element))
    return op->emitOpError("cannot convert between ")
           << buffer.getElementType() << " in memory and " << element
           << " in registers";
  return success();
}

static LogicalResult verifyTileAccess(Operation *op, BufType buffer,
                                      RegType tile, size_t offsets,
                                      size_t bounds) {
  if (failed(verifyAccess(op, buffer, tile.getElementType(), offsets)))
    return failure();
  if (tile.getRank() > buffer.getRank())
    return op->emitOpError("moves a tile of ")
           << tile.getRank() << " axes, but the buffer has "
           << buffer.getRank();
  if (bounds && bounds != tile.getRank())
    return op->emitOpError("has ") << bounds << " bounds, but the tile has "
                                   << tile.getRank() << " axes";
  return success();
}

LogicalResult LoadOp::verify() {
  return verifyTileAccess(*this, getSource().getType(), getType(),
                          getOffsets().size(), getBounds().size());
}

LogicalResult StoreOp::verify() {
  return verifyTileAccess(*this, getDest().getType(), getValue().getType(),
                          getOffsets().size(), getBounds().size());
}

LogicalResult LoadScalarOp::verify() {
  return verifyAccess(*this, getSource().getType(), getType(),
                      getOffsets().size());
}

LogicalResult StoreScalarOp::verify() {
  return verifyAccess(*this, getDest().getType(), getValue().getType(),
                      getOffsets().size());
}

LogicalResult CopyAsyncOp::verify() {
  BufType source = getSource().getType(), dest = getDest().getType();
  if (source.getSpace() != Space::Global || dest.getSpace() != Space::Scratch)
    return emitOpError("copies from global memory to scratch");
  if (source.getElementType() != dest.getElementType())
    return emitOpError("cannot convert ")
           << source.getElementType() << " to " << dest.getElementType();
  if (getOffsets().size() != source.getRank())
    return emitOpError("has ")
           << getOffsets().size() << " offsets, but the buffer has "
           << source.getRank() << " axes";
  if (dest.getRank() != 2 || source.getRank() < 2)
    return emitOpError("copies a tile of two axes, not of ") << dest.getRank();
  if (!getBounds().empty() && getBounds().size() != dest.getRank())
    return emitOpError("has ")
           << getBounds().size() << " bounds, but the tile has "
           << dest.getRank() << " axes";
  for (BufType buffer : {source, dest})
    if (buffer.isPanel() || buffer.getStrides().back() != 1)
      return emitOpError("needs contiguous rows");
  int64_t bytes = dest.getElementBytes();
  for (int64_t size : {dest.getStrides()[0], dest.getShape()[1]})
    if (size * bytes % 16)
      return emitOpError("fills rows of whole chunks of 16 bytes, but ")
             << size << " elements are " << size * bytes << " bytes";
  return success();
}

LogicalResult GatherOp::verify() {
  RegType result = getType();
  if (failed(verifyAccess(*this, getSource().getType(), result.getElementType(),
                          getIndices().size())))
    return failure();
  for (auto [axis, index] : llvm::enumerate(getIndices()))
    if (cast<RegType>(index.getType()) !=
        result.withElement(IntegerType::get(getContext(), 32)))
      return emitOpError("index tile ")
             << axis << " must be of i32 and share shape and layout with the "
             << "result";
  if (!getBounds().empty() && getBounds().size() != result.getRank())
    return emitOpError("has ")
           << getBounds().size() << " bounds, but the tile has "
           << result.getRank() << " axes";
  return success();
}

//===-- Tiles -------------------------------------------------------------===//

LogicalResult SplatOp::verify() {
  if (getValue().getType() != getType().getElementType())
    return emitOpError("value is ")
           << getValue().getType() << ", but the tile holds "
           << getType().getElementType();
  return success();
}

LogicalResult IotaOp::verify() {
  if (getAxis() >= getType().getRank())
    return emitOpError("axis ")
           << getAxis() << " of a tile with " << getType().getRank() << " axes";
  if (!getType().getElementType().isInteger(32))
    return emitOpError("makes i32, not ") << getType().getElementType();
  return success();
}

LogicalResult BroadcastOp::verify() {
  RegType source = getSource().getType(), result = getType();
  if (getAxis() >= result.getRank())
    return emitOpError("axis ")
           << getAxis() << " of a tile with " << result.getRank() << " axes";
  RegType wanted = result.drop(getAxis());
  if (source.getElementType() != result.getElementType() ||
      source.getShape() != wanted.getShape())
    return emitOpError("source must be the result without axis ") << getAxis();
  Distribution have = source.spell(), want = wanted.spell();
  if (have.lane != want.lane || have.warp != want.warp)
    return emitOpError("lower-rank layout must be the higher-rank one without "
                       "axis ")
           << getAxis();
  return success();
}

LogicalResult MapOp::verify() {
  if (getOutputs().empty())
    return emitOpError("needs a result");
  auto first = cast<RegType>(getOutputs()[0].getType());
  for (Type type : llvm::concat<const Type>(getInputs().getTypes(),
                                            getOutputs().getTypes())) {
    auto tile = cast<RegType>(type);
    if (tile.getShape() != first.getShape() ||
        tile.getLayout() != first.getLayout())
      return emitOpError("operands and results must share shape and layout; "
                         "insert tile.relayout");
  }
  return success();
}

LogicalResult MapOp::verifyRegions() {
  Block &body = getBody().front();
  if (body.getNumArguments() != getInputs().size())
    return emitOpError("has ")
           << getInputs().size() << " operands, but its "
           << "region has " << body.getNumArguments() << " arguments";
  for (auto [index, argument] : llvm::enumerate(body.getArguments())) {
    Type wanted = cast<RegType>(getInputs()[index].getType()).getElementType();
    if (argument.getType() != wanted)
      return emitOpError("region argument ")
             << index << " is " << argument.getType()
             << ", but the operand holds " << wanted;
  }
  auto yield = dyn_cast<YieldOp>(body.getTerminator());
  if (!yield)
    return emitOpError("region must end in tile.yield");
  if (yield.getValues().size() != getNumResults())
    return emitOpError("has ") << getNumResults() << " results, but yields "
                               << yield.getValues().size();
  for (auto [index, value] : llvm::enumerate(yield.getValues())) {
    Type wanted = cast<RegType>(getOutputs()[index].getType()).getElementType();
    if (value.getType() != wanted)
      return emitOpError("yields ") << value.getType() << " as result " << index
                                    << ", which holds " << wanted;
  }
  return success();
}

LogicalResult ReduceOp::verify() {
  RegType source = getSource().getType();
  if (getAxis() >= source.getRank())
    return emitOpError("axis ")
           << getAxis() << " of a tile with " << source.getRank() << " axes";
  RegType wanted = source.drop(getAxis()), result = getType();
  if (result.getElementType() != wanted.getElementType() ||
      result.getShape() != wanted.getShape())
    return emitOpError("result must be the source without axis ") << getAxis();
  Distribution have = result.spell(), want = wanted.spell();
  if (have.lane != want.lane || have.warp != want.warp)
    return emitOpError("result layout must be the source layout without axis ")
           << getAxis();
  return success();
}

LogicalResult RelayoutOp::verify() {
  RegType source = getSource().getType(), result = getType();
  if (source.getElementType() != result.getElementType() ||
      source.getRank() != result.getRank())
    return emitOpError("keeps the element type and rank of its source");
  SmallVector<int64_t> permutation =
      llvm::to_vector(llvm::seq<int64_t>(0, source.getRank()));
  if (std::optional<ArrayRef<int64_t>> given = getPermutation()) {
    SmallVector<int64_t> sorted(*given);
    llvm::sort(sorted);
    if (sorted != permutation)
      return emitOpError("permutation must name each of ")
             << source.getRank() << " axes once";
    permutation.assign(given->begin(), given->end());
  }
  for (auto [axis, from] : llvm::enumerate(permutation))
    if (result.getShape()[axis] != source.getShape()[from])
      return emitOpError("result axis ")
             << axis << " has " << result.getShape()[axis]
             << " elements, but the source has " << source.getShape()[from];
  return success();
}

LogicalResult MmaOp::verify() {
  if (getC().getType() != getType())
    return emitOpError("accumulator and result differ");
  if (getType().getRank() != 2 || !getType().getElementType().isF32())
    return emitOpError("accumulates f32 in two axes");
  auto shapeOf = [](Type type) {
    if (auto reg = dyn_cast<RegType>(type))
      return reg.getShape();
    return cast<BufType>(type).getShape();
  };
  ArrayRef<int64_t> a = shapeOf(getA().getType());
  ArrayRef<int64_t> b = shapeOf(getB().getType());
  ArrayRef<int64_t> c = getType().getShape(); // [M, N]
  if (a.size() != 2 || b.size() != 2)
    return emitOpError("multiplies operands of two axes; take a tile.view");
  int64_t m = a[getTransposeA()], kOfA = a[!getTransposeA()];
  int64_t kOfB = b[getTransposeB()], n = b[!getTransposeB()];
  if (m != c[0] || n != c[1] || kOfA != kOfB)
    return emitOpError("shapes do not multiply: ")
           << m << "x" << kOfA << " by " << kOfB << "x" << n << " into " << c[0]
           << "x" << c[1];
  return success();
}

} // namespace bitbyte::tile
