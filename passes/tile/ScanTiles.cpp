//===- ScanTiles.cpp - What convolution and scans share -------------------===//
#include "passes/tile/ScanTiles.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace bitbyte::tile {

ScanSizes scanSizes(const KernelTarget &target, Value x, Value a, int64_t chunk,
                    int64_t wide, int64_t registers) {
  auto rows = cast<bb::GraphTensorType>(x.getType());
  auto decay = cast<bb::GraphTensorType>(a.getType());
  ScanSizes s;
  s.batch = *rows.dim(0).constant();
  s.length = *rows.dim(1).constant();
  s.channels = *rows.dim(2).constant();
  s.states = *decay.dim(1).constant();
  s.chunk = std::min(chunk, s.length);
  s.lanes = target.lanes;
  s.scales = target.lanes == 16;
  s.wide = wide;
  while (s.columns() % s.wide)
    --s.wide;
  s.block = std::min(registers / s.wide, s.states);
  while (s.states % s.block)
    --s.block;
  return s;
}

void ScanTiles::eachColumn(Value d0, Value scratch,
                           function_ref<void(Value, Value, Values)> body) {
  int64_t rows = cast<BufType>(scratch.getType()).getShape()[0];
  for (int64_t w = 0; w < s.wide; ++w) {
    Value d = k.add(d0, w * s.lanes);
    Values bounds;
    if (s.channels % s.lanes)
      bounds = {k.sub(k.index(s.channels), d)};
    body(d,
         k.view(scratch, {k.index(0), k.index(w), k.index(0)}, {rows, s.lanes},
                ArrayRef<int64_t>{1}),
         bounds);
  }
}

void ScanTiles::loadDecays(Value matrix, Value d0, Value to) {
  RegType square = k.rows({s.lanes, s.lanes}, k.f32());
  eachColumn(d0, to, [&](Value d, Value part, Values) {
    k.loop(0, s.paddedStates(), s.lanes, [&](Value n) {
      Values bounds;
      if (s.channels % s.lanes || s.states % s.lanes)
        bounds = {k.sub(k.index(s.channels), d), k.sub(k.index(s.states), n)};
      Value x = k.transpose(k.load(square, matrix, {d, n}, bounds), square);
      x = k.map({x}, k.f32(), [&](ScalarBuilder &b, ValueRange v) {
        return b.mul(v[0], b.constant(kLog2E));
      });
      k.store(x, part, {n, k.index(0)});
    });
  });
}

void ScanTiles::sumLanes(Value from, Value to, ValueRange offsets) {
  RegType square = k.rows({s.lanes, s.lanes}, k.f32());
  k.loop(0, s.paddedStates(), s.lanes, [&](Value n) {
    Value x = k.load(square, from, {n, k.index(0)});
    Value sum = k.reduce(Combiner::Add, k.transpose(x, square), 0);
    Values at(offsets);
    at.push_back(n);
    k.store(sum, to, at,
            s.states % s.lanes ? Values{k.sub(k.index(s.states), n)}
                               : Values{});
  });
}

/// `offsets` with `row` added to the last, then `d`.
static Values rowAt(KernelBuilder &k, ValueRange offsets, Value row, Value d) {
  Values at(offsets);
  at.back() = k.add(at.back(), row);
  at.push_back(d);
  return at;
}

void ScanTiles::copyIn(Value tensor, ValueRange offsets, Value count, Value d0,
                       Value to) {
  RegType column = k.row(s.lanes, k.f32());
  k.loop(k.index(0), count, 1, [&](Value t) {
    eachColumn(d0, to, [&](Value d, Value part, Values bounds) {
      k.store(k.load(column, tensor, rowAt(k, offsets, t, d), bounds), part,
              {t, k.index(0)});
    });
  });
}

void ScanTiles::copyOut(Value from, Value tensor, ValueRange offsets,
                        Value count, Value d0) {
  RegType column = k.row(s.lanes, k.f32());
  k.loop(k.index(0), count, 1, [&](Value t) {
    eachColumn(d0, from, [&](Value d, Value part, Values bounds) {
      k.store(k.load(column, part, {t, k.index(0)}), tensor,
              rowAt(k, offsets, t, d), bounds);
    });
  });
}

void ScanTiles::clear(Value scratch, Value rows) {
  k.loop(k.index(0), rows, 1,
         [&](Value t) { k.store(k.full(row(), 0.0), scratch, at(t)); });
}

Value ScanTiles::rowOf(Value tensor, ValueRange offsets, Value d0) {
  Values at(offsets), bounds;
  at.push_back(d0);
  if (s.channels % s.lanes)
    bounds = {k.sub(k.index(s.channels), d0)};
  return k.broadcast(k.load(k.row(s.lanes, k.f32()), tensor, at, bounds), row(),
                     0);
}

void ScanTiles::storeRow(Value value, Value tensor, ValueRange offsets,
                         Value d0) {
  Values at(offsets), bounds;
  at.push_back(d0);
  if (s.channels % s.lanes)
    bounds = {k.sub(k.index(s.channels), d0)};
  k.store(k.reduce(Combiner::Add, value, 0), tensor, at, bounds);
}

void ScanTiles::prefetch(Value tensor, ValueRange offsets, Value d0) {
  Values at(offsets);
  at.push_back(d0);
  PrefetchOp::create(
      k.builder, k.loc,
      k.view(tensor, at, {std::min(s.channels, s.wide * s.lanes)},
             llvm::to_vector(llvm::seq<int64_t>(0, offsets.size()))));
}

Value ScanTiles::product(Value a, Value b) {
  return k.map({a, b}, k.f32(), [](ScalarBuilder &s, ValueRange v) {
    return s.mul(v[0], v[1]);
  });
}

Value ScanTiles::sum(Value a, Value b) {
  return k.map({a, b}, k.f32(), [](ScalarBuilder &s, ValueRange v) {
    return s.add(v[0], v[1]);
  });
}

static Value largerMagnitude(ScalarBuilder &s, Value x, Value most) {
  return s.max(math::AbsFOp::create(s.builder, s.loc, x), most);
}

Value ScanTiles::copySteps(Value dt, Value x, ValueRange offsets, Value count,
                           Value d0, Value toDt, Value toDtx, Value toX) {
  RegType column = k.row(s.lanes, k.f32());
  Values start;
  if (!s.scales)
    start.push_back(k.full(column, 0.0));
  Values most =
      k.loop(k.index(0), count, 1, start, [&](Value t, ValueRange carried) {
        Values most(carried);
        int64_t w = 0;
        eachColumn(d0, toDt, [&](Value d, Value, Values bounds) {
          Values from = rowAt(k, offsets, t, d);
          Value step = k.load(column, dt, from, bounds),
                input = k.load(column, x, from, bounds);
          for (Value &value : most)
            value = k.map({step, value}, k.f32(),
                          [](ScalarBuilder &s, ValueRange v) {
                            return largerMagnitude(s, v[0], v[1]);
                          });
          Values to{t, k.index(w++), k.index(0)};
          k.store(step, toDt, to);
          k.store(product(step, input), toDtx, to);
          if (toX)
            k.store(input, toX, to);
        });
        return most;
      });
  return most.empty() ? Value() : largestLane(most[0]);
}

Value ScanTiles::largest(Value scratch, Value rows) {
  if (s.scales)
    return {};
  Value most =
      k.loop(k.index(0), rows, 1, {k.full(row(), 0.0)},
             [&](Value t, ValueRange carried) {
               return Values{k.map({k.load(row(), scratch, at(t)), carried[0]},
                                   k.f32(), [](ScalarBuilder &s, ValueRange v) {
                                     return largerMagnitude(s, v[0], v[1]);
                                   })};
             })[0];
  return largestLane(k.reduce(Combiner::Max, most, 0));
}

Value ScanTiles::largestLane(Value column) {
  RegType type = k.row(s.lanes, k.f32());
  Value slot = k.alloc({s.lanes}, k.f32());
  Value most = k.broadcast(k.reduce(Combiner::Max, column, 0), type, 0);
  k.store(most, slot, {k.index(0)});
  return k.loadScalar(k.f32(), slot, {k.index(0)});
}

Value ScanTiles::everyChannel(Value tensor, Value b, Value t, Value n0) {
  Value numbers = k.load(k.replicated({s.block}, k.f32()), tensor, {b, t, n0});
  numbers = k.broadcast(numbers, k.replicated({s.block, s.wide}, k.f32()), 1);
  return k.broadcast(numbers, stateRows(), 2);
}

Value exp2(ScalarBuilder &s, Value x, const KernelTarget &target) {
  if (target.isGpu || target.lanes == 16)
    return s.exp2(x);
  // Adding this rounds to a whole number, which the low bits then hold.
  Value magic = s.constant(12582912.0); // 1.5 * 2^23
  x = s.min(s.max(x, s.constant(-126)), s.constant(127));
  Value shifted = s.add(x, magic);
  Value f = s.sub(x, s.sub(shifted, magic)), ff = s.mul(f, f);
  // 2^f for |f| <= 1/2 with 1 at 0, so that slow decays have no bias: minimax,
  // 2e-9 relative. Pairs of terms first: half of Horner's latency.
  auto pair = [&](double high, double low) {
    return s.add(s.mul(f, s.constant(high)), s.constant(low));
  };
  Value top = s.add(s.mul(ff, s.constant(1.535336096951563e-4)),
                    pair(1.3398875239989255e-3, 9.618437368106261e-3));
  top = s.add(s.mul(top, ff), pair(5.5503324688058756e-2, 0.24022647913463202));
  Value result = s.add(s.mul(top, ff), pair(0.6931472028563403, 1.0));
  Type i32 = s.builder.getI32Type();
  Value exponent = arith::ShLIOp::create(
      s.builder, s.loc,
      arith::BitcastOp::create(s.builder, s.loc, i32, shifted), s.integer(23));
  Value bits = arith::BitcastOp::create(s.builder, s.loc, i32, result);
  return arith::BitcastOp::create(s.builder, s.loc, s.builder.getF32Type(),
                                  s.add(bits, exponent));
}

//===-- What follows a convolution or a scan ------------------------------===//

/// 1 / (1 + exp(-x)).
static Value sigmoid(ScalarBuilder &s, Value x, const KernelTarget &target) {
  Value one = s.constant(1),
        power = exp2(s, s.mul(x, s.constant(-kLog2E)), target);
  return s.div(one, s.add(one, power));
}

Value silu(ScalarBuilder &s, Value x, const KernelTarget &target) {
  return s.mul(x, sigmoid(s, x, target));
}

std::pair<Value, Value> siluAndSlope(ScalarBuilder &s, Value x,
                                     const KernelTarget &target) {
  Value part = sigmoid(s, x, target), silu = s.mul(x, part),
        rest = s.sub(s.constant(1), part);
  return {silu, s.add(s.mul(silu, rest), part)};
}

Value finishScan(KernelBuilder &k, Value sum, Value x, Value skip, Value gate) {
  Values inputs{sum};
  if (skip)
    inputs.append({x, skip});
  if (gate)
    inputs.push_back(gate);
  if (inputs.size() == 1)
    return sum;
  return k.map(inputs, k.f32(), [&](ScalarBuilder &s, ValueRange v) {
    Value y = skip ? s.add(s.mul(v[1], v[2]), v[0]) : v[0];
    return gate ? s.mul(y, silu(s, v.back(), k.target)) : y;
  });
}

Values openGate(KernelBuilder &k, Value dy, Value gate) {
  return k.map({dy, gate}, {k.f32(), k.f32()},
               [&](ScalarBuilder &s, ValueRange v) {
                 auto [open, slope] = siluAndSlope(s, v[1], k.target);
                 return Values{s.mul(v[0], open), s.mul(v[0], slope)};
               });
}

//===-- Decays ------------------------------------------------------------===//

/// Exponents up to this need no clamping.
static constexpr double kCalm = 125;

/// 1.5 2^23: adding it rounds to a whole number, which the low bits then hold.
static constexpr double kMagic = 12582912.0;

/// 2^f with the value and the slope that it has at 0, so that slow decays have
/// no bias; 1.1e-7 relative for |f| <= 1/2. Highest power first.
static constexpr double kPowers[] = {
    1.3300277575186998e-3, 9.669712481278677e-3, 5.550559988361805e-2,
    2.402228154944097e-1,  6.931471805599453e-1, 1.0};

/// 2^(a b) for exponents that are `calm`: below those of f32 by magnitude.
static Value calmDecay(ScalarBuilder &s, Value a, Value b, ValueRange powers) {
  auto fma = [&](Value c) {
    return math::FmaOp::create(s.builder, s.loc, a, b, c,
                               arith::FastMathFlags::contract);
  };
  Value magic = s.constant(kMagic), shifted = fma(magic),
        f = fma(s.sub(magic, shifted)), result = powers[0];
  for (Value power : powers.drop_front())
    result = s.add(s.mul(result, f), power);
  auto bits = [&](Value v, Type type) -> Value {
    return arith::BitcastOp::create(s.builder, s.loc, type, v);
  };
  Type i32 = s.builder.getI32Type();
  Value exponent = arith::ShLIOp::create(s.builder, s.loc, bits(shifted, i32),
                                         s.integer(23));
  return bits(s.add(bits(result, i32), exponent), s.builder.getF32Type());
}

void ScanTiles::eitherWay(Value steps, Value rates,
                          function_ref<void(bool)> body) {
  if (!steps)
    return body(true);
  ScalarBuilder scalars(k.builder, k.loc);
  Value calm =
      arith::CmpFOp::create(k.builder, k.loc, arith::CmpFPredicate::OLT,
                            scalars.mul(steps, rates), scalars.constant(kCalm));
  auto side = [&](bool isCalm) {
    return [&, isCalm] {
      body(isCalm);
      return Values();
    };
  };
  k.branch(calm, {}, side(true), side(false));
}

Values ScanTiles::powersFor(RegType type) {
  Values result;
  if (s.scales)
    return result;
  // In memory the powers are operands; in registers they would crowd out
  // values.
  RegType column = k.row(s.lanes, k.f32());
  Value zero = k.index(0);
  if (!powers) {
    OpBuilder::InsertionGuard guard(k.builder);
    k.builder.setInsertionPointToStart(k.arg(0).getParentBlock());
    powers = k.alloc({(int64_t)std::size(kPowers), s.lanes}, k.f32());
    for (auto [i, power] : llvm::enumerate(kPowers))
      k.store(k.full(column, power), powers, {k.index(i), k.index(0)});
  }
  for (size_t i = 0; i < std::size(kPowers); ++i)
    result.push_back(everyState(
        k.broadcast(k.load(column, powers, {k.index(i), zero}), row(), 0)));
  return result;
}

Value ScanTiles::decay(ScalarBuilder &b, Value rate, Value dt,
                       ValueRange powers, bool isCalm) {
  return isCalm && !s.scales ? calmDecay(b, rate, dt, powers)
                             : exp2(b, b.mul(rate, dt), k.target);
}

Value sumParts(ScheduleContext &context, Operation *at, Value parts,
               int64_t count, bb::GraphTensorType result) {
  int64_t elements = elementCount(result), lanes = context.target.lanes;
  int64_t width = std::min<int64_t>(lanes * 4, llvm::alignTo(elements, lanes));
  int64_t share = llvm::alignTo(
      llvm::divideCeil(elements, programsFor(context.target, elements, count)),
      width);
  auto made = context.kernel(
      at->getLoc(), "sum_parts",
      {BufType::global({count, elements}, Float32Type::get(at->getContext()))},
      {flatBuffer(result)}, llvm::divideCeil(elements, share));
  KernelBuilder &k = *made;
  k.setCost(count * elements, (count + 1) * elements * 4);
  Value begin = k.mul(k.program(), share),
        end = k.min(k.index(elements), k.add(begin, share));
  RegType row = k.row(width, k.f32());
  k.loop(begin, end, width, [&](Value i) {
    Values bounds;
    if (elements % width)
      bounds = {k.sub(k.index(elements), i)};
    Value sum = k.loop(
        0, count, 1, {k.full(row, 0.0)}, [&](Value part, ValueRange carried) {
          Value x = k.load(row, k.arg(0), {part, i}, bounds);
          return Values{k.map({carried[0], x}, k.f32(),
                              [](ScalarBuilder &s, ValueRange v) {
                                return s.add(v[0], v[1]);
                              })};
        })[0];
    k.store(sum, k.arg(1), {i}, bounds);
  });
  return context.dispatch(at, k, {parts}, {result})[0];
}

SmallVector<BufType> denseBuffers(ValueRange values, int64_t &bytes) {
  SmallVector<BufType> buffers;
  for (Value v : values) {
    buffers.push_back(bufferOf(v));
    bytes += byteCount(cast<bb::GraphTensorType>(v.getType()));
  }
  return buffers;
}

} // namespace bitbyte::tile
