//===- Variant.cpp - The phases that run once per target ------------------===//

#include "compiler/pipeline/Variant.h"

#include "compiler/codegen/Codegen.h"
#include "dialects/plan/PlanDialect.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/WithColor.h"

using namespace llvm;
using namespace mlir;
using namespace bitbyte;
using namespace bitbyte::bb;

namespace {

/// The kernels that programs dispatch, in the order of the module.
std::vector<tile::KernelOp> usedKernels(ModuleOp module) {
  llvm::DenseSet<StringAttr> used;
  module.walk([&](plan::DispatchOp dispatch) {
    used.insert(dispatch.getKernelAttr().getAttr());
  });
  std::vector<tile::KernelOp> kernels;
  for (auto kernel : module.getOps<tile::KernelOp>())
    if (used.contains(kernel.getSymNameAttr()))
      kernels.push_back(kernel);
  return kernels;
}

/// Writes NAME.tile.mlir, NAME.s and NAME.txt for each kernel.
LogicalResult dumpKernels(ArrayRef<tile::KernelOp> kernels,
                          const codegen::Library &library,
                          const codegen::Options &target, StringRef folder) {
  auto assembly = codegen::emitAssembly(kernels, target);
  if (failed(assembly))
    return failure();
  if (std::error_code error = sys::fs::create_directories(folder)) {
    WithColor::error(errs(), "bbc")
        << folder << ": " << error.message() << "\n";
    return failure();
  }
  for (auto [each, text, code] :
       zip_equal(kernels, *assembly, library.kernels)) {
    tile::KernelOp kernel = each;
    auto write = [&](StringRef ending, StringRef content) {
      SmallString<128> path(folder);
      sys::path::append(path, kernel.getSymName() + ending);
      Error error = writeWhole(path, content);
      bool good = !error;
      if (error)
        WithColor::error(errs(), "bbc") << toString(std::move(error)) << "\n";
      return success(good);
    };
    std::string facts =
        "target " + target.target + "\nsymbol " + code.symbol + "\nprograms " +
        std::to_string(kernel.getPrograms()) + "\nscratch bytes per worker " +
        std::to_string(code.scratchBytes) + "\nflops " +
        std::to_string(kernel.getFlops().value_or(0)) + "\ntraffic bytes " +
        std::to_string(kernel.getTraffic().value_or(0)) + "\n";
    if (failed(write(".tile.mlir", textOf(kernel))) ||
        failed(write(".s", text)) || failed(write(".txt", facts)))
      return failure();
  }
  return success();
}

} // namespace

FailureOr<CompiledVariant> bb::compileVariant(ModuleOp module, StringRef target,
                                              const CompileOptions &options,
                                              PhaseRunner &runner) {
  std::string tilePass = ("bb-tile{target=" + target + "}").str();
  for (auto [phase, text] : {std::pair(Phase::tile, StringRef(tilePass)),
                             std::pair(Phase::plan, StringRef("bb-plan"))}) {
    if (failed(runner.run(phase, module, target, text)))
      return failure();
    if (runner.stopsAfter(phase))
      return CompiledVariant();
  }
  if (runner.stopsAfter(Phase::lower)) {
    if (failed(runner.run(Phase::lower, module, target,
                          ("tile-to-x86{target=" + target + "}").str())))
      return failure();
    return CompiledVariant();
  }

  codegen::Options codegenOptions{target.str(), options.cache};
  std::vector<tile::KernelOp> kernels = usedKernels(module);
  FailureOr<codegen::Library> library = failure();
  if (failed(runner.time(Phase::lower, [&]() -> LogicalResult {
        library = codegen::compile(kernels, codegenOptions);
        return library;
      })))
    return failure();
  if (!options.dumpKernels.empty()) {
    SmallString<128> folder(options.dumpKernels);
    if (options.targets.size() > 1)
      sys::path::append(folder, target);
    if (failed(dumpKernels(kernels, *library, codegenOptions, folder)))
      return failure();
  }

  std::vector<CompiledKernel> compiled;
  for (auto [kernel, code] : zip_equal(kernels, library->kernels))
    compiled.push_back({kernel.getSymName().str(), code.symbol,
                        StringRef(code.symbol).rsplit('_').second.str(), 0,
                        uint64_t(code.scratchBytes)});
  CompiledVariant variant;
  variant.tables = assembleVariant(module, target, compiled);
  auto machineCode = std::make_unique<fb::ModuleT>();
  machineCode->format = "elf";
  variant.tables.tables->modules.push_back(std::move(machineCode));
  variant.segments.modules.emplace_back(library->bytes.begin(),
                                        library->bytes.end());
  variant.segments.constants = std::move(variant.tables.constants);
  return variant;
}
