//===- Reproducer.cpp - A file from which a failure can be repeated -------===//

#include "compiler/pipeline/Reproducer.h"

#include "compiler/artifact/ArtifactWriter.h"

#include "llvm/Support/CrashRecoveryContext.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/WithColor.h"

using namespace llvm;
using namespace mlir;
using namespace bitbyte;
using namespace bitbyte::bb;

Ending bb::runGuarded(llvm::function_ref<LogicalResult()> work) {
  CrashRecoveryContext::Enable();
  CrashRecoveryContext guard;
  LogicalResult result = failure();
  bool ended = guard.RunSafely([&] { result = work(); });
  return !ended              ? Ending::crashed
         : succeeded(result) ? Ending::succeeded
                             : Ending::failed;
}

void bb::writeReproducer(const CompileOptions &options, Phase phase,
                         Ending ending, ModuleOp input, PassManager &passes) {
  std::string path =
      (options.output == "-" ? "bbc" : options.output) + ".reproducer.mlir";
  std::string command = "bb-opt --run-reproducer " + path;
  StringRef happened = ending == Ending::crashed ? "crashed" : "failed";
  makeReproducer(input->getName().getStringRef(), passes.getPasses(), input,
                 path, /*disableThreads=*/false, /*verifyPasses=*/true);
  std::string text =
      ("// bbc " BITBYTE_VERSION ": phase " + nameOf(phase) + " " + happened +
       " on this module. Repeat it with\n//   " + command + "\n")
          .str();
  auto written = MemoryBuffer::getFile(path);
  if (!written) {
    WithColor::error(errs(), "bbc")
        << path << ": " << written.getError().message() << "\n";
    return;
  }
  text += (*written)->getBuffer();
  if (Error error = writeWhole(path, text)) {
    WithColor::error(errs(), "bbc") << toString(std::move(error)) << "\n";
    return;
  }
  WithColor::error(errs(), "bbc")
      << "phase " << nameOf(phase) << " " << happened << "\n";
  WithColor::note(errs(), "bbc") << "repeat it with: " << command << "\n";
}

void bb::giveUp() {
  outs().flush();
  sys::Process::Exit(1, /*NoCleanup=*/true);
}
