//===- Views.cpp - Loops of ops that move elements ------------------------===//

#include "compiler/interpreter/Families.h"

using namespace mlir;
using namespace bitbyte::bb;

/// Ops that only name the same elements by another shape: reshape, and patches,
/// which join or cut rows that lie side by side.
template <typename OpTy>
static LogicalResult renameShape(OpTy op, Frame &frame) {
  Array y = frame[op.getX()];
  y.shape = shapeOf(op.getY());
  frame.set(op.getY(), std::move(y));
  return success();
}

/// Reads x with these strides along the axes of y.
static Array gather(const Array &x, ArrayRef<int64_t> shape,
                    ArrayRef<int64_t> strides, int64_t start = 0) {
  Array y(shape);
  int64_t i = 0;
  forIndices<1>(shape, {strides}, [&](auto at) { y[i++] = x[start + at[0]]; });
  return y;
}

static LogicalResult transpose(TransposeOp op, Frame &frame) {
  const Array &x = frame[op.getX()];
  Shape own = stridesOf(x.shape), strides;
  for (int64_t axis : wholes(op.getBy()))
    strides.push_back(own[axis]);
  frame.set(op.getY(), gather(x, shapeOf(op.getY()), strides));
  return success();
}

static LogicalResult broadcast(BroadcastOp op, Frame &frame) {
  const Array &x = frame[op.getX()];
  Shape to = shapeOf(op.getY());
  frame.set(op.getY(), gather(x, to, broadcastStrides(x.shape, to)));
  return success();
}

static LogicalResult slice(SliceOp op, Frame &frame) {
  const Array &x = frame[op.getX()];
  int64_t axis = axisOf(whole(op.getAxis()), x.rank());
  Shape strides = stridesOf(x.shape);
  frame.set(op.getY(), gather(x, shapeOf(op.getY()), strides,
                              whole(op.getFrom()) * strides[axis]));
  return success();
}

/// Writes `part` into `whole` at `from` along one axis.
static void place(Array &whole, const Array &part, int64_t axis, int64_t from) {
  Shape to = stridesOf(whole.shape);
  int64_t start = from * to[axis], i = 0;
  forIndices<1>(part.shape, {to},
                [&](auto at) { whole[start + at[0]] = part[i++]; });
}

static LogicalResult pad(PadOp op, Frame &frame) {
  const Array &x = frame[op.getX()];
  Array y(shapeOf(op.getY()));
  place(y, x, axisOf(whole(op.getAxis()), x.rank()), whole(op.getBefore()));
  frame.set(op.getY(), std::move(y));
  return success();
}

/// Parts of the last axis.
static LogicalResult split(SplitOp op, Frame &frame) {
  const Array &x = frame[op.getX()];
  Shape strides = stridesOf(x.shape);
  int64_t from = 0;
  for (Value part : op.getParts()) {
    Shape shape = shapeOf(part);
    frame.set(part, gather(x, shape, strides, from));
    from += shape.back();
  }
  return success();
}

static LogicalResult concat(ConcatOp op, Frame &frame) {
  Array y(shapeOf(op.getY()));
  int64_t from = 0;
  for (Value part : op.getParts()) {
    place(y, frame[part], y.rank() - 1, from);
    from += frame[part].dim(-1);
  }
  frame.set(op.getY(), std::move(y));
  return success();
}

/// Each row of x [B, T, ..] one place later; `first` at the start, and at each
/// multiple of the period.
static LogicalResult shift(ShiftOp op, Frame &frame) {
  const Array &x = frame[op.getX()], &first = frame[op.getFirst()];
  int64_t length = x.dim(1), period = whole(op.getPeriodAttr());
  if (!period)
    period = length;
  int64_t width = x.size() / (x.dim(0) * length);
  // `first` is one row, or one for each sequence.
  bool shared = first.size() == width;
  Array y(x.shape);
  for (int64_t b = 0; b < x.dim(0); ++b)
    for (int64_t t = 0; t < length; ++t)
      for (int64_t d = 0; d < width; ++d)
        y[(b * length + t) * width + d] =
            t % period == 0 ? first[(shared ? 0 : b * width) + d]
                            : x[(b * length + t - 1) * width + d];
  frame.set(op.getY(), std::move(y));
  return success();
}

void bitbyte::bb::addViews(Loops &loops) {
  add<ReshapeOp, renameShape<ReshapeOp>>(loops);
  add<PatchOp, renameShape<PatchOp>>(loops);
  add<UnpatchOp, renameShape<UnpatchOp>>(loops);
  add<TransposeOp, transpose>(loops);
  add<BroadcastOp, broadcast>(loops);
  add<SliceOp, slice>(loops);
  add<PadOp, pad>(loops);
  add<SplitOp, split>(loops);
  add<ConcatOp, concat>(loops);
  add<ShiftOp, shift>(loops);
}
