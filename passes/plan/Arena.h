//===- Arena.h - Offsets for blocks that live for some of the steps -------===//
#pragma once

#include "llvm/ADT/ArrayRef.h"

#include <cstdint>
#include <vector>

namespace bitbyte::plan {

/// Memory that is needed from step `first` to step `last`, both included.
struct Block {
  int64_t bytes = 0;
  int64_t first = 0, last = 0;
};

struct ArenaLayout {
  std::vector<int64_t>
      offsets;       ///< In bytes, one per block; multiples of the alignment.
  int64_t bytes = 0; ///< Size of the arena.
  int64_t live = 0;  ///< Largest sum of live blocks: no arena is smaller.
};

/// Gives each block a place so that blocks that live at the same step do not
/// overlap, in an arena that is close to the lower bound. The answer depends on
/// the arguments alone. Sizes count rounded up to `alignment` bytes.
ArenaLayout layoutArena(llvm::ArrayRef<Block> blocks, int64_t alignment);

} // namespace bitbyte::plan
