//===- Layouts.h - Named layouts of register tiles ------------------------===//
#pragma once

#include "dialects/tile/KernelTarget.h"
#include "dialects/tile/TileDialect.h"

namespace bitbyte::tile {

/// How a GPU's program deals a row out; a CPU's is one warp.
struct Deal {
  int64_t warps = 1;
  int64_t vector = 4; ///< neighbours that a lane holds, where the row is long
};

/// Lanes along the last axis, one register per row and group of lanes:
/// [..., n], n a multiple of the lanes. Of two axes: the accumulator of `mma`
/// on a CPU.
DistAttr rowsLayout(mlir::MLIRContext *context, const KernelTarget &target,
                    llvm::ArrayRef<int64_t> shape, Deal deal = {});

/// Lanes along `axis`, which is a multiple of the lanes. On a GPU neighbours of
/// a lane first, then lanes, then warps, as far as the axis goes round; warps
/// beyond that hold replicas.
DistAttr lanesAlong(mlir::MLIRContext *context, const KernelTarget &target,
                    llvm::ArrayRef<int64_t> shape, unsigned axis,
                    Deal deal = {});

/// Every lane holds every element: what `reduce` along the lanes yields.
DistAttr replicatedLayout(mlir::MLIRContext *context,
                          const KernelTarget &target,
                          llvm::ArrayRef<int64_t> shape, Deal deal = {});

} // namespace bitbyte::tile
