//===- SelectiveScan.cpp - Mamba-1's scan, forward ------------------------===//
//
// A program owns the channels of one register in one sequence and walks its
// items in order. For a chunk of items it runs a few states at a time, so that
// states, not items, are carried in registers; the sums over states collect in
// scratch. Nothing of [B, T, D, N] is stored (Mamba, section 3.3).
//
//===----------------------------------------------------------------------===//
#include "passes/tile/ScanTiles.h"

using namespace mlir;

namespace bitbyte::tile {

/// Items whose inputs and sums lie in the first cache.
static constexpr int64_t kItems = 64;

LogicalResult scheduleSelectiveScan(ScheduleContext &context,
                                    bb::SelectiveScanOp op) {
  int64_t save = op.getSave() ? *op.getSave()->constant() : 0;
  ScanSizes s = scanSizes(context.target, op.getX(), op.getA(),
                          save ? save : kItems, context.target.registers / 4);
  Values operands{op.getX(), op.getDt(), op.getA(), op.getB(), op.getC()};
  if (op.getFrom())
    operands.push_back(op.getFrom());
  int64_t bytes = 0;
  SmallVector<BufType> in = denseBuffers(operands, bytes),
                       out = denseBuffers(op->getResults(), bytes);
  int64_t columns = s.columns();
  auto made =
      context.kernel(op.getLoc(), "selective_scan", in, out, s.batch * columns);
  KernelBuilder &k = *made;
  // Decay, exp (counted as one), update and output.
  k.setCost(7 * s.batch * s.length * s.channels * s.states, bytes);

  ScanTiles tiles(k, s);
  RegType row = tiles.row(), states = tiles.stateRows();
  Value zero = k.index(0), padded = k.index(s.paddedStates());
  Value b = k.div(k.program(), columns),
        d0 = k.mul(k.rem(k.program(), columns), s.lanes);
  Value decay = k.alloc({s.paddedStates(), s.lanes}, k.f32()),
        h = k.alloc({s.paddedStates(), s.lanes}, k.f32()),
        dt = k.alloc({s.chunk, s.lanes}, k.f32()),
        dtx = k.alloc({s.chunk, s.lanes}, k.f32()),
        y = k.alloc({s.chunk, s.lanes}, k.f32());
  tiles.loadAcross(k.arg(2), d0, decay, kLog2E);
  if (op.getFrom())
    k.loop(0, s.states, 1, [&](Value n) {
      k.store(k.load(row, k.arg(5), {b, n, d0}, tiles.columnBounds(d0)), h,
              {n, zero});
    });
  else
    tiles.clear(h, padded);

  auto saveStates = [&](ValueRange before) {
    k.loop(0, s.states, 1, [&](Value n) {
      Values at(before);
      at.append({n, d0});
      k.store(k.load(row, h, {n, zero}), k.arg(in.size() + 1), at,
              tiles.columnBounds(d0));
    });
  };
  k.loop(0, s.length, s.chunk, [&](Value t0) {
    if (save)
      saveStates({b, k.div(t0, s.chunk)});
    Value count = k.min(k.sub(k.index(s.length), t0), k.index(s.chunk));
    k.loop(zero, count, 1, [&](Value t) {
      Value at = k.add(t0, t);
      Values bounds = tiles.columnBounds(d0);
      Value step = k.load(row, k.arg(1), {b, at, d0}, bounds),
            x = k.load(row, k.arg(0), {b, at, d0}, bounds);
      k.store(step, dt, {t, zero});
      k.store(k.map({step, x}, k.f32(),
                    [](ScalarBuilder &s, ValueRange v) {
                      return s.mul(v[0], v[1]);
                    }),
              dtx, {t, zero});
    });
    tiles.clear(y, count);
    k.loop(0, s.states, s.block, [&](Value n0) {
      Value rate = k.load(states, decay, {n0, zero});
      Value end = k.loop(
          zero, count, 1, {k.load(states, h, {n0, zero})},
          [&](Value t, ValueRange carried) {
            Value at = k.add(t0, t);
            Values next = k.map(
                {carried[0], rate, tiles.everyState(k.load(row, dt, {t, zero})),
                 tiles.everyState(k.load(row, dtx, {t, zero})),
                 tiles.everyChannel(k.arg(3), b, at, n0),
                 tiles.everyChannel(k.arg(4), b, at, n0)},
                {k.f32(), k.f32()}, [&](ScalarBuilder &s, ValueRange v) {
                  Value h =
                      s.add(s.mul(exp2(s, s.mul(v[2], v[1]), k.target), v[0]),
                            s.mul(v[3], v[4]));
                  return Values{h, s.mul(v[5], h)};
                });
            Value sum = k.map({k.load(row, y, {t, zero}),
                               k.reduce(Combiner::Add, next[1], 0)},
                              k.f32(), [](ScalarBuilder &s, ValueRange v) {
                                return s.add(v[0], v[1]);
                              });
            k.store(sum, y, {t, zero});
            return Values{next[0]};
          })[0];
      k.store(end, h, {n0, zero});
    });
    tiles.copyOut(y, k.arg(in.size()), b, t0, count, d0);
  });
  if (op.getFrom())
    saveStates({b});
  op->replaceAllUsesWith(
      context.dispatch(op, k, operands, op->getResultTypes()));
  op->erase();
  return success();
}

} // namespace bitbyte::tile
