//===- AsyncCopy.cpp - cp.async and its groups ----------------------------===//

#include "runtime/device/emu/BulkCopy.h"
#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Lanes.h"
#include "runtime/device/emu/Memory.h"

#include <algorithm>

namespace bitbyte::emu {

namespace {

void moveBytes(Warp &warp, CopyBatch &batch, uint32_t lane) {
  batch.moved |= 1u << lane;
  uint32_t bytes = batch.sourceBytes[lane];
  std::byte *target = &warp.block->shared[batch.target[lane]];
  std::memset(target, 0, batch.op->count);
  if (bytes)
    if (std::byte *source = reachGlobal(warp, *batch.op, batch.source[lane],
                                        bytes, int(lane), Touch::Read))
      std::memcpy(target, source, bytes);
}

/// Ends the time in which nobody may touch what these lanes copy to: it was
/// written as of `epoch`.
void finish(Warp &warp, CopyBatch &batch, uint32_t lanes, uint32_t epoch) {
  Block &block = *warp.block;
  batch.pending &= ~lanes;
  eachLane(lanes, [&](uint32_t i) {
    if (!(batch.moved >> i & 1))
      moveBytes(warp, batch, i);
    if (block.options.checkShared) {
      RaceChecker::Access access = accessOf(warp, *batch.op, int(i));
      access.epoch = epoch;
      block.races.endCopy(access, batch.target[i], batch.op->count);
    }
  });
}

/// The lanes of `lanes` that committed as many groups as the first of them.
uint32_t alike(const Warp &warp, uint32_t lanes) {
  uint32_t group = warp.copyGroups[std::countr_zero(lanes)], mask = 0;
  eachLane(lanes, [&](uint32_t i) {
    mask |= uint32_t(warp.copyGroups[i] == group) << i;
  });
  return mask;
}

/// Issues the copies of lanes that stand in the same group.
void issue(Warp &warp, const Op &op, uint32_t lanes) {
  Block &block = *warp.block;
  uint32_t bytes = op.count;
  CopyBatch &batch = warp.copies.emplace_back();
  batch.op = &op;
  batch.group = warp.copyGroups[std::countr_zero(lanes)];
  batch.number = ++warp.copiesIssued;
  eachLane(lanes, [&](uint32_t i) {
    uint64_t target = addressOf(warp, op.address, i);
    uint64_t source = addressOf(warp, op.source, i);
    uint32_t sourceBytes =
        op.extra == noSlot ? bytes : warp.lanes<uint32_t>(op.extra)[i];
    if (op.c != noSlot && (warp.mask(op.c) >> i & 1)) // ignore-src
      sourceBytes = 0;
    if (sourceBytes > bytes) {
      report(warp, op, "bad copy",
             fmt::format("cp.async copies {} of {} bytes, at {}", sourceBytes,
                         bytes, place(block.kernel(), op)));
      sourceBytes = bytes;
    }
    // With nothing to copy the source is no address.
    if ((target | (sourceBytes ? source : 0)) & (bytes - 1)) {
      report(
          warp, op, "misaligned",
          fmt::format("thread {} copies {} bytes from {:#x} to shared {:#x}, "
                      "no multiples of {}, at {}",
                      warp.id * 32 + i, bytes, source, target, bytes,
                      place(block.kernel(), op)));
      return;
    }
    uint32_t offset;
    if (!sharedOffset(warp, op, target, bytes, int(i), offset))
      return;
    batch.source[i] = source;
    batch.target[i] = offset;
    batch.sourceBytes[i] = sourceBytes;
    batch.pending |= 1u << i;
    if (block.options.checkShared)
      block.races.beginCopy(accessOf(warp, op, int(i)), offset, bytes);
    Schedule schedule = block.options.schedule;
    if (schedule == Schedule::Eager ||
        (schedule == Schedule::Random && (block.dice.next() & 1)))
      moveBytes(warp, batch, i);
  });
}

void copyAsync(Warp &warp, const Op &op) {
  for (uint32_t lanes = warp.active; lanes;) {
    uint32_t together = alike(warp, lanes);
    issue(warp, op, together);
    lanes &= ~together;
  }
}

void noteWork(Warp &warp, const Op &op) {
  Block &block = *warp.block;
  block.worked[size_t(&op - block.kernel().ops.data())] = true;
}

void commit(Warp &warp, const Op &op) {
  for (const CopyBatch &batch : warp.copies)
    if (uint32_t lanes = batch.pending & warp.active;
        lanes && warp.copyGroups[std::countr_zero(lanes)] == batch.group)
      noteWork(warp, op);
  eachLane(warp.active, [&](uint32_t i) { ++warp.copyGroups[i]; });
}

/// Every lane waits until at most `op.imm` of its groups are open.
void wait(Warp &warp, const Op &op) {
  uint32_t complete[32];
  for (uint32_t i = 0; i < 32; ++i)
    complete[i] = warp.copyGroups[i] -
                  uint32_t(std::min<int64_t>(op.imm, warp.copyGroups[i]));
  for (CopyBatch &batch : warp.copies)
    if (uint32_t lanes = batch.pending & warp.active & maskOf([&](uint32_t i) {
                           return complete[i] > batch.group;
                         })) {
      noteWork(warp, op);
      finish(warp, batch, lanes, warp.clock[warp.id]);
    }
  std::erase_if(warp.copies,
                [](const CopyBatch &batch) { return !batch.pending; });
}

void decodeCopy(Decoder &d) {
  if (!d.take("async"))
    return d.refuse("of cp only cp.async is known");
  if (d.take("bulk"))
    return decodeBulkCopy(d);
  if (d.take("mbarrier"))
    return decodeArriveAfterCopies(d);
  if (d.take("commit_group")) {
    d.op.ofCopies = true;
    d.expect(0);
    d.op.run = commit;
    return;
  }
  if (d.take("wait_group")) {
    d.op.ofCopies = true;
    if (d.expect(1))
      d.op.imm = std::max<int64_t>(d.needNumber(0), 0);
    d.op.run = wait;
    return;
  }
  if (d.take("wait_all")) {
    d.op.ofCopies = true;
    d.expect(0);
    d.op.run = [](Warp &warp, const Op &op) {
      commit(warp, op);
      wait(warp, op);
    };
    return;
  }
  int level = d.takeOneOf({"ca", "cg"});
  bool shared = d.takeOneOf({"shared", "shared::cta"}) >= 0;
  if (level < 0 || !shared || !d.take("global"))
    return;
  std::string_view hints;
  bool hint = false;
  while (d.takePrefix("L2::", hints))
    hint |= hints == "L2::cache_hint";
  if (!d.expect(3 + size_t(hint), 4 + size_t(hint)))
    return;
  d.op.run = copyAsync;
  d.op.address = d.address(0, Space::Shared);
  d.op.source = d.address(1, Space::Global);
  int64_t bytes = d.needNumber(2);
  if (bytes != 16 && (level == 1 || (bytes != 4 && bytes != 8)))
    return d.refuse("cp.async copies 4, 8 or 16 bytes, with .cg 16");
  d.op.count = uint32_t(bytes);
  d.op.extra = d.op.c = noSlot;
  if (d.operands() == 4 + size_t(hint)) {
    if (d.isPredicate(3))
      d.op.c = d.readPredicate(3);
    else
      d.op.extra = d.read(3, 32);
  }
}

} // namespace

void landCopies(Warp &warp, uint32_t lane, uint32_t issued, uint32_t epoch) {
  for (CopyBatch &batch : warp.copies)
    if (batch.number <= issued && (batch.pending >> lane & 1))
      finish(warp, batch, 1u << lane, epoch);
}

void addAsyncCopy(DecoderTable &table) { table["cp"] = decodeCopy; }

} // namespace bitbyte::emu
