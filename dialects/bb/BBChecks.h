//===- BBChecks.h - Numbers that something is divided by ------------------===//
#pragma once

#include "dialects/bb/BBOps.h"

namespace bitbyte::bb {

/// A count of a clause, where it is known, must be 1 or more.
llvm::LogicalResult checkAbove0(std::optional<mlir::Location> loc,
                                llvm::StringRef op, llvm::StringRef clause,
                                DimAttr count);
/// `parts` must divide an axis of `x` [B, T, d], where both are known.
llvm::LogicalResult checkDivides(std::optional<mlir::Location> loc,
                                 llvm::StringRef op, DimAttr parts,
                                 GraphTensorType x, int64_t axis);
/// The `groups` of a norm must divide its rows, once both are known. The shape
/// rules of families see operands alone: instantiate asks this where it binds
/// the number, and what divides by it asks again.
llvm::LogicalResult checkGroups(RmsNormOp norm);

} // namespace bitbyte::bb
