//===- Calls.h - What instantiate asks about calls ------------------------===//
#pragma once

#include "dialects/bb/BBOps.h"

namespace bitbyte::bb {

/// The block or program that `name` means at `from`: in its model, then in the
/// module. Null if there is none.
mlir::Operation *lookupCallable(mlir::Operation *from, llvm::StringRef name);

/// Binds the names of a callee: explicit values, then defaults, then names of
/// the same spelling at the caller (`visible`), then shapes of the operands.
/// Fails with an error at the call and a note at the callee.
mlir::LogicalResult
bindNames(CallOp call, mlir::Operation *callee,
          llvm::ArrayRef<mlir::Type> actual, const Env &callerValues,
          llvm::function_ref<bool(mlir::StringAttr)> visible, Env &env);

} // namespace bitbyte::bb
