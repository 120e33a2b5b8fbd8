//===- SelectiveScan.cpp - Mamba-1's scan on a GPU, forward ---------------===//
//
// States stay in registers while a program walks its items in order; rows of x
// and dt are read a few items ahead, those of B and C pass through shared
// memory a chunk ahead. Where sequences and channels do not fill a machine,
// states of a channel go to several lanes, and then time is cut into parts:
// a first pass finds what each part adds to the states and the sum of its dt,
// from which follows the decay of the whole part, a second one what each part
// starts from (Mamba, section 3.3, and its work-efficient scan).
//
//===----------------------------------------------------------------------===//
#include "passes/tile/gpu/SelectiveScan.h"

using namespace mlir;

namespace bitbyte::tile {

static bb::GraphTensorType tensorOf(Value v) {
  return cast<bb::GraphTensorType>(v.getType());
}

/// Warps that keep every scheduler of a large machine at work.
static constexpr int64_t kWave = 2 * 4 * 132;

void shareOut(GpuScanSizes &s, bool mayCutTime) {
  while (s.warps > 1 && s.programs() < 2 * 132)
    s.warps /= 2;
  s.partChunks = s.chunks();
  if (!mayCutTime)
    return;
  // A part is worth its pass over the summaries if it has some chunks.
  constexpr int64_t fewest = 4;
  int64_t wanted = kWave / (s.programs() * s.warps);
  int64_t parts = std::min(wanted, s.chunks() / fewest);
  if (parts > 1) {
    s.partChunks = llvm::divideCeil(s.chunks(), parts);
    s.parts = llvm::divideCeil(s.chunks(), s.partChunks);
  }
}

std::pair<Value, Value> partChunks(GpuScanTiles &tiles) {
  KernelBuilder &k = tiles.k;
  const GpuScanSizes &s = tiles.s;
  Value first = k.mul(tiles.part, s.partChunks);
  return {first, k.min(k.index(s.chunks()), k.add(first, s.partChunks))};
}

Value product(KernelBuilder &k, Value a, Value b) {
  return k.map({a, b}, k.f32(), [](ScalarBuilder &s, ValueRange v) {
    return s.mul(v[0], v[1]);
  });
}
Value sum(KernelBuilder &k, Value a, Value b) {
  return k.map({a, b}, k.f32(), [](ScalarBuilder &s, ValueRange v) {
    return s.add(v[0], v[1]);
  });
}

//===-- Parts of time -----------------------------------------------------===//

Value partStarts(ScheduleContext &context, Operation *op, GpuScanSizes s,
                 bool backwards, ValueRange operands) {
  MLIRContext *ctx = op->getContext();
  auto stateType = temporary(ctx, {s.batch, s.parts, s.states, s.channels}),
       sumType = temporary(ctx, {s.batch, s.parts, s.channels});
  BufType states = GpuScanTiles::split(s, stateType),
          sums = GpuScanTiles::split(s, sumType);
  BufType a = GpuScanTiles::turned(s, tensorOf(operands[2]));
  // What a part adds: forward dt x B, backwards dy C, or dy silu(gate) C.
  SmallVector<BufType> in{GpuScanTiles::split(s, operands[0]),
                          GpuScanTiles::split(s, operands[1]), a,
                          bufferOf(operands[3])};
  bool isGated = operands.size() > 4;
  if (isGated)
    in.push_back(GpuScanTiles::split(s, operands[4]));
  auto made = context.kernel(op->getLoc(), "selective_scan_parts", in,
                             {states, sums}, s.programs(), s.warps);
  {
    KernelBuilder &k = *made;
    int64_t bytes = byteCount(stateType);
    for (Value v : operands)
      bytes += byteCount(tensorOf(v));
    k.setCost(5 * s.batch * s.length * s.channels * s.states, bytes);
    GpuScanTiles tiles(k, s);
    GpuScanRing ring = tiles.ring(k.arg(3));
    Value rate = tiles.rates(k.arg(2));
    auto [first, end] = partChunks(tiles);
    auto chunkOf = [&, first = first, end = end](Value done) {
      return backwards ? k.sub(k.sub(end, 1), done) : k.add(first, done);
    };
    Value count = k.sub(end, first);
    tiles.copyChunk(k.arg(3), ring, chunkOf(k.index(0)));
    k.commit();
    Values totals = k.loop(
        k.index(0), count, 1, {k.full(tiles.tile, 0.0), k.full(tiles.row, 0.0)},
        [&](Value done, ValueRange outer) {
          k.wait(0);
          Value chunk = chunkOf(done);
          k.when(k.less(k.add(done, 1), count), [&] {
            tiles.copyChunk(k.arg(3), ring, chunkOf(k.add(done, 1)));
          });
          k.commit();
          tiles.widen(ring, chunk);
          return k.loop(
              0, s.chunk, s.step, outer, [&](Value past, ValueRange before) {
                Value i0 =
                    backwards ? k.sub(k.index(s.chunk - s.step), past) : past;
                Value t0 = k.add(k.mul(chunk, s.chunk), i0);
                Values carried(before), rows;
                for (int64_t i = 0; i < s.step; ++i) {
                  auto rowOf = [&](unsigned argument) {
                    return tiles.loadRow(k.arg(argument), k.add(t0, i));
                  };
                  rows.push_back(rowOf(0));
                  if (isGated)
                    rows.back() = openGate(k, rows.back(), rowOf(4))[0];
                  rows.push_back(rowOf(1));
                }
                for (int64_t n = 0; n < s.step; ++n) {
                  int64_t i = backwards ? s.step - 1 - n : n;
                  Value dt = rows[2 * i + 1];
                  Value in =
                      backwards ? rows[2 * i] : product(k, dt, rows[2 * i]);
                  carried[0] =
                      k.map({carried[0], rate, tiles.every(dt), tiles.every(in),
                             tiles.numbers(ring, chunk, k.add(i0, i))},
                            k.f32(), [&](ScalarBuilder &s, ValueRange v) {
                              Value a = exp2(s, s.mul(v[2], v[1]), k.target);
                              if (backwards)
                                return s.mul(a, s.add(s.mul(v[3], v[4]), v[0]));
                              return s.add(s.mul(a, v[0]), s.mul(v[3], v[4]));
                            });
                  carried[1] = sum(k, carried[1], dt);
                }
                return carried;
              });
        });
    k.wait(0);
    Values at{tiles.b, tiles.part};
    tiles.storeTile(totals[0], k.arg(in.size()), at);
    tiles.storeRowAt(totals[1], k.arg(in.size() + 1), at);
  }
  Values parts = context.dispatch(op, *made, operands, {stateType, sumType});

  GpuScanSizes whole = s;
  whole.parts = 1;
  auto carry =
      context.kernel(op->getLoc(), "selective_scan_parts", {a, states, sums},
                     {states}, whole.programs(), whole.warps);
  KernelBuilder &k = *carry;
  k.setCost(3 * s.batch * s.parts * s.channels * s.states,
            2 * byteCount(stateType) + byteCount(sumType));
  GpuScanTiles tiles(k, whole);
  Value rate = tiles.rates(k.arg(0));
  k.loop(
      k.index(0), k.index(s.parts), 1, {k.full(tiles.tile, 0.0)},
      [&](Value done, ValueRange carried) {
        Value part = backwards ? k.sub(k.index(s.parts - 1), done) : done;
        Values at{tiles.b, part};
        tiles.storeTile(carried[0], k.arg(3), at);
        Value dt = tiles.loadRowAt(k.arg(2), at);
        return Values{k.map(
            {carried[0], rate, tiles.every(dt), tiles.loadTile(k.arg(1), at)},
            k.f32(), [&](ScalarBuilder &s, ValueRange v) {
              return s.add(s.mul(exp2(s, s.mul(v[2], v[1]), k.target), v[0]),
                           v[3]);
            })};
      });
  return context.dispatch(op, k, {operands[2], parts[0], parts[1]},
                          {stateType})[0];
}

//===-- The scan ----------------------------------------------------------===//

LogicalResult scheduleGpuSelectiveScan(ScheduleContext &context,
                                       bb::SelectiveScanOp op) {
  int64_t save = op.getSave() ? *op.getSave()->constant() : 0;
  constexpr int64_t kItems = 32;
  auto sized = [&](int64_t most) {
    return gpuScanSizes(op.getX(), op.getA(), op.getB(), save ? save : kItems,
                        most, /*wide=*/1, /*warps=*/4);
  };
  // A channel to a lane takes the fewest instructions.
  GpuScanSizes s = sized(16);
  if (s.stateLanes() > 1 || s.batch * s.channels < kWave / 2 * 32)
    s = sized(4);
  shareOut(s, /*mayCutTime=*/!op.getFrom());

  Values operands{op.getX(), op.getDt(), op.getA(), op.getB(), op.getC()};
  SmallVector<BufType> in{GpuScanTiles::split(s, op.getX()),
                          GpuScanTiles::split(s, op.getDt()),
                          GpuScanTiles::turned(s, tensorOf(op.getA())),
                          bufferOf(op.getB()), bufferOf(op.getC())},
      out;
  /// The number of an argument [.., D]; 0: there is none.
  auto argument = [&](Value v) -> unsigned {
    if (!v)
      return 0;
    operands.push_back(v);
    in.push_back(GpuScanTiles::split(s, v));
    return in.size() - 1;
  };
  unsigned skipAt = argument(op.getSkip()), gateAt = argument(op.getGate()),
           startAt = argument(
               s.parts > 1 ? partStarts(context, op, s, /*backwards=*/false,
                                        ArrayRef(operands).take_front(4))
                           : op.getFrom());
  for (Value v : op->getResults())
    out.push_back(GpuScanTiles::split(s, v));
  int64_t bytes = 0;
  for (ValueRange values : {ValueRange(operands), ValueRange(op->getResults())})
    for (Value v : values)
      bytes += byteCount(tensorOf(v));
  auto made = context.kernel(op.getLoc(), "selective_scan", in, out,
                             s.programs(), s.warps);
  KernelBuilder &k = *made;
  // Four warps of each scheduler: their decays do not depend on each other, and
  // for more ptxas spills what a step reads ahead.
  k.setWarps(s.warps, 16 / s.warps);
  // Decay, exp (counted as one), update and output.
  k.setCost(7 * s.batch * s.length * s.channels * s.states, bytes);
  GpuScanTiles tiles(k, s);
  GpuScanRing ringB = tiles.ring(k.arg(3)), ringC = tiles.ring(k.arg(4));
  auto [first, end] = partChunks(tiles);
  auto copy = [&](Value chunk) {
    tiles.copyChunk(k.arg(3), ringB, chunk);
    tiles.copyChunk(k.arg(4), ringC, chunk);
  };
  copy(first);
  k.commit();
  Value rate = tiles.rates(k.arg(2));
  Values start{tiles.b};
  if (s.parts > 1)
    start.push_back(tiles.part);
  Value h =
      startAt ? tiles.loadTile(k.arg(startAt), start) : k.full(tiles.tile, 0.0);
  Value skip = skipAt ? tiles.loadRowAt(k.arg(skipAt), {}) : Value();
  // Rows of x, dt and gate are read a step ahead. What lies behind the last
  // item is read as 0, or, where there is no such row in any chunk, not used.
  auto rowsAt = [&](Value t0) {
    Values rows;
    SmallVector<unsigned> arguments{0, 1};
    if (gateAt)
      arguments.push_back(gateAt);
    for (unsigned argument : arguments)
      for (int64_t i = 0; i < s.step; ++i) {
        Value t = k.add(t0, i);
        if (!s.ragged())
          t = k.min(t, k.index(s.length - 1));
        rows.push_back(tiles.loadRow(k.arg(argument), t));
      }
    return rows;
  };
  bool isOneStep = s.chunks() * s.chunk == s.step;
  Values carried{h};
  carried.append(rowsAt(k.mul(first, s.chunk)));

  carried = k.loop(first, end, 1, carried, [&](Value chunk, ValueRange outer) {
    k.wait(0);
    if (!isOneStep)
      k.when(k.less(k.add(chunk, 1), end), [&] { copy(k.add(chunk, 1)); });
    k.commit();
    tiles.widen({ringB, ringC}, chunk);
    if (save)
      tiles.storeTile(outer[0], k.arg(in.size() + 1), {tiles.b, chunk});
    Value t0 = k.mul(chunk, s.chunk);
    return k.loop(0, s.chunk, s.step, outer, [&](Value i0, ValueRange before) {
      Value t = k.add(t0, i0);
      Values now(before.drop_front());
      Values next{before[0]};
      next.append(isOneStep ? now : rowsAt(k.add(t, s.step)));
      for (int64_t i = 0; i < s.step; ++i) {
        Value x = now[i], dt = now[s.step + i], at = k.add(i0, i);
        Values made = k.map(
            {next[0], rate, tiles.every(dt), tiles.every(product(k, dt, x)),
             tiles.numbers(ringB, chunk, at), tiles.numbers(ringC, chunk, at)},
            {k.f32(), k.f32()}, [&](ScalarBuilder &s, ValueRange v) {
              Value h = s.add(s.mul(exp2(s, s.mul(v[2], v[1]), k.target), v[0]),
                              s.mul(v[3], v[4]));
              return Values{h, s.mul(v[5], h)};
            });
        next[0] = made[0];
        Value y = finishScan(k, tiles.sumStates(made[1]), x, skip,
                             gateAt ? now[2 * s.step + i] : Value());
        tiles.storeRow(y, k.arg(in.size()), k.add(t, i));
      }
      return next;
    });
  });
  k.wait(0);
  if (op.getFrom())
    tiles.storeTile(carried[0], k.arg(in.size() + 1), {tiles.b});
  op->replaceAllUsesWith(
      context.dispatch(op, k, operands, op->getResultTypes()));
  op->erase();
  return success();
}

} // namespace bitbyte::tile
