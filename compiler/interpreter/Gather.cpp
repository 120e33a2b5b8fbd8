//===- Gather.cpp - Loops of ops that read or write at indices ------------===//

#include "compiler/interpreter/Families.h"

using namespace mlir;
using namespace bitbyte::bb;

/// y[.., :] = table[ids[..], :].
static LogicalResult embed(EmbedOp op, Frame &frame) {
  const Array &ids = frame[op.getIds()], &table = frame[op.getTable()];
  int64_t width = table.dim(-1);
  Array y(shapeOf(op.getY()));
  for (int64_t i = 0; i < ids.size(); ++i) {
    auto id = static_cast<int64_t>(ids[i]);
    if (id < 0 || id >= table.dim(0))
      return op.emitOpError("id ")
             << id << " is outside a table of " << table.dim(0) << " rows";
    for (int64_t d = 0; d < width; ++d)
      y[i * width + d] = table[id * width + d];
  }
  frame.set(op.getY(), std::move(y));
  return success();
}

/// y[ids[..], :] += x[.., :], from zero.
static LogicalResult scatterAdd(ScatterAddOp op, Frame &frame) {
  const Array &ids = frame[op.getIds()], &x = frame[op.getX()];
  int64_t width = x.dim(-1);
  Array y(shapeOf(op.getY()));
  for (int64_t i = 0; i < ids.size(); ++i) {
    auto id = static_cast<int64_t>(ids[i]);
    if (id < 0 || id >= y.dim(0))
      return op.emitOpError("id ")
             << id << " is outside " << y.dim(0) << " rows";
    for (int64_t d = 0; d < width; ++d)
      y[id * width + d] += x[i * width + d];
  }
  frame.set(op.getY(), std::move(y));
  return success();
}

/// An id outside the range gives a row of zeros.
static LogicalResult oneHot(OneHotOp op, Frame &frame) {
  const Array &ids = frame[op.getIds()];
  Array y(shapeOf(op.getY()));
  int64_t width = y.dim(-1);
  for (int64_t i = 0; i < ids.size(); ++i)
    if (ids[i] >= 0 && ids[i] < width)
      y[i * width + static_cast<int64_t>(ids[i])] = 1;
  frame.set(op.getY(), std::move(y));
  return success();
}

/// Positions at, at + 1, …, modulo the period.
static LogicalResult positions(PositionsOp op, Frame &frame) {
  int64_t first = positionOf(frame.find(op.getAt()));
  int64_t period = whole(op.getPeriodAttr());
  Array y(shapeOf(op.getY()));
  for (int64_t i = 0; i < y.size(); ++i)
    y[i] = static_cast<double>(period ? (first + i) % period : first + i);
  frame.set(op.getY(), std::move(y));
  return success();
}

/// ring [B, cap, ..] with rows [B, n, ..] in slots (at + i) mod cap.
static LogicalResult append(AppendOp op, Frame &frame) {
  Array y = frame[op.getRing()];
  const Array &rows = frame[op.getRows()];
  int64_t at = positionOf(&frame[op.getAt()]);
  int64_t slots = y.dim(1), count = rows.dim(1);
  int64_t width = y.size() / (y.dim(0) * slots);
  for (int64_t b = 0; b < y.dim(0); ++b)
    for (int64_t i = 0; i < count; ++i)
      for (int64_t d = 0; d < width; ++d)
        y[(b * slots + (at + i) % slots) * width + d] =
            rows[(b * count + i) * width + d];
  frame.set(op.getY(), std::move(y));
  return success();
}

/// The row of ring [B, cap, ..] in slot at mod cap.
static LogicalResult pick(PickOp op, Frame &frame) {
  const Array &ring = frame[op.getRing()];
  int64_t slots = ring.dim(1), at = positionOf(&frame[op.getAt()]) % slots;
  Array y(shapeOf(op.getY()));
  int64_t width = y.size() / y.dim(0);
  for (int64_t b = 0; b < y.dim(0); ++b)
    for (int64_t d = 0; d < width; ++d)
      y[b * width + d] = ring[(b * slots + at) * width + d];
  frame.set(op.getY(), std::move(y));
  return success();
}

/// `first` where a period (or the stream) begins, else `rest`.
static LogicalResult atStart(AtStartOp op, Frame &frame) {
  int64_t at = positionOf(&frame[op.getAt()]);
  int64_t period = whole(op.getPeriodAttr());
  bool start = period ? at % period == 0 : at == 0;
  const Array &first = frame[op.getFirst()], &rest = frame[op.getRest()];
  if (!start) {
    frame.set(op.getY(), rest);
    return success();
  }
  Array y(rest.shape);
  Shape from = broadcastStrides(first.shape, y.shape), to = stridesOf(y.shape);
  forIndices<2>(y.shape, {from, to}, [&](auto i) { y[i[1]] = first[i[0]]; });
  frame.set(op.getY(), std::move(y));
  return success();
}

void bitbyte::bb::addGather(Loops &loops) {
  add<EmbedOp, embed>(loops);
  add<ScatterAddOp, scatterAdd>(loops);
  add<OneHotOp, oneHot>(loops);
  add<PositionsOp, positions>(loops);
  add<AppendOp, append>(loops);
  add<PickOp, pick>(loops);
  add<AtStartOp, atStart>(loops);
}
