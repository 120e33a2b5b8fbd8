//===- X86Memory.cpp - Loads, stores and gathers of vectors ---------------===//
#include "passes/lower/X86Lowering.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace bitbyte::tile {

LanePlaces X86Lowering::placesOf(BufType buffer, const Distribution &tile,
                                 int64_t index) {
  LanePlaces places;
  Coordinate first = tile.registerCoordinate(index);
  int64_t origin = fixedOffset(buffer, first);
  for (int64_t lane = 0; lane < tile.lanes(); ++lane) {
    Coordinate at = first;
    for (auto [axis, value] : llvm::enumerate(tile.laneCoordinate(lane)))
      at[axis] += value;
    places.offsets.push_back(fixedOffset(buffer, at) - origin);
  }
  places.same = llvm::all_of(places.offsets, [](int64_t o) { return o == 0; });
  for (places.run = tile.lanes(); places.run > 1; places.run /= 2) {
    bool whole = true;
    for (int64_t lane = 0; lane < tile.lanes(); ++lane)
      whole &= places.offsets[lane] ==
               places.offsets[lane - lane % places.run] + lane % places.run;
    if (whole && tile.lanes() % places.run == 0)
      break;
  }
  return places;
}

static Value stackBytes(Emit &emit, LLVM::LLVMFuncOp function, bool clear) {
  OpBuilder::InsertionGuard guard(emit.builder);
  emit.builder.setInsertionPointToStart(&function.getBody().front());
  Value slot = LLVM::AllocaOp::create(
      emit.builder, emit.loc, emit.pointer(), emit.integer(8),
      emit.constant(emit.integer(32), 64), /*alignment=*/64);
  if (clear)
    emit.store(emit.zero(emit.integer(64, 8)), slot, 64);
  return slot;
}

Value X86Lowering::zeros() {
  if (!zerosPointer)
    zerosPointer = stackBytes(emit, function, /*clear=*/true);
  return zerosPointer;
}

Value X86Lowering::sink() {
  if (!sinkPointer)
    sinkPointer = stackBytes(emit, function, /*clear=*/false);
  return sinkPointer;
}

//===-- Bounds ------------------------------------------------------------===//

Presence X86Lowering::presenceOf(const Distribution &tile, int64_t index,
                                 ArrayRef<int64_t> shape, ValueRange bounds) {
  int64_t lanes = tile.lanes();
  Coordinate first = tile.registerCoordinate(index);
  Presence result;
  auto restrict = [&](Value mask) {
    result.mask = result.mask ? emit.bitAnd(result.mask, mask) : mask;
    result.kind = Presence::Some;
  };
  for (auto [axis, bound] : llvm::enumerate(bounds)) {
    SmallVector<int32_t> coordinates;
    for (int64_t lane = 0; lane < lanes; ++lane)
      coordinates.push_back(first[axis] + tile.laneCoordinate(lane)[axis]);
    auto [low, high] =
        std::minmax_element(coordinates.begin(), coordinates.end());
    if (std::optional<int64_t> known = getConstantIntValue(bound)) {
      if (*known > *high)
        continue;
      if (*known <= *low)
        return {Presence::None, {}};
      SmallVector<bool> mask;
      for (int32_t coordinate : coordinates)
        mask.push_back(coordinate < *known);
      restrict(emit.mask(mask));
      continue;
    }
    Value limit = lowered[bound][0];
    if (*low == *high) {
      Value present =
          emit.icmp(LLVM::ICmpPredicate::sgt, limit, emit.i64(*low));
      restrict(emit.splat(present, lanes));
      continue;
    }
    // In 32 bits per lane, so that the mask is as wide as f32.
    Type i64 = emit.integer(64);
    limit = LLVM::SMinOp::create(emit.builder, emit.loc, limit,
                                 emit.constant(i64, shape[axis]));
    limit = LLVM::SMaxOp::create(emit.builder, emit.loc, limit,
                                 emit.constant(i64, 0));
    limit = emit.splat(emit.trunc(emit.integer(32), limit), lanes);
    restrict(
        emit.icmp(LLVM::ICmpPredicate::sgt, limit, emit.lanes(coordinates)));
  }
  return result;
}

//===-- One register ------------------------------------------------------===//

/// Whether the machine can skip single lanes of such a vector.
static bool hasMaskedAccess(const KernelTarget &target, Type scalar) {
  return target.lanes >= 16 || scalar.getIntOrFloatBitWidth() == 32;
}

Value X86Lowering::loadRegister(BufType buffer, RegType type, int64_t index,
                                Value base, const Presence &presence) {
  Distribution tile = type.spell();
  int64_t lanes = tile.lanes(), bytes = buffer.getElementBytes();
  Type memory = memoryScalar(buffer.getElementType());
  Type vector = vectorOf(memory, lanes);
  auto finish = [&](Value bits) {
    return widen(buffer.getElementType(), type.getElementType(), bits);
  };
  if (presence.kind == Presence::None)
    return finish(emit.zero(vector));

  LanePlaces places = placesOf(buffer, tile, index);
  Value from = emit.move(
      base, {}, fixedOffset(buffer, tile.registerCoordinate(index)), bytes);
  bool some = presence.kind == Presence::Some;
  if (places.same) {
    if (some)
      from = emit.select(emit.extract(presence.mask, 0), from, zeros());
    return finish(emit.splat(emit.load(memory, from, bytes), lanes));
  }
  if (places.run == lanes && !some)
    return finish(emit.load(vector, from, bytes));
  if (places.run == lanes && hasMaskedAccess(target, memory))
    return finish(LLVM::MaskedLoadOp::create(emit.builder, emit.loc, vector,
                                             from, presence.mask,
                                             emit.zero(vector), bytes));

  // Runs of lanes, or lane by lane where some may be absent.
  int64_t run = some ? 1 : places.run;
  Value bits = emit.zero(vector);
  for (int64_t lane = 0; lane < lanes; lane += run) {
    Value place = emit.move(from, {}, places.offsets[lane], bytes);
    if (some)
      place = emit.select(emit.extract(presence.mask, lane), place, zeros());
    if (run == 1) {
      bits = emit.insert(bits, emit.load(memory, place, bytes), lane);
      continue;
    }
    Value part = emit.load(vectorOf(memory, run), place, bytes);
    SmallVector<int32_t> spread, merge;
    for (int64_t i = 0; i < lanes; ++i) {
      bool inside = i >= lane && i < lane + run;
      spread.push_back(inside ? i - lane : 0);
      merge.push_back(inside ? lanes + i : i);
    }
    bits = emit.shuffle(bits, emit.shuffle(part, part, spread), merge);
  }
  return finish(bits);
}

void X86Lowering::storeRegister(BufType buffer, RegType type, int64_t index,
                                Value base, Value value,
                                const Presence &presence) {
  if (presence.kind == Presence::None)
    return;
  Distribution tile = type.spell();
  int64_t lanes = tile.lanes(), bytes = buffer.getElementBytes();
  Type memory = memoryScalar(buffer.getElementType());
  LanePlaces places = placesOf(buffer, tile, index);
  Value to = emit.move(
      base, {}, fixedOffset(buffer, tile.registerCoordinate(index)), bytes);
  bool some = presence.kind == Presence::Some;
  if (places.same) // one element: narrow it alone
    value = emit.extract(value, 0);
  Value bits = narrow(buffer.getElementType(), type.getElementType(), value);
  if (places.same) {
    if (some)
      to = emit.select(emit.extract(presence.mask, 0), to, sink());
    emit.store(bits, to, bytes);
    return;
  }
  if (places.run == lanes && !some) {
    emit.store(bits, to, bytes);
    return;
  }
  if (places.run == lanes && hasMaskedAccess(target, memory)) {
    LLVM::MaskedStoreOp::create(emit.builder, emit.loc, bits, to, presence.mask,
                                bytes);
    return;
  }
  int64_t run = some ? 1 : places.run;
  for (int64_t lane = 0; lane < lanes; lane += run) {
    // Of replicas, the first one is written.
    if (llvm::is_contained(ArrayRef(places.offsets).take_front(lane),
                           places.offsets[lane]))
      continue;
    Value place = emit.move(to, {}, places.offsets[lane], bytes);
    if (some)
      place = emit.select(emit.extract(presence.mask, lane), place, sink());
    Value part;
    if (run == 1) {
      part = emit.extract(bits, lane);
    } else {
      SmallVector<int32_t> picked;
      for (int64_t i = 0; i < run; ++i)
        picked.push_back(lane + i);
      part = emit.shuffle(bits, bits, picked);
    }
    emit.store(part, place, bytes);
  }
}

//===-- Tiles -------------------------------------------------------------===//

LogicalResult X86Lowering::lower(LoadOp op) {
  BufType buffer = op.getSource().getType();
  RegType type = op.getType();
  Distribution tile = type.spell();
  Value base = emit.move(lowered[op.getSource()][0],
                         dynamicOffset(buffer, op.getOffsets()), 0,
                         buffer.getElementBytes());
  bool whole = accesses.lookup(op) == Access::Whole;
  Registers result;
  for (int64_t index = 0; index < tile.registers(); ++index)
    result.push_back(loadRegister(
        buffer, type, index, base,
        whole ? Presence()
              : presenceOf(tile, index, type.getShape(), op.getBounds())));
  lowered[op] = std::move(result);
  return success();
}

LogicalResult X86Lowering::lower(StoreOp op) {
  BufType buffer = op.getDest().getType();
  RegType type = op.getValue().getType();
  Distribution tile = type.spell();
  Value base = emit.move(lowered[op.getDest()][0],
                         dynamicOffset(buffer, op.getOffsets()), 0,
                         buffer.getElementBytes());
  Registers values = lowered[op.getValue()];
  bool whole = accesses.lookup(op) == Access::Whole;
  for (int64_t index = 0; index < tile.registers(); ++index)
    storeRegister(
        buffer, type, index, base, values[index],
        whole ? Presence()
              : presenceOf(tile, index, type.getShape(), op.getBounds()));
  return success();
}

LogicalResult X86Lowering::lower(StoreScalarOp op) {
  BufType buffer = op.getDest().getType();
  Value to = emit.move(lowered[op.getDest()][0],
                       dynamicOffset(buffer, op.getOffsets()), 0,
                       buffer.getElementBytes());
  emit.store(narrow(buffer.getElementType(), op.getValue().getType(),
                    lowered[op.getValue()][0]),
             to, buffer.getElementBytes());
  return success();
}

LogicalResult X86Lowering::lower(GatherOp op) {
  BufType buffer = op.getSource().getType();
  if (buffer.isPanel())
    return op.emitOpError("cannot read from a panel");
  RegType type = op.getType();
  Distribution tile = type.spell();
  int64_t lanes = tile.lanes(), bytes = buffer.getElementBytes();
  Type memory = memoryScalar(buffer.getElementType());
  SmallVector<int64_t> strides = buffer.getStrides();
  Value base = lowered[op.getSource()][0];
  Registers result;
  for (int64_t index = 0; index < tile.registers(); ++index) {
    // A buffer has less than 2^31 elements.
    Value offset;
    for (auto [axis, indices] : llvm::enumerate(op.getIndices()))
      offset =
          emit.add(offset, emit.mul(lowered[indices][index], strides[axis]));
    if (!offset)
      offset = emit.zero(emit.integer(32, lanes));
    Presence presence =
        presenceOf(tile, index, type.getShape(), op.getBounds());
    Value bits = emit.zero(vectorOf(memory, lanes));
    if (presence.kind != Presence::None) {
      // Absent elements read the first one, and are then dropped.
      if (presence.kind == Presence::Some)
        offset =
            emit.select(presence.mask, offset, emit.zero(offset.getType()));
      for (int64_t lane = 0; lane < lanes; ++lane) {
        Value place = emit.zext(emit.integer(64), emit.extract(offset, lane));
        Value element =
            emit.load(memory, emit.move(base, place, 0, bytes), bytes);
        bits = emit.insert(bits, element, lane);
      }
      if (presence.kind == Presence::Some)
        bits = emit.select(presence.mask, bits, emit.zero(bits.getType()));
    }
    result.push_back(
        widen(buffer.getElementType(), type.getElementType(), bits));
  }
  lowered[op] = std::move(result);
  return success();
}

} // namespace bitbyte::tile
