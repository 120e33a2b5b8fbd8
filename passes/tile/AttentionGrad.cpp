//===- AttentionGrad.cpp - Gradients of attention -------------------------===//
//
// A program owns one (batch, key head) pair, so that dK and dV have one owner
// and one order of summation; they stay in scratch until the end. For a few
// queries at a time: P = exp(S - lse) and dS = P (dP - delta) scale into
// scratch, then dQ = dS K, dV += P^T dO, dK += dS^T Q: five products, of which
// none touches keys that the queries cannot see (FlashAttention-2, section 3).
//
//===----------------------------------------------------------------------===//
#include "passes/tile/AttentionTiles.h"

#include <cmath>

using namespace mlir;

namespace bitbyte::tile {

LogicalResult scheduleAttentionGrad(ScheduleContext &context,
                                    bb::AttentionGradOp op) {
  AttentionSizes s = attentionSizes(context.target, op);
  auto type = [](Value v) { return cast<bb::GraphTensorType>(v.getType()); };
  Values operands{op.getQ(), op.getK(),   op.getV(),
                  op.getY(), op.getLse(), op.getDy()};
  SmallVector<BufType> in, out;
  int64_t bytes = 0;
  for (Value x : operands) {
    in.push_back(bufferOf(x));
    bytes += byteCount(type(x));
  }
  for (Value x : op->getResults()) {
    out.push_back(denseBuffer(type(x)));
    bytes += byteCount(type(x));
  }
  auto made = context.kernel(op.getLoc(), "attention_grad", in, out,
                             s.batch * s.groups);
  KernelBuilder &k = *made;
  double seen = s.causal ? (s.keys + 1) / 2.0 : s.keys;
  if (s.window > 0)
    seen = std::min<double>(seen, s.window);
  k.setCost(int64_t(2.0 * s.batch * s.heads * s.queries * seen *
                    (3 * s.width + 2 * s.valueWidth)),
            bytes);

  AttentionTiles tiles(k, s);
  Value zero = k.index(0), all = k.index(s.paddedKeys()),
        exist = k.index(s.keys);
  Value b = k.div(k.program(), s.groups), g = k.rem(k.program(), s.groups);
  int64_t count = std::min<int64_t>(4 * s.rows, llvm::alignTo(s.queries, 1));
  int64_t keyRows =
      s.columns / 4; // rows of a tile of dK: divides the padded keys
  Value keysAcross = tiles.allocAcross(s.width),
        valuesAcross = tiles.allocAcross(s.valueWidth);
  Value keysAlong = tiles.allocAlong(s.width, s.paddedKeys());
  Value queriesAlong = tiles.allocAlong(s.width, count),
        gradsAlong = tiles.allocAlong(s.valueWidth, count);
  Value p = k.alloc({count, s.scoreRow()}, k.f32()),
        ds = k.alloc({count, s.scoreRow()}, k.f32());
  Value dk = tiles.allocAlong(s.width, s.paddedKeys()),
        dv = tiles.allocAlong(s.valueWidth, s.paddedKeys());
  RegType row = tiles.keyRow();

  tiles.packAcross(keysAcross, k.arg(1), b, g, s.width, all, s.scale);
  tiles.packAcross(valuesAcross, k.arg(2), b, g, s.valueWidth, all, 1);
  tiles.packAlong(keysAlong, k.arg(1), b, zero, g, s.width, s.keys, zero,
                  exist);
  k.loop(0, s.paddedKeys(), 1, [&](Value r) {
    for (int64_t panel = 0; panel < s.widthPanels(); ++panel)
      k.store(k.full(row, 0.0), dk, {k.index(panel), r, zero});
    for (int64_t panel = 0; panel < s.valuePanels(); ++panel)
      k.store(k.full(row, 0.0), dv, {k.index(panel), r, zero});
  });
  k.loop(exist, all, 1, [&](Value r) {
    for (int64_t panel = 0; panel < s.widthPanels(); ++panel)
      k.store(k.full(row, 0.0), keysAlong, {k.index(panel), r, zero});
  });

  auto queries = [&](Value h, Value i, int64_t rows) {
    Value begin = tiles.firstKey(i), end = tiles.endKey(i, rows);
    tiles.packAlong(queriesAlong, k.arg(0), b, i, h, s.width, s.queries, zero,
                    k.index(rows));
    tiles.packAlong(gradsAlong, k.arg(5), b, i, h, s.valueWidth, s.queries,
                    zero, k.index(rows));
    tiles.scores(p, tiles.head(k.arg(0), b, i, h, rows, s.width), keysAcross,
                 rows, s.width, begin, end);
    tiles.scores(ds, tiles.head(k.arg(5), b, i, h, rows, s.valueWidth),
                 valuesAcross, rows, s.valueWidth, begin, end);
    k.loop(0, rows, 1, [&](Value r) {
      Value query = k.add(i, r);
      Value lse = k.full(row, k.loadScalar(k.f32(), k.arg(4), {b, h, query}));
      // delta = sum of P dP: equal to the usual sum of dO O, but made of the
      // very numbers that it is taken from, so that a row which sees one key
      // has a gradient of exactly 0.
      Value delta = tiles.overKeys(
          query, begin, end, {k.full(row, 0.0)},
          [&](Value j, bool masked, ValueRange carried) {
            Value e = k.map({k.load(row, p, {r, j}), lse}, k.f32(),
                            [](ScalarBuilder &s, ValueRange a) {
                              return softmaxTerm(s, a[0], a[1]);
                            });
            if (masked)
              e = k.map({tiles.visible(query, j), e}, k.f32(),
                        [](ScalarBuilder &s, ValueRange a) {
                          return s.select(a[0], a[1], s.constant(0));
                        });
            k.store(e, p, {r, j});
            return Values{k.map({carried[0], e, k.load(row, ds, {r, j})},
                                k.f32(), [](ScalarBuilder &s, ValueRange a) {
                                  return s.add(a[0], s.mul(a[1], a[2]));
                                })};
          })[0];
      delta = k.broadcast(k.reduce(Combiner::Add, delta, 0), row, 0);
      k.loop(begin, end, s.columns, [&](Value j) {
        Value d = k.map(
            {k.load(row, p, {r, j}), k.load(row, ds, {r, j}), delta}, k.f32(),
            [&](ScalarBuilder &b, ValueRange a) {
              return b.mul(b.mul(a[0], b.sub(a[1], a[2])), b.constant(s.scale));
            });
        k.store(d, ds, {r, j});
      });
    });
    for (int64_t panel = 0; panel < s.widthPanels(); ++panel)
      tiles.microRows(rows, s.rows, [&](int64_t r, int64_t n) {
        Value dq = tiles.weighted(ds, r, n, keysAlong, panel, begin, end);
        int64_t left = std::min(s.columns, s.width - panel * s.columns);
        Value to = tiles.head(k.arg(in.size()), b, k.add(i, r), h, n, s.width);
        k.store(dq, to, {zero, k.index(panel * s.columns)},
                left < s.columns ? Values{k.index(n), k.index(left)}
                                 : Values{});
      });
    // dV += P^T dO and dK += dS^T Q, a few keys at a time.
    RegType t = k.rows({keyRows, s.columns}, k.f32());
    auto transposed = [&](Value sum, Value left, Value along, int64_t panels) {
      k.loop(begin, end, keyRows, [&](Value j) {
        Value a = k.view(left, {zero, j}, {rows, keyRows}, ArrayRef<int64_t>{});
        for (int64_t panel = 0; panel < panels; ++panel) {
          Value c = k.view(along, {k.index(panel), zero, zero},
                           {rows, s.columns}, ArrayRef<int64_t>{0});
          Values at{k.index(panel), j, zero};
          k.store(k.mma(a, c, k.load(t, sum, at), /*transposeA=*/true), sum,
                  at);
        }
      });
    };
    transposed(dv, p, gradsAlong, s.valuePanels());
    transposed(dk, ds, queriesAlong, s.widthPanels());
  };
  int64_t perGroup = s.heads / s.groups, rest = s.queries % count;
  k.loop(0, perGroup, 1, [&](Value member) {
    Value h = k.add(k.mul(g, perGroup), member);
    if (s.queries >= count)
      k.loop(0, s.queries - rest, count,
             [&](Value i) { queries(h, i, count); });
    if (rest)
      queries(h, k.index(s.queries - rest), rest);
  });

  auto write = [&](Value sum, unsigned result, int64_t width, int64_t panels) {
    k.loop(zero, exist, 1, [&](Value r) {
      for (int64_t panel = 0; panel < panels; ++panel) {
        int64_t left = std::min(s.columns, width - panel * s.columns);
        k.store(k.load(row, sum, {k.index(panel), r, zero}),
                k.arg(in.size() + result),
                {b, r, g, k.index(panel * s.columns)},
                left < s.columns ? Values{k.index(left)} : Values{});
      }
    });
  };
  write(dk, 1, s.width, s.widthPanels());
  write(dv, 2, s.valueWidth, s.valuePanels());
  op->replaceAllUsesWith(
      context.dispatch(op, k, operands, op->getResultTypes()));
  op->erase();
  return success();
}

} // namespace bitbyte::tile
