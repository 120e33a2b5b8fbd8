//===- PlanDialect.h - The plan dialect: when and where -------------------===//
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"

#include "dialects/plan/PlanDialect.h.inc"
#include "dialects/plan/PlanEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/plan/PlanAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/plan/PlanOps.h.inc"

namespace bitbyte::plan {

/// The space that holds states of a kind.
Space spaceOf(StateKind kind);

/// Bytes of a dense tensor. Its elements take 1, 2, 4 or 8 bytes; 0 if they do
/// not, or if the shape is not static.
int64_t bytesOf(mlir::RankedTensorType type);

/// `offset` rounded up to the alignment of buffers.
inline int64_t alignUp(int64_t offset) {
  return (offset + PlanDialect::alignment - 1) / PlanDialect::alignment *
         PlanDialect::alignment;
}

} // namespace bitbyte::plan
