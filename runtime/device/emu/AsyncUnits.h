//===- AsyncUnits.h - mbarriers, bulk copies and wgmma in flight ----------===//
//
// What runs beside the warps of a block. Each unit is an actor of the race
// checker: its accesses carry the unit's epoch, which a warp's clock has once
// the warp waited for it.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/device/emu/RaceChecker.h"

#include <memory>
#include <vector>

namespace bitbyte::emu {

struct Block;

/// What was done before a point, and what of it a proxy fence made visible to
/// the asynchronous units.
struct Order {
  Clock seen{}, fenced{};
};

struct Mbarrier {
  uint32_t offset = 0; ///< Of its eight bytes in shared memory.
  uint32_t actor = 0;  ///< Of the copies that it counts; epochs are phases.
  uint32_t count = 0;  ///< Arrivals of a phase,
  int64_t pending = 0; ///< and those still to come in this one.
  int64_t bytes = 0;   ///< That copies still owe in this phase.
  uint32_t phase = 0;  ///< Complete ones.
  uint32_t initWarp = 0, initEpoch = 0;
  bool fenced = false; ///< By fence.mbarrier_init.
  Order arriving, complete;
};

/// A run of bytes that a bulk copy moves; without `global` it writes zeros.
struct BulkPiece {
  uint32_t shared, bytes;
  uint64_t global;
};

/// A bulk copy of one lane, or an arrival that follows its cp.asyncs.
struct BulkJob {
  const Op *op = nullptr;
  Warp *warp = nullptr;
  uint32_t lane = 0;
  bool store = false; ///< To global memory.
  bool done = false;
  uint32_t barrier = 0; ///< Offset of the mbarrier of a load or an arrival.
  uint32_t bytes = 0;   ///< That the mbarrier hears of; 0: an arrival.
  uint32_t group = 0;   ///< Complete bulk groups of the lane before it,
  uint32_t epoch = 0;   ///< and its place among the warp's.
  Order order;          ///< Of the warp at issue.
  std::vector<BulkPiece> pieces;
};

/// A warp's part of a wgmma.mma_async: 16 of 64 rows.
struct WarpgroupJob {
  const Op *op;
  uint64_t a, b; ///< Descriptors.
  bool accumulate;
};

/// The part of a warp's state that only kernels for Hopper need.
struct WarpUnits {
  Clock fenced{};
  uint32_t bulkGroups[32] = {}; ///< By lane: those committed.
  uint32_t bulkIssued = 0;
  std::vector<std::shared_ptr<BulkJob>> stores;
  std::vector<WarpgroupJob> open;
  std::vector<std::vector<WarpgroupJob>> groups; ///< Committed, not run.
  uint32_t committed = 0, run = 0;               ///< Groups of wgmma.
  uint32_t tick = 0, fenceTick = 0; ///< Instructions; at the last wgmma.fence.
  /// By slot / 64: when other instructions last used the register, how many
  /// wgmma in flight use it, and those by the group that frees it.
  std::vector<uint32_t> touched;
  std::vector<uint16_t> inFlight;
  std::vector<std::pair<uint32_t, uint32_t>> flights; ///< Group, slot.
};

/// The part of a block's.
struct BlockUnits {
  std::vector<Mbarrier> barriers;
  std::vector<std::shared_ptr<BulkJob>> jobs; ///< In the order of issue.
  uint32_t changes = 0;                       ///< Of what a warp may wait for.
};

void startUnits(Block &block);
/// Runs one copy that is on its way. `which` counts from the oldest.
void runJob(Block &block, size_t which);
/// Lets copies land as a random schedule has it.
void runSomeJobs(Block &block);
/// What is still on its way when a block has ended is a finding.
void finishUnits(Block &block);

/// A wgmma.mma_async is on its way: the registers that an instruction uses must
/// not be its; remembers that it used them.
void checkRegisters(Warp &warp, const Op &op);

/// A warp hands on what it did, or learns what others did.
void release(Warp &warp, Order &order);
void acquire(Warp &warp, const Order &order);

/// The mbarrier at an address, as a lane of this warp may use it; null after a
/// finding.
Mbarrier *findBarrier(Warp &warp, const Op &op, uint64_t address, int lane);
/// Ends phases that have all they wait for.
void settle(Block &block, Mbarrier &barrier);

} // namespace bitbyte::emu
