//===- Executor.h - Runs a grid of blocks ---------------------------------===//
#pragma once

#include "runtime/device/emu/Execution.h"

namespace bitbyte::emu {

struct Outcome {
  Findings findings;
  uint64_t instructions = 0; ///< Of warps.
  /// By instruction: whether one that is `ofCopies` found any to order.
  std::vector<bool> worked;
};

/// Runs all blocks, one after another, and stops when there are too many
/// findings. The grid's sizes must be possible: see `checkGrid`.
Outcome execute(const Grid &grid, const Options &options,
                const AddressSpace &memory);

/// Usage if the kernel cannot be launched like this.
Result<void> checkGrid(const Grid &grid);

} // namespace bitbyte::emu
