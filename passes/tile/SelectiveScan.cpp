//===- SelectiveScan.cpp - Mamba-1's scan, forward ------------------------===//
//
// A program owns neighbouring strips of channels in one sequence. In each chunk
// of items it walks one strip after the other, with a block of states in
// registers: a decay is used where it is made. If a block has all states, rows
// are read and written as they lie; else the blocks walk the chunk in turn, and
// sums over states collect in scratch. Nothing of [B, T, D, N] is stored
// (Mamba, section 3.3), nor the sum before skip and gate.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/ScanTiles.h"

using namespace mlir;

namespace bitbyte::tile {

/// Items whose inputs and sums lie in the first cache.
static constexpr int64_t kItems = 64;

/// How many items ahead rows are asked for. Rows of many channels lie a
/// multiple of half a page apart and share few sets of the first cache: those
/// of four tensors for more items would push each other out before they are
/// read.
static constexpr int64_t kAhead = 6;

/// Strips of a program, so that there are a dozen at least: rows lie pages
/// apart, and a page is found once for all of a program's strips.
static int64_t stripsPerProgram(const ScanSizes &s) {
  return std::clamp<int64_t>(s.batch * s.strips() / 12, 1, 4 / s.wide);
}

LogicalResult scheduleSelectiveScan(ScheduleContext &context,
                                    bb::SelectiveScanOp op) {
  int64_t save = op.getSave() ? *op.getSave()->constant() : 0;
  bool wide = context.target.registers >= 32;
  ScanSizes s = scanSizes(context.target, op.getX(), op.getA(),
                          save ? save : kItems, wide ? 1 : 2, wide ? 16 : 4);
  int64_t perProgram = stripsPerProgram(s),
          groups = llvm::divideCeil(s.strips(), perProgram);
  Values operands(op->getOperands());
  unsigned skipAt = 5, gateAt = skipAt + bool(op.getSkip()),
           fromAt = gateAt + bool(op.getGate());
  int64_t bytes = 0;
  SmallVector<BufType> in = denseBuffers(operands, bytes),
                       out = denseBuffers(op->getResults(), bytes);
  auto made =
      context.kernel(op.getLoc(), "selective_scan", in, out, s.batch * groups);
  KernelBuilder &k = *made;
  // Decay, exp (counted as one), update and output.
  k.setCost(7 * s.batch * s.length * s.channels * s.states, bytes);

  ScanTiles tiles(k, s);
  RegType row = tiles.row(), states = tiles.stateRows();
  Value zero = k.index(0), padded = k.index(s.paddedStates());
  Value b = k.div(k.program(), groups),
        first = k.mul(k.rem(k.program(), groups), perProgram),
        mine = k.min(k.sub(k.index(s.strips()), first), k.index(perProgram));
  auto perStrip = [&] {
    return k.alloc({perProgram, s.paddedStates(), s.wide, s.lanes}, k.f32());
  };
  Value allRates = perStrip(), allStates = perStrip();
  /// `body(d0, rates, h)` for each strip.
  auto eachStrip = [&](function_ref<void(Value, Value, Value)> body) {
    k.loop(zero, mine, 1, [&](Value c) {
      auto part = [&](Value scratch) {
        return k.view(scratch, {c, zero, zero, zero},
                      {s.paddedStates(), s.wide, s.lanes},
                      ArrayRef<int64_t>{0});
      };
      body(k.mul(k.add(first, c), s.wide * s.lanes), part(allRates),
           part(allStates));
    });
  };
  // Rows are read as they lie where one walk reads each once.
  bool once = s.scales && s.block == s.states && s.wide == 1;
  Value dt, dtx, y;
  if (!once)
    dt = tiles.alloc(s.chunk), dtx = tiles.alloc(s.chunk),
    y = tiles.alloc(s.chunk);
  eachStrip([&](Value d0, Value rates, Value h) {
    tiles.loadDecays(k.arg(2), d0, rates);
    if (op.getFrom())
      tiles.copyIn(k.arg(fromAt), {b, zero}, k.index(s.states), d0, h);
    else
      tiles.clear(h, padded);
  });

  auto oneChunk = [&](Value t0, Value d0, Value rates, Value h) {
    if (save)
      tiles.copyOut(h, k.arg(in.size() + 1), {b, k.div(t0, s.chunk), zero},
                    k.index(s.states), d0);
    Value count = k.min(k.sub(k.index(s.length), t0), k.index(s.chunk));
    Value steps;
    if (!once) {
      steps = tiles.copySteps(k.arg(1), k.arg(0), {b, t0}, count, d0, dt, dtx);
      tiles.clear(y, count);
    }
    /// y of an item, from its sums over states, a column at a time.
    auto finish = [&](Value item, function_ref<Value(Value)> sumOf) {
      RegType column = k.row(s.lanes, k.f32());
      tiles.eachColumn(d0, h, [&](Value d, Value, Values bounds) {
        auto rowOf = [&](unsigned argument) {
          return k.load(column, k.arg(argument), {b, item, d}, bounds);
        };
        Value x, skip, gate;
        if (op.getSkip())
          x = rowOf(0), skip = k.load(column, k.arg(skipAt), {d}, bounds);
        if (op.getGate())
          gate = rowOf(gateAt);
        k.store(finishScan(k, sumOf(d), x, skip, gate), k.arg(in.size()),
                {b, item, d}, bounds);
      });
    };
    auto walk = [&](Value n0, bool isCalm) {
      Value end = k.loop(
          zero, count, 1, {k.load(states, h, tiles.at(n0))},
          [&](Value t, ValueRange carried) {
            Value item = k.add(t0, t), step, input;
            if (once) {
              SmallVector<unsigned> rows{0, 1, unsigned(in.size())};
              if (op.getGate())
                rows.push_back(gateAt);
              for (unsigned i : rows)
                tiles.prefetch(k.arg(i), {b, k.add(item, kAhead)}, d0);
              step = tiles.rowOf(k.arg(1), {b, item}, d0);
              input = tiles.product(step, tiles.rowOf(k.arg(0), {b, item}, d0));
            } else {
              step = k.load(row, dt, tiles.at(t));
              input = k.load(row, dtx, tiles.at(t));
            }
            Values inputs{carried[0],
                          k.load(states, rates, tiles.at(n0)),
                          tiles.everyState(step),
                          tiles.everyState(input),
                          tiles.everyChannel(k.arg(3), b, item, n0),
                          tiles.everyChannel(k.arg(4), b, item, n0)};
            llvm::append_range(inputs, tiles.powersFor(states));
            Values next =
                k.map(inputs, {k.f32(), k.f32()},
                      [&](ScalarBuilder &s, ValueRange v) {
                        Value a =
                            tiles.decay(s, v[1], v[2], v.drop_front(6), isCalm);
                        Value h = s.add(s.mul(a, v[0]), s.mul(v[3], v[4]));
                        return Values{h, s.mul(v[5], h)};
                      });
            Value sum = k.reduce(Combiner::Add, next[1], 0);
            if (once)
              finish(item,
                     [&](Value) { return k.reduce(Combiner::Add, sum, 0); });
            else
              k.store(tiles.sum(k.load(row, y, tiles.at(t)), sum), y,
                      tiles.at(t));
            return Values{next[0]};
          })[0];
      k.store(end, h, tiles.at(n0));
    };
    tiles.eitherWay(steps, tiles.largest(rates, padded), [&](bool isCalm) {
      k.loop(0, s.states, s.block, [&](Value n0) { walk(n0, isCalm); });
    });
    if (!once)
      k.loop(zero, count, 1, [&](Value t) {
        finish(k.add(t0, t), [&](Value d) {
          return k.load(k.row(s.lanes, k.f32()), y,
                        {t, k.div(k.sub(d, d0), s.lanes), zero});
        });
      });
  };
  k.loop(0, s.length, s.chunk, [&](Value t0) {
    eachStrip(
        [&](Value d0, Value rates, Value h) { oneChunk(t0, d0, rates, h); });
  });
  if (op.getFrom())
    eachStrip([&](Value d0, Value, Value h) {
      tiles.copyOut(h, k.arg(in.size() + 1), {b, zero}, k.index(s.states), d0);
    });
  op->replaceAllUsesWith(
      context.dispatch(op, k, operands, op->getResultTypes()));
  op->erase();
  return success();
}

} // namespace bitbyte::tile
