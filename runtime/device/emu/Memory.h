//===- Memory.h - One access, through all checks --------------------------===//
#pragma once

#include "runtime/device/emu/Execution.h"

namespace bitbyte::emu {

class Decoder;

/// Where `bytes` (a power of two) at an address lie, or null after a finding:
/// misaligned, out of bounds, read-only, raced. `data` is what will be written.
std::byte *reach(Warp &warp, const Op &op, Space space, uint64_t address,
                 uint32_t bytes, int lane, Touch touch,
                 const std::byte *data = nullptr);

/// The offset of a shared address, generic or not, or nothing after a finding.
bool sharedOffset(Warp &warp, const Op &op, uint64_t address, uint32_t bytes,
                  int lane, uint32_t &offset);

/// A range of global memory, as one access by the engine that copies.
std::byte *reachGlobal(Warp &warp, const Op &op, uint64_t address,
                       uint32_t bytes, int lane, Touch touch);

inline uint64_t addressOf(Warp &warp, const Address &address, uint32_t lane) {
  uint64_t base = address.narrow ? warp.lanes<uint32_t>(address.slot)[lane]
                                 : warp.lanes<uint64_t>(address.slot)[lane];
  return base + uint64_t(address.offset);
}

RaceChecker::Access accessOf(Warp &warp, const Op &op, int lane,
                             bool atomic = false);

/// Takes the modifiers that say how to cache and order; they do not change what
/// one block sees. `hint` is set if an operand with a cache policy follows.
void takeCaching(Decoder &decoder, bool &hint);

} // namespace bitbyte::emu
