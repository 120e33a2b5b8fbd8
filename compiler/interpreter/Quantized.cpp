//===- Quantized.cpp - Loops of ops that change the encoding --------------===//
//
// What is encoded lies here as the numbers that its codes stand for, code times
// scale, so that `dequantize` only rounds to the type that it gives.
//
//===----------------------------------------------------------------------===//

#include "compiler/interpreter/Families.h"

#include <cmath>

using namespace mlir;
using namespace bitbyte::bb;

/// The largest code: codes are the whole numbers from its negative to it. 0 for
/// a codec of another kind.
static double largestCode(StringRef codec) {
  if (codec == "int8")
    return 127;
  if (codec == "int4")
    return 7;
  return codec == "ternary" ? 1 : 0;
}

/// x as its codes stand for it: every block of neighbours has the scale with
/// which its largest absolute value becomes the largest code.
static LogicalResult encode(Operation *op, Array &x, Type to) {
  auto type = dyn_cast<QuantType>(to);
  if (!type)
    return op->emitOpError("needs an encoding such as int8/row");
  double largest = largestCode(type.getCodec().getValue());
  if (largest == 0)
    return op->emitOpError("has no loop in the interpreter for codec '")
           << type.getCodec().getValue() << "'";
  StringRef block = type.getBlock();
  int64_t width = x.rank() ? x.dim(-1) : 1, size = width;
  if (block == "tensor")
    size = x.size();
  else if (block != "row" && block.getAsInteger(10, size))
    return op->emitOpError("has no loop in the interpreter for blocks of '")
           << block << "'";
  if (size < 1 || (block != "tensor" && width % size))
    return op->emitOpError("has blocks of ")
           << size << " numbers, which do not divide rows of " << width;
  for (int64_t begin = 0; begin < x.size(); begin += size) {
    double most = 0;
    for (int64_t i = begin; i < begin + size; ++i)
      most = std::fmax(most, std::fabs(x[i]));
    double scale = most / largest;
    for (int64_t i = begin; i < begin + size && scale > 0; ++i)
      x[i] = scale * std::nearbyint(x[i] / scale);
  }
  return success();
}

static LogicalResult fakeQuant(FakeQuantOp op, Frame &frame) {
  Array y = frame[op.getX()];
  if (failed(encode(op, y, op.getTo())))
    return failure();
  frame.set(op.getY(), std::move(y));
  return success();
}

static LogicalResult quantize(QuantizeOp op, Frame &frame) {
  Array y = frame[op.getX()];
  if (failed(encode(op, y, op.getTo())))
    return failure();
  frame.set(op.getY(), std::move(y));
  return success();
}

static LogicalResult dequantize(DequantizeOp op, Frame &frame) {
  frame.set(op.getY(), frame[op.getX()]);
  return success();
}

void bitbyte::bb::addQuantized(Loops &loops) {
  add<FakeQuantOp, fakeQuant>(loops);
  add<QuantizeOp, quantize>(loops);
  add<DequantizeOp, dequantize>(loops);
}
