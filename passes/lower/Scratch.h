//===- Scratch.h - Where a kernel's scratch buffers lie -------------------===//
#pragma once

#include "dialects/tile/TileOps.h"

namespace bitbyte::tile {

struct ScratchPlan {
  llvm::DenseMap<mlir::Operation *, int64_t> offsets; ///< bytes, per alloc
  int64_t bytes = 0;                                  ///< of the whole arena
};

/// Buffers that live at different times share bytes. Offsets are multiples of
/// 64.
ScratchPlan planScratch(KernelOp kernel);

} // namespace bitbyte::tile
