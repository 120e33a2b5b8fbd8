//===- PhaseRunner.cpp - Runs one phase: passes, checks, dumps, time ------===//

#include "compiler/pipeline/PhaseRunner.h"

#include "compiler/artifact/ArtifactWriter.h"

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
  // Up to incrementalize an error is about the spec; from fuse on it is ours.
  bool isOurs = phase >= Phase::fuse;
  std::string reproducer =
      (options.output == "-" ? StringRef("bbc") : StringRef(options.output))
          .str() +
      ".reproducer.mlir";
  PassManager passes(module.getContext());
  addPasses(passes);
  if (isOurs)
    passes.enableCrashReproducerGeneration(reproducer);
  if (failed(time(phase, [&] { return passes.run(module); }))) {
    if (isOurs)
      WithColor::note(errs(), "bbc")
          << "repeat it with: bb-opt --run-reproducer " << reproducer << "\n";
    return failure();
  }
  return options.dumpPhases.empty() ? success() : dump(phase, module, variant);
}

LogicalResult PhaseRunner::time(Phase phase,
                                llvm::function_ref<LogicalResult()> work) {
  auto start = std::chrono::steady_clock::now();
  LogicalResult result = work();
  std::chrono::duration<double> spent =
      std::chrono::steady_clock::now() - start;
  seconds[int(phase)] += spent.count();
  return result;
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
