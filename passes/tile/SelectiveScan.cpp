//===- SelectiveScan.cpp - Mamba-1's scan, forward ------------------------===//
//
// A program owns a strip of channels in one sequence and walks its items in
// order. For a chunk of items it runs a few states at a time: first their
// decays, which depend on nothing before them, into scratch, then the items in
// order with the states in registers; the sums over states collect in scratch.
// Nothing of [B, T, D, N] is stored (Mamba, section 3.3).
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
  ScanSizes s =
      scanSizes(context.target, op.getX(), op.getA(), save ? save : kItems);
  Values operands{op.getX(), op.getDt(), op.getA(), op.getB(), op.getC()};
  if (op.getFrom())
    operands.push_back(op.getFrom());
  int64_t bytes = 0;
  SmallVector<BufType> in = denseBuffers(operands, bytes),
                       out = denseBuffers(op->getResults(), bytes);
  auto made = context.kernel(op.getLoc(), "selective_scan", in, out,
                             s.batch * s.strips());
  KernelBuilder &k = *made;
  // Decay, exp (counted as one), update and output.
  k.setCost(7 * s.batch * s.length * s.channels * s.states, bytes);

  ScanTiles tiles(k, s);
  RegType row = tiles.row(), states = tiles.stateRows();
  Value zero = k.index(0), padded = k.index(s.paddedStates());
  Value b = k.div(k.program(), s.strips()),
        d0 = k.mul(k.rem(k.program(), s.strips()), s.wide * s.lanes);
  Value rates = tiles.alloc(s.paddedStates()),
        h = tiles.alloc(s.paddedStates()), dt = tiles.alloc(s.chunk),
        dtx = tiles.alloc(s.chunk), y = tiles.alloc(s.chunk),
        decays = k.alloc({s.chunk, s.block, s.wide, s.lanes}, k.f32());
  tiles.loadDecays(k.arg(2), d0, rates);
  Value fastest = tiles.largest(rates, padded);
  if (op.getFrom())
    tiles.copyIn(k.arg(5), {b, zero}, k.index(s.states), d0, h);
  else
    tiles.clear(h, padded);

  k.loop(0, s.length, s.chunk, [&](Value t0) {
    if (save)
      tiles.copyOut(h, k.arg(in.size() + 1), {b, k.div(t0, s.chunk), zero},
                    k.index(s.states), d0);
    Value count = k.min(k.sub(k.index(s.length), t0), k.index(s.chunk));
    Value calm = tiles.isCalm(
        tiles.copySteps(k.arg(1), k.arg(0), {b, t0}, count, d0, dt, dtx),
        fastest);
    tiles.clear(y, count);
    k.loop(0, s.states, s.block, [&](Value n0) {
      tiles.decays(k.load(states, rates, tiles.at(n0)), dt, count, calm,
                   decays);
      Value end = k.loop(
          zero, count, 1, {k.load(states, h, tiles.at(n0))},
          [&](Value t, ValueRange carried) {
            Value item = k.add(t0, t);
            Values next = k.map(
                {carried[0], k.load(states, decays, {t, zero, zero, zero}),
                 tiles.everyState(k.load(row, dtx, tiles.at(t))),
                 tiles.everyChannel(k.arg(3), b, item, n0),
                 tiles.everyChannel(k.arg(4), b, item, n0)},
                {k.f32(), k.f32()}, [&](ScalarBuilder &s, ValueRange v) {
                  Value h = s.add(s.mul(v[1], v[0]), s.mul(v[2], v[3]));
                  return Values{h, s.mul(v[4], h)};
                });
            Value sum = k.map({k.load(row, y, tiles.at(t)),
                               k.reduce(Combiner::Add, next[1], 0)},
                              k.f32(), [](ScalarBuilder &s, ValueRange v) {
                                return s.add(v[0], v[1]);
                              });
            k.store(sum, y, tiles.at(t));
            return Values{next[0]};
          })[0];
      k.store(end, h, tiles.at(n0));
    });
    tiles.copyOut(y, k.arg(in.size()), {b, t0}, count, d0);
  });
  if (op.getFrom())
    tiles.copyOut(h, k.arg(in.size() + 1), {b, zero}, k.index(s.states), d0);
  op->replaceAllUsesWith(
      context.dispatch(op, k, operands, op->getResultTypes()));
  op->erase();
  return success();
}

} // namespace bitbyte::tile
