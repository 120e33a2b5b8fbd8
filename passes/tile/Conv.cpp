//===- Conv.cpp - Depthwise causal convolution and its gradient -----------===//
//
// Channels lie along the lanes. A program takes a chunk of one sequence's items
// and reads its rows whole, one behind the other: neighbours in memory. Taps
// lie in scratch as rows, so that all that is read twice stays in the first
// cache.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/ScanTiles.h"

using namespace mlir;

namespace bitbyte::tile {

namespace {
struct ConvSizes {
  int64_t batch, length, channels, taps; ///< B T D K
  int64_t lanes;
  int64_t chunk; ///< items of a program
  int64_t chunks() const { return llvm::divideCeil(length, chunk); }
  int64_t programs() const { return batch * chunks(); }
  int64_t padded() const { return llvm::alignTo(channels, lanes); }
  int64_t pitch() const { return scratchRow(channels); } ///< of scratch
};

class ConvTiles {
public:
  ConvTiles(KernelBuilder &k, const ConvSizes &s)
      : k(k), s(s), row(k.row(s.lanes, k.f32())),
        column(k.along({s.lanes, 1}, 0, k.f32())),
        b(k.div(k.program(), s.chunks())),
        chunk(k.rem(k.program(), s.chunks())), t0(k.mul(chunk, s.chunk)),
        end(k.min(k.index(s.length), k.add(t0, s.chunk))) {}

  /// `body(d, bounds)` for each register of channels: the first one, and how
  /// many from it on exist (nothing if all do).
  void eachColumn(function_ref<void(Value, Values)> body) {
    k.loop(0, s.channels, s.lanes, [&](Value d) {
      body(d, s.channels % s.lanes ? Values{k.sub(k.index(s.channels), d)}
                                   : Values{});
    });
  }
  /// Scratch [K, D]: w [D, K], transposed.
  Value loadTaps(Value w) {
    Value taps = k.alloc({s.taps, s.pitch()}, k.f32());
    eachColumn([&](Value d, Values bounds) {
      if (!bounds.empty())
        bounds.push_back(k.index(1));
      for (int64_t i = 0; i < s.taps; ++i)
        k.store(k.reduce(Combiner::Add,
                         k.load(column, w, {d, k.index(i)}, bounds), 1),
                taps, {k.index(i), d});
    });
    return taps;
  }
  /// Row `t` of a tensor [B, T, D], zeros where the sequence has none.
  Value rowAt(Value tensor, Value t, Value d, Values bounds) {
    Value row = k.load(
        this->row, tensor,
        {b, k.max(k.index(0), k.min(t, k.index(s.length - 1))), d}, bounds);
    Value begun = k.less(k.index(-1), t), exists = k.less(t, k.index(s.length));
    return k.map({row}, k.f32(), [&](ScalarBuilder &s, ValueRange v) {
      return s.select(begun, s.select(exists, v[0], s.constant(0)),
                      s.constant(0));
    });
  }
  Value multiplyAdd(Value a, Value b, Value sum) {
    return k.map({a, b, sum}, k.f32(), [](ScalarBuilder &s, ValueRange v) {
      return s.add(s.mul(v[0], v[1]), v[2]);
    });
  }

  KernelBuilder &k;
  const ConvSizes &s;
  RegType row, column;
  Value b, chunk, t0, end; ///< the program's sequence, chunk and items
};
} // namespace

/// Items that a program walks: enough to pay for its taps, few enough for 64
/// programs.
static ConvSizes sizesOf(const KernelTarget &target, Value x, Value w) {
  auto rows = cast<bb::GraphTensorType>(x.getType());
  auto taps = cast<bb::GraphTensorType>(w.getType());
  ConvSizes s{*rows.dim(0).constant(),
              *rows.dim(1).constant(),
              *rows.dim(2).constant(),
              *taps.dim(1).constant(),
              target.lanes,
              /*chunk=*/64};
  s.chunk = std::max<int64_t>(s.chunk, s.batch * s.length / 64);
  s.chunk = std::min(s.chunk, s.length);
  return s;
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
  auto made = context.kernel(op.getLoc(), "conv", in, out, s.programs());
  KernelBuilder &k = *made;
  k.setCost(2 * s.batch * s.length * s.channels * s.taps, bytes);
  ConvTiles tiles(k, s);
  Value weights = tiles.loadTaps(k.arg(1));
  // `rowAt(back, d, bounds)`: the row that lies so far back, null if none does.
  auto step = [&](Value t, function_ref<Value(int64_t, Value, Values)> rowAt) {
    tiles.eachColumn([&](Value d, Values bounds) {
      Value sum = op.getBias() ? k.load(tiles.row, k.arg(bias), {d}, bounds)
                               : k.full(tiles.row, 0.0);
      for (int64_t i = 0; i < s.taps; ++i)
        if (Value x = rowAt(s.taps - 1 - i, d, bounds))
          sum = tiles.multiplyAdd(
              x, k.load(tiles.row, weights, {k.index(i), d}), sum);
      if (op.getSilu())
        sum = k.map({sum}, k.f32(), [&](ScalarBuilder &s, ValueRange v) {
          return silu(s, v[0], k.target);
        });
      k.store(sum, k.arg(in.size()), {tiles.b, t, d}, bounds);
    });
  };
  // Row `t` of x, or of what came before it.
  auto rowOf = [&](int64_t t, Value d, Values bounds) -> Value {
    if (t >= 0)
      return k.load(tiles.row, k.arg(0), {tiles.b, k.index(t), d}, bounds);
    if (!op.getFrom())
      return {};
    return k.load(tiles.row, k.arg(from), {tiles.b, k.index(t + s.taps - 1), d},
                  bounds);
  };
  // The first chunk's first items look behind the sequence's start.
  int64_t early = std::min(s.taps - 1, s.length);
  k.when(k.less(tiles.chunk, k.index(1)), [&] {
    for (int64_t t = 0; t < early; ++t)
      step(k.index(t), [&](int64_t back, Value d, Values bounds) {
        return rowOf(t - back, d, bounds);
      });
  });
  k.loop(k.max(tiles.t0, k.index(early)), tiles.end, 1, [&](Value t) {
    step(t, [&](int64_t back, Value d, Values bounds) {
      return k.load(tiles.row, k.arg(0), {tiles.b, k.sub(t, back), d}, bounds);
    });
  });
  if (op.getFrom())
    k.when(k.less(k.index(s.chunks() - 2), tiles.chunk), [&] {
      tiles.eachColumn([&](Value d, Values bounds) {
        for (int64_t i = 0; i + 1 < s.taps; ++i)
          k.store(rowOf(s.length - (s.taps - 1) + i, d, bounds),
                  k.arg(in.size() + 1), {tiles.b, k.index(i), d}, bounds);
      });
    });
  op->replaceAllUsesWith(
      context.dispatch(op, k, operands, op->getResultTypes()));
  op->erase();
  return success();
}

// With j = K - 1 - k:  dx[t] = sum of w[k] dy[t + j],  dw[k] = sum of
// dy[t + j] x[t]. A program walks its items backwards, a few at a time: for
// each register of channels the sums and dy[t + 1 ..] are in registers
// meanwhile. The sums of programs are added in order by another kernel.
//
// With silu, dy is first multiplied by silu's slope at the sums, computed again
// from x: forwards through the few items, which then lie in scratch. Those of
// the first items behind them stay there from one few to the next.
LogicalResult scheduleConvGrad(ScheduleContext &context, bb::ConvGradOp op) {
  constexpr int64_t together = 8;
  ConvSizes s = sizesOf(context.target, op.getX(), op.getW());
  Values operands{op.getX(), op.getW(), op.getDy()};
  if (op.getBias())
    operands.push_back(op.getBias());
  auto type = [](Value v) { return cast<bb::GraphTensorType>(v.getType()); };
  int64_t parts = s.programs();
  SmallVector<Type> results{
      type(op.getDx()), temporary(op.getContext(), {parts, s.channels, s.taps}),
      temporary(op.getContext(), {parts, s.channels})};
  int64_t bytes = 0;
  SmallVector<BufType> in = denseBuffers(operands, bytes), out;
  for (Type result : results) {
    out.push_back(denseBuffer(cast<bb::GraphTensorType>(result)));
    bytes += byteCount(cast<bb::GraphTensorType>(result));
  }
  auto kernel = context.kernel(op.getLoc(), "conv_grad", in, out, parts);
  KernelBuilder &k = *kernel;
  k.setCost((op.getSilu() ? 6 : 4) * s.batch * s.length * s.channels * s.taps,
            bytes);
  ConvTiles tiles(k, s);
  Value x = k.arg(0), dy = k.arg(2), weights = tiles.loadTaps(k.arg(1)),
        zero = k.index(0), none = k.full(tiles.row, 0.0);
  Value sums = k.alloc({s.taps + 1, s.pitch()}, k.f32()); // of dw and db
  for (int64_t i = 0; i <= s.taps; ++i)
    k.loop(0, s.padded(), s.lanes,
           [&](Value d) { k.store(none, sums, {k.index(i), d}); });
  Value sloped; // rows of dy times silu's slope: of a few items, then of later
  auto slopeRow = [&](Value t, Value slot) {
    tiles.eachColumn([&](Value d, Values bounds) {
      Value sum =
          op.getBias() ? k.load(tiles.row, k.arg(3), {d}, bounds) : none;
      for (int64_t i = 0; i < s.taps; ++i)
        sum = tiles.multiplyAdd(
            tiles.rowAt(x, k.sub(t, s.taps - 1 - i), d, bounds),
            k.load(tiles.row, weights, {k.index(i), d}), sum);
      k.store(k.map({tiles.rowAt(dy, t, d, bounds), sum}, k.f32(),
                    [&](ScalarBuilder &s, ValueRange v) {
                      return s.mul(v[0],
                                   siluAndSlope(s, v[1], k.target).second);
                    }),
              sloped, {slot, d});
    });
  };
  if (op.getSilu()) {
    sloped = k.alloc({together + s.taps - 1, s.pitch()}, k.f32());
    for (int64_t j = 0; j + 1 < s.taps; ++j)
      slopeRow(k.add(tiles.end, j), k.index(together + j));
  }
  k.loop(0, llvm::divideCeil(s.chunk, together), 1, [&](Value done) {
    Value low = k.add(
              tiles.t0,
              k.mul(
                  k.sub(k.index(llvm::divideCeil(s.chunk, together) - 1), done),
                  together)),
          high = k.min(k.add(low, together), tiles.end);
    if (op.getSilu())
      k.loop(low, high, 1, [&](Value t) { slopeRow(t, k.sub(t, low)); });
    tiles.eachColumn([&](Value d, Values bounds) {
      Values carried, taps;
      for (int64_t i = 0; i <= s.taps; ++i)
        carried.push_back(k.load(tiles.row, sums, {k.index(i), d}));
      for (int64_t i = 0; i < s.taps; ++i)
        taps.push_back(k.load(tiles.row, weights, {k.index(i), d}));
      for (int64_t j = 0; j + 1 < s.taps; ++j)
        carried.push_back(
            op.getSilu() ? k.load(tiles.row, sloped, {k.index(together + j), d})
                         : tiles.rowAt(dy, k.add(high, j), d, bounds));
      Values made =
          k.loop(zero, k.sub(high, low), 1, carried,
                 [&](Value done, ValueRange inner) {
                   Value t = k.sub(k.sub(high, 1), done);
                   Values at{tiles.b, t, d};
                   Value row = k.load(tiles.row, x, at, bounds),
                         gradient =
                             op.getSilu()
                                 ? k.load(tiles.row, sloped, {k.sub(t, low), d})
                                 : k.load(tiles.row, dy, at, bounds);
                   Values later{gradient}; // later[j] = dy[t + j]
                   llvm::append_range(later, inner.drop_front(s.taps + 1));
                   Values next;
                   Value dx = none;
                   for (int64_t i = 0; i < s.taps; ++i) {
                     Value meets = later[s.taps - 1 - i];
                     dx = tiles.multiplyAdd(meets, taps[i], dx);
                     next.push_back(tiles.multiplyAdd(meets, row, inner[i]));
                   }
                   next.push_back(k.map({gradient, inner[s.taps]}, k.f32(),
                                        [](ScalarBuilder &s, ValueRange v) {
                                          return s.add(v[0], v[1]);
                                        }));
                   k.store(dx, k.arg(in.size()), at, bounds);
                   next.append(later.begin(), later.end() - 1);
                   return next;
                 });
      for (int64_t i = 0; i <= s.taps; ++i)
        k.store(made[i], sums, {k.index(i), d});
      if (op.getSilu())
        for (int64_t j = 0; j + 1 < s.taps; ++j)
          k.store(made[s.taps + 1 + j], sloped, {k.index(together + j), d});
    });
  });
  tiles.eachColumn([&](Value d, Values bounds) {
    k.store(k.load(tiles.row, sums, {k.index(s.taps), d}), k.arg(in.size() + 2),
            {k.program(), d}, bounds);
    if (!bounds.empty())
      bounds.push_back(k.index(1));
    for (int64_t i = 0; i < s.taps; ++i)
      k.store(k.broadcast(k.load(tiles.row, sums, {k.index(i), d}),
                          tiles.column, 1),
              k.arg(in.size() + 1), {k.program(), d, k.index(i)}, bounds);
  });
  Values made = context.dispatch(op, k, operands, results);
  op.getDx().replaceAllUsesWith(made[0]);
  op.getDw().replaceAllUsesWith(
      sumParts(context, op, made[1], parts, type(op.getDw())));
  op.getDb().replaceAllUsesWith(
      sumParts(context, op, made[2], parts, type(op.getDb())));
  op->erase();
  return success();
}

} // namespace bitbyte::tile
