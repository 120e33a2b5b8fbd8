//===- Contractions.cpp - Loops of matmul-like ops ------------------------===//

#include "compiler/interpreter/Families.h"

using namespace mlir;
using namespace bitbyte::bb;

/// y[.., o] = sum_i x[.., i] w[o, i] + bias[o].
static LogicalResult linear(LinearOp op, Frame &frame) {
  const Array &x = frame[op.getX()], &w = frame[op.getW()];
  const Array *bias = frame.find(op.getBias());
  int64_t out = w.dim(0), in = w.dim(1);
  Array y(shapeOf(op.getY()));
  for (int64_t row = 0; row < x.rows(); ++row)
    for (int64_t o = 0; o < out; ++o) {
      double sum = bias ? (*bias)[o] : 0;
      for (int64_t i = 0; i < in; ++i)
        sum += x[row * in + i] * w[o * in + i];
      y[row * out + o] = sum;
    }
  frame.set(op.getY(), std::move(y));
  return success();
}

/// Strides of an operand or result along the letters in `order`; 0 for letters
/// that it does not have.
static Shape stridesAlong(StringRef order, StringRef letters,
                          ArrayRef<int64_t> shape) {
  Shape own = stridesOf(shape), strides(order.size(), 0);
  for (auto [axis, letter] : llvm::enumerate(letters))
    strides[order.find(letter)] += own[axis];
  return strides;
}

/// One loop for each letter; what the result does not name is summed.
static LogicalResult einsum(EinsumOp op, Frame &frame) {
  auto [operands, out] = op.getAs().split("->");
  auto [lettersA, lettersB] = operands.split(",");
  const Array &a = frame[op.getA()], &b = frame[op.getB()];
  std::string order;
  Shape sizes;
  auto note = [&](StringRef letters, ArrayRef<int64_t> shape) {
    for (auto [letter, size] : llvm::zip(letters, shape))
      if (StringRef(order).find(letter) == StringRef::npos) {
        order.push_back(letter);
        sizes.push_back(size);
      }
  };
  note(lettersA, a.shape);
  note(lettersB, b.shape);

  Array y(shapeOf(op.getY()));
  Shape ofA = stridesAlong(order, lettersA, a.shape),
        ofB = stridesAlong(order, lettersB, b.shape),
        ofY = stridesAlong(order, out, y.shape);
  forIndices<3>(sizes, {ofA, ofB, ofY},
                [&](auto at) { y[at[2]] += a[at[0]] * b[at[1]]; });
  frame.set(op.getY(), std::move(y));
  return success();
}

void bitbyte::bb::addContractions(Loops &loops) {
  add<LinearOp, linear>(loops);
  add<EinsumOp, einsum>(loops);
}
