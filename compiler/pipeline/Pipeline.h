//===- Pipeline.h - From a spec to an artifact ----------------------------===//
#pragma once

#include "compiler/pipeline/CompileOptions.h"

#include "mlir/IR/DialectRegistry.h"

namespace bitbyte::bb {

/// What became of a compilation; the values are exit codes (commands.md).
enum class Outcome {
  done = 0,
  failed = 1,
  usage = 2,
  badInput = 3,
  tooLarge = 4
};

/// Runs all phases and writes the artifact. Reports errors on stderr; results
/// that are asked for (`--report`, `--stop-after`) go to stdout.
Outcome compile(const CompileOptions &options);

/// Adds every dialect that the phases need.
void registerDialects(mlir::DialectRegistry &registry);

} // namespace bitbyte::bb
