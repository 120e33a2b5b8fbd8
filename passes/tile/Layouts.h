//===- Layouts.h - Named layouts of register tiles ------------------------===//
#pragma once

#include "dialects/tile/KernelTarget.h"
#include "dialects/tile/TileDialect.h"

namespace bitbyte::tile {

/// Lanes along the only axis: [n], n a multiple of the lanes.
DistAttr rowLayout(mlir::MLIRContext *context, const KernelTarget &target,
                   int64_t n);

/// Lanes along the last axis, one register per row and group of lanes:
/// [..., n], n a multiple of the lanes. Of two axes: the accumulator of `mma`.
DistAttr rowsLayout(mlir::MLIRContext *context, const KernelTarget &target,
                    llvm::ArrayRef<int64_t> shape);

/// Lanes along `axis`, which is a multiple of the lanes.
DistAttr lanesAlong(mlir::MLIRContext *context, const KernelTarget &target,
                    llvm::ArrayRef<int64_t> shape, unsigned axis);

/// Every lane holds every element: what `reduce` along the lanes yields.
DistAttr replicatedLayout(mlir::MLIRContext *context,
                          const KernelTarget &target,
                          llvm::ArrayRef<int64_t> shape);

} // namespace bitbyte::tile
