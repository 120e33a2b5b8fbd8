//===- Ssd.cpp - Mamba-2's scan in products over chunks, forward ----------===//
//
// A program owns a head of one sequence. Per chunk, with X = dt x, cs the
// running sum of dt A and L_ij = exp(cs_i - cs_j) for j <= i (Mamba-2, section
// 6):
//   Y = ((C B^T) . L) X + exp(cs) (C S),  S <- exp(cs_Q) S + B^T exp(cs_Q - cs)
//   X.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/ScanTiles.h"
#include "passes/tile/SsdTiles.h"

using namespace mlir;

namespace bitbyte::tile {

LogicalResult scheduleSsd(ScheduleContext &context, bb::SsdOp op) {
  SsdSizes s =
      ssdSizes(context.target, op.getX(), op.getB(), op.getChunkAttr());
  Values operands{op.getX(), op.getDt(), op.getA(), op.getB(), op.getC()};
  if (op.getFrom())
    operands.push_back(op.getFrom());
  Value shared = sharedScores(context, op, s, op.getB(), op.getC());
  unsigned sharedAt = operands.size();
  if (shared)
    operands.push_back(shared);
  int64_t bytes = 0;
  SmallVector<BufType> in = denseBuffers(operands, bytes),
                       out = denseBuffers(op->getResults(), bytes);
  auto made = context.kernel(op.getLoc(), "ssd", in, out, s.batch * s.heads);
  KernelBuilder &k = *made;
  int64_t q = s.chunk, p = s.width, n = s.states;
  k.setCost(s.batch * s.heads * s.length *
                (q * ((shared ? 0 : n) + p) + 4 * n * p),
            bytes);
  SsdTiles tiles(k, s);
  Value x = tiles.allocPanels(q, p), state = tiles.allocPanels(n, p);
  Value bRows = tiles.allocRows(q, n), early = tiles.allocRows(q, n),
        scores = tiles.allocRows(q, q);
  Value cRows = shared ? Value() : tiles.allocRows(q, n),
        across = shared ? Value() : tiles.allocPanels(n, q);
  Value zero = k.index(0);
  auto keep = [&](Value state, ValueRange at) {
    tiles.storeState(state, k.arg(in.size() + 1), at);
  };
  auto zeroTile = [&](Value, Value) { return k.full(tiles.tile, 0.0); };
  tiles.clearRows(scores); // above the diagonal it stays 0
  tiles.clear(state);
  if (op.getFrom())
    tiles.loadState(k.arg(5), {tiles.b, tiles.h}, state);

  k.loop(0, s.length, q, [&](Value t0) {
    if (op.getSave())
      keep(state, {tiles.b, k.div(t0, q), tiles.h});
    tiles.enter(t0, k.arg(1), k.arg(2));
    tiles.loadRows(k.arg(0), tiles.h, p, tiles.dt, {}, x);
    tiles.loadRows(k.arg(3), tiles.group, n, {}, bRows, {});
    tiles.loadRows(k.arg(4), tiles.group, n, tiles.fromStart, early, {});
    auto keepScores = [&](Value r, Value panel, Value sum) {
      k.store(tiles.decayed(sum, r, panel), scores, {r, tiles.column(panel)});
    };
    if (shared) {
      tiles.eachScore(k.arg(sharedAt), keepScores);
    } else {
      tiles.loadRows(k.arg(4), tiles.group, n, {}, cRows, {});
      tiles.across(bRows, q, n, across);
      tiles.product(q, q, n, cRows, false, across, Causal::result, zeroTile,
                    keepScores);
    }
    Value y = k.view(k.arg(in.size()), {tiles.b, zero, tiles.h, zero},
                     {s.length, p}, ArrayRef<int64_t>{0, 2});
    tiles.product(
        q, p, q, scores, false, x, Causal::left,
        [&](Value r, Value panel) {
          return k.mma(
              k.view(early, {r, zero}, {s.rows, n}, ArrayRef<int64_t>{}),
              k.view(state, {panel, zero, zero}, {n, s.columns},
                     ArrayRef<int64_t>{0}),
              k.full(tiles.tile, 0.0));
        },
        [&](Value r, Value panel, Value sum) {
          k.store(
              sum, y, {k.add(t0, r), tiles.column(panel)},
              {k.sub(tiles.count, r), k.sub(k.index(p), tiles.column(panel))});
        });
    tiles.scaleRows(x, tiles.toEnd);
    tiles.product(
        n, p, q, bRows, true, x, Causal::no,
        [&](Value r, Value panel) {
          return tiles.scaledBy(tiles.panelTile(state, r, panel), tiles.whole);
        },
        [&](Value r, Value panel, Value sum) {
          tiles.storePanelTile(sum, state, r, panel);
        });
  });
  if (op.getFrom())
    keep(state, {tiles.b, tiles.h});
  op->replaceAllUsesWith(
      context.dispatch(op, k, operands, op->getResultTypes()));
  op->erase();
  return success();
}

} // namespace bitbyte::tile
