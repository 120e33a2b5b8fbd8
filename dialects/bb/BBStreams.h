//===- BBStreams.h - Rate and look-ahead of the values of a program -------===//
//
// A program whose stream name (the T of bytes[B, T]) is still open tells by its
// types how often each value is made, and by its ops which bytes it depends on.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "dialects/bb/BBOps.h"

namespace bitbyte::bb {

class StreamAnalysis {
public:
  /// Look-ahead of a value that depends on no byte, and of one that depends on
  /// all of them.
  static constexpr int64_t never = INT64_MIN / 2, always = INT64_MAX / 2;

  StreamAnalysis(ProgramOp program, mlir::StringAttr stream);

  /// The axes that run along the stream.
  llvm::SmallVector<unsigned> axes(mlir::Type type) const;
  /// The first of them, if there is one.
  std::optional<unsigned> axis(mlir::Type type) const;
  std::optional<unsigned> axis(mlir::Value value) const {
    return axis(value.getType());
  }
  /// Bytes for each item of the time axis: 1 for bytes, P after `patch by P`;
  /// 0 without a time axis, `irregular` where the axis is no fraction of T.
  int64_t period(mlir::Value value) const;
  static constexpr int64_t irregular = -1;

  /// Item k depends on bytes up to `k * period + ahead`.
  int64_t ahead(mlir::Value value) const { return reach.lookup(value); }
  int64_t ahead(mlir::ValueRange values) const;

  /// The last op on the way to `value` that looks beyond its operands.
  mlir::Operation *raisedBy(mlir::Value value) const;
  mlir::StringAttr stream() const { return name; }

private:
  int64_t resultOf(mlir::Operation &op) const;
  bool staysInPlace(mlir::Value from, mlir::Value to) const;

  mlir::StringAttr name;
  llvm::DenseMap<mlir::Value, int64_t> reach;
};

/// Refuses a cross_entropy whose logits can see the byte that they predict.
mlir::LogicalResult checkCausality(ProgramOp open, mlir::StringAttr stream);

} // namespace bitbyte::bb
