//===- Fragments.h - Layouts of tiles that tensor cores work on -----------===//
#pragma once

#include "dialects/tile/TileDialect.h"

namespace bitbyte::tile {

constexpr int64_t warpLanes = 32;

/// The accumulator of `mma` on a GPU: [rows, columns], split evenly over
/// `warpRows` x `warpColumns` warps; each warp's part is a multiple of 16 x 16.
/// A tile of f32 or bf16 in this layout is also a left operand.
DistAttr accumulatorLayout(mlir::MLIRContext *context, int64_t rows,
                           int64_t columns, int64_t warpRows,
                           int64_t warpColumns);

/// [rows, columns] for memory: each lane holds runs of `run` neighbours along a
/// row, and neighbouring lanes hold neighbouring runs. `run` divides the
/// columns; rows are a multiple of what the warps hold at a time.
DistAttr runsLayout(mlir::MLIRContext *context, int64_t rows, int64_t columns,
                    int64_t run, int64_t warps);

/// Scratch [stages, rows, columns], or [rows, columns] without stages. Rows are
/// padded by 16 bytes, so that 8 rows of a fragment lie in different banks.
BufType stagedBuffer(int64_t stages, int64_t rows, int64_t columns,
                     mlir::Type element);

} // namespace bitbyte::tile
