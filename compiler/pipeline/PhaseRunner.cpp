//===- PhaseRunner.cpp - Runs one phase: passes, checks, dumps, time ------===//

#include "compiler/pipeline/PhaseRunner.h"

#include "compiler/artifact/ArtifactWriter.h"
#include "compiler/pipeline/Reproducer.h"

#include "mlir/Pass/PassRegistry.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/WithColor.h"

#include <chrono>

using namespace llvm;
using namespace mlir;
using namespace bitbyte;
using namespace bitbyte::bb;

std::string bb::textOf(Operation *op) {
  std::string text;
  raw_string_ostream out(text);
  op->print(out, OpPrintingFlags().elideLargeElementsAttrs(64));
  out << "\n";
  return text;
}

LogicalResult PhaseRunner::run(Phase phase, ModuleOp module, StringRef variant,
                               StringRef text) {
  return run(phase, module, variant, [&](OpPassManager &passes) {
    // The text is ours, so that a failure here is a mistake in this program.
    if (failed(parsePassPipeline(text, passes, errs())))
      report_fatal_error(Twine("no such passes: ") + text);
  });
}

LogicalResult
PhaseRunner::run(Phase phase, ModuleOp module, StringRef variant,
                 llvm::function_ref<void(OpPassManager &)> addPasses) {
  PassManager passes(module.getContext());
  addPasses(passes);
  if (options.testFailure == phase)
    addFailure(passes);
  OwningOpRef<ModuleOp> input = module.clone();
  Ending ending = runPhase(phase, [&] { return passes.run(module); });
  // Up to incrementalize an error is about the spec; from fuse on it is ours,
  // and a crash always is.
  if (ending == Ending::crashed ||
      (ending == Ending::failed && phase >= Phase::fuse))
    writeReproducer(options, phase, ending, *input, passes);
  if (ending == Ending::crashed)
    giveUp();
  if (ending == Ending::failed)
    return failure();
  return options.dumpPhases.empty() ? success() : dump(phase, module, variant);
}

Ending PhaseRunner::runPhase(Phase phase,
                             llvm::function_ref<LogicalResult()> work) {
  auto start = std::chrono::steady_clock::now();
  Ending ending = runGuarded(work);
  std::chrono::duration<double> spent =
      std::chrono::steady_clock::now() - start;
  seconds[int(phase)] += spent.count();
  return ending;
}

LogicalResult PhaseRunner::lower(ModuleOp module, StringRef target,
                                 llvm::function_ref<LogicalResult()> work) {
  Ending ending = runPhase(Phase::lower, [&] {
    if (options.testFailure != Phase::lower)
      return work();
    if (options.testCrash)
      LLVM_BUILTIN_TRAP;
    return failure();
  });
  if (ending == Ending::succeeded)
    return success();
  // Code is made kernel by kernel and of copies, so that the module is whole.
  PassManager passes(module.getContext());
  std::string text = target == "cuda"
                         ? "tile-to-nvvm"
                         : ("tile-to-x86{target=" + target + "}").str();
  if (failed(parsePassPipeline(text, passes, errs())))
    report_fatal_error(Twine("no such passes: ") + text);
  writeReproducer(options, Phase::lower, ending, module, passes);
  if (ending == Ending::crashed)
    giveUp();
  return failure();
}

void PhaseRunner::addFailure(OpPassManager &passes) const {
  StringRef text =
      options.testCrash ? "bb-test-failure{crash=true}" : "bb-test-failure";
  if (failed(parsePassPipeline(text, passes, errs())))
    report_fatal_error(Twine("no such passes: ") + text);
}

LogicalResult PhaseRunner::dump(Phase phase, ModuleOp module,
                                StringRef variant) const {
  if (std::error_code error = sys::fs::create_directories(options.dumpPhases)) {
    WithColor::error(errs(), "bbc")
        << options.dumpPhases << ": " << error.message() << "\n";
    return failure();
  }
  std::string name = ("0" + Twine(int(phase) + 1) + "-" + nameOf(phase) +
                      (variant.empty() ? "" : ".") + variant + ".mlir")
                         .str();
  SmallString<128> path(options.dumpPhases);
  sys::path::append(path, name);
  if (Error error = writeWhole(path, textOf(module))) {
    WithColor::error(errs(), "bbc") << toString(std::move(error)) << "\n";
    return failure();
  }
  return success();
}
