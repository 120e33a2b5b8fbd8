#include "runtime/device/emu/Control.h"

#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Lanes.h"

namespace bitbyte::emu {

//===----------------------------------------------------------------------===//
// The stack of lanes that wait for others
//===----------------------------------------------------------------------===//

void resume(Warp &warp) {
  while (!warp.stack.empty()) {
    Warp::Frame &frame = warp.stack.back();
    frame.mask &= warp.live;
    if (frame.mask && frame.pc != frame.join) {
      warp.pc = frame.pc;
      warp.active = frame.mask;
      warp.join = frame.join;
      return;
    }
    warp.stack.pop_back();
  }
  warp.state = WarpState::Done;
  warp.active = 0;
}

void advance(Warp &warp) {
  if (++warp.pc == warp.join) {
    warp.stack.pop_back();
    resume(warp);
  }
}

static uint32_t guarded(Warp &warp, const Op &op) {
  if (op.guard == noSlot)
    return warp.active;
  uint32_t mask = warp.mask(op.guard);
  return warp.active & (op.guardNot ? ~mask : mask);
}

static void jump(Warp &warp, uint32_t target) {
  warp.pc = target;
  if (target == warp.join) {
    warp.stack.pop_back();
    resume(warp);
  }
}

/// Lanes go to different places: they run one after another, and together
/// again from `op.join` on. The last place runs first.
static void diverge(Warp &warp, const Op &op,
                    std::span<const std::pair<uint32_t, uint32_t>> ways) {
  if (op.join == warp.join)
    warp.stack.pop_back();
  else
    warp.stack.back().pc = op.join;
  for (auto [target, mask] : ways)
    warp.stack.push_back({target, op.join, mask});
  resume(warp);
}

void branch(Warp &warp, const Op &op) {
  uint32_t taken = guarded(warp, op), rest = warp.active & ~taken;
  if (!rest)
    return jump(warp, op.target);
  if (!taken)
    return advance(warp);
  std::pair<uint32_t, uint32_t> ways[] = {{warp.pc + 1, rest},
                                          {op.target, taken}};
  diverge(warp, op, ways);
}

void branchIndexed(Warp &warp, const Op &op) {
  const uint32_t *targets = &warp.block->kernel().lists[op.first];
  const uint32_t *index = warp.lanes<uint32_t>(op.a);
  uint32_t taken = guarded(warp, op);
  std::vector<std::pair<uint32_t, uint32_t>> ways;
  if (uint32_t rest = warp.active & ~taken)
    ways.push_back({warp.pc + 1, rest});
  eachLane(taken, [&](uint32_t i) {
    if (index[i] >= op.count)
      report(warp, op, "out of bounds",
             fmt::format("brx.idx takes way {} of {}, at {}", index[i],
                         op.count, place(warp.block->kernel(), op)));
    uint32_t target = targets[std::min(index[i], op.count - 1)];
    for (auto &way : ways)
      if (way.first == target) {
        way.second |= 1u << i;
        return;
      }
    ways.push_back({target, 1u << i});
  });
  if (ways.size() == 1)
    return jump(warp, ways[0].first);
  diverge(warp, op, ways);
}

void leave(Warp &warp, const Op &op) {
  uint32_t leaving = guarded(warp, op);
  auto leftover = [&](const char *what) {
    report(warp, op, "leftover",
           fmt::format("warp {} exits with {} that it never waited for, at {}",
                       warp.id, what, place(warp.block->kernel(), op)));
  };
  if (leaving) {
    uint32_t copying = 0;
    for (const CopyBatch &batch : warp.copies)
      copying |= batch.pending;
    if (copying & leaving)
      leftover("copies of cp.async");
    bool storing = false;
    for (const auto &store : warp.units.stores)
      storing |= leaving >> store->lane & 1;
    if (storing)
      leftover("bulk stores");
    if (!warp.units.open.empty() || warp.units.committed > warp.units.run)
      leftover("products of wgmma");
  }
  warp.live &= ~leaving;
  warp.stack.back().pc = warp.pc + 1;
  resume(warp);
}

//===----------------------------------------------------------------------===//
// Decoding
//===----------------------------------------------------------------------===//

static void ignore(Warp &, const Op &) {}

static void trap(Warp &warp, const Op &op) {
  report(warp, op, "trap",
         fmt::format("warp {} of block {} reaches a trap, at {}", warp.id,
                     warp.block->number, place(warp.block->kernel(), op)));
  warp.live &= ~warp.active;
  resume(warp);
}

static void decodeBranch(Decoder &d) {
  d.take("uni");
  if (!d.expect(1))
    return;
  d.op.run = branch;
  d.op.jumps = true;
  d.builder.fixups.push_back({d.builder.kernel.ops.size(), false, 0,
                              d.builder.scope, std::string(d.label(0)),
                              d.op.line});
}

static void decodeIndexedBranch(Decoder &d) {
  d.take("uni");
  if (!d.take("idx") || !d.expect(2))
    return;
  d.op.run = branchIndexed;
  d.op.jumps = true;
  d.op.a = d.read(0, 32);
  auto targets = d.builder.branchTargets.find(d.label(1));
  if (targets == d.builder.branchTargets.end())
    return d.refuse("the list of .branchtargets is missing");
  std::vector<uint32_t> places(targets->second.size(), nowhere);
  d.list(places);
  for (size_t i = 0; i < places.size(); ++i)
    d.builder.fixups.push_back({0, true, d.op.first + i, d.builder.scope,
                                targets->second[i], d.op.line});
}

static void decodeExit(Decoder &d) {
  d.take("uni");
  d.expect(0);
  d.op.run = leave;
  d.op.jumps = true;
}

static void decodeIgnored(Decoder &d) {
  while (d.takeAny())
    ;
  d.op.run = ignore;
}

void addControl(DecoderTable &table) {
  table["bra"] = decodeBranch;
  table["brx"] = decodeIndexedBranch;
  table["ret"] = decodeExit;
  table["exit"] = decodeExit;
  table["trap"] = [](Decoder &d) {
    d.expect(0);
    d.op.run = trap;
    d.op.jumps = true;
    if (d.op.guard != noSlot)
      d.refuse("a guarded trap is not known: branch around it");
  };
  // What only asks for resources or time.
  for (const char *name :
       {"nanosleep", "setmaxnreg", "griddepcontrol", "pmevent", "brkpt"})
    table[name] = decodeIgnored;
}

} // namespace bitbyte::emu
