//===- FlashAttentionGrad.cpp - Gradients of attention on tensor cores ----===//
//
// Two kernels, so that every sum has one owner and one order and no atomics are
// needed (FlashAttention-2 adds to dQ from the programs of all keys; here both
// compute P and dP again, seven products in place of five).
//
// For queries: S = Q K^T, P = exp(S scale - lse), dP = dO V^T,
// dS = P (dP - delta), dQ += dS K. For keys, all transposed, so that P^T and
// dS^T lie in registers as left operands: S^T = K Q^T, dV += P^T dO,
// dP^T = V dO^T, dK += dS^T Q, over the queries of each head of the group.
//
// delta is the diagonal of dO O^T, made by the instructions that make dP: see
// docs/rationale/attention-delta.md.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/gpu/FlashAttention.h"
#include "passes/tile/gpu/FlashTiles.h"

using namespace mlir;

namespace bitbyte::tile {

namespace {

/// The first one that is wide enough and has no more rows than `rows` fill.
std::optional<FlashShape> pick(ArrayRef<FlashShape> shapes, int64_t width,
                               int64_t rows) {
  std::optional<FlashShape> chosen;
  for (const FlashShape &shape : shapes) {
    if (shape.width < width || (chosen && chosen->width != shape.width))
      continue;
    chosen = shape;
    if (shape.rows <= 16 || shape.rows < 2 * rows)
      break;
  }
  return chosen;
}

std::optional<FlashShape> queryShape(const AttentionSizes &s, bool isBf16) {
  static constexpr FlashShape bf16[] = {
      {64, 64, 64, 4, 2, true},   {64, 16, 64, 1, 2, true},
      {128, 64, 32, 4, 2, false}, {128, 16, 32, 1, 2, false},
      {256, 32, 16, 2, 1, false}, {256, 16, 16, 1, 1, false}};
  static constexpr FlashShape f32[] = {{64, 64, 32, 4, 1, false},
                                       {64, 16, 32, 1, 1, false},
                                       {128, 32, 16, 2, 1, false},
                                       {128, 16, 16, 1, 1, false}};
  return pick(isBf16 ? ArrayRef(bf16) : ArrayRef(f32),
              std::max(s.width, s.valueWidth), s.queries);
}

std::optional<FlashShape> keyShape(const AttentionSizes &s, bool isBf16) {
  static constexpr FlashShape bf16[] = {
      {64, 64, 64, 4, 2, true},   {64, 16, 64, 1, 2, true},
      {128, 64, 32, 4, 2, false}, {128, 16, 32, 1, 2, false},
      {256, 32, 16, 2, 1, false}, {256, 16, 16, 1, 1, false}};
  static constexpr FlashShape f32[] = {{64, 64, 16, 4, 1, false},
                                       {64, 16, 16, 1, 1, false},
                                       {128, 32, 16, 2, 1, false},
                                       {128, 16, 16, 1, 1, false}};
  return pick(isBf16 ? ArrayRef(bf16) : ArrayRef(f32),
              std::max(s.width, s.valueWidth), s.keys);
}

bb::GraphTensorType typeOf(Value v) {
  return cast<bb::GraphTensorType>(v.getType());
}

class Backward {
public:
  Backward(ScheduleContext &context, bb::AttentionGradOp op,
           const AttentionSizes &s)
      : context(context), op(op), s(s),
        element(typeOf(op.getQ()).getElement()) {}

  /// `apart`: dK and dV take a kernel each, since the sums of both do not fit
  /// the registers.
  void run(const FlashShape &ofQueries, const FlashShape &ofKeys, bool apart) {
    bb::GraphTensorType delta =
        temporary(op.getContext(), {s.batch, s.heads, s.queries});
    Values first = dispatch(
        ofQueries,
        {op.getQ(), op.getK(), op.getV(), op.getLse(), op.getDy(), op.getY()},
        {typeOf(op->getResult(0)), delta}, s.heads, s.queries,
        3 * s.width + s.valueWidth,
        [&](KernelBuilder &k, FlashTiles &f, Values place) {
          queries(k, f, ofQueries, place);
        });
    Values operands{op.getQ(),   op.getK(),  op.getV(),
                    op.getLse(), op.getDy(), first[1]};
    auto sums = [&](bool ofK, bool ofV) {
      SmallVector<bb::GraphTensorType> types;
      if (ofK)
        types.push_back(typeOf(op->getResult(1)));
      if (ofV)
        types.push_back(typeOf(op->getResult(2)));
      return dispatch(ofKeys, operands, types, s.groups, s.keys,
                      (ofK ? 2 * s.width + s.valueWidth : s.width) +
                          (ofV ? s.valueWidth : 0),
                      [&](KernelBuilder &k, FlashTiles &f, Values place) {
                        keys(k, f, ofKeys, place, ofK, ofV);
                      });
    };
    Values second;
    if (apart) {
      second = sums(true, false);
      llvm::append_range(second, sums(false, true));
    } else {
      second = sums(true, true);
    }
    op->replaceAllUsesWith(Values{first[0], second[0], second[1]});
    op->erase();
  }

private:
  /// A kernel with a program per tile of `rows` rows of a head; `body` gets
  /// batch, head and first row.
  Values
  dispatch(const FlashShape &shape, Values operands,
           ArrayRef<bb::GraphTensorType> results, int64_t heads, int64_t rows,
           int64_t products,
           function_ref<void(KernelBuilder &, FlashTiles &, Values)> body) {
    SmallVector<BufType> in, out;
    SmallVector<Type> types;
    int64_t bytes = 0;
    for (Value v : operands) {
      in.push_back(bufferOf(v));
      bytes += byteCount(typeOf(v));
    }
    for (bb::GraphTensorType type : results) {
      out.push_back(denseBuffer(type));
      types.push_back(type);
      bytes += byteCount(type);
    }
    int64_t tiles = llvm::divideCeil(rows, shape.rows);
    auto made = context.kernel(op.getLoc(), "attention_grad", in, out,
                               s.batch * heads * tiles);
    KernelBuilder &k = *made;
    k.setWarps(shape.warps, shape.minBlocks);
    k.setCost(
        int64_t(2 * s.batch * s.heads * visiblePairs(s, false) * products),
        bytes);
    FlashTiles f(k, s, shape, element);
    Values place = k.delinearize(k.program(), {s.batch, heads, tiles});
    body(k, f, place);
    return context.dispatch(op, k, operands, types);
  }

  /// What fills one stage of a ring, and what a step does with it.
  using Fill = function_ref<void(Value number, Value stage)>;
  using Step = function_ref<Values(Value number, Value stage, ValueRange)>;
  /// Steps 0 to `count`, each copied while the one before is computed.
  Values overRing(KernelBuilder &k, Value count, ValueRange init, Fill fill,
                  Step step) {
    k.when(k.less(k.index(0), count), [&] { fill(k.index(0), k.index(0)); });
    k.commit();
    Values result =
        k.loop(k.index(0), count, 1, init, [&](Value n, ValueRange carried) {
          k.wait(0); // the stage is there, and all have left the other one
          Value next = k.add(n, 1);
          k.when(k.less(next, count), [&] { fill(next, k.rem(next, 2)); });
          k.commit();
          return step(n, k.rem(n, 2), carried);
        });
    k.wait(0);
    return result;
  }

  Value power(KernelBuilder &k, Value x, Value lse) {
    return k.map({x, lse}, k.f32(), [&](ScalarBuilder &b, ValueRange a) {
      return b.exp2(b.sub(b.mul(a[0], b.constant(s.scale * kLog2E)), a[1]));
    });
  }
  Value times(KernelBuilder &k, Value x, double factor) {
    return k.map({x}, k.f32(), [&](ScalarBuilder &b, ValueRange a) {
      return b.mul(a[0], b.constant(factor));
    });
  }
  /// P (dP - delta).
  Value scoreGradient(KernelBuilder &k, Value p, Value dp, Value delta) {
    return k.map({p, dp, delta}, k.f32(), [](ScalarBuilder &b, ValueRange a) {
      return b.mul(a[0], b.sub(a[1], a[2]));
    });
  }

  /// dQ and delta of a tile of queries.
  void queries(KernelBuilder &k, FlashTiles &f, const FlashShape &shape,
               Values place) {
    Value b = place[0], h = place[1], g = k.div(h, s.heads / s.groups);
    int64_t tiles = llvm::divideCeil(s.queries, shape.rows);
    Value i = k.mul(k.sub(k.index(tiles - 1), place[2]), shape.rows);
    FlashTiles::Range range = f.rangeOf(
        [&](Value row) { return f.keysOf(row); }, i, s.queries, s.keys);
    Span seen = f.spansOf(
        [&](ScalarBuilder &b, Value row) { return f.keysOf(b, row); }, i);
    RegType row = f.rowVector(k.f32()), scores = f.accumulator(shape.columns);

    Value sq = f.alloc(shape.rows, s.width),
          sd = f.alloc(shape.rows, s.valueWidth),
          so = f.alloc(shape.rows, s.valueWidth);
    f.copy(k.arg(0), b, i, h, sq);
    f.copy(k.arg(4), b, i, h, sd);
    f.copy(k.arg(5), b, i, h, so);
    k.commit();
    Values rowEnd = f.rowBounds(i, s.queries, shape.rows);
    Value lse = times(k, k.load(row, k.arg(3), {b, h, i}, rowEnd), kLog2E);
    k.wait(0);
    Value q = f.own(sq, s.width), d = f.own(sd, s.valueWidth);
    RegType square = f.accumulator(shape.rows);
    Value diagonal =
        k.map({k.mma(d, so, k.full(square, 0.0), false, true),
               k.iota(square, 0), k.iota(square, 1)},
              k.f32(), [](ScalarBuilder &b, ValueRange a) {
                Value equal = arith::CmpIOp::create(
                    b.builder, b.loc, arith::CmpIPredicate::eq, a[1], a[2]);
                return b.select(equal, a[0], b.constant(0));
              });
    Value delta = k.reduce(Combiner::Add, diagonal, 1);
    k.store(delta, k.arg(7), {b, h, i}, rowEnd);
    k.barrier(); // what was read is free for the ring

    Value keyRing = f.alloc(shape.columns, s.width, 2),
          valueRing = f.alloc(shape.columns, s.valueWidth, 2);
    Value count = k.div(k.add(k.max(k.sub(range.end, range.begin), k.index(0)),
                              shape.columns - 1),
                        shape.columns);
    auto keyAt = [&](Value n) {
      return k.add(range.begin, k.mul(n, shape.columns));
    };
    Value zero = k.full(f.accumulator(llvm::alignTo(s.width, 16)), 0.0);
    Value dq = overRing(
        k, count, {zero},
        [&](Value n, Value stage) {
          f.copy(k.arg(1), b, keyAt(n), g, f.stage(keyRing, stage));
          f.copy(k.arg(2), b, keyAt(n), g, f.stage(valueRing, stage));
        },
        [&](Value n, Value stage, ValueRange carried) {
          Value keys = f.stage(keyRing, stage),
                values = f.stage(valueRing, stage);
          Value x = k.mma(q, keys, k.full(scores, 0.0), false, true);
          Value p = f.masked(power(k, x, k.broadcast(lse, scores, 1)), range,
                             keyAt(n), seen, 0);
          Value dp = k.mma(d, values, k.full(scores, 0.0), false, true);
          Value ds = scoreGradient(k, p, dp, k.broadcast(delta, scores, 1));
          return Values{k.mma(ds, keys, carried[0])};
        })[0];
    f.write(dq, k.full(row, s.scale), k.arg(6), b, i, h);
  }

  /// dK and dV of a tile of keys, or one of the two.
  void keys(KernelBuilder &k, FlashTiles &f, const FlashShape &shape,
            Values place, bool ofK, bool ofV) {
    Value b = place[0], g = place[1], j = k.mul(place[2], shape.rows);
    int64_t perGroup = s.heads / s.groups;
    FlashTiles::Range range = f.rangeOf(
        [&](Value row) { return f.queriesOf(row); }, j, s.keys, s.queries);
    Span seen = f.spansOf(
        [&](ScalarBuilder &b, Value row) { return f.queriesOf(b, row); }, j);
    RegType scores = f.accumulator(shape.columns),
            column = f.columnVector(k.f32());

    Value own = f.alloc(shape.rows, s.width), ownValues;
    f.copy(k.arg(1), b, j, g, own);
    if (ofK) {
      ownValues = f.alloc(shape.rows, s.valueWidth);
      f.copy(k.arg(2), b, j, g, ownValues);
    }
    if (shape.held) { // else they come with the first step's copies
      k.commit();
      k.wait(0);
      own = f.own(own, s.width);
      if (ofK)
        ownValues = f.own(ownValues, s.valueWidth);
      k.barrier(); // what was read is free for the ring
    }

    Value queryRing = f.alloc(shape.columns, s.width, 2),
          gradRing = f.alloc(shape.columns, s.valueWidth, 2);
    // lse and delta of the columns, a row each.
    BufType pair = BufType::get(op.getContext(), {2, 2, shape.columns}, k.f32(),
                                Space::Scratch, Attribute());
    Value rowRing = k.alloc(pair.getShape(), k.f32());
    Value tiles = k.div(k.add(k.max(k.sub(range.end, range.begin), k.index(0)),
                              shape.columns - 1),
                        shape.columns);
    auto headAt = [&](Value n) {
      return perGroup == 1 ? g : k.add(k.mul(g, perGroup), k.div(n, tiles));
    };
    auto queryAt = [&](Value n) {
      Value tile = perGroup == 1 ? n : k.rem(n, tiles);
      return k.add(range.begin, k.mul(tile, shape.columns));
    };
    auto copyRow = [&](unsigned argument, Value h, Value i, Value stage,
                       int64_t which) {
      Value all = k.view(k.arg(argument), {b, h, k.index(0)}, {1, s.queries},
                         ArrayRef<int64_t>{0});
      Values bounds;
      if (s.queries % shape.columns)
        bounds = {k.index(1), k.sub(k.index(s.queries), i)};
      k.copyAsync(all, {k.index(0), i},
                  k.view(rowRing, {stage, k.index(which), k.index(0)},
                         {1, shape.columns}, ArrayRef<int64_t>{0}),
                  bounds);
    };
    Values zeros;
    if (ofK)
      zeros.push_back(k.full(f.accumulator(llvm::alignTo(s.width, 16)), 0.0));
    if (ofV)
      zeros.push_back(
          k.full(f.accumulator(llvm::alignTo(s.valueWidth, 16)), 0.0));
    Values sums = overRing(
        k, k.mul(tiles, perGroup), zeros,
        [&](Value n, Value stage) {
          Value h = headAt(n), i = queryAt(n);
          f.copy(k.arg(0), b, i, h, f.stage(queryRing, stage));
          f.copy(k.arg(4), b, i, h, f.stage(gradRing, stage));
          copyRow(3, h, i, stage, 0);
          copyRow(5, h, i, stage, 1);
        },
        [&](Value n, Value stage, ValueRange carried) {
          Value q = f.stage(queryRing, stage), d = f.stage(gradRing, stage);
          auto rowOf = [&](int64_t which) {
            return k.load(column, rowRing, {stage, k.index(which), k.index(0)});
          };
          Value x = k.mma(own, q, k.full(scores, 0.0), false, true);
          Value lse = times(k, rowOf(0), kLog2E);
          // Queries that do not exist have lse 0, dO 0 and delta 0: P is finite
          // and adds nothing.
          Value p = f.masked(power(k, x, k.broadcast(lse, scores, 0)), range,
                             queryAt(n), seen, 0);
          Values next;
          Value dv = ofV ? k.mma(p, d, carried.back()) : Value();
          if (ofK) {
            Value dp = k.mma(ownValues, d, k.full(scores, 0.0), false, true);
            Value ds =
                scoreGradient(k, p, dp, k.broadcast(rowOf(1), scores, 0));
            next.push_back(k.mma(ds, q, carried[0]));
          }
          if (ofV)
            next.push_back(dv);
          return next;
        });
    RegType row = f.rowVector(k.f32());
    if (ofK)
      f.write(sums[0], k.full(row, s.scale), k.arg(6), b, j, g);
    if (ofK && ofV)
      k.barrier(); // the second takes the scratch of the first
    if (ofV)
      f.write(sums.back(), k.full(row, 1), k.arg(ofK ? 7 : 6), b, j, g);
  }

  ScheduleContext &context;
  bb::AttentionGradOp op;
  const AttentionSizes &s;
  Type element;
};

} // namespace

bool scheduleFlashAttentionGrad(ScheduleContext &context,
                                bb::AttentionGradOp op) {
  AttentionSizes s = attentionSizes(context.target, op);
  if (!fitsFlash(s, {op.getQ(), op.getK(), op.getV(), op.getY(), op.getDy(),
                     op->getResult(0), op->getResult(1), op->getResult(2)}))
    return false;
  bool isBf16 = typeOf(op.getQ()).getElement().isBF16();
  std::optional<FlashShape> ofQueries = queryShape(s, isBf16),
                            ofKeys = keyShape(s, isBf16);
  if (!ofQueries || !ofKeys)
    return false;
  bool apart = std::max(s.width, s.valueWidth) > (isBf16 ? 128 : 64);
  Backward(context, op, s).run(*ofQueries, *ofKeys, apart);
  return true;
}

} // namespace bitbyte::tile
