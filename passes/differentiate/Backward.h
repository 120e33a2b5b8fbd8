//===- Backward.h - The gradient of a program's loss ----------------------===//
#pragma once

#include "dialects/bb/BBOps.h"
#include "llvm/ADT/MapVector.h"

namespace bitbyte::bb {

/// What the backward half of a program yields.
struct Backward {
  /// f32[]: weight * sum of nats. A second result of the program, a scalar, is
  /// an auxiliary loss beside the mean: it adds weight * count * aux.
  mlir::Value loss;
  /// The gradient of `loss` in f32, by the name of the parameter, in the order
  /// of the first reads; only parameters that the loss depends on.
  llvm::MapVector<mlir::StringAttr, mlir::Value> gradients;
};

/// Appends, before the return of `program`, which scores, the ops of its
/// gradients. `weight` is f32[].
mlir::FailureOr<Backward> appendBackward(ProgramOp program, mlir::Value weight);

} // namespace bitbyte::bb
