//===- NvvmTiles.cpp - What crosses threads -------------------------------===//
#include "passes/lower/NvvmLowering.h"

using namespace mlir;

namespace bitbyte::tile {

LogicalResult NvvmLowering::lower(IotaOp op) {
  Distribution tile = op.getType().spell();
  Value own = threadCoordinate(tile, op.getAxis());
  Registers result;
  for (int64_t index = 0; index < tile.registers(); ++index)
    result.push_back(emit.add(
        own, emit.index(tile.registerCoordinate(index)[op.getAxis()])));
  lowered[op] = std::move(result);
  return success();
}

LogicalResult NvvmLowering::lower(BarrierOp) {
  barrier();
  return success();
}

LogicalResult NvvmLowering::lower(RelayoutOp op) {
  return op.emitOpError("has no lowering for a GPU; go through scratch");
}

//===-- reduce ------------------------------------------------------------===//

void NvvmLowering::reduceLanes(ReduceOp op, Registers &values) {
  unsigned axis = op.getAxis();
  Distribution source = op.getSource().getType().spell();
  Type i32 = emit.integer(32);
  for (auto [index, bit] : llvm::enumerate(Distribution::bits(source.lane))) {
    if (bit.axis != axis)
      continue;
    for (Value &value : values) {
      bool isFloat = isa<FloatType>(value.getType());
      Value other = emit.intrinsic(isFloat ? "llvm.nvvm.shfl.sync.bfly.f32"
                                           : "llvm.nvvm.shfl.sync.bfly.i32",
                                   value.getType(),
                                   {emit.constant(i32, -1), value,
                                    emit.constant(i32, int64_t(1) << index),
                                    emit.constant(i32, 31)});
      value = combine(op.getCombiner(), value, other);
    }
  }
  if (llvm::any_of(source.warp, [axis](const Digit &digit) {
        return digit.axis == axis && digit.extent > 1;
      }))
    reduceWarps(op, values);
}

// Each warp puts its part into shared memory; then all read all parts, in the
// order of the warps.
void NvvmLowering::reduceWarps(ReduceOp op, Registers &values) {
  unsigned axis = op.getAxis();
  Distribution source = op.getSource().getType().spell();
  int64_t lanes = source.drop(axis).lanesAreReplicas() ? 1 : 32;
  int64_t count = values.size();
  bool isFirst = exchangeBytes == 0 && !op->getParentOfType<scf::ForOp>();
  Value base = exchange(count * warps() * lanes * 4);
  auto place = [&](Value ofWarp, int64_t index, int64_t part) {
    Value offset = emit.mul(ofWarp, lanes);
    if (lanes > 1)
      offset = emit.add(offset, lane);
    return emit.move(base, offset, (index * warps() + part) * lanes, 4);
  };
  if (!isFirst)
    barrier(); // an earlier reduction may still be reading
  when(lanes > 1 ? Value()
                 : emit.icmp(LLVM::ICmpPredicate::eq, lane, emit.index(0)),
       [&] {
         for (auto [index, value] : llvm::enumerate(values))
           emit.store(value, place(warp, index, 0), 4);
       });
  barrier();
  // This warp's number without the digits along the axis, and what those add.
  Value rest = emit.index(0);
  SmallVector<int64_t> parts{0};
  int64_t weight = 1;
  for (const Digit &digit : source.warp) {
    if (digit.axis != axis) {
      if (digit.extent > 1)
        rest = emit.add(
            rest,
            emit.mul(digitOf(warp, weight, digit.extent, warps()), weight));
    } else {
      SmallVector<int64_t> more;
      for (int64_t i = 0; i < digit.extent; ++i)
        for (int64_t part : parts)
          more.push_back(part + i * weight);
      parts = std::move(more);
    }
    weight *= digit.extent;
  }
  for (auto [index, value] : llvm::enumerate(values)) {
    Type type = value.getType();
    value = {};
    for (int64_t part : parts) {
      Value other = emit.load(type, place(rest, index, part), 4);
      value = value ? combine(op.getCombiner(), value, other) : other;
    }
  }
}

} // namespace bitbyte::tile
