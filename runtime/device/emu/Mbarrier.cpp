//===- Mbarrier.cpp - Barriers in shared memory, by phases ----------------===//

#include "runtime/device/emu/BulkCopy.h"
#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Lanes.h"
#include "runtime/device/emu/Memory.h"

#include <algorithm>

namespace bitbyte::emu {

void release(Warp &warp, Order &order) {
  joinClock(order.seen, warp.clock);
  joinClock(order.fenced, warp.units.fenced);
  ++warp.clock[warp.id];
}

void acquire(Warp &warp, const Order &order) {
  joinClock(warp.clock, order.seen);
  joinClock(warp.units.fenced, order.fenced);
}

static void misuse(Warp &warp, const Op &op, const std::string &what) {
  report(warp, op, "bad mbarrier",
         fmt::format("{}, at {}", what, place(warp.block->kernel(), op)));
}

static std::string nameOf(const Mbarrier &barrier) {
  return fmt::format("the mbarrier at shared offset {}",
                     barrier.offset - sharedStart);
}

void settle(Block &block, Mbarrier &barrier) {
  ++block.units.changes;
  if (barrier.pending != 0 || barrier.bytes != 0)
    return;
  ++barrier.phase;
  block.unitEpochs = std::max(block.unitEpochs, barrier.phase + 1);
  barrier.pending = barrier.count;
  joinClock(barrier.complete.seen, barrier.arriving.seen);
  joinClock(barrier.complete.fenced, barrier.arriving.fenced);
}

Mbarrier *findBarrier(Warp &warp, const Op &op, uint64_t address, int lane) {
  Block &block = *warp.block;
  uint32_t offset;
  if (!sharedOffset(warp, op, address, 8, lane, offset))
    return nullptr;
  std::vector<Mbarrier> &all = block.units.barriers;
  auto found = std::find_if(all.begin(), all.end(), [&](const Mbarrier &b) {
    return b.offset == offset;
  });
  if (found == all.end()) {
    misuse(warp, op,
           fmt::format("warp {} uses shared offset {} as an mbarrier, which "
                       "none was made at",
                       warp.id, int64_t(offset) - int64_t(sharedStart)));
    return nullptr;
  }
  // Its making is a write that must be ordered before.
  if (block.options.checkShared)
    block.races.read(accessOf(warp, op, lane), offset, 8);
  return &*found;
}

namespace {

uint32_t wordOf(Warp &warp, uint32_t slot, uint32_t lane) {
  return warp.lanes<uint32_t>(slot)[lane];
}

void initialize(Warp &warp, const Op &op) {
  Block &block = *warp.block;
  eachLane(warp.active, [&](uint32_t i) {
    uint64_t address = addressOf(warp, op.address, i);
    uint32_t offset, count = wordOf(warp, op.a, i);
    if (!reach(warp, op, Space::Shared, address, 8, int(i), Touch::Write) ||
        !sharedOffset(warp, op, address, 8, int(i), offset))
      return;
    std::vector<Mbarrier> &all = block.units.barriers;
    if (count == 0 || count >= 1 << 20)
      return misuse(warp, op,
                    fmt::format("an mbarrier for {} arrivals", count));
    auto found = std::find_if(all.begin(), all.end(), [&](const Mbarrier &b) {
      return b.offset == offset;
    });
    if (found == all.end()) {
      if (all.size() == maxBarriers)
        return misuse(warp, op,
                      fmt::format("the emulator keeps track of no more than {} "
                                  "mbarriers in a block",
                                  maxBarriers));
      found = all.emplace(all.end());
      found->actor = firstBarrier + uint32_t(all.size()) - 1;
    }
    uint32_t actor = found->actor, phase = (found->phase + 1) & ~1u;
    *found = Mbarrier();
    found->offset = offset;
    found->actor = actor;
    found->phase = phase; // epochs of the actor go on
    found->count = count;
    found->pending = count;
    found->initWarp = warp.id;
    found->initEpoch = warp.clock[warp.id];
  });
}

/// The memory is free for other uses.
void invalidate(Warp &warp, const Op &op) {
  eachLane(warp.active, [&](uint32_t i) {
    uint64_t address = addressOf(warp, op.address, i);
    if (Mbarrier *barrier = findBarrier(warp, op, address, int(i))) {
      reach(warp, op, Space::Shared, address, 8, int(i), Touch::Write);
      barrier->offset = 0; // nothing lies there
    }
  });
}

enum Arrival : uint8_t { Plain, ExpectAndArrive, Expect, Drop };

void expectBytes(Warp &warp, const Op &op, Mbarrier &barrier, uint32_t bytes) {
  barrier.bytes += bytes;
  if (bytes >= 1 << 20 || barrier.bytes >= 1 << 20)
    misuse(warp, op,
           fmt::format("{} expects {} bytes in a phase; 1048575 are the most",
                       nameOf(barrier), barrier.bytes));
}

void arriveOnce(Warp &warp, const Op &op, Mbarrier &barrier, uint32_t count) {
  if (barrier.pending < int64_t(count)) {
    misuse(warp, op,
           fmt::format("warp {} arrives {} times at {}, whose phase {} waits "
                       "for {} more of {}",
                       warp.id, count, nameOf(barrier), barrier.phase,
                       barrier.pending, barrier.count));
    count = uint32_t(barrier.pending);
  }
  barrier.pending -= count;
  settle(*warp.block, barrier);
}

void arrive(Warp &warp, const Op &op) {
  eachLane(warp.active, [&](uint32_t i) {
    Mbarrier *barrier =
        findBarrier(warp, op, addressOf(warp, op.address, i), int(i));
    uint64_t token = barrier ? barrier->phase : 0;
    if (barrier) {
      uint32_t number = op.a == noSlot ? 1 : wordOf(warp, op.a, i);
      if (op.mode == Expect || op.mode == ExpectAndArrive)
        expectBytes(warp, op, *barrier, number);
      if (op.mode == Expect) {
        settle(*warp.block, *barrier);
        return;
      }
      release(warp, barrier->arriving);
      uint32_t count = op.mode == ExpectAndArrive ? 1 : number;
      if (op.mode == Drop)
        barrier->count -= std::min(count, barrier->count);
      token |= uint64_t(barrier->pending) << 32;
      arriveOnce(warp, op, *barrier, count);
    }
    if (op.d != noSlot)
      warp.lanes<uint64_t>(op.d)[i] = token;
  });
}

/// Whether a phase is complete, by its parity or by the token of an arrival. A
/// warp that looks in vain lets others run.
void look(Warp &warp, const Op &op) {
  Block &block = *warp.block;
  uint32_t complete = 0;
  eachLane(warp.active, [&](uint32_t i) {
    Mbarrier *barrier =
        findBarrier(warp, op, addressOf(warp, op.address, i), int(i));
    if (!barrier) {
      complete |= 1u << i; // the finding is told, nothing will change
      return;
    }
    if (op.mode) {
      if ((barrier->phase & 1) == (wordOf(warp, op.a, i) & 1))
        return;
    } else {
      uint32_t phase = uint32_t(warp.lanes<uint64_t>(op.a)[i]);
      if (barrier->phase == phase)
        return;
      if (barrier->phase != phase + 1)
        misuse(warp, op,
               fmt::format("warp {} asks {} for phase {}, but {} are complete: "
                           "only the last may be asked for",
                           warp.id, nameOf(*barrier), phase, barrier->phase));
    }
    complete |= 1u << i;
    acquire(warp, barrier->complete);
    warp.clock[barrier->actor] =
        std::max(warp.clock[barrier->actor], block.epochBase + barrier->phase);
  });
  if (complete)
    ++warp.warpSyncs;
  else
    warp.state = WarpState::Blocked;
  storeMask(warp, op.d, complete);
}

void pendingCount(Warp &warp, const Op &op) {
  const uint64_t *token = warp.lanes<uint64_t>(op.a);
  storeLanes<uint32_t>(warp, op.d,
                       [=](uint32_t i) { return uint32_t(token[i] >> 32); });
}

Address barrierAddress(Decoder &d, size_t operand) {
  d.builder.kernel.usesUnits = true;
  d.builder.kernel.sharedGranule = std::min(d.builder.kernel.sharedGranule, 8u);
  return d.address(operand, Space::Shared);
}

void takeOrder(Decoder &d) {
  d.takeOneOf({"acquire", "release", "relaxed"});
  d.takeOneOf({"cta", "cluster"});
}

void decodeMbarrier(Decoder &d) {
  int what = d.takeOneOf({"init", "inval", "arrive", "arrive_drop", "test_wait",
                          "try_wait", "pending_count", "expect_tx"});
  bool expects = what == 2 && d.take("expect_tx");
  bool parity = d.take("parity");
  takeOrder(d);
  d.takeSpace(); // all lie in shared memory
  if (!d.take("b64"))
    return;
  switch (what) {
  case 0:
    if (!d.expect(2))
      return;
    d.op.run = initialize;
    d.op.address = barrierAddress(d, 0);
    d.op.a = d.read(1, 32);
    return;
  case 1:
    if (!d.expect(1))
      return;
    d.op.run = invalidate;
    d.op.address = barrierAddress(d, 0);
    return;
  case 7:
    if (!d.expect(2))
      return;
    d.op.run = arrive;
    d.op.mode = Expect;
    d.op.d = noSlot;
    d.op.address = barrierAddress(d, 0);
    d.op.a = d.read(1, 32);
    return;
  case 2:
  case 3: {
    size_t first = d.operands() && d.isAddress(0) ? 0 : 1;
    if (!d.expect(first + 1 + size_t(expects), first + 2))
      return;
    d.op.run = arrive;
    d.op.mode = expects ? ExpectAndArrive : what == 3 ? Drop : Plain;
    d.op.d = first ? d.write(0, 64) : noSlot;
    d.op.address = barrierAddress(d, first);
    d.op.a = d.operands() == first + 2 ? d.read(first + 1, 32) : noSlot;
    return;
  }
  case 4:
  case 5:
    if (!d.expect(3, what == 5 ? 4 : 3))
      return;
    d.op.run = look;
    d.op.mode = parity;
    d.op.d = d.writePredicate(0);
    d.op.address = barrierAddress(d, 1);
    d.op.a = d.read(2, parity ? 32 : 64);
    if (d.operands() == 4)
      d.read(3, 32); // how long to sleep
    return;
  case 6:
    if (!d.expect(2))
      return;
    d.op.run = pendingCount;
    d.op.d = d.write(0, 32);
    d.op.a = d.read(1, 64);
    return;
  default:
    return;
  }
}

/// Arrives when all cp.asyncs of the lane have landed. Without .noinc that is
/// an arrival more than those that were counted.
void arriveAfterCopies(Warp &warp, const Op &op) {
  eachLane(warp.active, [&](uint32_t i) {
    Mbarrier *barrier =
        findBarrier(warp, op, addressOf(warp, op.address, i), int(i));
    if (!barrier)
      return;
    if (!op.narrow)
      ++barrier->pending;
    auto job = std::make_shared<BulkJob>();
    job->op = &op;
    job->warp = &warp;
    job->lane = i;
    job->barrier = barrier->offset;
    job->epoch = warp.copiesIssued;
    release(warp, job->order);
    addJob(*warp.block, std::move(job));
  });
}

} // namespace

void landArrival(Block &block, const BulkJob &job) {
  Warp &warp = *job.warp;
  landCopies(warp, job.lane, job.epoch, job.order.seen[warp.id]);
  for (Mbarrier &barrier : block.units.barriers)
    if (barrier.offset == job.barrier) {
      joinClock(barrier.arriving.seen, job.order.seen);
      joinClock(barrier.arriving.fenced, job.order.fenced);
      arriveOnce(warp, *job.op, barrier, 1);
    }
}

void decodeArriveAfterCopies(Decoder &d) {
  bool arrives = d.take("arrive");
  d.op.narrow = d.take("noinc");
  d.takeSpace();
  if (!arrives || !d.take("b64") || !d.expect(1))
    return;
  d.op.run = arriveAfterCopies;
  d.op.address = barrierAddress(d, 0);
}

void addMbarrier(DecoderTable &table) {
  table["mbarrier"] = decodeMbarrier;
  // A cluster is one block: an address in it is its own.
  table["mapa"] = [](Decoder &d) {
    d.takeSpace();
    Type type = d.takeType();
    unsigned bits = bitsOf(type);
    if ((type != Type::U32 && type != Type::U64) || !d.expect(3))
      return;
    d.op.run = bits == 64 ? lanewise<[](uint64_t a) { return a; }>
                          : lanewise<[](uint32_t a) { return a; }>;
    d.op.d = d.write(0, bits);
    d.op.a = d.read(1, bits);
    d.read(2, 32);
  };
}

} // namespace bitbyte::emu
