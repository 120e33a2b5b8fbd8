//===- Kernel.cpp - Control flow and values of a kernel -------------------===//
#include "passes/lower/KernelLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace bitbyte::tile {

/// The LLVM type of a scalar that is not an index.
static Type loweredScalar(Type type) {
  Builder builder(type.getContext());
  if (type.isBF16() || type.isF16())
    return builder.getIntegerType(16);
  if (isa<IntegerType>(type))
    return builder.getIntegerType(type.getIntOrFloatBitWidth());
  return type;
}

Type memoryScalar(Type type) {
  Type lowered = loweredScalar(type);
  return lowered.isInteger(1) ? Builder(type.getContext()).getIntegerType(8)
                              : lowered;
}

Type KernelLowering::scalarType(Type type) const {
  if (type.isIndex())
    return Builder(type.getContext()).getIntegerType(target.isGpu ? 32 : 64);
  return loweredScalar(type);
}

Type KernelLowering::pointerTo(BufType buffer) {
  return emit.pointer(target.isGpu ? static_cast<unsigned>(buffer.getSpace())
                                   : 0);
}

KernelLowering::KernelLowering(KernelOp kernel, const KernelTarget &target)
    : kernel(kernel), target(target), scratchPlan(planScratch(kernel)),
      emit(OpBuilder(kernel), kernel.getLoc(), target.isGpu) {}

//===-- Values ------------------------------------------------------------===//

Registers KernelLowering::valuesOf(ValueRange values) {
  Registers result;
  for (Value value : values)
    llvm::append_range(result, lowered.find(value)->second);
  return result;
}

void KernelLowering::bind(ValueRange values, ValueRange all) {
  for (Value value : values) {
    size_t count = typesOf(value.getType()).size();
    lowered[value] = Registers(all.take_front(count));
    all = all.drop_front(count);
  }
}

SmallVector<Type> KernelLowering::typesOf(TypeRange types) {
  SmallVector<Type> result;
  for (Type type : types) {
    if (auto buffer = dyn_cast<BufType>(type)) {
      result.push_back(pointerTo(buffer));
    } else if (auto tile = dyn_cast<RegType>(type)) {
      Distribution digits = tile.spell();
      result.append(digits.registers(),
                    vectorOf(scalarType(tile.getElementType()), width(digits)));
    } else {
      result.push_back(scalarType(type));
    }
  }
  return result;
}

//===-- Control -----------------------------------------------------------===//

Block *KernelLowering::addBlock(TypeRange arguments) {
  auto *block = new Block();
  for (Type type : arguments)
    block->addArgument(type, emit.loc);
  function.getBody().push_back(block);
  return block;
}

void KernelLowering::jump(Block *to, ValueRange arguments) {
  LLVM::BrOp::create(emit.builder, emit.loc, arguments, to);
}

void KernelLowering::jumpIf(Value condition, Block *then,
                            ValueRange thenArguments, Block *otherwise,
                            ValueRange otherArguments, bool likely) {
  std::optional<std::pair<uint32_t, uint32_t>> weights;
  if (likely)
    weights = {100, 1};
  LLVM::CondBrOp::create(emit.builder, emit.loc, condition, then, thenArguments,
                         otherwise, otherArguments, weights);
}

/// The bounds of a tile access; none of another op.
static ValueRange boundsOf(Operation *op) {
  if (auto load = dyn_cast<LoadOp>(op))
    return load.getBounds();
  if (auto store = dyn_cast<StoreOp>(op))
    return store.getBounds();
  return {};
}

LogicalResult KernelLowering::lowerBlock(Block &block) {
  Block::iterator terminator = std::prev(block.end());
  for (auto at = block.begin(); at != terminator;) {
    if (boundsOf(&*at).empty()) {
      emit.loc = at->getLoc();
      if (failed(lower(&*at++)))
        return failure();
      continue;
    }
    // From the first bounded access to the last one that no loop or product,
    // too long to have twice, lies before.
    Block::iterator end = std::next(at);
    for (auto next = end;
         next != terminator && !isa<scf::ForOp, scf::IfOp, MmaOp>(*next);)
      if (!boundsOf(&*next++).empty())
        end = next;
    if (failed(lowerTwice(at, end)))
      return failure();
    at = end;
  }
  return success();
}

LogicalResult KernelLowering::lowerTwice(Block::iterator begin,
                                         Block::iterator end) {
  // Scalars first: bounds are computed on the way.
  DenseSet<Operation *> members, done;
  for (Operation &op : llvm::make_range(begin, end)) {
    members.insert(&op);
    bool known = llvm::all_of(op.getOperands(), [&](Value operand) {
      return lowered.contains(operand);
    });
    if (!known || op.getNumRegions() || op.getDialect() == kernel->getDialect())
      continue;
    emit.loc = op.getLoc();
    if (failed(lower(&op)))
      return failure();
    done.insert(&op);
  }

  emit.loc = begin->getLoc();
  Value condition;
  llvm::MapVector<Value, int64_t> extents; // the largest one per bound
  SmallVector<Operation *> decided;
  for (Operation &op : llvm::make_range(begin, end)) {
    ValueRange bounds = boundsOf(&op);
    if (bounds.empty() || !llvm::all_of(bounds, [&](Value bound) {
          return lowered.contains(bound);
        }))
      continue;
    Value tile = isa<LoadOp>(op) ? op.getResult(0) : op.getOperand(0);
    ArrayRef<int64_t> shape = cast<RegType>(tile.getType()).getShape();
    if (accessOf(shape, bounds) != Access::Unknown)
      continue;
    for (auto [extent, bound] : llvm::zip_equal(shape, bounds))
      if (!getConstantIntValue(bound))
        extents[bound] = std::max(extents[bound], extent);
    decided.push_back(&op);
  }
  for (auto [bound, extent] : extents) {
    Value enough = emit.icmp(LLVM::ICmpPredicate::sge, lowered[bound][0],
                             emit.index(extent));
    condition = condition ? emit.bitAnd(condition, enough) : enough;
  }
  auto lowerRest = [&](Access access) -> LogicalResult {
    for (Operation *op : decided)
      accesses[op] = access;
    for (Operation &op : llvm::make_range(begin, end)) {
      emit.loc = op.getLoc();
      if (!done.contains(&op) && failed(lower(&op)))
        return failure();
    }
    return success();
  };
  if (!condition)
    return lowerRest(Access::Unknown);

  SmallVector<Value> results;
  Block *block = begin->getBlock();
  for (Operation &op : llvm::make_range(begin, end)) {
    if (done.contains(&op))
      continue;
    for (Value result : op.getResults())
      if (llvm::any_of(result.getUsers(), [&](Operation *user) {
            return !members.contains(block->findAncestorOpInBlock(*user));
          }))
        results.push_back(result);
  }
  Block *fast = addBlock({}), *slow = addBlock({});
  Block *join = addBlock(typesOf(ValueRange(results).getTypes()));
  jumpIf(condition, fast, {}, slow, {}, /*likely=*/true);
  for (auto [start, access] :
       {std::pair(fast, Access::Whole), std::pair(slow, Access::Cut)}) {
    emit.builder.setInsertionPointToEnd(start);
    if (failed(lowerRest(access)))
      return failure();
    jump(join, valuesOf(results));
  }
  emit.builder.setInsertionPointToEnd(join);
  bind(results, join->getArguments());
  return success();
}

LogicalResult KernelLowering::lower(Operation *op) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case<AllocOp, ViewOp, PrefetchOp, LoadOp, StoreOp, LoadScalarOp,
            StoreScalarOp, GatherOp, SplatOp, IotaOp, BroadcastOp, MapOp,
            ReduceOp, RelayoutOp, MmaOp, CopyAsyncOp, CommitOp, WaitOp,
            BarrierOp, scf::ForOp, scf::IfOp>(
          [&](auto typed) { return lower(typed); })
      .Case([&](ProgramIdOp id) {
        lowered[id] = {program};
        return success();
      })
      .Default([&](Operation *other) -> LogicalResult {
        for (Value operand : other->getOperands())
          if (!lowered.contains(operand))
            return other->emitOpError(
                "uses a value that a kernel does not have");
        Value result;
        if (other->getNumResults() == 1 && other->getNumRegions() == 0)
          result = lowerScalar(other, valuesOf(other->getOperands()), 0);
        if (!result)
          return other->emitOpError("cannot be lowered in a kernel");
        lowered[other->getResult(0)] = {result};
        return success();
      });
}

LogicalResult KernelLowering::lower(scf::ForOp op) {
  for (Type type : op.getResultTypes())
    if (isa<BufType>(type))
      return op.emitOpError("cannot carry a buffer; take a tile.view inside");
  Value low = valuesOf(op.getLowerBound())[0];
  Value high = valuesOf(op.getUpperBound())[0];
  Value step = valuesOf(op.getStep())[0];
  Registers carried{low};
  llvm::append_range(carried, valuesOf(op.getInitArgs()));
  SmallVector<Type> types(ValueRange(carried).getTypes());

  // Tested at the end; the test before the first round goes where the bounds
  // are known.
  Block *body = addBlock(types);
  Block *exit = addBlock(ArrayRef(types).drop_front());
  std::optional<int64_t> first = getConstantIntValue(op.getLowerBound());
  std::optional<int64_t> last = getConstantIntValue(op.getUpperBound());
  if (first && last && *first < *last)
    jump(body, carried);
  else
    jumpIf(emit.icmp(LLVM::ICmpPredicate::slt, low, high), body, carried, exit,
           ValueRange(carried).drop_front());

  emit.builder.setInsertionPointToEnd(body);
  lowered[op.getInductionVar()] = {body->getArgument(0)};
  bind(op.getRegionIterArgs(), body->getArguments().drop_front());
  if (failed(lowerBlock(*op.getBody())))
    return failure();
  emit.loc = op.getLoc();
  Value next = LLVM::AddOp::create(emit.builder, emit.loc, body->getArgument(0),
                                   step, LLVM::IntegerOverflowFlags::nsw);
  carried.assign({next});
  llvm::append_range(carried, valuesOf(op.getYieldedValues()));
  jumpIf(emit.icmp(LLVM::ICmpPredicate::slt, next, high), body, carried, exit,
         ValueRange(carried).drop_front());

  emit.builder.setInsertionPointToEnd(exit);
  bind(op.getResults(), exit->getArguments());
  return success();
}

LogicalResult KernelLowering::lower(scf::IfOp op) {
  Value condition = valuesOf(op.getCondition())[0];
  Block *then = addBlock({});
  Block *exit = addBlock(typesOf(op.getResultTypes()));
  Block *otherwise = op.elseBlock() ? addBlock({}) : exit;
  jumpIf(condition, then, {}, otherwise, {});
  auto fill = [&](Block *block, Block *source) -> LogicalResult {
    emit.builder.setInsertionPointToEnd(block);
    if (failed(lowerBlock(*source)))
      return failure();
    emit.loc = op.getLoc();
    jump(exit, valuesOf(source->getTerminator()->getOperands()));
    return success();
  };
  if (failed(fill(then, op.thenBlock())) ||
      (op.elseBlock() && failed(fill(otherwise, op.elseBlock()))))
    return failure();
  emit.builder.setInsertionPointToEnd(exit);
  bind(op.getResults(), exit->getArguments());
  return success();
}

} // namespace bitbyte::tile
