//===- RaceChecker.h - Who may see what in shared memory ------------------===//
//
// Vector clocks. The actors are the warps of a block and its asynchronous
// units. An actor's accesses carry its epoch; barriers hand epochs on. Two
// accesses to one granule, one of them a write, race unless the later actor's
// clock has the earlier epoch.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/device/emu/Program.h"

#include <array>
#include <string>

namespace bitbyte::emu {

constexpr uint32_t maxWarps = 32;
/// Actors by number: warps, the tensor cores of each warpgroup, the bulk stores
/// of each warp, and behind those that read the mbarriers' copies.
constexpr uint32_t firstWarpgroup = maxWarps, firstStore = firstWarpgroup + 8,
                   firstBarrier = firstStore + maxWarps, maxBarriers = 56,
                   maxActors = firstBarrier + maxBarriers;
using Clock = std::array<uint32_t, maxActors>;

inline void joinClock(Clock &into, const Clock &from) {
  for (uint32_t i = 0; i < maxActors; ++i)
    into[i] = into[i] > from[i] ? into[i] : from[i];
}

class RaceChecker {
public:
  struct Access {
    Warp &warp; ///< That reports it.
    const Op &op;
    const Clock &clock;
    uint32_t actor, epoch;
    int lane = -1; ///< -1: the whole warp.
    bool atomic = false;
  };

  /// `granule`: bytes of the smallest access that the kernel has; `readers`:
  /// the number of actors that may read, which are the first.
  void prepare(uint32_t sharedBytes, uint32_t granule, uint32_t readers);
  /// Shared memory counts as never written; clocks must go on from above.
  void nextBlock() { ++stamp; }

  void read(const Access &access, uint32_t offset, uint32_t bytes);
  /// `data` is what will be written: lanes of one instruction may write the
  /// same value to one place.
  void write(const Access &access, uint32_t offset, uint32_t bytes,
             const std::byte *data = nullptr);
  /// From issue to wait a copy may write at any time.
  void beginCopy(const Access &access, uint32_t offset, uint32_t bytes);
  void endCopy(const Access &access, uint32_t offset, uint32_t bytes);

  /// An asynchronous unit, `actor`, reads for a warp whose clock is that of the
  /// access: what warps wrote must lie behind a proxy fence, as `fenced` says.
  void readAsync(const Access &access, uint32_t offset, uint32_t bytes,
                 const Clock &fenced);
  /// The same for a copy that will write, from issue to landing.
  void beginBulk(const Access &access, uint32_t offset, uint32_t bytes,
                 const Clock &fenced, uint32_t actor);
  void endBulk(uint32_t offset, uint32_t bytes, uint32_t epoch);

private:
  struct Granule {
    uint32_t epoch = 0;    ///< Of the last write,
    uint32_t warpSync = 0; ///< and how often its warp had met.
    uint32_t op = 0;
    uint32_t stamp = 0; ///< The block that wrote it: it is initialised.
    uint8_t actor = 0;
    int8_t lane = -1;
    bool pending = false;
    bool atomic = false;
  };
  struct Read {
    uint32_t epoch = 0, op = 0;
    uint32_t warpSync = 0; ///< How often its warp had met.
    int8_t lane = -1;      ///< -1: the whole warp, `several` of its lanes.
  };
  static constexpr int8_t several = -2;

  void race(const Access &access, uint32_t offset, std::string_view what,
            uint32_t otherActor, uint32_t otherOp, std::string_view other);
  void wantFence(const Access &access, uint32_t offset, const Granule &granule,
                 const Clock &fenced, const char *what);

  uint32_t actors = 0, shift = 2, stamp = 1;
  std::vector<Granule> granules;
  std::vector<Read> reads; ///< By granule and actor.
};

} // namespace bitbyte::emu
