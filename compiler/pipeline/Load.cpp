//===- Load.cpp - Reads a spec and what it imports ------------------------===//

#include "compiler/pipeline/Load.h"

#include "compiler/artifact/ArtifactWriter.h"
#include "passes/instantiate/Instantiate.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace llvm;
using namespace mlir;
using namespace bitbyte;
using namespace bitbyte::bb;

namespace {

class Loader {
public:
  Loader(SourceMgr &sources, MLIRContext *context)
      : sources(sources), context(context) {}

  LoadedSpec load(StringRef path) {
    LoadedSpec spec;
    spec.module =
        parse(path, FileLineColLoc::get(context, path, 0, 0), sources);
    auto load = [&](StringRef file, Location asker) {
      SourceMgr manager;
      return parse(file, asker, manager);
    };
    if (!spec.module || failed(resolveImports(*spec.module, path, load)) ||
        failed(verify(*spec.module)))
      return {};
    spec.sourceHash = hashOf(text);
    return spec;
  }

private:
  /// Parses one file; `asker` is where a missing one is reported. The spec
  /// itself goes into the manager whose handler prints, so that errors show its
  /// lines.
  OwningOpRef<ModuleOp> parse(StringRef path, Location asker,
                              SourceMgr &manager) {
    auto buffer = MemoryBuffer::getFileOrSTDIN(path);
    if (!buffer) {
      emitError(asker) << "cannot read '" << path
                       << "': " << buffer.getError().message();
      return {};
    }
    text += std::to_string((*buffer)->getBufferSize()) + "\n" +
            (*buffer)->getBuffer().str();
    manager.AddNewSourceBuffer(std::move(*buffer), SMLoc());
    // A block may call one that another file brings: verify when all are there.
    ParserConfig config(context, /*verifyAfterParse=*/false);
    return parseSourceFile<ModuleOp>(manager, config);
  }

  SourceMgr &sources;
  MLIRContext *context;
  std::string text; // all files, each behind its length: what the hash is of
};

} // namespace

LoadedSpec bb::loadSpec(StringRef path, SourceMgr &sources,
                        MLIRContext *context) {
  return Loader(sources, context).load(path);
}
