//===- Ssd.cpp - Mamba-2's scan on a GPU ----------------------------------===//
//
// Long sequences: see SsdKernels.h. Up to a few items, as in decoding: a
// program owns the state of a head in registers.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/gpu/SsdKernels.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace bitbyte::tile {

static bb::GraphTensorType tensorOf(Value v) {
  return cast<bb::GraphTensorType>(v.getType());
}

//===-- A few items -------------------------------------------------------===//

/// Columns of the state that a program takes.
static constexpr int64_t kColumns = 32;

static LogicalResult scheduleItems(ScheduleContext &context, bb::SsdOp op,
                                   const GpuSsdSizes &s) {
  int64_t states = std::max<int64_t>(32, llvm::PowerOf2Ceil(s.states));
  int64_t blocks = llvm::divideCeil(s.width, kColumns);
  constexpr int64_t warps = 4, vector = 4;
  Values operands{op.getX(), op.getDt(), op.getA(),
                  op.getB(), op.getC(),  op.getFrom()};
  int64_t bytes = 0;
  SmallVector<BufType> in = denseBuffers(operands, bytes),
                       out = denseBuffers(op->getResults(), bytes);
  auto made = context.kernel(op.getLoc(), "ssd_items", in, out,
                             s.batch * s.heads * blocks, warps);
  KernelBuilder &k = *made;
  k.setCost(5 * s.batch * s.length * s.heads * s.states * s.width, bytes);
  MLIRContext *ctx = op.getContext();
  constexpr int64_t across = kColumns / vector, down = 32 / across;
  RegType tile = RegType::get(
      ctx, {states, kColumns}, k.f32(),
      DistAttr::get(
          ctx, {{{vector, 1, 1}, {states / (down * warps), 0, down * warps}},
                {{across, 1, vector}, {down, 0, 1}},
                {{warps, 0, down}},
                2}));
  RegType row = tile.drop(0), numbers = tile.drop(1);
  Values at = k.delinearize(k.program(), {s.batch, s.heads, blocks});
  Value b = at[0], h = at[1], p0 = k.mul(at[2], kColumns), zero = k.index(0),
        group = k.div(h, s.headsPerGroup());
  Value n = k.index(s.states), left = k.sub(k.index(s.width), p0);
  Value rate = k.loadScalar(k.f32(), k.arg(2), {h});
  Value start = k.load(tile, k.arg(5), {b, h, zero, p0}, {n, left});
  Value end = k.loop(0, s.length, 1, {start}, [&](Value t, ValueRange before) {
    Value dt = k.loadScalar(k.f32(), k.arg(1), {b, t, h});
    Value x = k.load(row, k.arg(0), {b, t, h, p0}, {left});
    auto every = [&](unsigned argument) {
      return k.broadcast(
          k.load(numbers, k.arg(argument), {b, t, group, zero}, {n}), tile, 1);
    };
    Values made =
        k.map({before[0], k.broadcast(x, tile, 0), every(3), every(4)},
              {k.f32(), k.f32()}, [&](ScalarBuilder &s, ValueRange v) {
                Value log2 = s.mul(s.mul(dt, rate), s.constant(kLog2E));
                Value next = s.add(s.mul(exp2(s, log2, k.target), v[0]),
                                   s.mul(s.mul(dt, v[1]), v[2]));
                return Values{next, s.mul(v[3], next)};
              });
    k.store(k.reduce(Combiner::Add, made[1], 0), k.arg(6), {b, t, h, p0},
            {left});
    return Values{made[0]};
  })[0];
  k.store(end, k.arg(7), {b, h, zero, p0}, {n, left});
  op->replaceAllUsesWith(
      context.dispatch(op, k, operands, op->getResultTypes()));
  op->erase();
  return success();
}

LogicalResult scheduleGpuSsd(ScheduleContext &context, bb::SsdOp op) {
  GpuSsd ssd(context, op, op.getX(), op.getB(), op.getChunkAttr());
  constexpr int64_t few = 8;
  if (op.getFrom() && ssd.sizes().length <= few)
    return scheduleItems(context, op, ssd.sizes());
  ssd.makeSums(op.getDt(), op.getA());
  GpuSsd::Carried carried =
      ssd.carry(ssd.chunkStates(op.getB(), op.getX(), /*backwards=*/false),
                op.getFrom(), op.getSave());
  GpuSsd::Rows rows{.left = op.getC(),
                    .right = op.getB(),
                    .value = op.getX(),
                    .state = carried.states,
                    .turned = false,
                    .backwards = false,
                    .weighted = true,
                    .scaled = false,
                    .dotWith = {},
                    .dotScaled = false,
                    .result = tensorOf(op.getY()),
                    .isPart = false};
  op.getY().replaceAllUsesWith(ssd.rows(rows)[0]);
  if (op.getStates())
    op.getStates().replaceAllUsesWith(op.getFrom() ? carried.last
                                                   : carried.saved);
  op->erase();
  return success();
}

} // namespace bitbyte::tile
