//===- Barrier.cpp - Barriers of blocks and warps, fences -----------------===//

#include "runtime/device/emu/Collective.h"
#include "runtime/device/emu/Control.h"
#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Lanes.h"

namespace bitbyte::emu {

namespace {

enum Kind : uint8_t { Sync, Arrive, Popc, And, Or };

uint32_t uniform(Warp &warp, const Op &op, uint32_t slot) {
  const uint32_t *value = warp.lanes<uint32_t>(slot);
  uint32_t first = value[warp.firstLane()];
  eachLane(warp.active, [&](uint32_t i) {
    if (value[i] != first)
      report(warp, op, "divergent barrier",
             fmt::format("the lanes of warp {} name different barriers or "
                         "counts, at {}",
                         warp.id, place(warp.block->kernel(), op)));
  });
  return first;
}

void barrier(Warp &warp, const Op &op) {
  Block &block = *warp.block;
  if (op.guard != noSlot) {
    uint32_t mask = warp.mask(op.guard);
    mask = warp.active & (op.guardNot ? ~mask : mask);
    if (!mask)
      return advance(warp);
    if (mask != warp.active)
      report(warp, op, "divergent barrier",
             fmt::format("lanes {:#x} of warp {} wait, {:#x} do not, at {}",
                         mask, warp.id, warp.active & ~mask,
                         place(block.kernel(), op)));
  }
  if (warp.active != warp.live)
    report(
        warp, op, "divergent barrier",
        fmt::format("lanes {:#x} of warp {} of block {} are here, {:#x} took "
                    "another way, at {}",
                    warp.active, warp.id, block.number,
                    warp.live & ~warp.active, place(block.kernel(), op)));
  uint32_t id = uniform(warp, op, op.a);
  uint32_t threads = op.b == noSlot ? 0 : uniform(warp, op, op.b);
  if (id > 15 || threads % 32 || threads > 32 * block.warps.size()) {
    report(warp, op, "bad barrier",
           fmt::format("barrier {} for {} threads: there are 16, for multiples "
                       "of 32 up to {}, at {}",
                       id, threads, 32 * block.warps.size(),
                       place(block.kernel(), op)));
    id &= 15;
    threads = 0;
  }
  NamedBarrier &named = block.barriers[id];
  if (named.arrived && named.threads != threads)
    report(warp, op, "bad barrier",
           fmt::format("warps disagree on the threads of barrier {}: {} at {}, "
                       "{} at {}",
                       id, named.threads, place(block.kernel(), *named.op),
                       threads, place(block.kernel(), op)));
  named.threads = threads;
  named.op = &op;
  ++named.arrived;
  release(warp, named.order);
  ++warp.warpSyncs;
  if (op.mode >= Popc) {
    uint32_t mask = warp.mask(op.c);
    mask = op.narrow ? ~mask : mask;
    named.votes += uint32_t(std::popcount(mask & warp.active));
    named.voters += uint32_t(std::popcount(warp.active));
  }
  if (op.mode == Arrive)
    return advance(warp);
  warp.barrier = id;
  warp.barrierOp = &op;
  warp.state = WarpState::AtBarrier;
}

/// bar.sync a[, b]; barrier.cta.red.popc.aligned.u32 d, a[, b], p; and the
/// other spellings.
void decodeBarrier(Decoder &d) {
  if (d.take("warp")) {
    if (!d.take("sync") || !d.expect(1))
      return;
    d.op.b = d.read(0, 32);
    d.op.run = [](Warp &warp, const Op &op) {
      wantLanes(warp, op, warp.lanes<uint32_t>(op.b)[warp.firstLane()]);
      ++warp.warpSyncs;
    };
    return;
  }
  if (d.take("cluster")) {
    // A cluster is one block: its barrier joins what the block's own would.
    bool wait = d.take("wait"), arrive = d.take("arrive");
    d.takeOneOf({"acquire", "release", "relaxed"});
    d.take("aligned");
    if (!d.expect(0) || wait == arrive)
      return;
    if (wait) {
      d.op.run = barrier;
      d.op.jumps = true;
      d.op.a = d.builder.constant(15, false);
      d.op.b = noSlot;
    } else {
      d.op.run = [](Warp &, const Op &) {};
    }
    return;
  }
  d.take("cta");
  int kind = d.takeOneOf({"sync", "arrive", "red"});
  if (kind < 0)
    return;
  d.take("aligned");
  d.op.mode = uint8_t(kind);
  d.op.run = barrier;
  d.op.jumps = true;
  size_t at = 0;
  if (kind == 2) {
    int reduction = d.takeOneOf({"popc", "and", "or"});
    Type type = d.takeType();
    if (reduction < 0 || !d.expect(3, 4))
      return d.refuse("the reduction of the barrier is not known");
    d.op.mode = uint8_t(Popc + reduction);
    d.op.d = reduction == 0 ? d.write(0, 32) : d.writePredicate(0);
    (void)type;
    d.op.c = d.readPredicate(d.operands() - 1);
    d.op.narrow = d.isNegated(d.operands() - 1);
    at = 1;
  } else if (!d.expect(kind == 1 ? 2 : 1, 2)) {
    return;
  }
  d.op.a = d.read(at, 32);
  bool counted = d.operands() > at + 1 + size_t(kind == 2);
  d.op.b = counted ? d.read(at + 1, 32) : noSlot;
}

void nothing(Warp &, const Op &) {}

/// What the warp knows of is from now on visible to the asynchronous units.
void fenceProxy(Warp &warp, const Op &) {
  joinClock(warp.units.fenced, warp.clock);
  ++warp.clock[warp.id];
}

void fenceBarriers(Warp &warp, const Op &) {
  for (Mbarrier &barrier : warp.block->units.barriers)
    barrier.fenced |= barrier.initWarp == warp.id;
}

/// Memory is sequentially consistent here: only fences of the async proxy have
/// something to do.
void decodeFence(Decoder &d) {
  std::string_view proxy;
  if (d.takePrefix("proxy", proxy)) {
    bool async = d.take("async"), global = d.take("global");
    d.takeOneOf({"shared::cta", "shared::cluster"});
    if (!async)
      return d.refuse("of the proxy fences only .async is known");
    d.expect(0);
    // What is shared is ordered; global memory is not looked at.
    d.op.run = global ? nothing : fenceProxy;
    return;
  }
  if (d.take("mbarrier_init")) {
    if (d.take("release") && d.take("cluster") && d.expect(0))
      d.op.run = fenceBarriers;
    return;
  }
  d.takeOneOf({"sc", "acq_rel", "acquire", "release"});
  d.takeOneOf({"cta", "cluster", "gpu", "sys", "gl"});
  d.expect(0);
  d.op.run = nothing;
}

} // namespace

void releaseBarriers(Block &block, bool &progress) {
  uint32_t alive = 0;
  for (const Warp &warp : block.warps)
    alive += warp.state != WarpState::Done;
  for (uint32_t id = 0; id < 16; ++id) {
    NamedBarrier &named = block.barriers[id];
    uint32_t wanted = named.threads ? named.threads / 32 : alive;
    if (!named.arrived || named.arrived < wanted)
      continue;
    if (named.arrived > wanted)
      report(block.warps[0], *named.op, "bad barrier",
             fmt::format(
                 "{} warps arrive at barrier {}, which waits for {}, at "
                 "{}",
                 named.arrived, id, wanted, place(block.kernel(), *named.op)));
    for (Warp &warp : block.warps) {
      if (warp.state != WarpState::AtBarrier || warp.barrier != id)
        continue;
      acquire(warp, named.order);
      warp.state = WarpState::Running;
      const Op &op = *warp.barrierOp;
      uint32_t votes = named.votes;
      if (op.mode == Popc)
        storeLanes<uint32_t>(warp, op.d, [=](uint32_t) { return votes; });
      else if (op.mode == And || op.mode == Or)
        storeMask(warp, op.d,
                  (op.mode == And ? votes == named.voters : votes > 0)
                      ? ~uint32_t(0)
                      : 0);
      advance(warp);
    }
    named = NamedBarrier();
    progress = true;
  }
}

void addBarrier(DecoderTable &table) {
  table["bar"] = decodeBarrier;
  table["barrier"] = decodeBarrier;
  table["fence"] = decodeFence;
  table["membar"] = decodeFence;
}

} // namespace bitbyte::emu
