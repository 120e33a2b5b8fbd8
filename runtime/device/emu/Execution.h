//===- Execution.h - The state of a running grid --------------------------===//
#pragma once

#include "runtime/device/emu/AddressSpace.h"
#include "runtime/device/emu/AsyncUnits.h"
#include "runtime/device/emu/Finding.h"
#include "runtime/device/emu/GlobalShadow.h"
#include "runtime/device/emu/Program.h"
#include "runtime/device/emu/RaceChecker.h"

#include <bit>
#include <cstring>
#include <span>

namespace bitbyte::emu {

struct Block;

/// When asynchronous work is done: at once, at the last moment that its waits
/// allow, or at a moment drawn from the seed; the last also interleaves warps.
enum class Schedule : uint8_t { Eager, Lazy, Random };

struct Options {
  Schedule schedule = Schedule::Eager;
  uint64_t seed = 1;
  bool checkShared = true;  ///< Races and uninitialised reads of shared memory.
  bool checkGlobal = false; ///< Races on global memory.
  /// Warp instructions of one block; more is a hang.
  uint64_t instructionLimit = uint64_t(1) << 32;
  size_t maxFindings = 16;
  /// Runs no more blocks than these, taken evenly from the grid; 0: all.
  uint64_t sampleBlocks = 0;
};

/// One launch of a kernel.
struct Grid {
  const Kernel &kernel;
  uint32_t blocks[3] = {1, 1, 1};
  uint32_t threads[3] = {1, 1, 1};
  uint32_t dynamicShared = 0;
  std::span<const std::byte> parameters; ///< kernel.parameterBytes of them.
};

/// A small generator: the same numbers everywhere.
struct Dice {
  uint64_t state;
  uint32_t next() {
    state += 0x9e3779b97f4a7c15;
    uint64_t x = state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return uint32_t((x ^ (x >> 31)) >> 32);
  }
};

/// What lanes of a warp copy by one cp.async. Groups belong to threads: those
/// here had committed the same number of them.
struct CopyBatch {
  const Op *op;
  uint32_t group;       ///< Complete groups of these lanes before it.
  uint32_t number;      ///< Among those of the warp.
  uint32_t pending = 0; ///< Lanes that did not wait for it yet,
  uint32_t moved = 0;   ///< and those whose bytes have arrived.
  uint64_t source[32];
  uint32_t target[32], sourceBytes[32];
};
enum class WarpState : uint8_t { Running, AtBarrier, Blocked, Done };

struct Warp {
  Block *block = nullptr;
  std::byte *registers = nullptr;
  uint32_t pc = 0;
  uint32_t active = 0;     ///< Lanes that run now.
  uint32_t live = 0;       ///< Lanes that did not exit.
  uint32_t join = nowhere; ///< Where the active lanes meet others.
  WarpState state = WarpState::Running;
  bool retry = false; ///< The instruction waits and shall run again.
  uint32_t id = 0;
  uint32_t barrier = 0; ///< That it waits at.
  const Op *barrierOp = nullptr;
  uint64_t instructions = 0;

  struct Frame {
    uint32_t pc, join, mask;
  };
  std::vector<Frame> stack;

  Clock clock{};
  uint32_t warpSyncs = 1; ///< Barriers that ordered its lanes.

  std::vector<CopyBatch> copies; ///< In the order of issue.
  uint32_t blockedAt = nowhere;  ///< The last look at an mbarrier in vain.
  WarpUnits units;
  uint32_t copiesIssued = 0;
  uint32_t copyGroups[32] = {}; ///< By lane: those committed.

  template <class T>
  T *lanes(uint32_t slot) {
    return reinterpret_cast<T *>(registers + slot);
  }
  uint32_t &mask(uint32_t slot) { return *lanes<uint32_t>(slot); }
  uint32_t firstLane() const { return uint32_t(std::countr_zero(active)); }
};

struct NamedBarrier {
  uint32_t arrived = 0; ///< Warps.
  uint32_t threads = 0; ///< 0: all of the block.
  uint32_t votes = 0;   ///< Of bar.red: threads with a true predicate,
  uint32_t voters = 0;  ///< of so many.
  Order order;
  const Op *op = nullptr;
};

struct Block {
  const Grid &grid;
  const Options &options;
  AddressSpace &memory;
  Findings &findings;
  GlobalShadow *shadow = nullptr; ///< Null unless global races are checked.
  Dice dice{0};
  uint64_t number = 0;
  uint32_t index[3] = {0, 0, 0};
  std::vector<Warp> warps;
  std::vector<std::byte> shared;
  std::vector<std::byte> local; ///< By warp and lane.
  RaceChecker races;
  NamedBarrier barriers[16];
  BlockUnits units;
  uint32_t epochBase = 0;  ///< Above all epochs of earlier blocks,
  uint32_t unitEpochs = 0; ///< if as many are added as units used.
  bool hung = false;
  std::vector<bool> worked; ///< See Outcome.

  Block(const Grid &grid, const Options &options, AddressSpace &memory,
        Findings &findings);
  const Kernel &kernel() const { return grid.kernel; }
};

/// Lets go the warps at barriers that are complete.
void releaseBarriers(Block &block, bool &progress);

/// Reports what an instruction of this warp did.
void report(Warp &warp, const Op &op, std::string_view kind,
            std::string message);

} // namespace bitbyte::emu
