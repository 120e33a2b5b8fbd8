//===- FlashTiles.cpp - What tiled attention's kernels share --------------===//
#include "passes/tile/gpu/FlashTiles.h"
#include "passes/tile/gpu/Fragments.h"

#include <numeric>

using namespace mlir;

namespace bitbyte::tile {

bool fitsFlash(const AttentionSizes &s, ValueRange tensors) {
  // The running maximum is that of products, so they must not change sign.
  if (s.scale <= 0)
    return false;
  auto elementOf = [](Value v) {
    return cast<bb::GraphTensorType>(v.getType()).getElement();
  };
  Type element = elementOf(tensors[0]);
  return (element.isBF16() || element.isF32()) &&
         llvm::all_of(tensors,
                      [&](Value v) { return elementOf(v) == element; });
}

//===-- Tiles -------------------------------------------------------------===//

RegType FlashTiles::accumulator(int64_t columns) const {
  MLIRContext *context = element.getContext();
  return RegType::get(
      context, {shape.rows, columns}, Float32Type::get(context),
      accumulatorLayout(context, shape.rows, columns, shape.warps, 1));
}

Value FlashTiles::alloc(int64_t rows, int64_t width, int64_t stages) {
  BufType type = stagedBuffer(stages, rows, llvm::alignTo(width, 16), element);
  return k.alloc(type.getShape(), element, type.getLayout());
}

Value FlashTiles::stage(Value ring, Value number) {
  return k.view(ring, {number},
                cast<BufType>(ring.getType()).getShape().drop_front());
}

void FlashTiles::copy(Value tensor, Value b, Value row, Value h, Value to) {
  ArrayRef<int64_t> shape = cast<BufType>(tensor.getType()).getShape(),
                    tile = cast<BufType>(to.getType()).getShape();
  int64_t count = shape[1], width = shape[3];
  Value head = k.view(tensor, {b, k.index(0), h, k.index(0)}, {count, width},
                      ArrayRef<int64_t>{0, 2});
  Values bounds;
  if (count % tile[0] || width != tile[1])
    bounds = {count % tile[0] ? k.sub(k.index(count), row) : k.index(tile[0]),
              k.index(width)};
  k.copyAsync(head, {row, k.index(0)}, to, bounds);
}

Value FlashTiles::own(Value scratch, int64_t width) {
  if (!shape.held)
    return scratch;
  return k.load(accumulator(llvm::alignTo(width, 16)).withElement(element),
                scratch, {k.index(0), k.index(0)});
}

Values FlashTiles::rowBounds(Value row, int64_t exist, int64_t tile) {
  return exist % tile ? Values{k.sub(k.index(exist), row)} : Values{};
}

void FlashTiles::write(Value sum, Value perRow, Value tensor, Value b,
                       Value row, Value h) {
  auto type = cast<RegType>(sum.getType());
  ArrayRef<int64_t> global = cast<BufType>(tensor.getType()).getShape();
  int64_t count = global[1], heads = global[2], width = global[3];
  int64_t columns = type.getShape()[1];
  sum = k.map({sum, k.broadcast(perRow, type, 1)}, k.f32(),
              [](ScalarBuilder &s, ValueRange a) { return s.mul(a[0], a[1]); });
  Value buffer = alloc(shape.rows, columns);
  Values origin{k.index(0), k.index(0)};
  k.store(sum, buffer, origin);
  k.barrier();
  int64_t run = std::gcd(std::gcd(heads * width, width),
                         int64_t(128 / element.getIntOrFloatBitWidth()));
  auto runs = RegType::get(
      element.getContext(), type.getShape(), element,
      runsLayout(element.getContext(), shape.rows, columns, run, shape.warps));
  Value head = k.view(tensor, {b, k.index(0), h, k.index(0)}, {count, width},
                      ArrayRef<int64_t>{0, 2});
  Values bounds;
  if (count % shape.rows || width != columns)
    bounds = {count % shape.rows ? k.sub(k.index(count), row)
                                 : k.index(shape.rows),
              k.index(width)};
  k.store(k.load(runs, buffer, origin), head, {row, k.index(0)}, bounds);
}

//===-- Who sees whom -----------------------------------------------------===//

static Value number(KernelBuilder &k, int64_t n) { return k.index(n); }
static Value number(ScalarBuilder &s, int64_t n) { return s.integer(n); }

/// The larger, or the smaller, of two that may be null.
template <typename Builder>
static Value later(Builder &b, Value x, Value y) {
  return !x ? y : !y ? x : b.max(x, y);
}
template <typename Builder>
static Value earlier(Builder &b, Value x, Value y) {
  return !x ? y : !y ? x : b.min(x, y);
}
/// The first of its block.
template <typename Builder>
static Value blockStart(Builder &b, Value x, int64_t block) {
  return b.mul(b.div(x, number(b, block)), number(b, block));
}

template <typename Builder>
Span FlashTiles::keySpan(Builder &b, Value query, Value newest) {
  Span span;
  if (newest) // slots that nothing was put into have negative positions
    span = {number(b, 0), newest};
  else if (!s.causal || s.keys < s.queries)
    span.high = number(b, s.keys - 1);
  if (s.causal)
    span.high = newest ? query : earlier(b, span.high, query);
  if (s.window > 0)
    span.low =
        later(b, span.low,
              b.max(b.sub(query, number(b, s.window - 1)), number(b, 0)));
  if (s.block > 0) {
    Value start = blockStart(b, query, s.block);
    span.low = later(b, span.low, start);
    if (!s.causal)
      span.high = earlier(b, span.high, b.add(start, number(b, s.block - 1)));
  }
  return span;
}

template <typename Builder>
Span FlashTiles::querySpan(Builder &b, Value key) {
  // Queries that do not exist are rows of zeros with a zero gradient: they add
  // nothing, seen or not.
  Span span;
  if (s.causal)
    span.low = key;
  if (s.window > 0)
    span.high = b.add(key, number(b, s.window - 1));
  if (s.block > 0) {
    Value start = blockStart(b, key, s.block);
    span.high = earlier(b, span.high, b.add(start, number(b, s.block - 1)));
    if (!s.causal)
      span.low = start;
  }
  return span;
}

Span FlashTiles::keysOf(Value query) { return keySpan(k, query, {}); }
Span FlashTiles::keysOf(ScalarBuilder &b, Value query, Value newest) {
  return keySpan(b, query, newest);
}
Span FlashTiles::queriesOf(Value key) { return querySpan(k, key); }
Span FlashTiles::queriesOf(ScalarBuilder &b, Value key) {
  return querySpan(b, key);
}

FlashTiles::Range FlashTiles::rangeOf(function_ref<Span(Value)> span, Value row,
                                      int64_t rowCount, int64_t columnCount) {
  Value lastRow = k.add(row, shape.rows - 1);
  if (rowCount % shape.rows)
    lastRow = k.min(lastRow, k.index(rowCount - 1));
  Span first = span(row), last = span(lastRow);
  Range range;
  range.begin = first.low
                    ? k.mul(k.div(first.low, shape.columns), shape.columns)
                    : k.index(0);
  range.end = k.index(columnCount);
  if (last.high)
    range.end = k.min(range.end, k.add(last.high, 1));
  range.low = last.low;
  range.high = first.high;
  return range;
}

Span FlashTiles::spansOf(function_ref<Span(ScalarBuilder &, Value)> span,
                         Value row) {
  Value first = k.toI32(row);
  Value rows = k.iota(rowVector(k.i32()), 0);
  bool hasLow = false, hasHigh = false;
  auto both =
      k.map({rows}, {k.i32(), k.i32()}, [&](ScalarBuilder &b, ValueRange a) {
        Value at = b.add(a[0], first);
        Span of = span(b, at);
        hasLow = !!of.low;
        hasHigh = !!of.high;
        return Values{hasLow ? of.low : at, hasHigh ? of.high : at};
      });
  return {hasLow ? both[0] : Value(), hasHigh ? both[1] : Value()};
}

Value FlashTiles::masked(Value x, const Range &range, Value j,
                         const Span &rowSpan, double otherwise, Value keys) {
  if (!rowSpan.low && !rowSpan.high)
    return x;
  auto type = cast<RegType>(x.getType());
  auto mask = [&]() -> Values {
    Values inputs{x};
    Value first; // of the columns; those of a ring have numbers of their own
    if (!keys)
      first = k.toI32(j);
    inputs.push_back(
        k.broadcast(keys ? keys : k.iota(columnVector(k.i32()), 0), type, 0));
    // Relative to the tile's first column, which is then a constant away.
    auto addRow = [&](Value rows) {
      if (first)
        rows = k.map({rows}, k.i32(), [&](ScalarBuilder &b, ValueRange a) {
          return b.sub(a[0], first);
        });
      inputs.push_back(k.broadcast(rows, type, 1));
    };
    if (rowSpan.low)
      addRow(rowSpan.low);
    if (rowSpan.high)
      addRow(rowSpan.high);
    return {k.map(inputs, k.f32(), [&](ScalarBuilder &b, ValueRange a) {
      Value y = a[0];
      if (rowSpan.low)
        y = b.select(b.less(a[1], a[2]), b.constant(otherwise), y);
      if (rowSpan.high)
        y = b.select(b.less(a.back(), a[1]), b.constant(otherwise), y);
      return y;
    })};
  };
  if (keys)
    return mask()[0];
  Value some;
  auto either = [&](Value condition) {
    some = some ? arith::OrIOp::create(k.builder, k.loc, some, condition)
                      .getResult()
                : condition;
  };
  if (range.low)
    either(k.less(j, range.low));
  if (range.high)
    either(k.less(range.high, k.add(j, shape.columns - 1)));
  return k.branch(some, {x.getType()}, mask, [&] { return Values{x}; })[0];
}

} // namespace bitbyte::tile
