//===- Matmul.h - Contractions on tensor cores ----------------------------===//
#pragma once

#include "passes/tile/Region.h"

namespace bitbyte::tile {

/// How a program computes its tile of a product.
struct MatmulTiles {
  int64_t rows, columns, depth;  ///< of a tile of C, and of a stage
  int64_t warpRows, warpColumns; ///< how warps split the tile
  int64_t stages;                ///< of the ring in scratch
  int64_t parts;                 ///< into which k is cut
  int64_t minBlocks;             ///< programs of one multiprocessor
  int64_t warps() const { return warpRows * warpColumns; }
};

/// The sizes for C [rows, columns] with `depth` products each, from a table.
MatmulTiles matmulTiles(bool isBf16, int64_t rows, int64_t columns,
                        int64_t depth);

/// The sizes for a C whose programs own whole rows, of up to 256 columns.
MatmulTiles wholeRowTiles(bool isBf16, int64_t columns);

/// Replaces the region of a contraction by kernels for tensor cores. False,
/// with nothing changed, if it does not have their form: operands of one type
/// (bf16 or f32) read in place, one dim each of rows, columns and depth.
bool scheduleGpuMatmul(ScheduleContext &context, const Region &region);

} // namespace bitbyte::tile
