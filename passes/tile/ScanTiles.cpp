//===- ScanTiles.cpp - What convolution and scans share -------------------===//
#include "passes/tile/ScanTiles.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace bitbyte::tile {

ScanSizes scanSizes(const KernelTarget &target, Value x, Value a, int64_t chunk,
                    int64_t most) {
  auto rows = cast<bb::GraphTensorType>(x.getType());
  auto decay = cast<bb::GraphTensorType>(a.getType());
  ScanSizes s;
  s.batch = *rows.dim(0).constant();
  s.length = *rows.dim(1).constant();
  s.channels = *rows.dim(2).constant();
  s.states = *decay.dim(1).constant();
  s.chunk = std::min(chunk, s.length);
  s.lanes = target.lanes;
  s.block = std::min(most, s.states);
  while (s.states % s.block)
    --s.block;
  return s;
}

Values ScanTiles::columnBounds(Value d0) {
  if (s.channels % s.lanes == 0)
    return {};
  return {k.sub(k.index(s.channels), d0)};
}

void ScanTiles::loadAcross(Value matrix, Value d0, Value to, double factor) {
  RegType square = k.rows({s.lanes, s.lanes}, k.f32());
  k.loop(0, s.paddedStates(), s.lanes, [&](Value n) {
    Values bounds;
    if (s.channels % s.lanes || s.states % s.lanes)
      bounds = {k.sub(k.index(s.channels), d0), k.sub(k.index(s.states), n)};
    Value x = k.transpose(k.load(square, matrix, {d0, n}, bounds), square);
    if (factor != 1)
      x = k.map({x}, k.f32(), [&](ScalarBuilder &b, ValueRange v) {
        return b.mul(v[0], b.constant(factor));
      });
    k.store(x, to, {n, k.index(0)});
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

void ScanTiles::copyIn(Value tensor, Value b, Value t0, Value count, Value d0,
                       Value to) {
  k.loop(k.index(0), count, 1, [&](Value t) {
    k.store(k.load(row(), tensor, {b, k.add(t0, t), d0}, columnBounds(d0)), to,
            {t, k.index(0)});
  });
}

void ScanTiles::copyOut(Value from, Value tensor, Value b, Value t0,
                        Value count, Value d0) {
  k.loop(k.index(0), count, 1, [&](Value t) {
    k.store(k.load(row(), from, {t, k.index(0)}), tensor, {b, k.add(t0, t), d0},
            columnBounds(d0));
  });
}

void ScanTiles::clear(Value scratch, Value rows) {
  k.loop(k.index(0), rows, 1, [&](Value t) {
    k.store(k.full(row(), 0.0), scratch, {t, k.index(0)});
  });
}

Value ScanTiles::everyChannel(Value tensor, Value b, Value t, Value n0) {
  Value numbers = k.load(k.replicated({s.block}, k.f32()), tensor, {b, t, n0});
  return k.broadcast(numbers, stateRows(), 1);
}

Value exp2(ScalarBuilder &s, Value x, const KernelTarget &target) {
  if (target.isGpu)
    return math::Exp2Op::create(s.builder, s.loc, x,
                                arith::FastMathFlags::contract |
                                    arith::FastMathFlags::afn);
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
    auto type = cast<bb::GraphTensorType>(v.getType());
    buffers.push_back(denseBuffer(type));
    bytes += byteCount(type);
  }
  return buffers;
}

} // namespace bitbyte::tile
