#include "runtime/device/emu/AsyncCopy.h"

#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Lanes.h"
#include "runtime/device/emu/Memory.h"

namespace bitbyte::emu {

void doCopy(Warp &warp, LaneCopy &copy, bool finish) {
  Block &block = *warp.block;
  if (!copy.done) {
    copy.done = true;
    std::byte *target = &block.shared[copy.target];
    std::memset(target, 0, copy.bytes);
    if (copy.sourceBytes)
      if (std::byte *source =
              reachGlobal(warp, *copy.op, copy.source, copy.sourceBytes,
                          int(copy.lane), Touch::Read))
        std::memcpy(target, source, copy.sourceBytes);
  }
  if (finish && block.options.checkShared)
    block.races.endCopy(accessOf(warp, *copy.op, int(copy.lane)), copy.target,
                        copy.bytes);
}

namespace {

void copyAsync(Warp &warp, const Op &op) {
  Block &block = *warp.block;
  uint32_t bytes = op.count;
  eachLane(warp.active, [&](uint32_t i) {
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
    LaneCopy copy{&op, source, offset, bytes, sourceBytes, i, false};
    if (block.options.checkShared)
      block.races.beginCopy(accessOf(warp, op, int(i)), offset, bytes);
    Schedule schedule = block.options.schedule;
    if (schedule == Schedule::Eager ||
        (schedule == Schedule::Random && (block.dice.next() & 1)))
      doCopy(warp, copy, false);
    warp.openCopies.push_back(copy);
  });
}

void commit(Warp &warp, const Op &) {
  warp.copyGroups.push_back(std::move(warp.openCopies));
  warp.openCopies.clear();
}

/// Waits until at most `op.imm` groups are open.
void wait(Warp &warp, const Op &op) {
  while (warp.copyGroups.size() > uint64_t(op.imm)) {
    for (LaneCopy &copy : warp.copyGroups.front())
      doCopy(warp, copy, true);
    warp.copyGroups.pop_front();
  }
}

void decodeCopy(Decoder &d) {
  if (!d.take("async"))
    return d.refuse("of cp only cp.async is known");
  if (d.take("commit_group")) {
    d.expect(0);
    d.op.run = commit;
    return;
  }
  if (d.take("wait_group")) {
    if (d.expect(1))
      d.op.imm = std::max<int64_t>(d.needNumber(0), 0);
    d.op.run = wait;
    return;
  }
  if (d.take("wait_all")) {
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

void addAsyncCopy(DecoderTable &table) { table["cp"] = decodeCopy; }

} // namespace bitbyte::emu
