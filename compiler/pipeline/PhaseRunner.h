//===- PhaseRunner.h - Runs one phase: passes, checks, dumps, time --------===//
#pragma once

#include "compiler/pipeline/CompileOptions.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

#include <array>

namespace bitbyte::bb {

/// Runs phases in the order in which it is told to, and does for each what all
/// have in common: verify the result, take the time, write the dump.
class PhaseRunner {
public:
  explicit PhaseRunner(const CompileOptions &options) : options(options) {}

  /// Runs passes over `module`: those that `addPasses` adds, or those of a text
  /// like "bb-tile{target=cpu-v3}". `variant` is empty for phases that run
  /// once. Reports what went wrong; a failure that is not the spec's fault
  /// leaves a file from which it can be repeated.
  mlir::LogicalResult
  run(Phase phase, mlir::ModuleOp module, llvm::StringRef variant,
      llvm::function_ref<void(mlir::OpPassManager &)> addPasses);
  mlir::LogicalResult run(Phase phase, mlir::ModuleOp module,
                          llvm::StringRef variant, llvm::StringRef passes);

  /// Adds the seconds of `work` to a phase.
  mlir::LogicalResult time(Phase phase,
                           llvm::function_ref<mlir::LogicalResult()> work);
  double secondsOf(Phase phase) const { return seconds[int(phase)]; }

  bool stopsAfter(Phase phase) const { return options.stopAfter == phase; }

private:
  mlir::LogicalResult dump(Phase phase, mlir::ModuleOp module,
                           llvm::StringRef variant) const;

  const CompileOptions &options;
  std::array<double, std::size(phaseNames)> seconds = {};
};

/// The text of an op as `--stop-after` and the dumps print it. Large constants
/// are left out.
std::string textOf(mlir::Operation *op);

} // namespace bitbyte::bb
