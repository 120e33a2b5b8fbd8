//===- GlobalShadow.h - Who touched global memory in this launch ----------===//
//
// Blocks run in any order: two of them that touch a word, one writing, race.
// Within a block an access must be ordered after those of other warps by a
// barrier, as the warps' clocks tell, and after those of other lanes of its
// warp by one of the block or the warp. Atomic accesses do not race.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/device/emu/Program.h"

#include <map>
#include <memory>
#include <vector>

namespace bitbyte::emu {

enum class Touch : uint8_t { Read, Write, Atomic };

class GlobalShadow {
public:
  /// `granule`: bytes of a word, a power of two.
  explicit GlobalShadow(uint32_t granule) : granule(granule) {}

  /// Reports what an access races with, and keeps it. `lane` is -1 for an
  /// engine that copies: mbarriers order it, which are not looked at here.
  void touch(Warp &warp, const Op &op, uint64_t address, uint32_t bytes,
             int lane, Touch touch);

private:
  /// An access of one warp in the block that touched the word last.
  struct Access {
    uint32_t epoch = 0; ///< Of the warp,
    uint32_t sync = 0;  ///< and how often its lanes had met.
    uint32_t op = 0;
    uint8_t warp = 0;
    int8_t lane = 0; ///< `several` if more than one.
  };
  static constexpr int8_t several = -2;
  struct Word {
    uint64_t writer = 0; ///< Block + 1, 0: none.
    uint64_t reader = 0; ///< The same; ~0 for several.
    Access written;
    std::vector<Access> reads; ///< Of the last reader, by its warps.
  };

  Word &at(uint64_t address);
  /// Reports `earlier` unless it lies before what the warp does now.
  void order(Warp &warp, const Op &op, int lane, Touch touch,
             const Access &earlier, const char *what);

  static constexpr uint64_t pageBytes = 16384;
  std::map<uint64_t, std::unique_ptr<Word[]>> pages;
  uint64_t granule;
  uint64_t lastPage = ~uint64_t(0);
  Word *lastWords = nullptr;
};

} // namespace bitbyte::emu
