//===- SelectiveScanGrad.cpp - Gradients of Mamba-1's scan ----------------===//
//
// A program owns a group of strips in one sequence and walks the chunks
// backwards. Per chunk, strip and few states: decays and states are computed
// again from the saved state into scratch, which gives dC, then the sweep back
// carries the gradient of the state. dB and dC sum over channels: lane by lane
// in scratch over the group's columns, then across lanes, then over groups by a
// kernel that adds in order.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/ScanTiles.h"

using namespace mlir;

namespace bitbyte::tile {

/// Strips in a group: sixteen columns make the sums across lanes cheap; fewer
/// where there would be less than eight programs, more where that leaves 64.
static int64_t stripsPerGroup(const ScanSizes &s) {
  int64_t groups = llvm::divideCeil(64, s.batch);
  int64_t most = llvm::divideCeil(16, s.wide);
  return std::max(s.strips() / groups,
                  std::clamp<int64_t>(s.batch * s.strips() / 8, 1, most));
}

namespace {
class GradientKernel {
public:
  GradientKernel(KernelBuilder &k, const ScanSizes &s, int64_t perGroup,
                 ScanGradArguments args)
      : k(k), s(s), perGroup(perGroup), args(args), tiles(k, s),
        row(tiles.row()), column(k.row(s.lanes, k.f32())),
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
    gradB = k.alloc({padded, s.chunk, s.lanes}, k.f32());
    gradC = k.alloc({padded, s.chunk, s.lanes}, k.f32());
    // An item more: else what is stored for an item lies whole pages from
    // where its rows are read next.
    factor = perItem(s.chunk + 1), held = perItem(s.chunk + 1);
    for (Value *v : {&dt, &dtx, &dy, &sumB, &sumRate})
      *v = tiles.alloc(s.chunk);
    if (args.skip)
      gradSkip = k.alloc({perGroup, 1, s.wide, s.lanes}, k.f32());
    if (args.gate)
      slope = tiles.alloc(s.chunk), ungated = tiles.alloc(s.chunk);
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
      if (args.skip)
        tiles.clear(strip(gradSkip, c), k.index(1));
    });
    k.loop(0, s.chunks(), 1, [&](Value done) {
      chunk = k.sub(k.index(s.chunks() - 1), done);
      t0 = k.mul(chunk, s.chunk);
      count = k.min(k.sub(k.index(s.length), t0), k.index(s.chunk));
      Value none = k.full(k.row(s.lanes, k.f32()), 0.0);
      k.loop(0, s.paddedStates(), 1, [&](Value n) {
        k.loop(zero, count, 1, [&](Value t) {
          k.store(none, gradB, {n, t, zero});
          k.store(none, gradC, {n, t, zero});
        });
      });
      eachStrip([&](Value c) { walk(c); });
      k.loop(zero, count, 1, [&](Value t) {
        Values at{group, b, k.add(t0, t)};
        tiles.sumLanes(plane(gradB, t), k.arg(args.first + 3), at);
        tiles.sumLanes(plane(gradC, t), k.arg(args.first + 4), at);
      });
    });
    eachStrip([&](Value c) {
      writeRates(strip(gradRate, c));
      if (args.skip)
        tiles.copyOut(strip(gradSkip, c), k.arg(args.dskip), {b}, k.index(1),
                      d0);
    });
  }

private:
  /// Scratch [rows, wide, lanes] of strip `c`.
  Value strip(Value scratch, Value c) {
    return k.view(scratch, {c, zero, zero, zero},
                  cast<BufType>(scratch.getType()).getShape().drop_front(),
                  ArrayRef<int64_t>{0});
  }
  /// Scratch [states, lanes] of item `t`.
  Value plane(Value scratch, Value t) {
    return k.view(scratch, {zero, t, zero}, {s.paddedStates(), s.lanes},
                  ArrayRef<int64_t>{1});
  }

  /// Strip `c` through the chunk.
  void walk(Value c) {
    Value steps =
        tiles.copySteps(k.arg(1), k.arg(0), {b, t0}, count, d0, dt, dtx);
    copyDy(c);
    tiles.clear(sumB, count);
    tiles.clear(sumRate, count);
    Value mine = strip(rates, c);
    Value fastest = tiles.largest(mine, k.index(s.paddedStates()));
    tiles.eitherWay(steps, fastest, [&](bool isCalm) {
      k.loop(0, s.states, s.block, [&](Value n0) {
        again(mine, n0, isCalm);
        back(mine, c, n0);
      });
    });
    // dx = dt sum of gh B + skip dy, and ddt the sum of gh (B x + A a h).
    k.loop(zero, count, 1, [&](Value t) {
      tiles.eachColumn(d0, sumB, [&](Value d, Value, Values bounds) {
        Values at{b, k.add(t0, t), d}, mine = placeOf(t, d);
        Values inputs{
            k.load(column, dt, mine), k.load(column, k.arg(0), at, bounds),
            k.load(column, sumB, mine), k.load(column, sumRate, mine)};
        if (args.skip)
          inputs.append({k.load(column, k.arg(args.skip), {d}, bounds),
                         k.load(column, dy, mine)});
        Values made = k.map(
            inputs, {k.f32(), k.f32()}, [](ScalarBuilder &s, ValueRange v) {
              Value dx = s.mul(v[0], v[2]);
              if (v.size() > 4)
                dx = s.add(s.mul(v[4], v[5]), dx);
              return Values{dx, s.add(s.mul(v[1], v[2]),
                                      s.mul(v[3], s.constant(1 / kLog2E)))};
            });
        k.store(made[0], k.arg(args.first), at, bounds);
        k.store(made[1], k.arg(args.first + 1), at, bounds);
        if (args.gate)
          k.store(tiles.product(k.load(column, slope, mine),
                                k.load(column, ungated, mine)),
                  k.arg(args.dgate), at, bounds);
      });
    });
  }

  /// Column `d` of item `t` in scratch [items, wide, lanes].
  Values placeOf(Value t, Value d) {
    return {t, k.div(k.sub(d, d0), s.lanes), zero};
  }

  /// Rows of dy into scratch: the gradient of the sum of states, of which skip
  /// takes its part here. Behind a gate also the slope of silu, times dy, and
  /// what skip adds before the gate.
  void copyDy(Value c) {
    if (!args.skip && !args.gate)
      return tiles.copyIn(k.arg(6), {b, t0}, count, d0, dy);
    k.loop(zero, count, 1, [&](Value t) {
      tiles.eachColumn(d0, dy, [&](Value d, Value, Values bounds) {
        Values at{b, k.add(t0, t), d}, mine = placeOf(t, d);
        auto rowOf = [&](unsigned argument) {
          return k.load(column, k.arg(argument), at, bounds);
        };
        Value own = rowOf(6), skipped, x;
        if (args.gate) {
          Values made = openGate(k, own, rowOf(args.gate));
          own = made[0];
          k.store(made[1], slope, mine);
        }
        k.store(own, dy, mine);
        if (args.skip) {
          x = rowOf(0);
          skipped =
              tiles.product(x, k.load(column, k.arg(args.skip), {d}, bounds));
          Value sum = strip(gradSkip, c);
          Values of = placeOf(zero, d);
          k.store(tiles.sum(k.load(column, sum, of), tiles.product(own, x)),
                  sum, of);
        }
        if (args.gate)
          k.store(skipped ? skipped : k.full(column, 0.0), ungated, mine);
      });
    });
  }

  Value item(Value scratch, Value t) {
    return k.load(states, scratch, {t, zero, zero, zero});
  }

  /// Forward through the chunk: decays, the state before each item, and dC.
  void again(Value rates, Value n0, bool isCalm) {
    Value saved = k.view(k.arg(5), {b, chunk, zero, zero},
                         {s.states, s.channels}, ArrayRef<int64_t>{0, 1});
    Value start = k.view(held, {zero, zero, zero, zero},
                         {s.block, s.wide, s.lanes}, ArrayRef<int64_t>{0});
    tiles.copyIn(saved, {n0}, k.index(s.block), d0, start);
    k.loop(
        zero, count, 1, {item(held, zero)}, [&](Value t, ValueRange carried) {
          k.when(k.less(n0, k.index(1)), [&] { prefetch(t); });
          k.store(carried[0], held, {t, zero, zero, zero});
          Values inputs{carried[0],   k.load(states, rates, tiles.at(n0)),
                        every(dt, t), every(dtx, t),
                        every(dy, t), number(3, t, n0)};
          Values powers = tiles.powersFor(states);
          llvm::append_range(inputs, powers);
          if (args.gate)
            inputs.push_back(number(4, t, n0));
          Values made =
              k.map(inputs, SmallVector<Type>(args.gate ? 4 : 3, k.f32()),
                    [&](ScalarBuilder &s, ValueRange v) {
                      Value a = tiles.decay(s, v[1], v[2],
                                            v.slice(6, powers.size()), isCalm),
                            h = s.add(s.mul(a, v[0]), s.mul(v[3], v[5]));
                      Values results{a, h, s.mul(v[4], h)};
                      if (args.gate)
                        results.push_back(s.mul(v.back(), h));
                      return results;
                    });
          if (args.gate)
            add(ungated, row, tiles.at(t), k.reduce(Combiner::Add, made[3], 0));
          k.store(made[0], factor, {t, zero, zero, zero});
          add(plane(gradC, t), blockSums, {n0, zero},
              k.reduce(Combiner::Add, made[2], 1));
          return Values{made[1]};
        });
  }

  /// Asks for row `t` of the chunk that comes next.
  void prefetch(Value t) {
    Value next = k.max(k.add(k.sub(t0, s.chunk), t), zero);
    SmallVector<unsigned> rows{0, 1, 6, args.first, args.first + 1};
    if (args.gate)
      rows.append({args.gate, args.dgate});
    for (unsigned i : rows)
      tiles.prefetch(k.arg(i), {b, next}, d0);
  }

  /// Back through the chunk. A rate is A log2(e).
  void back(Value rates, Value c, Value n0) {
    Value grads = strip(gradState, c), rateGrads = strip(gradRate, c);
    Values start{k.load(states, grads, tiles.at(n0)),
                 k.load(states, rateGrads, tiles.at(n0))};
    Values end =
        k.loop(zero, count, 1, start, [&](Value done, ValueRange carried) {
          Value t = k.sub(k.sub(count, 1), done);
          Values made = k.map(
              {carried[0], carried[1], k.load(states, rates, tiles.at(n0)),
               item(factor, t), item(held, t), every(dt, t), every(dtx, t),
               every(dy, t), number(3, t, n0), number(4, t, n0)},
              SmallVector<Type>(5, k.f32()),
              [](ScalarBuilder &s, ValueRange v) {
                Value rate = v[2], a = v[3], before = v[4], dt = v[5],
                      dtx = v[6], dy = v[7], b = v[8], c = v[9];
                Value gh = s.add(s.mul(dy, c), v[0]), back = s.mul(gh, a),
                      moved = s.mul(back, before);
                return Values{back, s.add(s.mul(moved, dt), v[1]),
                              s.mul(moved, rate), s.mul(gh, b), s.mul(gh, dtx)};
              });
          add(sumRate, row, tiles.at(t), k.reduce(Combiner::Add, made[2], 0));
          add(sumB, row, tiles.at(t), k.reduce(Combiner::Add, made[3], 0));
          add(plane(gradB, t), blockSums, {n0, zero},
              k.reduce(Combiner::Add, made[4], 1));
          return Values{made[0], made[1]};
        });
    k.store(end[0], grads, tiles.at(n0));
    k.store(end[1], rateGrads, tiles.at(n0));
  }
  void add(Value scratch, RegType type, ValueRange at, Value more) {
    k.store(tiles.sum(k.load(type, scratch, at), more), scratch, at);
  }

  /// Scratch [padded N, wide, lanes] to rows d0.. of dA [B, D, N].
  void writeRates(Value from) {
    RegType square = k.rows({s.lanes, s.lanes}, k.f32());
    Value to = k.view(k.arg(args.first + 2), {b, zero, zero},
                      {s.channels, s.states}, ArrayRef<int64_t>{0});
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
  ScanGradArguments args;
  ScanTiles tiles;
  RegType row, column, states, blockSums;
  Value zero;
  Value b, group, d0, chunk, t0, count; // where we are
  Value rates, gradState, gradRate;     // [strips, N, wide, lanes]
  Value gradB, gradC;                   // [items, N, lanes]
  Value factor, held;                   // [items, block, wide, lanes]
  Value dt, dtx, dy, sumB, sumRate;     // [items, wide, lanes]
  Value slope, ungated; // the same: of the gate times dy, and before the gate
  Value gradSkip;       // [strips, 1, wide, lanes]
};
} // namespace

LogicalResult scheduleSelectiveScanGrad(ScheduleContext &context,
                                        bb::SelectiveScanGradOp op) {
  // Two columns share what they load of B and C, and add up their parts of the
  // gradients of those. With two states of each, all that a chunk keeps between
  // its walks stays in the first cache.
  ScanSizes s = scanSizes(context.target, op.getX(), op.getA(),
                          *op.getSave().constant(), /*wide=*/2,
                          /*registers=*/4);
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
  ScanGradArguments args(op);
  if (args.skip)
    results.push_back(temporary(ctx, {s.batch, s.channels}));
  if (args.gate)
    results.push_back(type(op.getDgate()));
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
  GradientKernel(*made, s, perGroup, args).run(groups);
  Values parts = context.dispatch(op, *made, operands, results);
  op.getDx().replaceAllUsesWith(parts[0]);
  op.getDdt().replaceAllUsesWith(parts[1]);
  op.getDa().replaceAllUsesWith(
      sumParts(context, op, parts[2], s.batch, type(op.getDa())));
  op.getDb().replaceAllUsesWith(
      sumParts(context, op, parts[3], groups, type(op.getDb())));
  op.getDc().replaceAllUsesWith(
      sumParts(context, op, parts[4], groups, type(op.getDc())));
  if (args.skip)
    op.getDskip().replaceAllUsesWith(sumParts(context, op,
                                              parts[args.dskip - args.first],
                                              s.batch, type(op.getDskip())));
  if (args.gate)
    op.getDgate().replaceAllUsesWith(parts[args.dgate - args.first]);
  op->erase();
  return success();
}

} // namespace bitbyte::tile
