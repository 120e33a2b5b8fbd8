//===- NvvmMemory.cpp - Loads, stores and gathers of threads --------------===//
//
// Registers that lie side by side in memory are one access of up to 16 bytes,
// where the address is surely aligned and the bounds cut no access in two.
//
//===----------------------------------------------------------------------===//
#include "passes/lower/NvvmLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace bitbyte::tile {

//===-- What is known of addresses ----------------------------------------===//

/// Divides everything that occurs.
static constexpr int64_t anything = int64_t(1) << 20;

static int64_t powerIn(int64_t value) {
  return value == 0 ? anything : std::min(anything, value & -value);
}

int64_t NvvmLowering::divisorOf(Value index) {
  if (std::optional<int64_t> known = getConstantIntValue(index))
    return powerIn(*known);
  if (auto argument = dyn_cast<BlockArgument>(index)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    if (!loop || argument != loop.getInductionVar())
      return 1;
    return std::min(divisorOf(loop.getLowerBound()), divisorOf(loop.getStep()));
  }
  auto both = [&](Operation *op) {
    return std::min(divisorOf(op->getOperand(0)), divisorOf(op->getOperand(1)));
  };
  return TypeSwitch<Operation *, int64_t>(index.getDefiningOp())
      .Case<arith::AddIOp, arith::SubIOp, arith::MinSIOp, arith::MaxSIOp,
            arith::RemUIOp>([&](auto op) { return both(op); })
      .Case([&](arith::MulIOp op) {
        return std::min(anything,
                        divisorOf(op.getLhs()) * divisorOf(op.getRhs()));
      })
      .Case([&](arith::DivUIOp op) -> int64_t {
        std::optional<int64_t> by = getConstantIntValue(op.getRhs());
        if (!by || *by != powerIn(*by))
          return 1;
        return std::max<int64_t>(1, divisorOf(op.getLhs()) / *by);
      })
      .Default([](Operation *) { return 1; });
}

int64_t NvvmLowering::alignmentOf(Value buffer) {
  auto view = buffer.getDefiningOp<ViewOp>();
  if (!view) { // kernel arguments and scratch
    auto type = cast<BufType>(buffer.getType());
    return std::min<int64_t>(64, powerIn(type.getOffset()) *
                                     type.getElementBytes());
  }
  BufType source = view.getSource().getType();
  int64_t alignment = alignmentOf(view.getSource());
  for (auto [offset, stride] :
       llvm::zip(view.getOffsets(), source.getStrides()))
    alignment = std::min(alignment, divisorOf(offset) * powerIn(stride) *
                                        source.getElementBytes());
  return alignment;
}

//===-- Runs --------------------------------------------------------------===//

static int64_t largestThreadCoordinate(const Distribution &tile, size_t axis) {
  int64_t sum = 0;
  for (const auto *level : {&tile.lane, &tile.warp})
    for (const Digit &digit : *level)
      if (digit.axis == static_cast<int64_t>(axis))
        sum += (digit.extent - 1) * digit.stride;
  return sum;
}

bool NvvmLowering::isRun(int64_t length, BufType buffer, int64_t alignment,
                         const Distribution &tile, ValueRange bounds) {
  if (length == 1)
    return true;
  int64_t count = tile.registers();
  if (alignment % length || count % length)
    return false;
  for (int64_t first = 0; first < count; first += length) {
    Coordinate start = tile.registerCoordinate(first);
    int64_t at = fixedOffset(buffer, start);
    if (at % length)
      return false;
    for (int64_t i = 1; i < length; ++i)
      if (fixedOffset(buffer, tile.registerCoordinate(first + i)) != at + i)
        return false;
    for (auto [axis, bound] : llvm::enumerate(bounds)) {
      if (tile.registerCoordinate(first + length - 1)[axis] == start[axis])
        continue;
      if (start[axis] % length || divisorOf(bound) % length)
        return false;
      for (const auto *level : {&tile.lane, &tile.warp})
        for (const Digit &digit : *level)
          if (digit.axis == static_cast<int64_t>(axis) && digit.extent > 1 &&
              digit.stride % length)
            return false;
    }
  }
  return true;
}

Value NvvmLowering::presence(const Distribution &tile,
                             const Coordinate &coordinate, ValueRange bounds,
                             Masks &masks, bool &none) {
  none = false;
  std::vector<int64_t> asked; // axes and coordinates that need a comparison
  for (auto [axis, bound] : llvm::enumerate(bounds)) {
    int64_t at = coordinate[axis];
    std::optional<int64_t> known = getConstantIntValue(bound);
    if (known && *known <= at)
      none = true;
    // A run is whole or absent, so its first element speaks for it.
    if (!known || *known <= at + largestThreadCoordinate(tile, axis))
      asked.insert(asked.end(), {static_cast<int64_t>(axis), at});
  }
  auto [entry, fresh] = masks.try_emplace(asked);
  if (!fresh)
    return entry->second;
  Value mask;
  for (size_t i = 0; i < asked.size(); i += 2) {
    Value own = emit.add(threadCoordinate(tile, asked[i]),
                         asked[i + 1] ? emit.index(asked[i + 1]) : Value());
    if (!own)
      own = emit.index(0);
    Value here =
        emit.icmp(LLVM::ICmpPredicate::slt, own, lowered[bounds[asked[i]]][0]);
    mask = mask ? emit.bitAnd(mask, here) : here;
  }
  return entry->second = mask;
}

NvvmLowering::Runs NvvmLowering::runsOf(Value buffer, ValueRange offsets,
                                        RegType type, ValueRange bounds) {
  auto memory = cast<BufType>(buffer.getType());
  Distribution tile = type.spell();
  // Elements to which this thread's place is aligned.
  int64_t bytes = memory.getElementBytes();
  int64_t alignment = alignmentOf(buffer) / bytes;
  SmallVector<int64_t> strides = memory.getStrides();
  for (auto [offset, stride] : llvm::zip(offsets, strides))
    alignment = std::min(alignment, divisorOf(offset) * powerIn(stride));
  size_t lead = strides.size() - type.getRank();
  for (const auto *level : {&tile.lane, &tile.warp})
    for (const Digit &digit : *level)
      if (digit.axis >= 0 && digit.extent > 1)
        alignment = std::min(
            alignment, powerIn(digit.stride * strides[lead + digit.axis]));
  alignment = std::max<int64_t>(alignment, 1);

  Runs runs;
  runs.length = std::max<int64_t>(1, target.accessBytes / bytes);
  while (!isRun(runs.length, memory, alignment, tile, bounds))
    runs.length /= 2;
  Masks masks;
  for (int64_t first = 0; first < tile.registers(); first += runs.length) {
    Run run{first, false, {}};
    run.mask =
        presence(tile, tile.registerCoordinate(first), bounds, masks, run.none);
    runs.list.push_back(run);
  }
  return runs;
}

SmallVector<std::pair<const NvvmLowering::Run *, const NvvmLowering::Run *>>
NvvmLowering::Runs::groups() const {
  SmallVector<std::pair<const Run *, const Run *>> result;
  for (const Run *first = list.begin(); first != list.end();) {
    const Run *last = std::next(first);
    while (last != list.end() && last->mask == first->mask &&
           last->none == first->none)
      ++last;
    result.push_back({first, last});
    first = last;
  }
  return result;
}

Value NvvmLowering::threadPlace(Value buffer, ValueRange offsets,
                                const Distribution &tile) {
  auto memory = cast<BufType>(buffer.getType());
  SmallVector<int64_t> strides = memory.getStrides();
  size_t lead = strides.size() - tile.rank;
  Value offset = dynamicOffset(memory, offsets);
  for (unsigned axis = 0; axis < tile.rank; ++axis)
    offset = emit.add(
        offset, emit.mul(threadCoordinate(tile, axis), strides[lead + axis]));
  return emit.move(lowered[buffer][0], offset, 0, memory.getElementBytes());
}

//===-- Tiles -------------------------------------------------------------===//

/// What reads and writes leave out: panels are a CPU's.
static LogicalResult verifyBuffer(Operation *op, BufType buffer) {
  if (buffer.isPanel())
    return op->emitOpError("cannot reach a panel on a GPU");
  return success();
}

LogicalResult NvvmLowering::lower(LoadOp op) {
  BufType buffer = op.getSource().getType();
  if (failed(verifyBuffer(op, buffer)))
    return failure();
  RegType type = op.getType();
  Distribution tile = type.spell();
  ValueRange bounds = op.getBounds();
  if (accesses.lookup(op) == Access::Whole)
    bounds = {};
  int64_t bytes = buffer.getElementBytes();
  Runs runs = runsOf(op.getSource(), op.getOffsets(), type, bounds);
  Value base = threadPlace(op.getSource(), op.getOffsets(), tile);
  Type memory = memoryScalar(buffer.getElementType());
  Type access = vectorOf(memory, runs.length > 1 ? runs.length : 0);
  auto read = [&](const Run &run) {
    Value place = emit.move(
        base, {}, fixedOffset(buffer, tile.registerCoordinate(run.first)),
        bytes);
    return emit.load(access, place, runs.length * bytes);
  };
  Registers result(tile.registers());
  for (auto [first, last] : runs.groups()) {
    ArrayRef<Run> group(first, last);
    Registers bits;
    if (first->none)
      bits.assign(group.size(), emit.zero(access));
    else
      bits =
          valuesWhen(first->mask, SmallVector<Type>(group.size(), access),
                     [&] { return Registers(llvm::map_range(group, read)); });
    for (auto [run, value] : llvm::zip_equal(group, bits)) {
      Value wide = widen(buffer.getElementType(), type.getElementType(), value);
      for (int64_t i = 0; i < runs.length; ++i)
        result[run.first + i] = runs.length > 1 ? emit.extract(wide, i) : wide;
    }
  }
  lowered[op] = std::move(result);
  return success();
}

LogicalResult NvvmLowering::lower(StoreOp op) {
  BufType buffer = op.getDest().getType();
  if (failed(verifyBuffer(op, buffer)))
    return failure();
  RegType type = op.getValue().getType();
  Distribution tile = type.spell();
  ValueRange bounds = op.getBounds();
  if (accesses.lookup(op) == Access::Whole)
    bounds = {};
  int64_t bytes = buffer.getElementBytes();
  Runs runs = runsOf(op.getDest(), op.getOffsets(), type, bounds);
  Value base = threadPlace(op.getDest(), op.getOffsets(), tile);
  Value writer = firstReplica(tile);
  Registers values = lowered[op.getValue()];
  auto write = [&](const Run &run) {
    Value value = values[run.first];
    if (runs.length > 1) {
      Type vector = vectorOf(value.getType(), runs.length);
      value = LLVM::PoisonOp::create(emit.builder, emit.loc, vector);
      for (int64_t i = 0; i < runs.length; ++i)
        value = emit.insert(value, values[run.first + i], i);
    }
    // Narrowed as a vector, so that bf16 is rounded in pairs.
    value = narrow(buffer.getElementType(), type.getElementType(), value);
    Value place = emit.move(
        base, {}, fixedOffset(buffer, tile.registerCoordinate(run.first)),
        bytes);
    emit.store(value, place, runs.length * bytes);
  };
  for (auto [first, last] : runs.groups()) {
    Value condition = first->mask;
    if (writer)
      condition = condition ? emit.bitAnd(condition, writer) : writer;
    if (!first->none)
      when(condition, [&] {
        for (const Run &run : ArrayRef<Run>(first, last))
          write(run);
      });
  }
  return success();
}

LogicalResult NvvmLowering::lower(StoreScalarOp op) {
  BufType buffer = op.getDest().getType();
  Value place = placeOf(op.getDest(), op.getOffsets());
  Value value = narrow(buffer.getElementType(), op.getValue().getType(),
                       lowered[op.getValue()][0]);
  when(emit.icmp(LLVM::ICmpPredicate::eq, thread, emit.index(0)),
       [&] { emit.store(value, place, buffer.getElementBytes()); });
  return success();
}

LogicalResult NvvmLowering::lower(GatherOp op) {
  BufType buffer = op.getSource().getType();
  if (failed(verifyBuffer(op, buffer)))
    return failure();
  RegType type = op.getType();
  Distribution tile = type.spell();
  int64_t bytes = buffer.getElementBytes();
  Type memory = memoryScalar(buffer.getElementType());
  SmallVector<int64_t> strides = buffer.getStrides();
  Value base = lowered[op.getSource()][0];
  Masks masks;
  Registers result;
  for (int64_t index = 0; index < tile.registers(); ++index) {
    Value offset;
    for (auto [axis, indices] : llvm::enumerate(op.getIndices()))
      offset =
          emit.add(offset, emit.mul(lowered[indices][index], strides[axis]));
    if (!offset)
      offset = emit.index(0);
    bool none;
    Value mask = presence(tile, tile.registerCoordinate(index), op.getBounds(),
                          masks, none);
    Value bits = none ? emit.zero(memory) : valuesWhen(mask, memory, [&] {
      return Registers{
          emit.load(memory, emit.move(base, offset, 0, bytes), bytes)};
    })[0];
    result.push_back(
        widen(buffer.getElementType(), type.getElementType(), bits));
  }
  lowered[op] = std::move(result);
  return success();
}

} // namespace bitbyte::tile
