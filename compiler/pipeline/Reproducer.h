//===- Reproducer.h - A file from which a failure can be repeated ---------===//
#pragma once

#include "compiler/pipeline/CompileOptions.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

namespace bitbyte::bb {

/// How a piece of work ended.
enum class Ending { succeeded, failed, crashed };

/// Runs `work`, and lives on if it crashes on this thread. What it worked on is
/// then in no known state and must not be touched, not even to destroy it.
Ending runGuarded(llvm::function_ref<mlir::LogicalResult()> work);

/// Writes OUTPUT.reproducer.mlir: `input` as it was before `passes`, with the
/// command that runs them on it; prints that command.
void writeReproducer(const CompileOptions &options, Phase phase, Ending ending,
                     mlir::ModuleOp input, mlir::PassManager &passes);

/// Ends the program after a crash: exit code 1, nothing is cleaned up.
[[noreturn]] void giveUp();

} // namespace bitbyte::bb
