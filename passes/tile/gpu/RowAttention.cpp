//===- RowAttention.cpp - Attention on a GPU, a warp to a row -------------===//
//
// The general form: forward of one query, mixed types, heads too large for
// registers; the rest goes to FlashAttention.cpp. A warp owns a query: scores
// with the keys along the lanes into scratch, softmax, then the sum of the
// values with the columns along the lanes. The gradients of keys and values
// take a kernel of their own, in which a warp owns a key; so every sum has one
// owner and one order.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/AttentionTiles.h"
#include "passes/tile/gpu/FlashAttention.h"

#include <cmath>

using namespace mlir;

namespace bitbyte::tile {

namespace {

bb::GraphTensorType tensorOf(Value v) {
  return cast<bb::GraphTensorType>(v.getType());
}

int64_t bytesOf(ValueRange values) {
  int64_t sum = 0;
  for (Value v : values)
    sum += byteCount(tensorOf(v));
  return sum;
}

/// What a warp does with rows of heads.
class Rows {
public:
  Rows(KernelBuilder &k, const AttentionSizes &s) : k(k), s(s) {}

  /// Column `d` of a head of a [B, T, H, D] tensor: [T].
  Value column(Value tensor, Value b, Value h, Value d, int64_t rows) {
    return k.view(tensor, {b, k.index(0), h, d}, {rows},
                  ArrayRef<int64_t>{0, 2, 3});
  }
  /// sum over d of one[b, i, h1, d] many[b, j + lane, h2, d], for 32 rows of
  /// `many`; those from `rows` on are 0.
  Value products(Value one, Value b, Value i, Value h1, Value many, Value h2,
                 Value j, int64_t rows, int64_t width) {
    RegType type = k.row(s.columns, k.f32());
    Values bounds;
    if (rows % s.columns)
      bounds.push_back(k.sub(k.index(rows), j));
    return k.loop(
        0, width, 1, {k.full(type, 0.0)}, [&](Value d, ValueRange sum) {
          Value x = k.loadScalar(k.f32(), one, {b, i, h1, d});
          Value y = k.load(type, column(many, b, h2, d, rows), {j}, bounds);
          return Values{
              k.map({sum[0], y}, k.f32(), [&](ScalarBuilder &s, ValueRange a) {
                return s.add(a[0], s.mul(x, a[1]));
              })};
        })[0];
  }
  /// sum over j in [begin, end) of weights[j] tensor[b, j, h, :], `width` long.
  Value weighted(Value init, Value weights, Value tensor, Value b, Value h,
                 int64_t width, Value begin, Value end) {
    auto type = cast<RegType>(init.getType());
    return k.loop(begin, end, 1, {init}, [&](Value j, ValueRange sum) {
      Value p = k.loadScalar(k.f32(), weights, {j});
      Value row = k.load(type, tensor, {b, j, h, k.index(0)}, bounds(width));
      return Values{
          k.map({sum[0], row}, k.f32(), [&](ScalarBuilder &s, ValueRange a) {
            return s.add(a[0], s.mul(p, a[1]));
          })};
    })[0];
  }
  RegType rowOf(int64_t width) {
    return k.row(llvm::alignTo(width, s.lanes), k.f32());
  }
  Values bounds(int64_t width) {
    return width % s.lanes ? Values{k.index(width)} : Values{};
  }
  Value times(Value x, double factor) {
    return k.map({x}, k.f32(), [&](ScalarBuilder &s, ValueRange a) {
      return s.mul(a[0], s.constant(factor));
    });
  }
  Value select(Value condition, Value x, double otherwise) {
    return k.map({condition, x}, k.f32(), [&](ScalarBuilder &s, ValueRange a) {
      return s.select(a[0], a[1], s.constant(otherwise));
    });
  }
  /// exp(x - y).
  Value power(Value x, Value y) {
    return k.map({x, y}, k.f32(), [](ScalarBuilder &s, ValueRange a) {
      return s.exp(s.sub(a[0], a[1]));
    });
  }
  Value plus(Value x, Value y) {
    return k.map({x, y}, k.f32(), [](ScalarBuilder &s, ValueRange a) {
      return s.add(a[0], a[1]);
    });
  }
  /// Whether the queries [i, i + 32) see key `j`.
  Value seenBy(Value i, Value j) {
    RegType ints = k.row(s.columns, k.i32());
    Value first = k.toI32(i), key = k.toI32(j);
    return k.map(
        {k.iota(ints, 0)}, k.builder.getI1Type(),
        [&](ScalarBuilder &b, ValueRange a) {
          Value query = b.add(a[0], first);
          Value seen = b.less(query, b.integer(s.queries));
          auto require = [&](Value x, Value y) {
            seen = arith::AndIOp::create(b.builder, b.loc, seen, b.less(x, y));
          };
          if (s.causal)
            require(key, b.add(query, b.integer(1)));
          if (s.window > 0)
            require(b.sub(query, b.integer(s.window)), key);
          if (s.block > 0) {
            Value start =
                b.sub(query, arith::RemSIOp::create(b.builder, b.loc, query,
                                                    b.integer(s.block)));
            require(b.sub(start, b.integer(1)), key);
            if (!s.causal)
              require(key, b.add(start, b.integer(s.block)));
          }
          return seen;
        });
  }

private:
  KernelBuilder &k;
  const AttentionSizes &s;
};

} // namespace

LogicalResult scheduleGpuAttention(ScheduleContext &context,
                                   bb::AttentionOp op) {
  if (op.getBuckets() || op.getValid())
    return op.emitOpError("with buckets or a padding mask has no schedule for ")
           << context.target.name;
  if (scheduleFlashAttention(context, op))
    return success();
  AttentionSizes s = attentionSizes(context.target, op);
  Values operands{op.getQ(), op.getK(), op.getV()};
  SmallVector<BufType> in, out;
  for (Value v : operands)
    in.push_back(bufferOf(v));
  if (op.getAt()) {
    operands.push_back(op.getAt());
    in.push_back(flatBuffer(tensorOf(op.getAt())));
  }
  for (Value v : op->getResults())
    out.push_back(denseBuffer(tensorOf(v)));
  auto made = context.kernel(op.getLoc(), "attention", in, out,
                             s.batch * s.heads * s.queries);
  KernelBuilder &k = *made;
  k.setVector(1);
  k.setCost(int64_t(2 * s.batch * s.heads * visiblePairs(s, !!op.getAt()) *
                    (s.width + s.valueWidth)),
            bytesOf(operands) + bytesOf(op->getResults()));
  AttentionTiles tiles(k, s);
  Rows rows(k, s);
  if (op.getAt())
    tiles.position = k.toIndex(k.loadScalar(k.i32(), k.arg(3), {k.index(0)}));
  Values place = k.delinearize(k.program(), {s.batch, s.heads, s.queries});
  Value b = place[0], h = place[1], i = place[2],
        g = k.div(h, s.heads / s.groups);
  Value begin = tiles.firstKey(i), end = tiles.endKey(i, 1);
  Value scores = k.alloc({s.paddedKeys()}, k.f32());
  RegType row = tiles.keyRow();
  Value top = tiles.overKeys(
      i, begin, end, {k.full(row, -INFINITY)},
      [&](Value j, bool masked, ValueRange c) {
        Value x = rows.times(
            rows.products(k.arg(0), b, i, h, k.arg(1), g, j, s.keys, s.width),
            s.scale);
        if (masked)
          x = rows.select(tiles.visible(i, j), x, -INFINITY);
        k.store(x, scores, {j});
        return Values{
            k.map({c[0], x}, k.f32(), [](ScalarBuilder &s, ValueRange a) {
              return s.max(a[0], a[1]);
            })};
      })[0];
  Value most = k.reduce(Combiner::Max, top, 0),
        mostRow = k.broadcast(most, row, 0);
  Value sum = k.loop(begin, end, s.columns, {k.full(row, 0.0)},
                     [&](Value j, ValueRange c) {
                       Value e = rows.power(k.load(row, scores, {j}), mostRow);
                       k.store(e, scores, {j});
                       return Values{rows.plus(c[0], e)};
                     })[0];
  Value total = k.reduce(Combiner::Add, sum, 0);
  k.barrier(); // each lane reads all weights now
  RegType type = rows.rowOf(s.valueWidth);
  Value y = rows.weighted(k.full(type, 0.0), scores, k.arg(2), b, g,
                          s.valueWidth, begin, k.min(end, k.index(s.keys)));
  y = k.map({y, k.broadcast(total, type, 0)}, k.f32(),
            [](ScalarBuilder &s, ValueRange a) { return s.div(a[0], a[1]); });
  k.store(y, k.arg(in.size()), {b, i, h, k.index(0)},
          rows.bounds(s.valueWidth));
  if (op.getLse())
    k.store(k.map({most, total}, k.f32(),
                  [](ScalarBuilder &s, ValueRange a) {
                    return s.add(a[0], s.log(a[1]));
                  }),
            k.arg(in.size() + 1), {b, h, i});
  op->replaceAllUsesWith(
      context.dispatch(op, k, operands, op->getResultTypes()));
  op->erase();
  return success();
}

/// dQ, and delta = sum of P dP per row: see AttentionGrad.cpp.
static Values queryGradient(ScheduleContext &context, bb::AttentionGradOp op,
                            const AttentionSizes &s,
                            bb::GraphTensorType deltaType) {
  Values operands{op.getQ(), op.getK(), op.getV(), op.getLse(), op.getDy()};
  SmallVector<BufType> in;
  for (Value v : operands)
    in.push_back(bufferOf(v));
  bb::GraphTensorType type = tensorOf(op->getResult(0));
  auto made = context.kernel(op.getLoc(), "attention_grad", in,
                             {denseBuffer(type), denseBuffer(deltaType)},
                             s.batch * s.heads * s.queries);
  KernelBuilder &k = *made;
  k.setVector(1);
  k.setCost(int64_t(2 * s.batch * s.heads * visiblePairs(s, false) *
                    (2 * s.width + s.valueWidth)),
            bytesOf(operands) + byteCount(type) + byteCount(deltaType));
  AttentionTiles tiles(k, s);
  Rows rows(k, s);
  Values place = k.delinearize(k.program(), {s.batch, s.heads, s.queries});
  Value b = place[0], h = place[1], i = place[2],
        g = k.div(h, s.heads / s.groups);
  Value begin = tiles.firstKey(i), end = tiles.endKey(i, 1);
  Value p = k.alloc({s.paddedKeys()}, k.f32()),
        ds = k.alloc({s.paddedKeys()}, k.f32());
  RegType row = tiles.keyRow();
  Value lse = k.full(row, k.loadScalar(k.f32(), k.arg(3), {b, h, i}));
  Value sum = tiles.overKeys(
      i, begin, end, {k.full(row, 0.0)},
      [&](Value j, bool masked, ValueRange c) {
        Value x = rows.times(
            rows.products(k.arg(0), b, i, h, k.arg(1), g, j, s.keys, s.width),
            s.scale);
        Value e = rows.power(x, lse);
        if (masked)
          e = rows.select(tiles.visible(i, j), e, 0);
        Value dp = rows.products(k.arg(4), b, i, h, k.arg(2), g, j, s.keys,
                                 s.valueWidth);
        k.store(e, p, {j});
        k.store(dp, ds, {j});
        return Values{
            k.map({c[0], e, dp}, k.f32(), [](ScalarBuilder &s, ValueRange a) {
              return s.add(a[0], s.mul(a[1], a[2]));
            })};
      })[0];
  Value delta = k.reduce(Combiner::Add, sum, 0),
        deltaRow = k.broadcast(delta, row, 0);
  k.loop(begin, end, s.columns, [&](Value j) {
    Value d = k.map({k.load(row, p, {j}), k.load(row, ds, {j}), deltaRow},
                    k.f32(), [&](ScalarBuilder &b, ValueRange a) {
                      return b.mul(b.mul(a[0], b.sub(a[1], a[2])),
                                   b.constant(s.scale));
                    });
    k.store(d, ds, {j});
  });
  k.barrier(); // each lane reads all weights now
  Value dq = rows.weighted(k.full(rows.rowOf(s.width), 0.0), ds, k.arg(1), b, g,
                           s.width, begin, k.min(end, k.index(s.keys)));
  k.store(dq, k.arg(5), {b, i, h, k.index(0)}, rows.bounds(s.width));
  k.store(delta, k.arg(6), {b, h, i});
  return context.dispatch(op, k, operands, {type, deltaType});
}

/// dK and dV.
static Values keyGradient(ScheduleContext &context, bb::AttentionGradOp op,
                          const AttentionSizes &s, Value deltas) {
  Values operands{op.getQ(),   op.getK(),  op.getV(),
                  op.getLse(), op.getDy(), deltas};
  SmallVector<BufType> in, out;
  for (Value v : operands)
    in.push_back(bufferOf(v));
  auto results = op->getResults().drop_front();
  for (Value v : results)
    out.push_back(denseBuffer(tensorOf(v)));
  auto made = context.kernel(op.getLoc(), "attention_grad", in, out,
                             s.batch * s.groups * s.keys);
  KernelBuilder &k = *made;
  k.setVector(1);
  k.setCost(int64_t(2 * s.batch * s.heads * visiblePairs(s, false) *
                    (2 * s.width + 2 * s.valueWidth)),
            bytesOf(operands) + bytesOf(results));
  Rows rows(k, s);
  Values place = k.delinearize(k.program(), {s.batch, s.groups, s.keys});
  Value b = place[0], g = place[1], j = place[2];
  int64_t padded = llvm::alignTo(s.queries, s.columns);
  Value p = k.alloc({padded}, k.f32()), ds = k.alloc({padded}, k.f32());
  // The queries that may see the key, from a whole tile on.
  Value begin = s.causal      ? j
                : s.block > 0 ? k.mul(k.div(j, s.block), s.block)
                              : k.index(0);
  begin = k.mul(k.div(begin, s.columns), s.columns);
  Value end = k.index(s.queries);
  if (s.window > 0)
    end = k.min(end, k.add(j, s.window));
  if (s.block > 0)
    end = k.min(end, k.mul(k.add(k.div(j, s.block), 1), s.block));
  int64_t perGroup = s.heads / s.groups;
  RegType row = k.row(s.columns, k.f32());
  Values sums = k.loop(
      0, perGroup, 1,
      {k.full(rows.rowOf(s.width), 0.0), k.full(rows.rowOf(s.valueWidth), 0.0)},
      [&](Value member, ValueRange carried) {
        Value h = k.add(k.mul(g, perGroup), member);
        k.loop(begin, end, s.columns, [&](Value i) {
          Values bounds;
          if (s.queries % s.columns)
            bounds.push_back(k.sub(k.index(s.queries), i));
          Value x = rows.times(rows.products(k.arg(1), b, j, g, k.arg(0), h, i,
                                             s.queries, s.width),
                               s.scale);
          Value dp = rows.products(k.arg(2), b, j, g, k.arg(4), h, i, s.queries,
                                   s.valueWidth);
          Value e = rows.power(x, k.load(row, k.arg(3), {b, h, i}, bounds));
          e = rows.select(rows.seenBy(i, j), e, 0);
          Value d = k.map({e, dp, k.load(row, k.arg(5), {b, h, i}, bounds)},
                          k.f32(), [&](ScalarBuilder &b, ValueRange a) {
                            return b.mul(b.mul(a[0], b.sub(a[1], a[2])),
                                         b.constant(s.scale));
                          });
          k.store(e, p, {i});
          k.store(d, ds, {i});
        });
        k.barrier(); // each lane reads all weights now
        Values next{
            rows.weighted(carried[0], ds, k.arg(0), b, h, s.width, begin, end),
            rows.weighted(carried[1], p, k.arg(4), b, h, s.valueWidth, begin,
                          end)};
        k.barrier(); // before the next head's weights
        return next;
      });
  k.store(sums[0], k.arg(6), {b, j, g, k.index(0)}, rows.bounds(s.width));
  k.store(sums[1], k.arg(7), {b, j, g, k.index(0)}, rows.bounds(s.valueWidth));
  SmallVector<Type> types(results.getTypes());
  return context.dispatch(op, k, operands, types);
}

LogicalResult scheduleGpuAttentionGrad(ScheduleContext &context,
                                       bb::AttentionGradOp op) {
  if (scheduleFlashAttentionGrad(context, op))
    return success();
  AttentionSizes s = attentionSizes(context.target, op);
  bb::GraphTensorType deltaType =
      temporary(op.getContext(), {s.batch, s.heads, s.queries});
  Values first = queryGradient(context, op, s, deltaType);
  Values second = keyGradient(context, op, s, first[1]);
  op->replaceAllUsesWith(Values{first[0], second[0], second[1]});
  op->erase();
  return success();
}

} // namespace bitbyte::tile
