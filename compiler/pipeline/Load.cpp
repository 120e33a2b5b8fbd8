//===- Load.cpp - Reads a spec and what it imports ------------------------===//

#include "compiler/pipeline/Load.h"

#include "compiler/artifact/ArtifactWriter.h"
#include "dialects/bb/BBOps.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

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
    if (!spec.module || failed(resolveImports(*spec.module, path)) ||
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
    seen.insert(identity(path));
    manager.AddNewSourceBuffer(std::move(*buffer), SMLoc());
    // A block may call one that another file brings: verify when all are there.
    ParserConfig config(context, /*verifyAfterParse=*/false);
    return parseSourceFile<ModuleOp>(manager, config);
  }

  LogicalResult resolveImports(ModuleOp module, StringRef path) {
    for (auto import : llvm::make_early_inc_range(module.getOps<ImportOp>())) {
      SmallString<128> target(sys::path::parent_path(path));
      sys::path::append(target, import.getPath());
      if (!seen.contains(identity(target))) {
        SourceMgr manager;
        OwningOpRef<ModuleOp> imported =
            parse(target, import.getLoc(), manager);
        if (!imported || failed(resolveImports(*imported, target)))
          return failure();
        module.getBody()->getOperations().splice(
            Block::iterator(import), imported->getBody()->getOperations());
      }
      import.erase();
    }
    return success();
  }

  /// The same for two names of one file.
  static std::string identity(StringRef path) {
    SmallString<128> real;
    return sys::fs::real_path(path, real) ? path.str() : std::string(real);
  }

  SourceMgr &sources;
  MLIRContext *context;
  llvm::StringSet<> seen;
  std::string text; // all files, each behind its length: what the hash is of
};

} // namespace

LoadedSpec bb::loadSpec(StringRef path, SourceMgr &sources,
                        MLIRContext *context) {
  return Loader(sources, context).load(path);
}
