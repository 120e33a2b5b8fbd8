//===- SsdTiles.cpp - What both directions of SSD share -------------------===//
#include "passes/tile/SsdTiles.h"

using namespace mlir;

namespace bitbyte::tile {

SsdSizes ssdSizes(const KernelTarget &target, Value x, Value b,
                  bb::DimAttr chunk) {
  auto rows = cast<bb::GraphTensorType>(x.getType());
  auto groups = cast<bb::GraphTensorType>(b.getType());
  SsdSizes s;
  s.batch = *rows.dim(0).constant();
  s.length = *rows.dim(1).constant();
  s.heads = *rows.dim(2).constant();
  s.width = *rows.dim(3).constant();
  s.groups = *groups.dim(2).constant();
  s.states = *groups.dim(3).constant();
  s.chunk = std::min(*chunk.constant(), s.length);
  s.lanes = target.lanes;
  // Chunks and states are multiples of 8, mostly: with 8 rows no micro-tile is
  // half empty, and the steps below the diagonal are finer. Fewer than the
  // registers of AVX2 take would leave its multipliers waiting.
  s.rows = target.registers >= 32 && !target.isGpu ? 8 : target.mmaRows;
  s.columns = target.mmaColumns;
  return s;
}

SsdTiles::SsdTiles(KernelBuilder &k, const SsdSizes &sizes, Value b, Value h)
    : k(k), s(sizes), tile(k.rows({sizes.rows, sizes.columns}, k.f32())),
      row(k.row(sizes.columns, k.f32())), zero(k.index(0)), b(b), h(h),
      group(k.div(h, s.headsPerGroup())) {}

SsdTiles::SsdTiles(KernelBuilder &k, const SsdSizes &sizes)
    : SsdTiles(k, sizes, k.div(k.program(), sizes.heads),
               k.rem(k.program(), sizes.heads)) {
  dt = allocVector();
  sums = allocVector();
  fromStart = allocVector();
  toEnd = allocVector();
}

Value SsdTiles::allocRows(int64_t rows, int64_t columns) {
  return k.alloc({s.padded(rows), s.padded(columns)}, k.f32());
}
Value SsdTiles::allocPanels(int64_t rows, int64_t columns) {
  return k.alloc({(int64_t)llvm::divideCeil(columns, s.columns), s.padded(rows),
                  s.columns},
                 k.f32());
}

void SsdTiles::eachRow(function_ref<void(Value, bool)> body) {
  k.loop(zero, count, 1, [&](Value t) { body(t, true); });
  k.loop(count, k.index(s.padded(s.chunk)), 1,
         [&](Value t) { body(t, false); });
}

void SsdTiles::enter(Value start) {
  t0 = start;
  count = k.min(k.sub(k.index(s.length), t0), k.index(s.chunk));
}

void SsdTiles::enter(Value start, Value steps, Value decay) {
  enter(start);
  Value a = k.loadScalar(k.f32(), decay, {h});
  ScalarBuilder zeros(k.builder, k.loc);
  Value none = zeros.constant(0);
  Value sum = k.loop(zero, count, 1, {none}, [&](Value t, ValueRange carried) {
    Value step = k.loadScalar(k.f32(), steps, {b, k.add(t0, t), h});
    ScalarBuilder scalar(k.builder, k.loc);
    Value next = scalar.add(scalar.mul(step, a), carried[0]);
    k.storeScalar(step, dt, {t});
    k.storeScalar(next, sums, {t});
    return Values{next};
  })[0];
  // Steps of 0 behind the end: nothing decays there.
  k.loop(count, k.index(s.padded(s.chunk)), 1, [&](Value t) {
    k.storeScalar(none, dt, {t});
    k.storeScalar(sum, sums, {t});
  });
  k.loop(0, s.padded(s.chunk), s.columns, [&](Value t) {
    Values made = k.map({k.load(row, sums, {t})}, {k.f32(), k.f32()},
                        [&](ScalarBuilder &s, ValueRange v) {
                          return Values{s.exp(v[0]), s.exp(s.sub(sum, v[0]))};
                        });
    k.store(made[0], fromStart, {t});
    k.store(made[1], toEnd, {t});
  });
  whole = k.loadScalar(k.f32(), fromStart, {k.index(s.padded(s.chunk) - 1)});
}

void SsdTiles::loadRows(Value tensor, Value head, int64_t width, Value factors,
                        Value toRows, Value toPanels) {
  Value source = k.view(tensor, {b, zero, head, zero}, {s.length, width},
                        ArrayRef<int64_t>{0, 2});
  int64_t panels = llvm::divideCeil(width, s.columns);
  eachRow([&](Value t, bool exists) {
    Value factor =
        factors && exists ? k.loadScalar(k.f32(), factors, {t}) : Value();
    for (int64_t p = 0; p < panels; ++p) {
      Value at = k.index(p * s.columns);
      int64_t left = std::min(s.columns, width - p * s.columns);
      Value x =
          exists ? k.load(row, source, {k.add(t0, t), at},
                          left < s.columns ? Values{k.index(left)} : Values{})
                 : k.full(row, 0.0);
      if (factor)
        x = scaledBy(x, factor);
      if (toRows)
        k.store(x, toRows, {t, at});
      if (toPanels)
        k.store(x, toPanels, {k.index(p), t, zero});
    }
    // Products take whole micro-tiles of a transposed left side.
    if (toRows)
      for (int64_t c = panels * s.columns; c < s.padded(width); c += s.columns)
        k.store(k.full(row, 0.0), toRows, {t, k.index(c)});
  });
}

void SsdTiles::across(Value from, int64_t rows, int64_t columns, Value to) {
  RegType square = k.rows({s.lanes, s.lanes}, k.f32());
  k.loop(0, llvm::alignTo(rows, s.columns), s.lanes, [&](Value r) {
    k.loop(0, llvm::alignTo(columns, s.lanes), s.lanes, [&](Value c) {
      Value x = k.transpose(k.load(square, from, {r, c}), square);
      k.store(x, to, {k.div(r, s.columns), c, k.rem(r, s.columns)});
    });
  });
}

void SsdTiles::transposePanels(Value from, int64_t rows, int64_t columns,
                               Value to) {
  RegType square = k.rows({s.lanes, s.lanes}, k.f32());
  k.loop(0, llvm::alignTo(rows, s.columns), s.lanes, [&](Value r) {
    k.loop(0, llvm::alignTo(columns, s.columns), s.lanes, [&](Value c) {
      Value x =
          k.load(square, from, {k.div(c, s.columns), r, k.rem(c, s.columns)});
      k.store(k.transpose(x, square), to,
              {k.div(r, s.columns), c, k.rem(r, s.columns)});
    });
  });
}

void SsdTiles::loadState(Value tensor, ValueRange at, Value to) {
  int64_t panels = llvm::divideCeil(s.width, s.columns);
  k.loop(0, s.states, 1, [&](Value n) {
    for (int64_t p = 0; p < panels; ++p) {
      int64_t left = std::min(s.columns, s.width - p * s.columns);
      Values from(at);
      from.append({n, k.index(p * s.columns)});
      k.store(k.load(row, tensor, from,
                     left < s.columns ? Values{k.index(left)} : Values{}),
              to, {k.index(p), n, zero});
    }
  });
}

void SsdTiles::storeState(Value from, Value tensor, ValueRange at) {
  int64_t panels = llvm::divideCeil(s.width, s.columns);
  k.loop(0, s.states, 1, [&](Value n) {
    for (int64_t p = 0; p < panels; ++p) {
      int64_t left = std::min(s.columns, s.width - p * s.columns);
      Values to(at);
      to.append({n, k.index(p * s.columns)});
      k.store(k.load(row, from, {k.index(p), n, zero}), tensor, to,
              left < s.columns ? Values{k.index(left)} : Values{});
    }
  });
}

void SsdTiles::scaleRows(Value panels, Value factors) {
  ArrayRef<int64_t> shape = cast<BufType>(panels.getType()).getShape();
  k.loop(zero, count, 1, [&](Value t) {
    Value factor = k.loadScalar(k.f32(), factors, {t});
    for (int64_t p = 0; p < shape[0]; ++p) {
      Values at{k.index(p), t, zero};
      k.store(scaledBy(k.load(row, panels, at), factor), panels, at);
    }
  });
}

void SsdTiles::clear(Value scratch) {
  ArrayRef<int64_t> shape = cast<BufType>(scratch.getType()).getShape();
  k.loop(0, shape[0], 1, [&](Value p) {
    k.loop(0, shape[1], 1,
           [&](Value r) { k.store(k.full(row, 0.0), scratch, {p, r, zero}); });
  });
}

void SsdTiles::clearRows(Value scratch) {
  ArrayRef<int64_t> shape = cast<BufType>(scratch.getType()).getShape();
  k.loop(0, shape[0], 1, [&](Value r) {
    k.loop(0, shape[1], s.columns,
           [&](Value c) { k.store(k.full(row, 0.0), scratch, {r, c}); });
  });
}

void SsdTiles::eachScore(Value scores,
                         function_ref<void(Value, Value, Value)> use) {
  int64_t padded = s.padded(s.chunk);
  Value mine = k.view(scores, {b, k.div(t0, s.chunk), group, zero, zero},
                      {padded, padded}, ArrayRef<int64_t>{0, 1, 2});
  k.loop(0, llvm::alignTo(s.chunk, s.rows), s.rows, [&](Value r) {
    Value behind = k.add(k.div(k.add(r, s.rows - 1), s.columns), 1);
    k.loop(zero, k.min(k.index(llvm::divideCeil(s.chunk, s.columns)), behind),
           1, [&](Value panel) {
             use(r, panel, k.load(tile, mine, {r, column(panel)}));
           });
  });
}

void SsdTiles::product(int64_t m, int64_t c, int64_t depth, Value a,
                       bool transposed, Value right, Causal causal,
                       function_ref<Value(Value, Value)> init,
                       function_ref<void(Value, Value, Value)> use) {
  auto multiply = [&](Value r, Value panel, Value from, int64_t depth,
                      Value sum) {
    Value left =
        transposed ? k.view(a, {from, r}, {depth, s.rows}, ArrayRef<int64_t>{})
                   : k.view(a, {r, from}, {s.rows, depth}, ArrayRef<int64_t>{});
    Value b = k.view(right, {panel, from, zero}, {depth, s.columns},
                     ArrayRef<int64_t>{0});
    return k.mma(left, b, sum, transposed);
  };
  int64_t panels = llvm::divideCeil(c, s.columns);
  k.loop(0, llvm::alignTo(m, s.rows), s.rows, [&](Value r) {
    // Panels of columns up to the one that row r + rows - 1 lies in.
    Value behind = k.add(k.div(k.add(r, s.rows - 1), s.columns), 1);
    Value end = k.index(panels);
    if (causal == Causal::result)
      end = k.min(end, behind);
    k.loop(zero, end, 1, [&](Value panel) {
      Value sum = init(r, panel);
      if (causal == Causal::no || causal == Causal::result)
        return use(r, panel, multiply(r, panel, zero, depth, sum));
      // The depth in steps of a panel's width; what lies behind is 0.
      Value whole = k.index(llvm::divideCeil(depth, s.columns));
      Value first = causal == Causal::across ? k.div(r, s.columns) : zero,
            last = causal == Causal::across ? whole : k.min(whole, behind);
      sum = k.loop(first, last, 1, {sum}, [&](Value step, ValueRange carried) {
        return Values{multiply(r, panel, column(step), s.columns, carried[0])};
      })[0];
      use(r, panel, sum);
    });
  });
}

Value sharedScores(ScheduleContext &context, Operation *at, const SsdSizes &s,
                   Value b, Value c) {
  if (s.headsPerGroup() == 1 || s.chunk < s.rows)
    return {};
  int64_t q = s.chunk, n = s.states, padded = s.padded(q), bytes = 0;
  auto type = temporary(at->getContext(),
                        {s.batch, s.chunks(), s.groups, padded, padded});
  SmallVector<BufType> in;
  for (Value v : {b, c}) {
    in.push_back(bufferOf(v));
    bytes += byteCount(cast<bb::GraphTensorType>(v.getType()));
  }
  auto made =
      context.kernel(at->getLoc(), "ssd_scores", in, {denseBuffer(type)},
                     s.batch * s.chunks() * s.groups);
  KernelBuilder &k = *made;
  k.setCost(s.batch * s.length * s.groups * (q + s.columns) * n,
            bytes + byteCount(type));
  SmallVector<Value> place =
      k.delinearize(k.program(), {s.batch, s.chunks(), s.groups});
  SsdTiles tiles(k, s, place[0], k.mul(place[2], s.headsPerGroup()));
  tiles.enter(k.mul(place[1], q));
  Value rows = tiles.allocRows(q, n), across = tiles.allocPanels(n, q);
  tiles.loadRows(k.arg(0), tiles.group, n, {}, rows, {});
  tiles.across(rows, q, n, across);
  tiles.loadRows(k.arg(1), tiles.group, n, {}, rows, {});
  Values at0(place);
  at0.append({tiles.zero, tiles.zero});
  Value to =
      k.view(k.arg(2), at0, {padded, padded}, ArrayRef<int64_t>{0, 1, 2});
  tiles.product(
      q, q, n, rows, false, across, Causal::result,
      [&](Value, Value) { return k.full(tiles.tile, 0.0); },
      [&](Value r, Value panel, Value sum) {
        k.store(sum, to, {r, tiles.column(panel)});
      });
  return context.dispatch(at, k, {b, c}, {type})[0];
}

Value SsdTiles::rowNumbers(Value vector, Value r) {
  return k.broadcast(k.load(k.replicated({s.rows}, k.f32()), vector, {r}), tile,
                     1);
}
Value SsdTiles::decayed(Value product, Value r, Value panel) {
  Value later = k.toI32(k.sub(column(panel), r)); // how much j is ahead of i
  return k.map({product, rowNumbers(sums, r),
                k.broadcast(k.load(row, sums, {column(panel)}), tile, 0),
                k.iota(tile.withElement(k.i32()), 0),
                k.iota(tile.withElement(k.i32()), 1)},
               k.f32(), [&](ScalarBuilder &s, ValueRange v) {
                 Value sees =
                     s.less(s.add(v[4], later), s.add(v[3], s.integer(1)));
                 return s.select(sees, s.mul(v[0], s.exp(s.sub(v[1], v[2]))),
                                 s.constant(0));
               });
}
Value SsdTiles::scaled(Value value, Value factors) {
  return k.map({value, factors}, k.f32(), [](ScalarBuilder &s, ValueRange v) {
    return s.mul(v[0], v[1]);
  });
}
Value SsdTiles::scaledBy(Value value, Value scalar) {
  return k.map({value}, k.f32(), [&](ScalarBuilder &s, ValueRange v) {
    return s.mul(v[0], scalar);
  });
}

} // namespace bitbyte::tile
