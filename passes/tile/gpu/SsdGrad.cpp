//===- SsdGrad.cpp - Gradients of Mamba-2's scan on a GPU -----------------===//
//
// The gradient of the state goes from chunk to chunk backwards as the state
// goes forwards; with it all rows of all gradients are known at once (see the
// formulas in passes/tile/SsdGrad.cpp). A last kernel walks the items of a
// chunk for the suffix sums that dt and a want.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/gpu/SsdKernels.h"

using namespace mlir;

namespace bitbyte::tile {

static bb::GraphTensorType tensorOf(Value v) {
  return cast<bb::GraphTensorType>(v.getType());
}

/// ddt [B, T, H], and parts of da [B chunks, H]. `cDots`, `bDots`, `xDots`: C
/// dC, B dB and x dX per item, [B, H, T]; `ends`: <S', G> [B, chunks, H].
static Values stepGradients(ScheduleContext &context, bb::SsdGradOp op,
                            const GpuSsd &ssd, Value cDots, Value bDots,
                            Value xDots, Value ends) {
  const GpuSsdSizes &s = ssd.sizes();
  int64_t columns = llvm::divideCeil(s.heads, 32);
  Values operands{cDots, bDots, xDots, ends, ssd.steps, op.getA()};
  auto decayParts = temporary(op.getContext(), {s.batch * s.chunks(), s.heads});
  SmallVector<Type> results{op.getDdt().getType(), decayParts};
  int64_t bytes = 0;
  SmallVector<BufType> in = denseBuffers(operands, bytes),
                       out{denseBuffer(tensorOf(op.getDdt())),
                           denseBuffer(decayParts)};
  bytes += byteCount(tensorOf(op.getDdt())) + byteCount(decayParts);
  auto made = context.kernel(op.getLoc(), "ssd_steps", in, out,
                             s.batch * s.chunks() * columns);
  KernelBuilder &k = *made;
  k.setCost(5 * s.batch * s.length * s.heads, bytes);
  k.setVector(1);
  Values at = k.delinearize(k.program(), {s.batch, s.chunks(), columns});
  Value b = at[0], chunk = at[1], h0 = k.mul(at[2], 32), zero = k.index(0);
  RegType row = k.row(32, k.f32());
  Values bounds;
  if (s.heads % 32)
    bounds = {k.sub(k.index(s.heads), h0)};
  Value begin = k.mul(chunk, s.items);
  Value count = k.min(k.sub(k.index(s.length), begin), k.index(s.items));
  Value rate = k.load(row, k.arg(5), {h0}, bounds);
  Values start{k.load(row, k.arg(3), {b, chunk, h0}, bounds), k.full(row, 0.0)};
  Values sums = k.loop(zero, count, 1, start, [&](Value done, ValueRange c) {
    Value t = k.sub(k.sub(k.add(begin, count), 1), done);
    auto number = [&](unsigned argument) {
      Value heads = k.view(k.arg(argument), {b, zero, t}, {s.heads},
                           ArrayRef<int64_t>{0, 2});
      return k.load(row, heads, {h0}, bounds);
    };
    Values made = k.map(
        {c[0], c[1], number(0), number(1), number(2), number(4), rate},
        SmallVector<Type>(3, k.f32()), [](ScalarBuilder &s, ValueRange v) {
          Value suffix = s.add(v[0], s.sub(v[2], v[3]));
          return Values{suffix, s.add(s.mul(suffix, v[5]), v[1]),
                        s.add(s.mul(suffix, v[6]), v[4])};
        });
    k.store(made[2], k.arg(6), {b, t, h0}, bounds);
    return Values{made[0], made[1]};
  });
  k.store(sums[1], k.arg(7), {k.add(k.mul(b, s.chunks()), chunk), h0}, bounds);
  return context.dispatch(op, k, operands, results);
}

LogicalResult scheduleGpuSsdGrad(ScheduleContext &context, bb::SsdGradOp op) {
  GpuSsd ssd(context, op, op.getX(), op.getB(), op.getChunkAttr());
  const GpuSsdSizes &s = ssd.sizes();
  ssd.makeSums(op.getDt(), op.getA());
  Value states = op.getStates();
  if (s.perSave > 1) // those between, again
    states = ssd.carry(ssd.chunkStates(op.getB(), op.getX(), false), {}, false)
                 .states;
  GpuSsd::Carried grad =
      ssd.carry(ssd.chunkStates(op.getC(), op.getDy(), /*backwards=*/true), {},
                false, states);
  auto parts = temporary(op.getContext(), {s.headsPerGroup(), s.batch, s.length,
                                           s.groups, s.states});
  Values dx = ssd.rows({.left = op.getB(),
                        .right = op.getC(),
                        .value = op.getDy(),
                        .state = grad.states,
                        .turned = false,
                        .backwards = true,
                        .weighted = false,
                        .scaled = true,
                        .dotWith = op.getX(),
                        .dotScaled = false,
                        .result = tensorOf(op.getDx()),
                        .isPart = false});
  Values dc = ssd.rows({.left = op.getDy(),
                        .right = op.getX(),
                        .value = op.getB(),
                        .state = states,
                        .turned = true,
                        .backwards = false,
                        .weighted = true,
                        .scaled = false,
                        .dotWith = op.getC(),
                        .dotScaled = false,
                        .result = parts,
                        .isPart = true});
  Values db = ssd.rows({.left = op.getX(),
                        .right = op.getDy(),
                        .value = op.getC(),
                        .state = grad.states,
                        .turned = true,
                        .backwards = true,
                        .weighted = false,
                        .scaled = true,
                        .dotWith = op.getB(),
                        .dotScaled = true,
                        .result = parts,
                        .isPart = true});
  Values steps =
      stepGradients(context, op, ssd, dc[1], db[1], dx[1], grad.dots);
  op.getDx().replaceAllUsesWith(dx[0]);
  op.getDdt().replaceAllUsesWith(steps[0]);
  op.getDa().replaceAllUsesWith(gpuSumParts(
      context, op, steps[1], s.batch * s.chunks(), tensorOf(op.getDa())));
  op.getDb().replaceAllUsesWith(
      gpuSumParts(context, op, db[0], s.headsPerGroup(), tensorOf(op.getDb())));
  op.getDc().replaceAllUsesWith(
      gpuSumParts(context, op, dc[0], s.headsPerGroup(), tensorOf(op.getDc())));
  op->erase();
  return success();
}

} // namespace bitbyte::tile
