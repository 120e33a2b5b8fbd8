//===- Fuse.h - Phase: from graph ops to fused regions --------------------===//
#pragma once

#include "dialects/bb/BBOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <memory>

namespace bitbyte::bb {

/// Of ops, and of the regions made of them: equals an earlier one, so that its
/// value need not be kept, and stays apart from it (docs/architecture.md).
constexpr llvm::StringLiteral recomputeMark = "recompute";

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/fuse/Passes.h.inc"

/// Rewrites norms, softmax, cross-entropy, linear and patches in terms of
/// reduce, einsum, reshape and element-wise ops.
mlir::LogicalResult decompose(ProgramOp program);

/// Makes one region of several results where regions feed each other or read
/// the same tensors.
void mergeRegions(ProgramOp program);

} // namespace bitbyte::bb
