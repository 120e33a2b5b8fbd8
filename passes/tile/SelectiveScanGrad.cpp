//===- SelectiveScanGrad.cpp - Gradients of Mamba-1's scan ----------------===//
//
// A program owns a group of strips in one sequence and walks the chunks
// backwards. Per chunk, strip and few states: decays and states are computed
// again from the saved state into scratch, then the sweep back carries the
// gradient of the state. dB and dC sum over channels: lane by lane in scratch
// over the group's columns, then across lanes, then over groups by a kernel
// that adds in order.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/ScanTiles.h"

using namespace mlir;

namespace bitbyte::tile {

/// Strips in a group: enough to make the sums across lanes cheap, few enough to
/// leave programs for all cores.
static int64_t stripsPerGroup(const ScanSizes &s) {
  int64_t groups = llvm::divideCeil(64, s.batch);
  return std::max(s.strips() / groups,
                  std::min<int64_t>(llvm::divideCeil(8, s.wide), s.strips()));
}

namespace {
class GradientKernel {
public:
  GradientKernel(KernelBuilder &k, const ScanSizes &s, int64_t perGroup)
      : k(k), s(s), perGroup(perGroup), tiles(k, s), row(tiles.row()),
        states(tiles.stateRows()),
        blockSums(k.rows({s.block, s.lanes}, k.f32())), zero(k.index(0)) {
    int64_t padded = s.paddedStates();
    auto perStrip = [&] {
      return k.alloc({perGroup, padded, s.wide, s.lanes}, k.f32());
    };
    auto perItem = [&](int64_t items) {
      return k.alloc({items, s.block, s.wide, s.lanes}, k.f32());
    };
    rates = perStrip(), gradState = perStrip(), gradRate = perStrip();
    gradB = k.alloc({s.chunk, padded, s.lanes}, k.f32());
    gradC = k.alloc({s.chunk, padded, s.lanes}, k.f32());
    factor = perItem(s.chunk), held = perItem(s.chunk + 1);
    for (Value *v : {&dt, &x, &dtx, &dy, &sumB, &sumRate})
      *v = tiles.alloc(s.chunk);
  }

  void run(int64_t groups) {
    b = k.div(k.program(), groups);
    group = k.rem(k.program(), groups);
    Value first = k.mul(group, perGroup);
    Value mine = k.min(k.sub(k.index(s.strips()), first), k.index(perGroup));
    auto eachStrip = [&](function_ref<void(Value)> body) {
      k.loop(zero, mine, 1, [&](Value c) {
        d0 = k.mul(k.add(first, c), s.wide * s.lanes);
        body(c);
      });
    };
    eachStrip([&](Value c) {
      tiles.loadDecays(k.arg(2), d0, strip(rates, c));
      tiles.clear(strip(gradState, c), k.index(s.paddedStates()));
      tiles.clear(strip(gradRate, c), k.index(s.paddedStates()));
    });
    k.loop(0, s.chunks(), 1, [&](Value done) {
      chunk = k.sub(k.index(s.chunks() - 1), done);
      t0 = k.mul(chunk, s.chunk);
      count = k.min(k.sub(k.index(s.length), t0), k.index(s.chunk));
      Value none = k.full(k.row(s.lanes, k.f32()), 0.0);
      k.loop(zero, count, 1, [&](Value t) {
        k.loop(0, s.paddedStates(), 1, [&](Value n) {
          k.store(none, gradB, {t, n, zero});
          k.store(none, gradC, {t, n, zero});
        });
      });
      eachStrip([&](Value c) { walk(c); });
      k.loop(zero, count, 1, [&](Value t) {
        Values at{group, b, k.add(t0, t)};
        tiles.sumLanes(plane(gradB, t), k.arg(10), at);
        tiles.sumLanes(plane(gradC, t), k.arg(11), at);
      });
    });
    eachStrip([&](Value c) { writeRates(strip(gradRate, c)); });
  }

private:
  /// Scratch [states, wide, lanes] of strip `c`.
  Value strip(Value scratch, Value c) {
    return k.view(scratch, {c, zero, zero, zero},
                  {s.paddedStates(), s.wide, s.lanes}, ArrayRef<int64_t>{0});
  }
  /// Scratch [states, lanes] of item `t`.
  Value plane(Value scratch, Value t) {
    return k.view(scratch, {t, zero, zero}, {s.paddedStates(), s.lanes},
                  ArrayRef<int64_t>{0});
  }

  /// Strip `c` through the chunk.
  void walk(Value c) {
    Value steps =
        tiles.copySteps(k.arg(1), k.arg(0), {b, t0}, count, d0, dt, dtx, x);
    tiles.copyIn(k.arg(6), {b, t0}, count, d0, dy);
    tiles.clear(sumB, count);
    tiles.clear(sumRate, count);
    Value mine = strip(rates, c);
    Value calm =
        tiles.isCalm(steps, tiles.largest(mine, k.index(s.paddedStates())));
    k.loop(0, s.states, s.block, [&](Value n0) {
      Value rate = k.load(states, mine, tiles.at(n0));
      tiles.decays(rate, dt, count, calm, factor);
      again(n0);
      back(rate, c, n0);
    });
    // dx = dt sum of gh B, and ddt the sum of gh (B x + A a h).
    k.loop(zero, count, 1, [&](Value t) {
      Values made = k.map(
          {k.load(row, dt, tiles.at(t)), k.load(row, x, tiles.at(t)),
           k.load(row, sumB, tiles.at(t)), k.load(row, sumRate, tiles.at(t))},
          {k.f32(), k.f32()}, [](ScalarBuilder &s, ValueRange v) {
            return Values{
                s.mul(v[0], v[2]),
                s.add(s.mul(v[1], v[2]), s.mul(v[3], s.constant(1 / kLog2E)))};
          });
      k.store(made[0], sumB, tiles.at(t));
      k.store(made[1], sumRate, tiles.at(t));
    });
    tiles.copyOut(sumB, k.arg(7), {b, t0}, count, d0);
    tiles.copyOut(sumRate, k.arg(8), {b, t0}, count, d0);
  }

  Value item(Value scratch, Value t) {
    return k.load(states, scratch, {t, zero, zero, zero});
  }

  /// Forward through the chunk: the state before each item, and behind it all.
  void again(Value n0) {
    Value saved = k.view(k.arg(5), {b, chunk, zero, zero},
                         {s.states, s.channels}, ArrayRef<int64_t>{0, 1});
    Value start = k.view(held, {zero, zero, zero, zero},
                         {s.block, s.wide, s.lanes}, ArrayRef<int64_t>{0});
    tiles.copyIn(saved, {n0}, k.index(s.block), d0, start);
    k.loop(zero, count, 1, {item(held, zero)},
           [&](Value t, ValueRange carried) {
             Value next = k.map(
                 {carried[0], item(factor, t), every(dtx, t), number(3, t, n0)},
                 k.f32(), [&](ScalarBuilder &s, ValueRange v) {
                   return s.add(s.mul(v[1], v[0]), s.mul(v[2], v[3]));
                 });
             k.store(next, held, {k.add(t, 1), zero, zero, zero});
             return Values{next};
           });
  }

  /// Back through the chunk. `rate` is A log2(e).
  void back(Value rate, Value c, Value n0) {
    Value grads = strip(gradState, c), rateGrads = strip(gradRate, c);
    Values start{k.load(states, grads, tiles.at(n0)),
                 k.load(states, rateGrads, tiles.at(n0))};
    Values end =
        k.loop(zero, count, 1, start, [&](Value done, ValueRange carried) {
          Value t = k.sub(k.sub(count, 1), done);
          Values made = k.map(
              {carried[0], carried[1], rate, item(factor, t), item(held, t),
               item(held, k.add(t, 1)), every(dt, t), every(dtx, t),
               every(dy, t), number(3, t, n0), number(4, t, n0)},
              SmallVector<Type>(6, k.f32()),
              [](ScalarBuilder &s, ValueRange v) {
                Value rate = v[2], a = v[3], before = v[4], after = v[5],
                      dt = v[6], dtx = v[7], dy = v[8], b = v[9], c = v[10];
                Value gh = s.add(s.mul(dy, c), v[0]), back = s.mul(gh, a),
                      moved = s.mul(back, before);
                return Values{back,
                              s.add(s.mul(moved, dt), v[1]),
                              s.mul(moved, rate),
                              s.mul(gh, b),
                              s.mul(gh, dtx),
                              s.mul(dy, after)};
              });
          add(sumRate, row, tiles.at(t), k.reduce(Combiner::Add, made[2], 0));
          add(sumB, row, tiles.at(t), k.reduce(Combiner::Add, made[3], 0));
          add(gradB, blockSums, {t, n0, zero},
              k.reduce(Combiner::Add, made[4], 1));
          add(gradC, blockSums, {t, n0, zero},
              k.reduce(Combiner::Add, made[5], 1));
          return Values{made[0], made[1]};
        });
    k.store(end[0], grads, tiles.at(n0));
    k.store(end[1], rateGrads, tiles.at(n0));
  }
  void add(Value scratch, RegType type, ValueRange at, Value more) {
    k.store(
        k.map({k.load(type, scratch, at), more}, k.f32(),
              [](ScalarBuilder &s, ValueRange v) { return s.add(v[0], v[1]); }),
        scratch, at);
  }

  /// Scratch [padded N, wide, lanes] to rows d0.. of dA [B, D, N].
  void writeRates(Value from) {
    RegType square = k.rows({s.lanes, s.lanes}, k.f32());
    Value to = k.view(k.arg(9), {b, zero, zero}, {s.channels, s.states},
                      ArrayRef<int64_t>{0});
    tiles.eachColumn(d0, from, [&](Value d, Value part, Values) {
      k.loop(0, s.paddedStates(), s.lanes, [&](Value n) {
        Values bounds;
        if (s.channels % s.lanes || s.states % s.lanes)
          bounds = {k.sub(k.index(s.channels), d), k.sub(k.index(s.states), n)};
        k.store(k.transpose(k.load(square, part, {n, zero}), square), to,
                {d, n}, bounds);
      });
    });
  }

  Value every(Value scratch, Value t) {
    return tiles.everyState(k.load(row, scratch, tiles.at(t)));
  }
  Value number(unsigned operand, Value t, Value n0) {
    return tiles.everyChannel(k.arg(operand), b, k.add(t0, t), n0);
  }

  KernelBuilder &k;
  const ScanSizes &s;
  int64_t perGroup;
  ScanTiles tiles;
  RegType row, states, blockSums;
  Value zero;
  Value b, group, d0, chunk, t0, count; // where we are
  Value rates, gradState, gradRate;     // [strips, N, wide, lanes]
  Value gradB, gradC;                   // [items, N, lanes]
  Value factor, held;                   // [items, block, wide, lanes]
  Value dt, x, dtx, dy, sumB, sumRate;  // [items, wide, lanes]
};
} // namespace

LogicalResult scheduleSelectiveScanGrad(ScheduleContext &context,
                                        bb::SelectiveScanGradOp op) {
  ScanSizes s =
      scanSizes(context.target, op.getX(), op.getA(), *op.getSave().constant());
  int64_t perGroup = stripsPerGroup(s),
          groups = llvm::divideCeil(s.strips(), perGroup);
  Values operands(op->getOperands());
  MLIRContext *ctx = op.getContext();
  auto type = [](Value v) { return cast<bb::GraphTensorType>(v.getType()); };
  // Parts of dA, one per sequence, and of dB and dC, one per group.
  auto decayParts = temporary(ctx, {s.batch, s.channels, s.states});
  auto rowParts = temporary(ctx, {groups, s.batch, s.length, s.states});
  SmallVector<Type> results{type(op.getDx()), type(op.getDdt()), decayParts,
                            rowParts, rowParts};
  int64_t bytes = 0;
  SmallVector<BufType> in = denseBuffers(operands, bytes), out;
  for (Type t : results) {
    auto tensor = cast<bb::GraphTensorType>(t);
    out.push_back(denseBuffer(tensor));
    bytes += byteCount(tensor);
  }
  auto made = context.kernel(op.getLoc(), "selective_scan_grad", in, out,
                             s.batch * groups);
  made->setCost(23 * s.batch * s.length * s.channels * s.states, bytes);
  GradientKernel(*made, s, perGroup).run(groups);
  Values parts = context.dispatch(op, *made, operands, results);
  op.getDx().replaceAllUsesWith(parts[0]);
  op.getDdt().replaceAllUsesWith(parts[1]);
  op.getDa().replaceAllUsesWith(
      sumParts(context, op, parts[2], s.batch, type(op.getDa())));
  op.getDb().replaceAllUsesWith(
      sumParts(context, op, parts[3], groups, type(op.getDb())));
  op.getDc().replaceAllUsesWith(
      sumParts(context, op, parts[4], groups, type(op.getDc())));
  op->erase();
  return success();
}

} // namespace bitbyte::tile
