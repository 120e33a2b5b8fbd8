//===- WholeRows.h - Region code on tiles that hold whole rows ------------===//
#pragma once

#include "passes/tile/Region.h"

namespace bitbyte::tile {

/// Writes a region's code behind a product for tiles [rows, columns] with all
/// columns, each row in one warp: sums over columns are there too.
class WholeRows {
public:
  /// `row` and `column`: the region's dims; `place`: the kernel's argument for
  /// each of its operands, or -1; `firstOutput`: for the first result.
  WholeRows(KernelBuilder &k, const Region &region, unsigned row,
            unsigned column, llvm::ArrayRef<int64_t> place,
            unsigned firstOutput)
      : k(k), region(region), rowDim(row), columnDim(column), place(place),
        firstOutput(firstOutput) {}

  /// Whether the code has no more than this writes.
  static bool canWrite(const Region &region, unsigned column);

  /// For the rows from `m` on, of which `product` f32 [rows, columns] is the
  /// value `of`; `exist` of them exist (null: all).
  void write(mlir::Value product, mlir::Value of, mlir::Value m,
             mlir::Value exist);

private:
  /// A tile of rank 2, one of rank 1 for what does not vary along the columns,
  /// or a scalar.
  mlir::Value get(mlir::Value v);
  mlir::Value load(mlir::BlockArgument argument);
  mlir::Value sum(bb::ReduceOverOp op);
  mlir::Value apply(mlir::Operation *op);
  /// As a tile of `rank`.
  mlir::Value lift(mlir::Value v, int64_t rank);
  Values bounds(int64_t rank);

  KernelBuilder &k;
  const Region &region;
  unsigned rowDim, columnDim;
  llvm::ArrayRef<int64_t> place;
  unsigned firstOutput;
  RegType type; ///< of the product
  mlir::Value m, exist;
  llvm::DenseMap<mlir::Value, mlir::Value> values;
};

} // namespace bitbyte::tile
