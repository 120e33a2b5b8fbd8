//===- Addresses.cpp - Where buffers and their elements lie ---------------===//
#include "passes/lower/KernelLowering.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace bitbyte::tile {

//===-- Addresses ---------------------------------------------------------===//

Value KernelLowering::firstOf(Value argument, Value pointer) {
  auto buffer = cast<BufType>(argument.getType());
  return emit.move(pointer, {}, buffer.getOffset() * buffer.getElementBytes(),
                   1);
}

LogicalResult KernelLowering::lower(AllocOp op) {
  lowered[op] = {emit.move(scratchBase(), {}, scratchPlan.offsets[op], 1)};
  return success();
}

LogicalResult KernelLowering::lower(ViewOp op) {
  BufType source = op.getSource().getType();
  Value base = lowered[op.getSource()][0];
  Value offset = dynamicOffset(source, op.getOffsets());
  lowered[op] = {emit.move(base, offset, 0, source.getElementBytes())};
  return success();
}

Value KernelLowering::dynamicOffset(BufType type, ValueRange offsets) {
  SmallVector<int64_t> strides;
  if (auto panel = dyn_cast_if_present<PanelAttr>(type.getLayout())) {
    // [cols / k][rows][k]: a column that is a multiple of k lies that many
    // whole columns in.
    strides = BufType::get(type.getContext(), type.getShape(),
                           type.getElementType(), type.getSpace(), Attribute())
                  .getStrides();
    strides[type.getRank() - 2] = panel.getK();
    strides[type.getRank() - 1] = type.getShape()[type.getRank() - 2];
  } else {
    strides = type.getStrides();
  }
  Value sum;
  for (auto [offset, stride] : llvm::zip(offsets, strides)) {
    if (getConstantIntValue(offset) == 0)
      continue;
    sum = emit.add(sum, emit.mul(lowered[offset][0], stride));
  }
  return sum;
}

int64_t KernelLowering::fixedOffset(BufType type,
                                    ArrayRef<int64_t> coordinate) {
  size_t lead = type.getRank() - coordinate.size();
  if (auto panel = dyn_cast_if_present<PanelAttr>(type.getLayout())) {
    int64_t k = panel.getK(), rows = type.getShape()[type.getRank() - 2];
    int64_t size = rows * type.getShape().back();
    int64_t column = coordinate.back();
    int64_t sum = column / k * rows * k + column % k;
    ArrayRef<int64_t> rest = coordinate.drop_back();
    if (!rest.empty()) {
      sum += rest.back() * k;
      rest = rest.drop_back();
    }
    for (size_t axis = rest.size(); axis-- > 0;) {
      sum += rest[axis] * size;
      size *= type.getShape()[lead + axis];
    }
    return sum;
  }
  int64_t sum = 0;
  SmallVector<int64_t> strides = type.getStrides();
  for (auto [axis, value] : llvm::enumerate(coordinate))
    sum += value * strides[lead + axis];
  return sum;
}

Value KernelLowering::placeOf(Value buffer, ValueRange offsets) {
  auto type = cast<BufType>(buffer.getType());
  return emit.move(lowered[buffer][0], dynamicOffset(type, offsets), 0,
                   type.getElementBytes());
}

LogicalResult KernelLowering::lower(LoadScalarOp op) {
  BufType buffer = op.getSource().getType();
  Value bits = emit.load(memoryScalar(buffer.getElementType()),
                         placeOf(op.getSource(), op.getOffsets()),
                         buffer.getElementBytes());
  lowered[op] = {widen(buffer.getElementType(), op.getType(), bits)};
  return success();
}

//===-- Elements ----------------------------------------------------------===//

Value KernelLowering::widen(Type memory, Type reg, Value bits) {
  int64_t lanes = lanesOf(bits.getType());
  if (memory == reg && !memory.isInteger(1))
    return bits;
  if (memory.isBF16())
    return widenBf16(emit, bits);
  if (memory.isF16())
    return widenF16(emit, bits);
  Type type = vectorOf(scalarType(reg), lanes);
  if (reg.isInteger(1))
    return emit.icmp(LLVM::ICmpPredicate::ne, bits, emit.zero(bits.getType()));
  if (bits.getType() == type)
    return bits;
  bool isUnsigned = memory.isInteger(1) || memory.isUnsignedInteger();
  return isUnsigned ? emit.zext(type, bits) : emit.sext(type, bits);
}

Value KernelLowering::narrow(Type memory, Type reg, Value value) {
  int64_t lanes = lanesOf(value.getType());
  if (memory == reg && !memory.isInteger(1))
    return value;
  if (memory.isBF16())
    return roundToBf16(emit, value, target.hasBf16);
  if (memory.isF16())
    return roundToF16(emit, value);
  Type type = vectorOf(memoryScalar(memory), lanes);
  if (reg.isInteger(1))
    return emit.zext(type, value);
  if (memory.isInteger(1))
    value = emit.bitAnd(value, emit.constant(value.getType(), 1));
  return value.getType() == type ? value : emit.trunc(type, value);
}

//===-- Bounds ------------------------------------------------------------===//

Access KernelLowering::accessOf(ArrayRef<int64_t> shape, ValueRange bounds) {
  Access result = Access::Whole;
  for (auto [extent, bound] : llvm::zip(shape, bounds)) {
    std::optional<int64_t> known = getConstantIntValue(bound);
    if (known && *known < extent)
      return Access::Cut;
    if (!known)
      result = Access::Unknown;
  }
  return result;
}

} // namespace bitbyte::tile
