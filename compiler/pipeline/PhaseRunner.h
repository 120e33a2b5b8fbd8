//===- PhaseRunner.h - Runs one phase: passes, checks, dumps, time --------===//
#pragma once

#include "compiler/pipeline/CompileOptions.h"
#include "compiler/pipeline/Reproducer.h"

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
  /// once. Reports what went wrong; a failure that is not the spec's fault, and
  /// any crash, leaves a file from which it can be repeated. A crash ends the
  /// program.
  mlir::LogicalResult
  run(Phase phase, mlir::ModuleOp module, llvm::StringRef variant,
      llvm::function_ref<void(mlir::OpPassManager &)> addPasses);
  mlir::LogicalResult run(Phase phase, mlir::ModuleOp module,
                          llvm::StringRef variant, llvm::StringRef passes);

  /// Runs `work`, which makes machine code of the kernels of `module`, as phase
  /// lower. It must leave the module as it is.
  mlir::LogicalResult lower(mlir::ModuleOp module, llvm::StringRef target,
                            llvm::function_ref<mlir::LogicalResult()> work);
  double secondsOf(Phase phase) const { return seconds[int(phase)]; }

  bool stopsAfter(Phase phase) const { return options.stopAfter == phase; }

private:
  /// Adds the seconds of `work` to a phase.
  Ending runPhase(Phase phase, llvm::function_ref<mlir::LogicalResult()> work);
  void addFailure(mlir::OpPassManager &passes) const;
  mlir::LogicalResult dump(Phase phase, mlir::ModuleOp module,
                           llvm::StringRef variant) const;

  const CompileOptions &options;
  std::array<double, std::size(phaseNames)> seconds = {};
};

/// The text of an op as `--stop-after` and the dumps print it. Large constants
/// are left out.
std::string textOf(mlir::Operation *op);

} // namespace bitbyte::bb
