//===- FlashTiles.h - What tiled attention's kernels share ----------------===//
//
// A program owns some rows of one head (queries, or keys in the gradient of
// keys) and passes over the other side, its columns, tile by tile. What a row
// sees is an interval of columns whose ends rise with the row: tiles outside
// are skipped, and only those that an end cuts are masked.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "passes/tile/AttentionTiles.h"

namespace bitbyte::tile {

/// How a program works.
struct FlashShape {
  int64_t width;         ///< heads up to this size, a multiple of 16
  int64_t rows, columns; ///< of the program; of a step
  int64_t warps;         ///< which split the rows
  int64_t minBlocks;     ///< programs of one multiprocessor
  bool held;             ///< what belongs to the rows stays in registers
};

/// Whether the tiled kernels take these sizes and types: one element type, bf16
/// or f32, and scores that grow with the product.
bool fitsFlash(const AttentionSizes &s, mlir::ValueRange tensors);

/// The first and the last column that a row sees; `low` null: the first one
/// there is; `high` null: the last one.
struct Span {
  mlir::Value low, high;
};

/// Writes one kernel.
class FlashTiles {
public:
  FlashTiles(KernelBuilder &k, const AttentionSizes &s, const FlashShape &shape,
             mlir::Type element)
      : k(k), s(s), shape(shape), element(element) {}

  //===-- Tiles -----------------------------------------------------------===//
  /// [rows, columns] in registers as products leave it.
  RegType accumulator(int64_t columns) const;
  /// Scratch [stages, rows, width], or [rows, width] without stages; columns
  /// padded to whole products.
  mlir::Value alloc(int64_t rows, int64_t width, int64_t stages = 0);
  mlir::Value stage(mlir::Value ring, mlir::Value number);
  /// Starts the copy of rows from `row` on, of which `exist` do, of a head of
  /// [B, T, H, width]. What does not exist becomes 0.
  void copy(mlir::Value tensor, mlir::Value b, mlir::Value row, mlir::Value h,
            mlir::Value to);
  /// The program's own rows for products: in scratch or in registers.
  mlir::Value own(mlir::Value scratch, int64_t width);
  /// Writes an accumulator times a number per row to rows from `row` on of a
  /// head, 16 bytes at a time. Takes scratch: all warps have left what lay
  /// there.
  void write(mlir::Value sum, mlir::Value perRow, mlir::Value tensor,
             mlir::Value b, mlir::Value row, mlir::Value h);
  /// Bounds of a vector of the rows from `row` on, of which `exist` do.
  Values rowBounds(mlir::Value row, int64_t exist, int64_t tile);

  //===-- Who sees whom ---------------------------------------------------===//
  /// Of a query, an index or i32; `newest`: the last position in a ring.
  Span keysOf(mlir::Value query);
  Span keysOf(ScalarBuilder &b, mlir::Value query, mlir::Value newest = {});
  Span queriesOf(mlir::Value key);
  Span queriesOf(ScalarBuilder &b, mlir::Value key);

  /// Columns [begin, end) that rows from `row` on see; within, `low` and `high`
  /// are the first and last that all of them see.
  struct Range {
    mlir::Value begin, end, low, high;
  };
  Range rangeOf(llvm::function_ref<Span(mlir::Value)> span, mlir::Value row,
                int64_t rowCount, int64_t columnCount);
  /// `x`, [rows, columns] from column `j` on, with `otherwise` where a row does
  /// not see the column. `rowSpan` has tiles of i32, `keys` one of the columns'
  /// own numbers (null: from `j` on). Tests first whether any may be unseen.
  mlir::Value masked(mlir::Value x, const Range &range, mlir::Value j,
                     const Span &rowSpan, double otherwise,
                     mlir::Value keys = {});
  /// The spans of the program's rows from `row` on, as tiles.
  Span spansOf(llvm::function_ref<Span(ScalarBuilder &, mlir::Value)> span,
               mlir::Value row);

  /// [rows] and [columns] beside an accumulator.
  RegType rowVector(mlir::Type type) const {
    return accumulator(shape.columns).withElement(type).drop(1);
  }
  RegType columnVector(mlir::Type type) const {
    return accumulator(shape.columns).withElement(type).drop(0);
  }

private:
  template <typename Builder>
  Span keySpan(Builder &b, mlir::Value query, mlir::Value newest);
  template <typename Builder>
  Span querySpan(Builder &b, mlir::Value key);

  KernelBuilder &k;
  const AttentionSizes &s;
  const FlashShape &shape;
  mlir::Type element;
};

} // namespace bitbyte::tile
