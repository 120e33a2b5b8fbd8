//===- Quantize.h - Phase: which values live in which format --------------===//
#pragma once

#include "dialects/bb/BBDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <memory>

namespace bitbyte::bb {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/quantize/Passes.h.inc"

/// Documented in Passes.td.
using QuantizeOptions = QuantizePassOptions;

/// The identity without rules; a rule is refused with an error that names it.
llvm::LogicalResult quantize(mlir::ModuleOp module,
                             const QuantizeOptions &options);

} // namespace bitbyte::bb
