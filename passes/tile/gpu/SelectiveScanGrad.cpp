//===- SelectiveScanGrad.cpp - Gradients of Mamba-1's scan on a GPU -------===//
//
// A program walks its chunks backwards. It first runs forward through a chunk
// from the saved state and keeps the state before every few items in shared
// memory, as well as the rows of dy behind a gate, whose gradient takes the
// states' sum that it sees; then it takes those few from the last to the first:
// once more forward, with decays and decayed states in registers, and back.
// Sums over channels (dB, dC) are over a lane's in registers, over lanes and
// warps through shared memory after those few items, which takes a quarter of
// the instructions that shuffles would, and over programs by a kernel that adds
// in order.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/gpu/SelectiveScan.h"

using namespace mlir;

namespace bitbyte::tile {

static bb::GraphTensorType tensorOf(Value v) {
  return cast<bb::GraphTensorType>(v.getType());
}

namespace {
class GradientKernel {
public:
  GradientKernel(KernelBuilder &k, const GpuScanSizes &s,
                 ScanGradArguments args)
      : k(k), s(s), args(args), tiles(k, s), ringB(tiles.ring(k.arg(3))),
        ringC(tiles.ring(k.arg(4))) {
    starts =
        k.alloc({s.chunk / s.step, s.padded, s.warps, s.channelLanes(), s.wide},
                k.f32());
    if (args.gate)
      opened = k.alloc({s.chunk, s.warps, s.channelLanes(), s.wide}, k.f32());
    // Sums of lanes: [item, state, warp, lane]. A lane's states lie side by
    // side, and those of eight lanes in banks of their own.
    int64_t lane = s.padded + 4, warp = s.channelLanes() * lane;
    auto layout = StridedAttr::get(k.builder.getContext(),
                                   {s.warps * warp, 1, warp, lane});
    for (Value *v : {&partsB, &partsC})
      *v = k.alloc({s.step, s.padded, s.warps, s.channelLanes()}, k.f32(),
                   layout);
  }

  void run() {
    auto [first, end] = partChunks(tiles);
    Value count = k.sub(end, first), last = k.sub(end, 1);
    copy(last);
    k.commit();
    rate = tiles.rates(k.arg(2));
    Value zeros = k.full(tiles.tile, 0.0);
    Value behind =
        args.behind ? tiles.loadTile(k.arg(args.behind), {tiles.b, tiles.part})
                    : zeros;
    Values start{behind, zeros};
    if (args.skip) {
      skip = tiles.loadRowAt(k.arg(args.skip), {});
      start.push_back(k.full(tiles.row, 0.0));
    }
    Values sums = k.loop(
        k.index(0), count, 1, start, [&](Value done, ValueRange carried) {
          k.wait(0);
          chunk = k.sub(last, done);
          k.when(k.less(k.add(done, 1), count), [&] { copy(k.sub(chunk, 1)); });
          k.commit();
          tiles.widen({ringB, ringC}, chunk);
          return oneChunk(carried);
        });
    k.wait(0);
    Value slot = k.add(k.mul(tiles.b, s.parts), tiles.part);
    tiles.storeTile(sums[1], k.arg(args.first + 2), {slot});
    if (args.skip)
      tiles.storeRowAt(sums[2], k.arg(args.dskip), {slot});
  }

private:
  void copy(Value chunk) {
    tiles.copyChunk(k.arg(3), ringB, chunk);
    tiles.copyChunk(k.arg(4), ringC, chunk);
  }

  /// Rows of items t0.. of an operand.
  Values rows(unsigned argument, Value t0) {
    Values result;
    for (int64_t i = 0; i < s.step; ++i)
      result.push_back(tiles.loadRow(k.arg(argument), k.add(t0, i)));
    return result;
  }

  /// The decay of an item, times the state before it, and the state after it.
  Values advance(Value h, Value dt, Value x, Value at) {
    return k.map(
        {h, rate, tiles.every(dt), tiles.every(product(k, dt, x)),
         tiles.numbers(ringB, chunk, at)},
        SmallVector<Type>(3, k.f32()), [&](ScalarBuilder &s, ValueRange v) {
          Value a = exp2(s, s.mul(v[2], v[1]), k.target), ah = s.mul(a, v[0]);
          return Values{a, ah, s.add(s.mul(v[3], v[4]), ah)};
        });
  }

  Values oneChunk(ValueRange carried) {
    Value t0 = k.mul(chunk, s.chunk),
          saved = tiles.loadTile(k.arg(5), {tiles.b, chunk});
    Values origin(4, tiles.zero);
    auto startOf = [&](Value i0) {
      Values at{k.div(i0, s.step)};
      at.append(origin);
      return at;
    };
    k.loop(k.index(0), k.index(s.chunk), s.step, {saved},
           [&](Value i0, ValueRange before) {
             k.store(before[0], starts, startOf(i0));
             Values x = rows(0, k.add(t0, i0)), dt = rows(1, k.add(t0, i0));
             Value h = before[0];
             for (int64_t i = 0; i < s.step; ++i) {
               Value at = k.add(i0, i);
               h = advance(h, dt[i], x[i], at)[2];
               if (args.gate)
                 k.store(tiles.sumStates(
                             product(k, tiles.numbers(ringC, chunk, at), h)),
                         opened, rowOf(at));
             }
             return Values{h};
           });
    Value dskip;
    if (skip || args.gate)
      dskip = open(t0, skip ? carried[2] : Value());
    Values sums(carried.take_front(2));
    sums = k.loop(0, s.chunk, s.step, sums, [&](Value done, ValueRange before) {
      Value i0 = k.sub(k.index(s.chunk - s.step), done);
      Values next =
          fewItems(k.load(tiles.tile, starts, startOf(i0)), t0, i0, before);
      k.barrier();
      addLanes(partsB, args.first + 3, k.add(t0, i0));
      addLanes(partsC, args.first + 4, k.add(t0, i0));
      k.barrier(); // the next items' sums take the place of these
      return next;
    });
    if (skip)
      sums.push_back(dskip);
    return sums;
  }

  /// Item `at` in rows of shared memory.
  Values rowOf(Value at) { return {at, tiles.zero, tiles.zero, tiles.zero}; }

  /// Skip's and gate's part of the chunk's gradients. Behind a gate rows of dy
  /// take the place of the sums of states. Each item goes to one of the lanes
  /// that share channels. Returns dskip, if there is one, with that of the
  /// chunk.
  Value open(Value t0, Value dskip) {
    int64_t all = s.chunk & -s.chunk, down = std::min(s.stateLanes(), all),
            items = std::min(4 * down, all);
    Distribution layout{{{s.wide, 3, 1}, {items / down, 0, down}},
                        {{s.channelLanes(), 2, 1},
                         {down, 0, 1},
                         {s.stateLanes() / down, -1, 0}},
                        {{s.warps, 1, 1}},
                        4};
    MLIRContext *context = k.builder.getContext();
    RegType type =
        RegType::get(context, {items, s.warps, s.channelLanes(), s.wide},
                     k.f32(), DistAttr::get(context, layout));
    if (args.gate)
      k.barrier();
    Values start;
    if (skip)
      start.push_back(dskip);
    Values sums = k.loop(
        k.index(0), k.index(s.chunk), items, start,
        [&](Value i0, ValueRange before) {
          Value t = k.add(t0, i0);
          Values place = tiles.place({tiles.b, t}), bounds = tiles.rowBounds(t);
          if (!bounds.empty()) {
            bounds = tiles.channelBounds();
            if (bounds.empty())
              bounds = {k.index(s.warps), k.index(s.channelLanes()),
                        k.index(s.wide)};
            bounds.insert(bounds.begin(), k.sub(k.index(s.length), t));
          }
          auto load = [&](unsigned argument) {
            return k.load(type, k.arg(argument), place, bounds);
          };
          Value dy = load(6), x, skips;
          if (skip)
            x = load(0), skips = k.broadcast(skip, type, 0);
          if (args.gate) {
            Value sum = k.load(type, opened, rowOf(i0));
            Values made = openGate(k, dy, load(args.gate));
            dy = made[0];
            k.store(product(k, made[1], finishScan(k, sum, x, skips, Value())),
                    k.arg(args.dgate), place, bounds);
            if (down < s.stateLanes())
              k.barrier(); // several lanes have read what one replaces
            k.store(dy, opened, rowOf(i0));
          }
          if (!skip)
            return Values();
          Value more = k.reduce(Combiner::Add, product(k, dy, x), 0);
          return Values{sum(k, before[0], more)};
        });
    if (args.gate)
      k.barrier();
    return skip ? sums[0] : Value();
  }

  /// The gradient of the state and the sum of dA, before items t0 + i0...
  Values fewItems(Value h, Value t0, Value i0, ValueRange carried) {
    Value first = k.add(t0, i0);
    Values x = rows(0, first), dt = rows(1, first), dy;
    if (!args.gate)
      dy = rows(6, first);
    SmallVector<Values> forward;
    for (int64_t i = 0; i < s.step; ++i) {
      forward.push_back(advance(h, dt[i], x[i], k.add(i0, i)));
      h = forward[i][2];
      if (args.gate)
        dy.push_back(
            k.load(tiles.row, opened,
                   {k.add(i0, i), tiles.zero, tiles.zero, tiles.zero}));
    }
    Values next(carried);
    for (int64_t i = s.step - 1; i >= 0; --i) {
      Value at = k.add(i0, i), t = k.add(first, i);
      Values made = k.map(
          {next[0], next[1], rate, forward[i][0], forward[i][1],
           tiles.every(dt[i]), tiles.every(product(k, dt[i], x[i])),
           tiles.every(dy[i]), tiles.numbers(ringB, chunk, at),
           tiles.numbers(ringC, chunk, at)},
          SmallVector<Type>(6, k.f32()), [](ScalarBuilder &s, ValueRange v) {
            Value a = v[3], ah = v[4], dt = v[5], dtx = v[6], dy = v[7],
                  b = v[8], c = v[9];
            Value gh = s.add(s.mul(dy, c), v[0]), moved = s.mul(gh, ah);
            Value h = s.add(s.mul(dtx, b), ah);
            return Values{s.mul(gh, a),       s.add(s.mul(moved, dt), v[1]),
                          s.mul(moved, v[2]), s.mul(gh, b),
                          s.mul(gh, dtx),     s.mul(dy, h)};
          });
      next[0] = made[0], next[1] = made[1];
      // Rates are A log2(e).
      Values inputs{tiles.sumStates(made[2]), tiles.sumStates(made[3]), dt[i],
                    x[i]};
      if (skip)
        inputs.append({skip, dy[i]});
      Values rows =
          k.map(inputs, {k.f32(), k.f32()}, [](ScalarBuilder &s, ValueRange v) {
            Values results{
                s.mul(v[2], v[1]),
                s.add(s.mul(v[3], v[1]), s.mul(v[0], s.constant(1 / kLog2E)))};
            if (v.size() > 4)
              results[0] = s.add(s.mul(v[4], v[5]), results[0]);
            return results;
          });
      tiles.storeRow(rows[0], k.arg(args.first), t);
      tiles.storeRow(rows[1], k.arg(args.first + 1), t);
      Values where(4, tiles.zero);
      where[0] = k.index(i);
      k.store(k.reduce(Combiner::Add, made[4], 3), partsB, where);
      k.store(k.reduce(Combiner::Add, made[5], 3), partsC, where);
    }
    return next;
  }

  /// Sums of lanes of the items from `t` on to this program's rows of dB or dC
  /// [columns, B, T, N].
  void addLanes(Value parts, unsigned result, Value t) {
    // Two states to a lane; lanes that are left go over the sums, and warps
    // over items.
    int64_t states = std::min<int64_t>(32, s.padded / 2),
            lanes = std::min(32 / states, s.channelLanes()),
            items = std::min(s.step, s.warps);
    Distribution layout{
        {{2, 1, 1},
         {s.padded / 2 / states, 1, 2 * states},
         {s.channelLanes() / lanes, 3, lanes},
         {s.warps, 2, 1},
         {s.step / items, 0, items}},
        {{states, 1, 2}, {lanes, 3, 1}, {32 / states / lanes, -1, 0}},
        {{items, 0, 1}, {s.warps / items, -1, 0}},
        4};
    MLIRContext *context = k.builder.getContext();
    RegType type =
        RegType::get(context, {s.step, s.padded, s.warps, s.channelLanes()},
                     k.f32(), DistAttr::get(context, layout));
    Value all = k.load(type, parts, Values(4, tiles.zero));
    for (int axis = 0; axis < 2; ++axis)
      all = k.reduce(Combiner::Add, all, 2);
    Values bounds;
    if (s.ragged() || s.padded != s.states)
      bounds = {k.sub(k.index(s.length), t), k.index(s.states)};
    k.store(all, k.arg(result), {tiles.column, tiles.b, t, tiles.zero}, bounds);
  }

  KernelBuilder &k;
  const GpuScanSizes &s;
  ScanGradArguments args;
  GpuScanTiles tiles;
  GpuScanRing ringB, ringC;
  Value starts, opened, partsB, partsC, rate, skip, chunk;
};
} // namespace

LogicalResult scheduleGpuSelectiveScanGrad(ScheduleContext &context,
                                           bb::SelectiveScanGradOp op) {
  GpuScanSizes s =
      gpuScanSizes(op.getX(), op.getA(), op.getB(), *op.getSave().constant(),
                   /*most=*/4, /*wide=*/2, /*warps=*/4);
  shareOut(s, /*mayCutTime=*/true);
  MLIRContext *ctx = op.getContext();
  Values operands(op->getOperands());
  int64_t slots = s.batch * s.parts;
  // Parts of dA, one per part of a sequence, and of dB and dC, one per column.
  auto decayParts = temporary(ctx, {slots, s.channels, s.states});
  auto rowParts = temporary(ctx, {s.columns(), s.batch, s.length, s.states});
  SmallVector<Type> results{op.getDx().getType(), op.getDdt().getType(),
                            decayParts, rowParts, rowParts};
  SmallVector<BufType> in{GpuScanTiles::split(s, op.getX()),
                          GpuScanTiles::split(s, op.getDt()),
                          GpuScanTiles::turned(s, tensorOf(op.getA())),
                          bufferOf(op.getB()),
                          bufferOf(op.getC()),
                          GpuScanTiles::split(s, op.getStates()),
                          GpuScanTiles::split(s, op.getDy())},
      out{GpuScanTiles::split(s, op.getDx()),
          GpuScanTiles::split(s, op.getDdt()),
          GpuScanTiles::turned(s, decayParts), denseBuffer(rowParts),
          denseBuffer(rowParts)};
  // One of dskip per part of a sequence too.
  ScanGradArguments args(op, s.parts > 1);
  if (args.skip) {
    results.push_back(temporary(ctx, {slots, s.channels}));
    in.push_back(GpuScanTiles::split(s, op.getSkip()));
  }
  if (args.gate) {
    results.push_back(op.getDgate().getType());
    in.push_back(GpuScanTiles::split(s, op.getGate()));
  }
  for (Type t : ArrayRef(results).drop_front(5))
    out.push_back(GpuScanTiles::split(s, cast<bb::GraphTensorType>(t)));
  if (args.behind) {
    Values of{op.getDy(), op.getDt(), op.getA(), op.getC()};
    if (args.gate)
      of.push_back(op.getGate());
    operands.push_back(partStarts(context, op, s, /*backwards=*/true, of));
    in.push_back(GpuScanTiles::split(s, operands.back()));
  }
  int64_t bytes = 0;
  for (Value v : operands)
    bytes += byteCount(tensorOf(v));
  for (Type t : results)
    bytes += byteCount(cast<bb::GraphTensorType>(t));
  auto made = context.kernel(op.getLoc(), "selective_scan_grad", in, out,
                             s.programs(), s.warps);
  made->setCost(23 * s.batch * s.length * s.channels * s.states, bytes);
  // Three warps of each scheduler, which 168 registers allow.
  made->setWarps(s.warps, 12 / s.warps);
  GradientKernel(*made, s, args).run();
  Values parts = context.dispatch(op, *made, operands, results);
  op.getDx().replaceAllUsesWith(parts[0]);
  op.getDdt().replaceAllUsesWith(parts[1]);
  op.getDa().replaceAllUsesWith(
      gpuSumParts(context, op, parts[2], slots, tensorOf(op.getDa())));
  op.getDb().replaceAllUsesWith(
      gpuSumParts(context, op, parts[3], s.columns(), tensorOf(op.getDb())));
  op.getDc().replaceAllUsesWith(
      gpuSumParts(context, op, parts[4], s.columns(), tensorOf(op.getDc())));
  if (args.skip)
    op.getDskip().replaceAllUsesWith(
        gpuSumParts(context, op, parts[args.dskip - args.first], slots,
                    tensorOf(op.getDskip())));
  if (args.gate)
    op.getDgate().replaceAllUsesWith(parts[args.dgate - args.first]);
  op->erase();
  return success();
}

} // namespace bitbyte::tile
