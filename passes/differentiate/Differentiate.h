//===- Differentiate.h - Phase: from a scoring model to a training one ----===//
#pragma once

#include "dialects/bb/BBDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <memory>

namespace bitbyte::bb {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/differentiate/Passes.h.inc"

/// Documented in Passes.td.
using DifferentiateOptions = DifferentiatePassOptions;

/// Runs the phase on every model of the module. The models are instantiated:
/// empty config, straight-line programs.
llvm::LogicalResult differentiate(mlir::ModuleOp module,
                                  const DifferentiateOptions &options);

} // namespace bitbyte::bb
