//===- Conv.cpp - Depthwise causal convolution and its gradient -----------===//
//
// Channels lie along the lanes. A program walks one sequence and carries the
// last taps - 1 rows in registers, so that each row is read once.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/ScanTiles.h"

using namespace mlir;

namespace bitbyte::tile {

namespace {
struct ConvSizes {
  int64_t batch, length, channels, taps; ///< B T D K
  int64_t width;                         ///< channels of a program
  int64_t columns() const { return llvm::divideCeil(channels, width); }
};

class ConvTiles {
public:
  ConvTiles(KernelBuilder &k, const ConvSizes &s)
      : k(k), s(s), row(k.row(s.width, k.f32())),
        column(k.along({s.width, 1}, 0, k.f32())) {}

  /// How many channels from `d0` on exist; nothing if all do.
  Values bounds(Value d0) {
    if (s.channels % s.width == 0)
      return {};
    return {k.sub(k.index(s.channels), d0)};
  }
  /// Tap `i` of the channels from `d0` on of w [D, K].
  Value tap(Value w, Value d0, int64_t i) {
    Values limits = bounds(d0);
    if (!limits.empty())
      limits.push_back(k.index(1));
    return k.reduce(Combiner::Add, k.load(column, w, {d0, k.index(i)}, limits),
                    1);
  }
  void storeTap(Value value, Value dw, Value d0, int64_t i) {
    Values limits = bounds(d0);
    if (!limits.empty())
      limits.push_back(k.index(1));
    k.store(k.broadcast(value, column, 1), dw, {d0, k.index(i)}, limits);
  }
  Value multiplyAdd(Value a, Value b, Value sum) {
    return k.map({a, b, sum}, k.f32(), [](ScalarBuilder &s, ValueRange v) {
      return s.add(s.mul(v[0], v[1]), v[2]);
    });
  }

  KernelBuilder &k;
  const ConvSizes &s;
  RegType row, column;
};
} // namespace

static ConvSizes sizesOf(const KernelTarget &target, Value x, Value w) {
  auto rows = cast<bb::GraphTensorType>(x.getType());
  auto taps = cast<bb::GraphTensorType>(w.getType());
  return {*rows.dim(0).constant(), *rows.dim(1).constant(),
          *rows.dim(2).constant(), *taps.dim(1).constant(), target.lanes};
}

LogicalResult scheduleConv(ScheduleContext &context, bb::ConvOp op) {
  ConvSizes s = sizesOf(context.target, op.getX(), op.getW());
  Values operands{op.getX(), op.getW()};
  unsigned bias = operands.size();
  if (op.getBias())
    operands.push_back(op.getBias());
  unsigned from = operands.size();
  if (op.getFrom())
    operands.push_back(op.getFrom());
  int64_t bytes = 0;
  SmallVector<BufType> in = denseBuffers(operands, bytes),
                       out = denseBuffers(op->getResults(), bytes);
  auto made =
      context.kernel(op.getLoc(), "conv", in, out, s.batch * s.columns());
  KernelBuilder &k = *made;
  k.setCost(2 * s.batch * s.length * s.channels * s.taps, bytes);
  ConvTiles tiles(k, s);
  Value b = k.div(k.program(), s.columns()),
        d0 = k.mul(k.rem(k.program(), s.columns()), s.width);
  Values bounds = tiles.bounds(d0), weights, window;
  for (int64_t i = 0; i < s.taps; ++i)
    weights.push_back(tiles.tap(k.arg(1), d0, i));
  for (int64_t i = 0; i + 1 < s.taps; ++i)
    window.push_back(op.getFrom() ? k.load(tiles.row, k.arg(from),
                                           {b, k.index(i), d0}, bounds)
                                  : k.full(tiles.row, 0.0));
  Value start = op.getBias() ? k.load(tiles.row, k.arg(bias), {d0}, bounds)
                             : k.full(tiles.row, 0.0);
  auto step = [&](Value t, ValueRange before) {
    Values rows(before);
    rows.push_back(k.load(tiles.row, k.arg(0), {b, t, d0}, bounds));
    Value sum = start;
    for (int64_t i = 0; i < s.taps; ++i)
      sum = tiles.multiplyAdd(rows[i], weights[i], sum);
    k.store(sum, k.arg(in.size()), {b, t, d0}, bounds);
    return Values(ArrayRef(rows).drop_front());
  };
  if (window.empty())
    k.loop(0, s.length, 1, [&](Value t) { (void)step(t, {}); });
  else
    window = k.loop(0, s.length, 1, window, step);
  if (op.getFrom())
    for (auto [i, rows] : llvm::enumerate(window))
      k.store(rows, k.arg(in.size() + 1), {b, k.index(i), d0}, bounds);
  op->replaceAllUsesWith(
      context.dispatch(op, k, operands, op->getResultTypes()));
  op->erase();
  return success();
}

// With j = K - 1 - k:  dx[t] = sum of w[k] dy[t + j],  dw[k] = sum of
// dy[t + j] x[t]. Backwards in time the window holds dy[t + 1 ..].
LogicalResult scheduleConvGrad(ScheduleContext &context, bb::ConvGradOp op) {
  ConvSizes s = sizesOf(context.target, op.getX(), op.getW());
  Values operands{op.getX(), op.getW(), op.getDy()};
  int64_t bytes = 0;
  SmallVector<BufType> in = denseBuffers(operands, bytes),
                       out = denseBuffers(op->getResults(), bytes);
  auto made = context.kernel(op.getLoc(), "conv_grad", in, out, s.columns());
  KernelBuilder &k = *made;
  k.setCost(4 * s.batch * s.length * s.channels * s.taps, bytes);
  ConvTiles tiles(k, s);
  Value d0 = k.mul(k.program(), s.width);
  Values bounds = tiles.bounds(d0), weights;
  for (int64_t i = 0; i < s.taps; ++i)
    weights.push_back(tiles.tap(k.arg(1), d0, i));
  // Carried: the sums of dw and db; inside a sequence, dy of later items too.
  Values zeros(s.taps + 1, k.full(tiles.row, 0.0));
  Values sums = k.loop(0, s.batch, 1, zeros, [&](Value b, ValueRange outer) {
    Values carried(outer);
    carried.append(s.taps - 1, zeros[0]);
    Values end =
        k.loop(0, s.length, 1, carried, [&](Value done, ValueRange inner) {
          Value t = k.sub(k.index(s.length - 1), done);
          Value dy = k.load(tiles.row, k.arg(2), {b, t, d0}, bounds),
                x = k.load(tiles.row, k.arg(0), {b, t, d0}, bounds);
          Values later{dy}; // later[j] = dy[t + j]
          llvm::append_range(later, inner.drop_front(s.taps + 1));
          Values next;
          Value dx = zeros[0];
          for (int64_t i = 0; i < s.taps; ++i) {
            Value meets = later[s.taps - 1 - i];
            dx = tiles.multiplyAdd(meets, weights[i], dx);
            next.push_back(tiles.multiplyAdd(meets, x, inner[i]));
          }
          next.push_back(k.map({dy, inner[s.taps]}, k.f32(),
                               [](ScalarBuilder &s, ValueRange v) {
                                 return s.add(v[0], v[1]);
                               }));
          k.store(dx, k.arg(3), {b, t, d0}, bounds);
          next.append(later.begin(), later.end() - 1);
          return next;
        });
    return Values(ArrayRef(end).take_front(s.taps + 1));
  });
  for (int64_t i = 0; i < s.taps; ++i)
    tiles.storeTap(sums[i], k.arg(4), d0, i);
  k.store(sums[s.taps], k.arg(5), {d0}, bounds);
  op->replaceAllUsesWith(
      context.dispatch(op, k, operands, op->getResultTypes()));
  op->erase();
  return success();
}

} // namespace bitbyte::tile
