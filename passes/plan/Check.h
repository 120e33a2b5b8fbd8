//===- Check.h - Proves that a planned program computes its source --------===//
#pragma once

#include "dialects/bb/BBOps.h"
#include "dialects/plan/PlanDialect.h"
#include "dialects/tile/TileOps.h"

namespace bitbyte::plan {

/// Runs `planned` on a memory that holds, instead of numbers, the names of the
/// values of `source`, and reports the first step that finds other names than
/// its dispatch in `source` reads. That covers buffers that overlap while both
/// are alive, buffers that nobody wrote, and states whose old value is
/// overwritten before its last reader. `dispatches` are the sources of the
/// plan.dispatch ops, in order; `scope` holds the plan.state and plan.constant
/// ops.
///
/// Nothing here is shared with what made the plan.
mlir::LogicalResult checkProgram(ProgramOp planned, bb::ProgramOp source,
                                 llvm::ArrayRef<tile::DispatchOp> dispatches,
                                 mlir::Block &scope);

} // namespace bitbyte::plan
