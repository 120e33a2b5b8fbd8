//===- Conv.cpp - Depthwise causal convolution on a GPU -------------------===//
//
// Channels lie along the lanes, 16 bytes of them to a lane. A program walks a
// part of one sequence with the taps and the last taps - 1 rows in registers;
// it reads the rows before its part (for the gradient: behind it) once more.
// Gradients of weights and bias are sums per part, added in order by a second
// kernel.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/gpu/ScanTiles.h"

using namespace mlir;

namespace bitbyte::tile {

namespace {
struct ConvSizes {
  int64_t batch, length, channels, taps; ///< B T D K
  int64_t vector, warps;
  int64_t step;  ///< items that are read at once
  int64_t items; ///< of a program, a multiple of `step`
  int64_t width() const { return 32 * vector * warps; }
  int64_t columns() const { return llvm::divideCeil(channels, width()); }
  int64_t parts() const { return llvm::divideCeil(length, items); }
  int64_t programs() const { return batch * parts() * columns(); }
};

/// `whole`: a program walks all of a sequence. `most` neighbours to a lane.
ConvSizes sizesOf(const KernelTarget &target, Value x, Value w, bool whole,
                  int64_t most = 8) {
  auto rows = cast<bb::GraphTensorType>(x.getType());
  auto taps = cast<bb::GraphTensorType>(w.getType());
  ConvSizes s;
  s.batch = *rows.dim(0).constant();
  s.length = *rows.dim(1).constant();
  s.channels = *rows.dim(2).constant();
  s.taps = *taps.dim(1).constant();
  s.vector = std::min(most, vectorFor(target, {x.getType()}, s.channels, 1));
  s.warps = 4;
  while (s.warps > 1 && s.channels % s.width() && s.width() > 128)
    s.warps /= 2;
  s.step = 4;
  while (s.step > 1 && (whole ? s.length % s.step : s.length < s.step))
    s.step /= 2;
  // Long parts read few rows twice, short ones fill the machine.
  s.items = whole ? s.length : 64;
  auto warps = [&] { return s.programs() * s.warps; };
  while (!whole && s.items > 16 && warps() < 2048)
    s.items /= 2;
  s.items = std::min<int64_t>(s.items, llvm::alignTo(s.length, s.step));
  return s;
}

/// The text of one program.
class ConvTiles {
public:
  ConvTiles(KernelBuilder &k, const ConvSizes &s) : k(k), s(s) {
    k.setVector(s.vector);
    row = k.row(s.width(), k.f32());
    Values at = k.delinearize(k.program(), {s.batch, s.parts(), s.columns()});
    b = at[0], part = at[1], d0 = k.mul(at[2], s.width());
    begin = k.mul(part, s.items);
    end = k.min(k.index(s.length), k.add(begin, s.items));
  }

  /// [D, K] as [K, D].
  static BufType taps(const ConvSizes &s, Type element, int64_t parts = 0) {
    SmallVector<int64_t> shape{s.taps, s.channels}, strides{1, s.taps};
    if (parts) {
      shape.insert(shape.begin(), parts);
      strides.insert(strides.begin(), s.taps * s.channels);
    }
    MLIRContext *context = element.getContext();
    return BufType::get(context, shape, element, Space::Global,
                        StridedAttr::get(context, strides));
  }

  /// What of a row exists, or nothing of it where `items` is 0 or less.
  Values bounds(Value items = {}) {
    Value left;
    if (s.channels % s.width())
      left = k.sub(k.index(s.channels), d0);
    if (items) {
      Value some = k.mul(items, s.width());
      left = left ? k.min(left, some) : some;
    }
    return left ? Values{left} : Values{};
  }
  /// The row of an item that may lie behind the last one.
  Values upTo(Value t, bool ragged) {
    return bounds(ragged ? k.sub(k.index(s.length), t) : Value());
  }
  /// The row of an item that may lie before the first one too.
  Values within(Value t) {
    return bounds(k.min(k.add(t, 1), k.sub(k.index(s.length), t)));
  }
  Value multiplyAdd(Value a, Value b, Value sum) {
    return k.map({a, b, sum}, k.f32(), [](ScalarBuilder &s, ValueRange v) {
      return s.add(s.mul(v[0], v[1]), v[2]);
    });
  }
  Value weight(Value w, int64_t i) {
    return k.load(row, w, {k.index(i), d0}, bounds());
  }

  KernelBuilder &k;
  const ConvSizes &s;
  RegType row;
  Value b, part, d0, begin, end;
};
} // namespace

static bb::GraphTensorType tensorOf(Value v) {
  return cast<bb::GraphTensorType>(v.getType());
}

LogicalResult scheduleGpuConv(ScheduleContext &context, bb::ConvOp op) {
  ConvSizes s = sizesOf(context.target, op.getX(), op.getW(), !!op.getFrom());
  Values operands{op.getX(), op.getW()};
  for (Value v : {op.getBias(), op.getFrom()})
    if (v)
      operands.push_back(v);
  int64_t bytes = 0;
  SmallVector<BufType> in = denseBuffers(operands, bytes),
                       out = denseBuffers(op->getResults(), bytes);
  in[1] = ConvTiles::taps(s, tensorOf(op.getW()).getElement());
  auto made =
      context.kernel(op.getLoc(), "conv", in, out, s.programs(), s.warps);
  KernelBuilder &k = *made;
  // Four warps of each scheduler: ptxas aims at five, and spills for it.
  k.setWarps(s.warps, 16 / s.warps);
  k.setCost(2 * s.batch * s.length * s.channels * s.taps, bytes);
  ConvTiles tiles(k, s);
  Value x = k.arg(0), y = k.arg(in.size()), from = k.arg(in.size() - 1);
  Values weights, window;
  for (int64_t i = 0; i < s.taps; ++i)
    weights.push_back(tiles.weight(k.arg(1), i));
  for (int64_t i = 0; i + 1 < s.taps; ++i) {
    if (op.getFrom()) {
      window.push_back(k.load(tiles.row, from, {tiles.b, k.index(i), tiles.d0},
                              tiles.bounds()));
    } else if (s.parts() == 1) {
      window.push_back(k.full(tiles.row, 0.0));
    } else {
      Value t = k.add(tiles.begin, i + 1 - s.taps);
      window.push_back(k.load(tiles.row, x, {tiles.b, t, tiles.d0},
                              tiles.bounds(k.add(t, 1))));
    }
  }
  Value start = op.getBias()
                    ? k.load(tiles.row, k.arg(2), {tiles.d0}, tiles.bounds())
                    : k.full(tiles.row, 0.0);
  bool ragged = s.length % s.step;
  auto steps = [&](Value t0, ValueRange before) {
    Values rows(before);
    for (int64_t i = 0; i < s.step; ++i) {
      Value t = k.add(t0, i);
      rows.push_back(
          k.load(tiles.row, x, {tiles.b, t, tiles.d0}, tiles.upTo(t, ragged)));
    }
    for (int64_t i = 0; i < s.step; ++i) {
      Value sum = start, t = k.add(t0, i);
      for (int64_t j = 0; j < s.taps; ++j)
        sum = tiles.multiplyAdd(rows[i + j], weights[j], sum);
      if (op.getSilu())
        sum = k.map({sum}, k.f32(), [&](ScalarBuilder &s, ValueRange v) {
          return silu(s, v[0], k.target);
        });
      k.store(sum, y, {tiles.b, t, tiles.d0}, tiles.upTo(t, ragged));
    }
    return Values(ArrayRef(rows).take_back(s.taps - 1));
  };
  if (window.empty())
    k.loop(tiles.begin, tiles.end, s.step,
           [&](Value t) { (void)steps(t, {}); });
  else
    window = k.loop(tiles.begin, tiles.end, s.step, window, steps);
  if (op.getFrom())
    for (auto [i, rows] : llvm::enumerate(window))
      k.store(rows, k.arg(in.size() + 1), {tiles.b, k.index(i), tiles.d0},
              tiles.bounds());
  op->replaceAllUsesWith(
      context.dispatch(op, k, operands, op->getResultTypes()));
  op->erase();
  return success();
}

// With j = K - 1 - k:  dx[t] = sum of w[k] dy[t + j],  dw[k] = sum of
// dy[t + j] x[t]. Backwards in time the window holds dy[t + 1 ..]. With silu,
// dy is first multiplied by silu's slope at the sums, computed again from x, of
// which another window holds the last taps - 1 rows of the items to come.
LogicalResult scheduleGpuConvGrad(ScheduleContext &context, bb::ConvGradOp op) {
  // With silu two windows and a slope share a lane's registers: eight
  // neighbours would take all 255.
  ConvSizes s = sizesOf(context.target, op.getX(), op.getW(), /*whole=*/false,
                        op.getSilu() ? 4 : 8);
  Values operands{op.getX(), op.getW(), op.getDy()};
  if (op.getBias())
    operands.push_back(op.getBias());
  int64_t bytes = 0, count = s.batch * s.parts();
  MLIRContext *ctx = op.getContext();
  auto weightParts = temporary(ctx, {count, s.channels, s.taps}),
       biasParts = temporary(ctx, {count, s.channels});
  SmallVector<BufType> in = denseBuffers(operands, bytes);
  Type f32 = Float32Type::get(ctx);
  in[1] = ConvTiles::taps(s, tensorOf(op.getW()).getElement());
  bytes += byteCount(tensorOf(op.getDx())) + byteCount(weightParts) +
           byteCount(biasParts);
  auto made =
      context.kernel(op.getLoc(), "conv_grad", in,
                     {denseBuffer(tensorOf(op.getDx())),
                      ConvTiles::taps(s, f32, count), denseBuffer(biasParts)},
                     s.programs(), s.warps);
  KernelBuilder &k = *made;
  k.setCost((op.getSilu() ? 6 : 4) * s.batch * s.length * s.channels * s.taps,
            bytes);
  ConvTiles tiles(k, s);
  Value x = k.arg(0), dy = k.arg(2), zeros = k.full(tiles.row, 0.0);
  Values weights;
  for (int64_t i = 0; i < s.taps; ++i)
    weights.push_back(tiles.weight(k.arg(1), i));
  bool ragged = s.length % s.step;
  Value last = k.mul(
      k.div(k.add(k.sub(tiles.end, tiles.begin), s.step - 1), s.step), s.step);
  Value stop = k.add(tiles.begin, last),
        start = op.getBias()
                    ? k.load(tiles.row, k.arg(3), {tiles.d0}, tiles.bounds())
                    : zeros;
  auto rowWithin = [&](Value t) {
    return k.load(tiles.row, x, {tiles.b, t, tiles.d0}, tiles.within(t));
  };
  auto slopeOf = [&](Value dy, ValueRange rows) {
    Value sum = start;
    for (auto [row, weight] : llvm::zip_equal(rows, weights))
      sum = tiles.multiplyAdd(row, weight, sum);
    return k.map({dy, sum}, k.f32(), [&](ScalarBuilder &s, ValueRange v) {
      return s.mul(v[0], siluAndSlope(s, v[1], k.target).second);
    });
  };
  Values rows; // of x, with silu: those before `stop`, then those behind it
  for (int64_t back = s.taps - 1; op.getSilu() && back > 0; --back)
    rows.push_back(rowWithin(k.sub(stop, back)));
  // Carried: the sums of dw and db, dy of later items, rows of x.
  Values carried(s.taps + 1, zeros);
  for (int64_t j = 0; j + 1 < s.taps; ++j) {
    if (s.parts() == 1) {
      carried.push_back(zeros);
      continue;
    }
    Value t = k.add(stop, j);
    carried.push_back(k.load(tiles.row, dy, {tiles.b, t, tiles.d0},
                             tiles.upTo(t, /*ragged=*/true)));
    if (!op.getSilu())
      continue;
    rows.push_back(rowWithin(t));
    carried.back() = slopeOf(carried.back(), ArrayRef(rows).slice(j, s.taps));
  }
  if (op.getSilu())
    carried.append(rows.begin(), rows.begin() + s.taps - 1);
  Values sums = k.loop(
      k.index(0), last, s.step, carried, [&](Value done, ValueRange before) {
        Value t0 = k.sub(k.sub(k.add(tiles.begin, last), s.step), done);
        Values xs, dys;
        for (int64_t i = 0; i < s.step; ++i) {
          Value t = k.add(t0, i);
          Values at{tiles.b, t, tiles.d0}, limits = tiles.upTo(t, ragged);
          xs.push_back(op.getSilu() ? rowWithin(k.sub(t, s.taps - 1))
                                    : k.load(tiles.row, x, at, limits));
          dys.push_back(k.load(tiles.row, dy, at, limits));
        }
        Values earlier; // rows of x for the items to come
        if (op.getSilu()) {
          llvm::append_range(xs, before.take_back(s.taps - 1));
          for (int64_t i = 0; i < s.step; ++i)
            dys[i] = slopeOf(dys[i], ArrayRef(xs).slice(i, s.taps));
          earlier.append(xs.begin(), xs.begin() + s.taps - 1);
          xs.erase(xs.begin(), xs.begin() + s.taps - 1);
        }
        llvm::append_range(dys, before.slice(s.taps + 1, s.taps - 1));
        Values next(before.take_front(s.taps + 1));
        for (int64_t i = s.step - 1; i >= 0; --i) {
          Value dx = zeros;
          for (int64_t j = 0; j < s.taps; ++j) {
            Value meets = dys[i + s.taps - 1 - j];
            dx = tiles.multiplyAdd(meets, weights[j], dx);
            next[j] = tiles.multiplyAdd(meets, xs[i], next[j]);
          }
          next[s.taps] = k.map(
              {dys[i], next[s.taps]}, k.f32(),
              [](ScalarBuilder &s, ValueRange v) { return s.add(v[0], v[1]); });
          Value t = k.add(t0, i);
          k.store(dx, k.arg(in.size()), {tiles.b, t, tiles.d0},
                  tiles.upTo(t, ragged));
        }
        next.append(dys.begin(), dys.begin() + s.taps - 1);
        llvm::append_range(next, earlier);
        return next;
      });
  Value slot = k.add(k.mul(tiles.b, s.parts()), tiles.part);
  for (int64_t i = 0; i < s.taps; ++i)
    k.store(sums[i], k.arg(in.size() + 1), {slot, k.index(i), tiles.d0},
            tiles.bounds());
  k.store(sums[s.taps], k.arg(in.size() + 2), {slot, tiles.d0}, tiles.bounds());
  Values made3 = context.dispatch(
      op, k, operands, {op.getDx().getType(), weightParts, biasParts});
  op.getDx().replaceAllUsesWith(made3[0]);
  op.getDw().replaceAllUsesWith(
      gpuSumParts(context, op, made3[1], count, tensorOf(op.getDw())));
  op.getDb().replaceAllUsesWith(
      gpuSumParts(context, op, made3[2], count, tensorOf(op.getDb())));
  op->erase();
  return success();
}

} // namespace bitbyte::tile
