//===- BBDecode.h - What an op's decode rule builds with ------------------===//
#pragma once

#include "dialects/bb/BBStreams.h"

namespace bitbyte::bb {

/// Places ops in the step program that is being derived. A step handles `rows`
/// items of its rate at once, from item `position()` on.
class DecodeBuilder : public mlir::OpBuilder {
public:
  DecodeBuilder(mlir::MLIRContext *context, const StreamAnalysis &streams)
      : OpBuilder(context), streams(streams) {}
  virtual ~DecodeBuilder() = default;

  /// `value` of the source program in the current step; null, after an error,
  /// if it cannot be had there.
  virtual mlir::Value in(mlir::Value value) = 0;
  /// Index of the first item of this step: i32[].
  virtual mlir::Value position() = 0;
  /// `dim` and `type` of the source program for the items of one step.
  virtual DimAttr bind(DimAttr dim) = 0;
  virtual GraphTensorType bind(GraphTensorType type) = 0;
  /// Items that the largest step handles at once, and that a whole context has.
  virtual int64_t largestStep() = 0;
  virtual int64_t capacity(mlir::Value value) = 0;

  /// A cache that belongs to `op`: one state, whichever program asks for it.
  virtual mlir::FlatSymbolRefAttr
  state(mlir::Operation *op, llvm::StringRef what, GraphTensorType type) = 0;
  mlir::Value read(mlir::Location loc, mlir::FlatSymbolRefAttr state,
                   GraphTensorType type) {
    return ReadOp::create(*this, loc, type, state);
  }
  void write(mlir::Location loc, mlir::FlatSymbolRefAttr state,
             mlir::Value value) {
    WriteOp::create(*this, loc, state, value);
  }

  /// Runs `body` with the step in which `value` is made as the current one.
  virtual mlir::LogicalResult
  where(mlir::Value value, llvm::function_ref<mlir::LogicalResult()> body) = 0;

  /// Says what stands for a result of the source program in this step.
  virtual void result(mlir::Value old, mlir::Value now) = 0;
  /// The rule of ops that need no state: the same op on the items of this step.
  virtual mlir::LogicalResult clone(mlir::Operation *op) = 0;

  const StreamAnalysis &streams;
};

} // namespace bitbyte::bb
