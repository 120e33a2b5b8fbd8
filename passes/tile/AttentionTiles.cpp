//===- AttentionTiles.cpp - What both directions of attention share -------===//
#include "passes/tile/AttentionTiles.h"

#include <cmath>

using namespace mlir;

namespace bitbyte::tile {

double visiblePairs(const AttentionSizes &s, bool ring) {
  double seen = s.causal && !ring ? (s.keys + 1) / 2.0 : s.keys;
  if (s.window > 0)
    seen = std::min<double>(seen, s.window);
  return seen * s.queries;
}

Value softmaxTerm(ScalarBuilder &b, Value score, Value top) {
  return b.exp2(b.mul(b.sub(score, top), b.constant(kLog2E)));
}

Value AttentionTiles::head(Value tensor, Value b, Value row, Value h,
                           int64_t count, int64_t width) {
  return k.view(tensor, {b, row, h, k.index(0)}, {count, width},
                ArrayRef<int64_t>{0, 2});
}

Value AttentionTiles::allocAcross(int64_t width) {
  return k.alloc({s.paddedKeys() / s.columns,
                  (int64_t)llvm::alignTo(width, s.lanes), s.columns},
                 k.f32());
}
void AttentionTiles::packAcross(Value scratch, Value tensor, Value b, Value g,
                                int64_t width, Value end, double factor) {
  RegType square = k.rows({s.lanes, s.lanes}, k.f32());
  bool ragged = s.keys % s.columns != 0 || width % s.lanes != 0;
  Value matrix = head(tensor, b, k.index(0), g, s.keys, width);
  k.loop(k.index(0), end, s.columns, [&](Value j) {
    Value panel = k.div(j, s.columns);
    for (int64_t c = 0; c < s.columns; c += s.lanes)
      k.loop(0, llvm::alignTo(width, s.lanes), s.lanes, [&](Value d) {
        Values bounds;
        Value key = k.add(j, c);
        if (ragged)
          bounds = {k.max(k.sub(k.index(s.keys), key), k.index(0)),
                    k.sub(k.index(width), d)};
        Value x = k.transpose(k.load(square, matrix, {key, d}, bounds), square);
        if (factor != 1)
          x = k.map({x}, k.f32(), [&](ScalarBuilder &b, ValueRange a) {
            return b.mul(a[0], b.constant(factor));
          });
        k.store(x, scratch, {panel, d, k.index(c)});
      });
  });
}

Value AttentionTiles::allocAlong(int64_t width, int64_t rows) {
  return k.alloc({(int64_t)llvm::divideCeil(width, s.columns), rows, s.columns},
                 k.f32());
}
void AttentionTiles::packAlong(Value scratch, Value tensor, Value b, Value row,
                               Value h, int64_t width, int64_t exist,
                               Value begin, Value end) {
  RegType type = keyRow();
  int64_t panels = llvm::divideCeil(width, s.columns);
  k.loop(begin, end, 1, [&](Value r) {
    Value at = k.add(row, r);
    for (int64_t p = 0; p < panels; ++p) {
      int64_t left = std::min(s.columns, width - p * s.columns);
      Value source = k.view(tensor, {b, k.index(0), h, k.index(0)},
                            {exist, width}, ArrayRef<int64_t>{0, 2});
      Values bounds;
      if (left < s.columns)
        bounds = {k.index(left)};
      k.store(k.load(type, source, {at, k.index(p * s.columns)}, bounds),
              scratch, {k.index(p), r, k.index(0)});
    }
  });
}

void AttentionTiles::microRows(int64_t count, int64_t step,
                               function_ref<void(int64_t, int64_t)> tile) {
  for (int64_t r = 0; r < count; r += step)
    tile(r, std::min(step, count - r));
}

void AttentionTiles::scores(Value out, Value left, Value across, int64_t count,
                            int64_t width, Value begin, Value end) {
  Value zero = k.index(0);
  k.loop(begin, end, s.columns, [&](Value j) {
    Value b = k.view(across, {k.div(j, s.columns), zero, zero},
                     {width, s.columns}, ArrayRef<int64_t>{0});
    microRows(count, s.rows, [&](int64_t r, int64_t rows) {
      Value a =
          k.view(left, {k.index(r), zero}, {rows, width}, ArrayRef<int64_t>{});
      k.store(k.mma(a, b, k.full(k.rows({rows, s.columns}, k.f32()), 0.0)), out,
              {k.index(r), j});
    });
  });
}

Value AttentionTiles::weighted(Value left, int64_t r0, int64_t rows,
                               Value along, int64_t panel, Value begin,
                               Value end) {
  RegType type = k.rows({rows, s.columns}, k.f32());
  return k.loop(
      begin, end, s.columns, {k.full(type, 0.0)}, [&](Value j, ValueRange sum) {
        Value a = k.view(left, {k.index(r0), j}, {rows, s.columns},
                         ArrayRef<int64_t>{});
        Value b = k.view(along, {k.index(panel), j, k.index(0)},
                         {s.columns, s.columns}, ArrayRef<int64_t>{0});
        return Values{k.mma(a, b, sum[0])};
      })[0];
}

Value AttentionTiles::endKey(Value first, int64_t count) {
  Value padded = k.index(s.paddedKeys());
  if (position) { // slots beyond the newest position are empty
    Value newest = k.add(position, s.queries);
    return k.min(padded, k.mul(k.div(k.add(newest, s.columns - 1), s.columns),
                               s.columns));
  }
  if (!s.causal && s.block == 0)
    return padded;
  Value end = k.add(first, count); // of the last row's own key, or of its block
  if (!s.causal)
    end = k.mul(k.add(k.div(k.sub(end, 1), s.block), 1), s.block);
  end = k.add(end, s.columns - 1);
  return k.min(padded, k.mul(k.div(end, s.columns), s.columns));
}
Value AttentionTiles::firstKey(Value first) {
  if (position || !s.hasLowerEdge())
    return k.index(0);
  Value low = k.index(0);
  if (s.window > 0)
    low = k.max(low, k.sub(k.add(first, 1), s.window));
  if (s.block > 0)
    low = k.max(low, k.mul(k.div(first, s.block), s.block));
  return k.mul(k.div(low, s.columns), s.columns);
}

Value AttentionTiles::visible(Value row, Value j) {
  RegType ints = keyRow().withElement(k.i32());
  Value query = k.toI32(position ? k.add(position, row) : row),
        base = k.toI32(j);
  Value newest = position ? k.toI32(k.add(position, s.queries - 1)) : Value();
  return k.map(
      {k.iota(ints, 0)}, k.builder.getI1Type(),
      [&](ScalarBuilder &b, ValueRange a) {
        auto less = [&](Value x, Value y) { return b.less(x, y); };
        auto both = [&](Value x, Value y) -> Value {
          return arith::AndIOp::create(b.builder, b.loc, x, y);
        };
        Value slot = b.add(a[0], base), key = slot;
        Value seen = less(slot, b.integer(s.keys));
        if (newest) { // the newest position that lies in this slot
          Value back = b.sub(newest, slot);
          Value capacity = b.integer(s.keys);
          Value lap = arith::RemSIOp::create(
              b.builder, b.loc,
              b.add(arith::RemSIOp::create(b.builder, b.loc, back, capacity),
                    capacity),
              capacity);
          key = b.sub(newest, lap);
          seen = both(seen, less(b.integer(-1), key));
        }
        if (s.causal)
          seen = both(seen, less(key, b.add(query, b.integer(1))));
        if (s.window > 0)
          seen = both(seen, less(b.sub(query, b.integer(s.window)), key));
        if (s.block > 0) {
          Value start =
              b.sub(query, arith::RemSIOp::create(b.builder, b.loc, query,
                                                  b.integer(s.block)));
          seen = both(seen, less(b.sub(start, b.integer(1)), key));
          if (!s.causal)
            seen = both(seen, less(key, b.add(start, b.integer(s.block))));
        }
        return seen;
      });
}

Values
AttentionTiles::overKeys(Value row, Value begin, Value end, Values init,
                         function_ref<Values(Value, bool, ValueRange)> f) {
  if (position || s.hasLowerEdge())
    return k.loop(
        begin, end, s.columns, init,
        [&](Value j, ValueRange carried) { return f(j, true, carried); });
  // All keys of the tiles before the row's own are visible.
  Value open = s.causal ? k.mul(k.div(k.add(row, 1), s.columns), s.columns)
                        : k.index(s.keys / s.columns * s.columns);
  open = k.min(open, end);
  Values carried =
      k.loop(begin, open, s.columns, init,
             [&](Value j, ValueRange c) { return f(j, false, c); });
  return k.loop(open, end, s.columns, carried,
                [&](Value j, ValueRange c) { return f(j, true, c); });
}

} // namespace bitbyte::tile
