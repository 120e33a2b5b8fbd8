//===- Variant.h - The phases that run once per target --------------------===//
#pragma once

#include "compiler/pipeline/Assemble.h"
#include "compiler/pipeline/PhaseRunner.h"

namespace bitbyte::bb {

struct CompiledVariant {
  AssembledVariant tables;
  VariantSegments segments;
};

/// Runs `tile`, `plan` and `lower` on `module`, which it uses up. Nothing but
/// the success is in the result when compilation stops after one of these
/// phases; the IR is then in `module`.
mlir::FailureOr<CompiledVariant> compileVariant(mlir::ModuleOp module,
                                                llvm::StringRef target,
                                                const CompileOptions &options,
                                                PhaseRunner &runner);

} // namespace bitbyte::bb
