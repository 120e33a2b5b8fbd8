//===- RegionBuilder.h - Builds one fused region from its root back -------===//
#pragma once

#include "dialects/bb/BBOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/AffineExpr.h"

#include <map>

namespace bitbyte::bb {

/// Whether fuse can compute the op's elements inside a region.
bool isInlinable(mlir::Operation *op);

/// Writes the scalar code of one value: `scalar(v, index)` is the element of
/// `v` at an index in terms of the region's dims. Values for which `inMemory`
/// holds are read; all others are computed from their operands, once per index.
class RegionBuilder {
public:
  RegionBuilder(mlir::Operation *at,
                llvm::function_ref<bool(mlir::Value)> inMemory);

  /// Makes the region that computes `root`, places it before the op it was
  /// built at, and returns its result. Fails with an error at the op that has
  /// no rule.
  mlir::FailureOr<mlir::Value> build(mlir::Value root);

private:
  using Index = llvm::SmallVector<mlir::AffineExpr, 4>;

  mlir::AffineExpr newDim(llvm::StringRef name, int64_t size);
  mlir::Value scalar(mlir::Value v, llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value compute(mlir::Operation *op, unsigned result,
                      llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value elementwise(mlir::Operation *op,
                          llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value cast(mlir::Value x, mlir::Type to);
  mlir::Value reduce(ReduceOp op, llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value contract(EinsumOp op, llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value rope(RopeOp op, llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value dropout(DropoutOp op, llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value concat(ConcatOp op, llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value shift(ShiftOp op, llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value pad(PadOp op, llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value pick(PickOp op, llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value atStart(AtStartOp op, llvm::ArrayRef<mlir::AffineExpr> index);

  mlir::Value read(mlir::Value v, llvm::ArrayRef<mlir::AffineExpr> index);
  /// Reads an operand at computed indices.
  mlir::Value readAt(mlir::Value v, llvm::ArrayRef<mlir::Value> index);
  mlir::Value whole(mlir::Value v);
  /// The value of an index expression, as i32.
  mlir::Value indexValue(mlir::AffineExpr e);
  /// `index` of an operand that broadcasts to a result of `rank` axes.
  Index aligned(mlir::Value operand, llvm::ArrayRef<mlir::AffineExpr> index);
  mlir::Value table(llvm::StringRef name, RopeOp op, bool sine);
  /// A constant of the program, made once for equal values.
  mlir::Value constant(llvm::StringRef name, mlir::DenseElementsAttr value);

  mlir::Value f32(double v);
  mlir::Value i32(int64_t v);
  mlir::Value fail(mlir::Operation *op);

  mlir::OpBuilder outer, b;
  mlir::Location loc;
  llvm::function_ref<bool(mlir::Value)> inMemory;
  mlir::Block *body = nullptr;

  llvm::SmallVector<mlir::Attribute> dimNames;
  llvm::SmallVector<int64_t> dimSizes;
  llvm::SmallVector<mlir::Value> inputs;
  llvm::SmallVector<mlir::Attribute> maps;
  /// The dim of row reductions: the root's last axis, or a dim of its own.
  mlir::AffineExpr rowDim;
  std::map<std::pair<void *, std::vector<void *>>, mlir::Value> made;
  bool failed_ = false;
};

} // namespace bitbyte::bb
