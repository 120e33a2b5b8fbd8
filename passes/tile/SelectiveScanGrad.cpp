//===- SelectiveScanGrad.cpp - Gradients of Mamba-1's scan ----------------===//
//
// A program owns a group of channels in one sequence and walks the chunks
// backwards. Per chunk, register of channels and few states: decays and decayed
// states are computed again from the saved state into scratch, then the sweep
// back carries the gradient of the state. dB and dC sum over channels: lane by
// lane in scratch over the group's registers, then across lanes, then over
// groups by a kernel that adds in order.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/ScanTiles.h"

using namespace mlir;

namespace bitbyte::tile {

/// Registers of channels in a group: enough to make the sums across lanes
/// cheap, few enough to leave programs for all cores.
static int64_t columnsPerGroup(const ScanSizes &s) {
  int64_t groups = llvm::divideCeil(64, s.batch);
  return std::max<int64_t>(s.columns() / std::max<int64_t>(groups, 1),
                           std::min<int64_t>(8, s.columns()));
}

namespace {
class GradientKernel {
public:
  GradientKernel(KernelBuilder &k, const ScanSizes &s, int64_t perGroup)
      : k(k), s(s), perGroup(perGroup), tiles(k, s), row(tiles.row()),
        states(tiles.stateRows()), zero(k.index(0)) {
    int64_t padded = s.paddedStates();
    auto plane = [&](int64_t rows) {
      return k.alloc({rows, s.lanes}, k.f32());
    };
    auto cube = [&](int64_t planes, int64_t rows) {
      return k.alloc({planes, rows, s.lanes}, k.f32());
    };
    decay = cube(perGroup, padded);
    gradState = cube(perGroup, padded);
    gradDecay = cube(perGroup, padded);
    gradB = cube(s.chunk, padded);
    gradC = cube(s.chunk, padded);
    factor = cube(s.chunk, s.block);
    decayed = cube(s.chunk, s.block);
    for (Value *v : {&x, &dt, &dy, &gradX, &gradDt})
      *v = plane(s.chunk);
  }

  void run(int64_t groups) {
    int64_t columns = s.columns();
    b = k.div(k.program(), groups);
    group = k.rem(k.program(), groups);
    Value first = k.mul(group, perGroup);
    Value mine = k.min(k.sub(k.index(columns), first), k.index(perGroup));
    auto eachColumn = [&](function_ref<void(Value)> body) {
      k.loop(zero, mine, 1, [&](Value c) {
        d0 = k.mul(k.add(first, c), s.lanes);
        body(c);
      });
    };
    eachColumn([&](Value c) {
      tiles.loadAcross(k.arg(2), d0, plane(decay, c), kLog2E);
      tiles.clear(plane(gradState, c), k.index(s.paddedStates()));
      tiles.clear(plane(gradDecay, c), k.index(s.paddedStates()));
    });
    k.loop(0, s.chunks(), 1, [&](Value done) {
      chunk = k.sub(k.index(s.chunks() - 1), done);
      t0 = k.mul(chunk, s.chunk);
      count = k.min(k.sub(k.index(s.length), t0), k.index(s.chunk));
      k.loop(zero, count, 1, [&](Value t) {
        tiles.clear(plane(gradB, t), k.index(s.paddedStates()));
        tiles.clear(plane(gradC, t), k.index(s.paddedStates()));
      });
      eachColumn([&](Value c) { column(c); });
      k.loop(zero, count, 1, [&](Value t) {
        Values at{group, b, k.add(t0, t)};
        tiles.sumLanes(plane(gradB, t), k.arg(10), at);
        tiles.sumLanes(plane(gradC, t), k.arg(11), at);
      });
    });
    eachColumn([&](Value c) { writeDecay(plane(gradDecay, c)); });
  }

private:
  /// Rows of plane `i` of a cube.
  Value plane(Value cube, Value i) {
    int64_t rows = cast<BufType>(cube.getType()).getShape()[1];
    return k.view(cube, {i, zero, zero}, {rows, s.lanes}, ArrayRef<int64_t>{0});
  }

  void column(Value c) {
    tiles.copyIn(k.arg(0), b, t0, count, d0, x);
    tiles.copyIn(k.arg(1), b, t0, count, d0, dt);
    tiles.copyIn(k.arg(6), b, t0, count, d0, dy);
    tiles.clear(gradX, count);
    tiles.clear(gradDt, count);
    k.loop(0, s.states, s.block, [&](Value n0) {
      Value rate = k.load(states, decay, {c, n0, zero});
      again(rate, n0);
      back(rate, c, n0);
    });
    tiles.copyOut(gradX, k.arg(7), b, t0, count, d0);
    tiles.copyOut(gradDt, k.arg(8), b, t0, count, d0);
  }

  /// Forward through the chunk: a and a h of each item.
  void again(Value rate, Value n0) {
    Values bounds = tiles.columnBounds(d0);
    if (!bounds.empty())
      bounds.insert(bounds.begin(), k.index(s.block));
    Value saved = k.view(k.arg(5), {b, chunk, zero, zero},
                         {s.states, s.channels}, ArrayRef<int64_t>{0, 1});
    k.loop(
        zero, count, 1, {k.load(states, saved, {n0, d0}, bounds)},
        [&](Value t, ValueRange carried) {
          Values made = k.map(
              {carried[0], rate, every(dt, t), every(x, t), number(3, t, n0)},
              {k.f32(), k.f32(), k.f32()}, [&](ScalarBuilder &s, ValueRange v) {
                Value a = exp2(s, s.mul(v[2], v[1]), k.target),
                      ah = s.mul(a, v[0]);
                Value h = s.add(ah, s.mul(s.mul(v[2], v[3]), v[4]));
                return Values{a, ah, h};
              });
          k.store(made[0], factor, {t, zero, zero});
          k.store(made[1], decayed, {t, zero, zero});
          return Values{made[2]};
        });
  }

  /// Back through the chunk. `rate` is A log2(e).
  void back(Value rate, Value c, Value n0) {
    Value plain = k.map({rate}, k.f32(), [](ScalarBuilder &s, ValueRange v) {
      return s.mul(v[0], s.constant(1 / kLog2E));
    });
    Values start{k.load(states, gradState, {c, n0, zero}),
                 k.load(states, gradDecay, {c, n0, zero})};
    Values end =
        k.loop(zero, count, 1, start, [&](Value done, ValueRange carried) {
          Value t = k.sub(k.sub(count, 1), done);
          Values made =
              k.map({carried[0], carried[1], plain,
                     k.load(states, factor, {t, zero, zero}),
                     k.load(states, decayed, {t, zero, zero}), every(dt, t),
                     every(x, t), every(dy, t), number(3, t, n0),
                     number(4, t, n0), k.load(states, gradB, {t, n0, zero}),
                     k.load(states, gradC, {t, n0, zero})},
                    SmallVector<Type>(6, k.f32()),
                    [](ScalarBuilder &s, ValueRange v) {
                      Value a = v[3], ah = v[4], dt = v[5], x = v[6], dy = v[7],
                            b = v[8], c = v[9];
                      Value gh = s.add(s.mul(dy, c), v[0]),
                            moved = s.mul(gh, ah);
                      Value dtx = s.mul(dt, x), h = s.add(s.mul(dtx, b), ah);
                      return Values{s.mul(gh, a),
                                    s.add(s.mul(moved, dt), v[1]),
                                    s.mul(moved, v[2]),
                                    s.mul(gh, b),
                                    s.add(s.mul(gh, dtx), v[10]),
                                    s.add(s.mul(dy, h), v[11])};
                    });
          k.store(made[4], gradB, {t, n0, zero});
          k.store(made[5], gradC, {t, n0, zero});
          Values sums = k.map(
              {k.reduce(Combiner::Add, made[2], 0),
               k.reduce(Combiner::Add, made[3], 0), k.load(row, dt, {t, zero}),
               k.load(row, x, {t, zero}), k.load(row, gradDt, {t, zero}),
               k.load(row, gradX, {t, zero})},
              {k.f32(), k.f32()}, [](ScalarBuilder &s, ValueRange v) {
                return Values{s.add(s.add(s.mul(v[3], v[1]), v[0]), v[4]),
                              s.add(s.mul(v[2], v[1]), v[5])};
              });
          k.store(sums[0], gradDt, {t, zero});
          k.store(sums[1], gradX, {t, zero});
          return Values{made[0], made[1]};
        });
    k.store(end[0], gradState, {c, n0, zero});
    k.store(end[1], gradDecay, {c, n0, zero});
  }

  /// Scratch [padded N, lanes] to rows d0.. of dA [B, D, N].
  void writeDecay(Value from) {
    RegType square = k.rows({s.lanes, s.lanes}, k.f32());
    Value to = k.view(k.arg(9), {b, zero, zero}, {s.channels, s.states},
                      ArrayRef<int64_t>{0});
    k.loop(0, s.paddedStates(), s.lanes, [&](Value n) {
      Values bounds;
      if (s.channels % s.lanes || s.states % s.lanes)
        bounds = {k.sub(k.index(s.channels), d0), k.sub(k.index(s.states), n)};
      k.store(k.transpose(k.load(square, from, {n, zero}), square), to, {d0, n},
              bounds);
    });
  }

  Value every(Value scratch, Value t) {
    return tiles.everyState(k.load(row, scratch, {t, zero}));
  }
  Value number(unsigned operand, Value t, Value n0) {
    return tiles.everyChannel(k.arg(operand), b, k.add(t0, t), n0);
  }

  KernelBuilder &k;
  const ScanSizes &s;
  int64_t perGroup;
  ScanTiles tiles;
  RegType row, states;
  Value zero;
  Value b, group, d0, chunk, t0, count; // where we are
  Value decay, gradState, gradDecay;    // [columns, N, lanes]
  Value gradB, gradC;                   // [items, N, lanes]
  Value factor, decayed;                // [items, block, lanes]
  Value x, dt, dy, gradX, gradDt;       // [items, lanes]
};
} // namespace

LogicalResult scheduleSelectiveScanGrad(ScheduleContext &context,
                                        bb::SelectiveScanGradOp op) {
  ScanSizes s =
      scanSizes(context.target, op.getX(), op.getA(), *op.getSave().constant(),
                context.target.registers / 4);
  int64_t perGroup = columnsPerGroup(s),
          groups = llvm::divideCeil(s.columns(), perGroup);
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
