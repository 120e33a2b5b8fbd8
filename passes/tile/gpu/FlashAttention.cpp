//===- FlashAttention.cpp - Attention on tensor cores ---------------------===//
//
// FlashAttention-2 (Dao 2023, algorithm 1): a program owns a tile of queries of
// one head and passes over the keys that they see. Scores, the running maximum
// and sum, and the output stay in registers; the weights, as the product left
// them, are the left operand of the next one. Keys and values come through
// scratch by asynchronous copies: a value tile during the scores of its keys,
// the next keys during the rest.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/gpu/FlashAttention.h"
#include "passes/tile/gpu/FlashTiles.h"

#include <cmath>

using namespace mlir;

namespace bitbyte::tile {

namespace {

/// In order of preference: the first one that is wide enough, has no more rows
/// than queries fill, and makes a wave of programs.
std::optional<FlashShape> forwardShape(const AttentionSizes &s, bool isBf16) {
  static constexpr FlashShape bf16[] = {
      {64, 128, 64, 4, 2, true},   {64, 64, 64, 4, 2, true},
      {64, 32, 64, 2, 2, true},    {64, 16, 64, 1, 2, true},
      {128, 128, 32, 4, 2, false}, {128, 64, 64, 4, 2, true},
      {128, 32, 64, 2, 2, true},   {128, 16, 64, 1, 2, true},
      {256, 64, 32, 4, 1, false},  {256, 16, 32, 1, 1, false}};
  static constexpr FlashShape f32[] = {
      {64, 64, 32, 4, 2, false},  {64, 32, 32, 2, 2, false},
      {64, 16, 32, 1, 2, false},  {128, 64, 32, 4, 1, false},
      {128, 16, 32, 1, 1, false}, {256, 16, 16, 1, 1, false}};
  constexpr int64_t wave = 108; // multiprocessors of the smallest sm_80 board
  int64_t width = std::max(s.width, s.valueWidth);
  std::optional<FlashShape> chosen;
  for (const FlashShape &shape : isBf16 ? ArrayRef(bf16) : ArrayRef(f32)) {
    if (shape.width < width || (chosen && chosen->width != shape.width))
      continue;
    chosen = shape;
    int64_t tiles = llvm::divideCeil(s.queries, shape.rows);
    if ((shape.rows <= 16 || shape.rows < 2 * s.queries) &&
        (shape.rows <= 64 || s.batch * s.heads * tiles >= wave))
      break;
  }
  return chosen;
}

int64_t bytesOf(ValueRange values) {
  int64_t sum = 0;
  for (Value v : values)
    sum += byteCount(cast<bb::GraphTensorType>(v.getType()));
  return sum;
}

class Forward {
public:
  Forward(ScheduleContext &context, bb::AttentionOp op, const AttentionSizes &s,
          const FlashShape &shape)
      : context(context), op(op), s(s), shape(shape) {}

  void run() {
    auto typeOf = [](Value v) {
      return cast<bb::GraphTensorType>(v.getType());
    };
    Values operands{op.getQ(), op.getK(), op.getV()};
    SmallVector<BufType> in, out;
    for (Value v : operands)
      in.push_back(bufferOf(v));
    if (op.getAt()) {
      operands.push_back(op.getAt());
      in.push_back(flatBuffer(typeOf(op.getAt())));
    }
    for (Value v : op->getResults())
      out.push_back(denseBuffer(typeOf(v)));
    result = in.size();
    int64_t tiles = llvm::divideCeil(s.queries, shape.rows);
    made = context.kernel(op.getLoc(), "attention", in, out,
                          s.batch * s.heads * tiles);
    made->setWarps(shape.warps, shape.minBlocks);
    made->setCost(
        int64_t(2 * s.batch * s.heads * visiblePairs(s, !!op.getAt()) *
                (s.width + s.valueWidth)),
        bytesOf(operands) + bytesOf(op->getResults()));
    kernel(typeOf(op.getQ()).getElement(), tiles);
    op->replaceAllUsesWith(
        context.dispatch(op, *made, operands, op->getResultTypes()));
    op->erase();
  }

private:
  void kernel(Type element, int64_t tiles) {
    KernelBuilder &k = *made;
    FlashTiles f(k, s, shape, element);
    Value q = k.arg(0), keys = k.arg(1), values = k.arg(2);
    Values place = k.delinearize(k.program(), {s.batch, s.heads, tiles});
    Value b = place[0], h = place[1], g = k.div(h, s.heads / s.groups);
    // The tile that sees most first: its program ends last.
    Value i = k.mul(k.sub(k.index(tiles - 1), place[2]), shape.rows);

    FlashTiles::Range range;
    Span seen;
    Value position, newest;
    if (op.getAt()) {
      Value at = k.loadScalar(k.i32(), k.arg(3), {k.index(0)});
      position = k.toIndex(at);
      Value last = k.add(position, s.queries - 1);
      newest = k.toI32(last);
      range.begin = k.index(0); // slots beyond the newest position are empty
      range.end = k.min(k.index(s.keys), k.add(last, 1));
      seen = f.spansOf(
          [&](ScalarBuilder &b, Value row) { return f.keysOf(b, row, newest); },
          k.add(position, i));
    } else {
      range = f.rangeOf([&](Value row) { return f.keysOf(row); }, i, s.queries,
                        s.keys);
      seen = f.spansOf(
          [&](ScalarBuilder &b, Value row) { return f.keysOf(b, row); }, i);
    }

    Value sq = f.alloc(shape.rows, s.width),
          sk = f.alloc(shape.columns, s.width),
          sv = f.alloc(shape.columns, s.valueWidth);
    f.copy(q, b, i, h, sq);
    if (shape.held)
      k.commit(); // else they are wanted when the keys are
    f.copy(keys, b, range.begin, g, sk);
    k.commit();
    Value own = sq;
    if (shape.held) {
      k.wait(1);
      own = f.own(sq, s.width);
    }

    int64_t valueWidth = llvm::alignTo(s.valueWidth, 16);
    RegType scores = f.accumulator(shape.columns),
            output = f.accumulator(valueWidth), row = f.rowVector(k.f32());
    // Less than any score, but finite: what a row saw of a tile that it does
    // not see counts until its first score, whose factor for it is 0. A power
    // of two, so that its product with the scale is exact and cancels.
    constexpr double unseen = -0x1p100;
    double scale = s.scale * kLog2E;
    Values last = k.loop(
        range.begin, range.end, shape.columns,
        {k.full(output, 0.0), k.full(row, unseen), k.full(row, 0.0)},
        [&](Value j, ValueRange carried) {
          k.wait(0); // the keys are there, and all have left the values
          f.copy(values, b, j, g, sv);
          k.commit();
          Value x = k.mma(own, sk, k.full(scores, 0.0), false, true);
          k.wait(0); // the values are there, and all have left the keys
          Value next = k.add(j, shape.columns);
          k.when(k.less(next, range.end),
                 [&] { f.copy(keys, b, next, g, sk); });
          k.commit();
          x = f.masked(x, range, j, seen, unseen,
                       newest ? ringKeys(f, j, newest) : Value());
          Values top = k.map(
              {carried[1], k.reduce(Combiner::Max, x, 1)},
              {k.f32(), k.f32(), k.f32()}, [&](ScalarBuilder &b, ValueRange a) {
                Value most = b.max(a[0], a[1]), by = b.constant(scale);
                return Values{most, b.mul(most, by),
                              b.exp2(b.mul(b.sub(a[0], most), by))};
              });
          Value p = k.map({x, k.broadcast(top[1], scores, 1)}, k.f32(),
                          [&](ScalarBuilder &b, ValueRange a) {
                            return b.exp2(
                                b.sub(b.mul(a[0], b.constant(scale)), a[1]));
                          });
          Value sum = k.map({carried[2], top[2], k.reduce(Combiner::Add, p, 1)},
                            k.f32(), [](ScalarBuilder &b, ValueRange a) {
                              return b.add(b.mul(a[0], a[1]), a[2]);
                            });
          Value y = k.map(
              {carried[0], k.broadcast(top[2], output, 1)}, k.f32(),
              [](ScalarBuilder &b, ValueRange a) { return b.mul(a[0], a[1]); });
          return Values{k.mma(p, sv, y), top[0], sum};
        });
    k.wait(0);
    Value inverse =
        k.map({last[2]}, k.f32(), [](ScalarBuilder &b, ValueRange a) {
          return b.div(b.constant(1), a[0]);
        });
    f.write(last[0], inverse, k.arg(result), b, i, h);
    if (op.getLse())
      k.store(
          k.map({last[1], last[2]}, k.f32(),
                [&](ScalarBuilder &b, ValueRange a) {
                  return b.add(b.mul(a[0], b.constant(s.scale)), b.log(a[1]));
                }),
          k.arg(result + 1), {b, h, i}, f.rowBounds(i, s.queries, shape.rows));
  }

  /// The positions that lie in slots from `j` on; -1 where there is no slot.
  Value ringKeys(FlashTiles &f, Value j, Value newest) {
    KernelBuilder &k = *made;
    Value first = k.toI32(j);
    return k.map(
        {k.iota(f.columnVector(k.i32()), 0)}, k.i32(),
        [&](ScalarBuilder &b, ValueRange a) {
          Value slot = b.add(a[0], first), capacity = b.integer(s.keys);
          auto lap = [&](Value x) -> Value {
            return arith::RemSIOp::create(b.builder, b.loc, x, capacity);
          };
          Value back = lap(b.add(lap(b.sub(newest, slot)), capacity));
          return b.select(b.less(slot, capacity), b.sub(newest, back),
                          b.integer(-1));
        });
  }

  ScheduleContext &context;
  bb::AttentionOp op;
  const AttentionSizes &s;
  const FlashShape &shape;
  std::unique_ptr<KernelBuilder> made;
  unsigned result = 0; ///< the kernel's first result
};

} // namespace

bool scheduleFlashAttention(ScheduleContext &context, bb::AttentionOp op) {
  AttentionSizes s = attentionSizes(context.target, op);
  // One query is a product of a vector: a tile would be empty but for a row.
  if (s.queries == 1 ||
      !fitsFlash(s, {op.getQ(), op.getK(), op.getV(), op.getY()}))
    return false;
  bool isBf16 =
      cast<bb::GraphTensorType>(op.getQ().getType()).getElement().isBF16();
  std::optional<FlashShape> shape = forwardShape(s, isBf16);
  if (!shape)
    return false;
  Forward(context, op, s, *shape).run();
  return true;
}

} // namespace bitbyte::tile
