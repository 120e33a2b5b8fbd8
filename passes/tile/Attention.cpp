//===- Attention.cpp - Attention without a T x T matrix -------------------===//
//
// A program owns queries of one head. It packs the head's keys across and its
// values along micro-tiles, then for a few queries at a time: scores of the
// keys they may see into scratch, softmax row by row, product with the values.
// Tiles behind the causal edge or before the window are never computed.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/AttentionTiles.h"

#include <cmath>

using namespace mlir;

namespace bitbyte::tile {

LogicalResult scheduleAttention(ScheduleContext &context, bb::AttentionOp op) {
  if (op.getBuckets() || op.getValid())
    return op.emitOpError("with buckets or a padding mask has no schedule for ")
           << context.target.name;
  AttentionSizes s = attentionSizes(context.target, op);
  auto type = [](Value v) { return cast<bb::GraphTensorType>(v.getType()); };
  Values operands{op.getQ(), op.getK(), op.getV()};
  SmallVector<BufType> in, out;
  for (Value v : operands)
    in.push_back(bufferOf(v));
  if (op.getAt()) {
    operands.push_back(op.getAt());
    in.push_back(flatBuffer(type(op.getAt())));
  }
  for (Value v : op->getResults())
    out.push_back(denseBuffer(type(v)));

  int64_t pairs = s.batch * s.heads, count = 2 * s.rows;
  int64_t parts =
      std::clamp<int64_t>(64 / pairs, 1, std::max<int64_t>(1, s.queries / 256));
  int64_t share = llvm::alignTo(llvm::divideCeil(s.queries, parts), count);
  parts = llvm::divideCeil(s.queries, share);
  auto made = context.kernel(op.getLoc(), "attention", in, out, pairs * parts);
  KernelBuilder &k = *made;
  double seen = s.causal && !op.getAt() ? (s.keys + 1) / 2.0 : s.keys;
  if (s.window > 0)
    seen = std::min<double>(seen, s.window);
  int64_t bytes = 0;
  for (Value v : operands)
    bytes += byteCount(type(v));
  for (Value v : op->getResults())
    bytes += byteCount(type(v));
  k.setCost(int64_t(2.0 * pairs * s.queries * seen * (s.width + s.valueWidth)),
            bytes);

  AttentionTiles tiles(k, s);
  if (op.getAt())
    tiles.position = k.toIndex(k.loadScalar(k.i32(), k.arg(3), {k.index(0)}));
  Value y = k.arg(in.size()), zero = k.index(0);
  Value pair = k.div(k.program(), parts), part = k.rem(k.program(), parts);
  Value b = k.div(pair, s.heads), h = k.rem(pair, s.heads),
        g = k.div(h, s.heads / s.groups);
  Value i0 = k.mul(part, share),
        i1 = k.min(k.index(s.queries), k.add(i0, share));
  Value across = tiles.allocAcross(s.width),
        along = tiles.allocAlong(s.valueWidth, s.paddedKeys());
  Value scores = k.alloc({count, s.scoreRow()}, k.f32()),
        inverse = k.alloc({count}, k.f32());
  Value keysEnd = tiles.endKey(k.sub(i1, 1), 1);
  tiles.packAcross(across, k.arg(1), b, g, s.width, keysEnd, s.scale);
  // Values behind the last key are zeros: 0 x anything unwritten would not be.
  Value exist = k.min(keysEnd, k.index(s.keys));
  tiles.packAlong(along, k.arg(2), b, zero, g, s.valueWidth, s.keys, zero,
                  exist);
  k.loop(exist, keysEnd, 1, [&](Value r) {
    for (int64_t p = 0; p < s.valuePanels(); ++p)
      k.store(k.full(tiles.keyRow(), 0.0), along, {k.index(p), r, zero});
  });

  auto queries = [&](Value i, int64_t rows) {
    Value begin = tiles.firstKey(i), end = tiles.endKey(i, rows);
    tiles.scores(scores, tiles.head(k.arg(0), b, i, h, rows, s.width), across,
                 rows, s.width, begin, end);
    RegType row = tiles.keyRow();
    k.loop(0, rows, 1, [&](Value r) {
      Value query = k.add(i, r);
      Value top = tiles.overKeys(
          query, begin, end, {k.full(row, -INFINITY)},
          [&](Value j, bool masked, ValueRange c) {
            Value x = k.load(row, scores, {r, j});
            if (masked) {
              x = k.map({tiles.visible(query, j), x}, k.f32(),
                        [](ScalarBuilder &s, ValueRange a) {
                          return s.select(a[0], a[1], s.constant(-INFINITY));
                        });
              k.store(x, scores, {r, j});
            }
            return Values{
                k.map({c[0], x}, k.f32(), [](ScalarBuilder &s, ValueRange a) {
                  return s.max(a[0], a[1]);
                })};
          })[0];
      Value most = k.reduce(Combiner::Max, top, 0),
            mostRow = k.broadcast(most, row, 0);
      Value sum =
          k.loop(begin, end, s.columns, {k.full(row, 0.0)},
                 [&](Value j, ValueRange c) {
                   Value e = k.map({k.load(row, scores, {r, j}), mostRow},
                                   k.f32(), [](ScalarBuilder &s, ValueRange a) {
                                     return softmaxTerm(s, a[0], a[1]);
                                   });
                   k.store(e, scores, {r, j});
                   return Values{k.map({c[0], e}, k.f32(),
                                       [](ScalarBuilder &s, ValueRange a) {
                                         return s.add(a[0], a[1]);
                                       })};
                 })[0];
      Value total = k.reduce(Combiner::Add, sum, 0);
      k.store(k.map({total}, k.f32(),
                    [](ScalarBuilder &s, ValueRange a) {
                      return s.div(s.constant(1), a[0]);
                    }),
              inverse, {r});
      if (op.getLse())
        k.store(k.map({most, total}, k.f32(),
                      [](ScalarBuilder &s, ValueRange a) {
                        return s.add(a[0], s.log(a[1]));
                      }),
                k.arg(in.size() + 1), {b, h, query});
    });
    for (int64_t p = 0; p < s.valuePanels(); ++p)
      tiles.microRows(rows, s.rows, [&](int64_t r, int64_t n) {
        Value o = tiles.weighted(scores, r, n, along, p, begin, end);
        RegType t = k.rows({n, s.columns}, k.f32());
        Value by = k.broadcast(k.load(t.drop(1), inverse, {k.index(r)}), t, 1);
        o = k.map({o, by}, k.f32(), [](ScalarBuilder &s, ValueRange a) {
          return s.mul(a[0], a[1]);
        });
        int64_t left = std::min(s.columns, s.valueWidth - p * s.columns);
        Value to = tiles.head(y, b, k.add(i, r), h, n, s.valueWidth);
        k.store(o, to, {zero, k.index(p * s.columns)},
                left < s.columns ? Values{k.index(n), k.index(left)}
                                 : Values{});
      });
  };
  int64_t rest = s.queries % count;
  Value whole = rest ? k.min(i1, k.index(s.queries - rest)) : i1;
  if (s.queries >= count)
    k.loop(i0, whole, count, [&](Value i) { queries(i, count); });
  if (rest)
    k.when(k.less(k.index(s.queries - rest), i1),
           [&] { queries(k.index(s.queries - rest), rest); });
  op->replaceAllUsesWith(
      context.dispatch(op, k, operands, op->getResultTypes()));
  op->erase();
  return success();
}

} // namespace bitbyte::tile
