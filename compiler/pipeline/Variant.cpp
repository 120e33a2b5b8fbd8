//===- Variant.cpp - The phases that run once per target ------------------===//

#include "compiler/pipeline/Variant.h"

#include "compiler/codegen/Codegen.h"
#include "compiler/codegen/Ptxas.h"
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

/// What ptxas makes of a kernel, for people; a wish for it where it is missing.
std::string resourcesOf(StringRef ptx) {
  std::optional<std::string> ptxas = codegen::findPtxas();
  if (!ptxas)
    return "no ptxas here: registers and spills are not known\n";
  std::string text;
  raw_string_ostream out(text);
  for (StringRef arch : {"sm_80", "sm_90"}) {
    Expected<codegen::Assembled> made = codegen::assemble(*ptxas, ptx, arch);
    out << arch << ": ";
    if (!made) {
      out << toString(made.takeError()) << "\n";
      continue;
    }
    out << made->registers << " registers, " << made->sharedBytes
        << " bytes of static shared memory, " << made->spillBytes
        << " bytes spilled, " << made->stackBytes << " bytes of stack\n";
  }
  return text;
}

/// Writes NAME.tile.mlir, NAME.ll, NAME.s or NAME.ptx, and NAME.txt for each
/// kernel.
LogicalResult dumpKernels(ArrayRef<tile::KernelOp> kernels,
                          const codegen::Library &library,
                          const codegen::Options &target, StringRef folder) {
  auto texts = codegen::emitTexts(kernels, target);
  if (failed(texts))
    return failure();
  bool isGpu = library.format == "ptx";
  if (std::error_code error = sys::fs::create_directories(folder)) {
    WithColor::error(errs(), "bbc")
        << folder << ": " << error.message() << "\n";
    return failure();
  }
  for (auto [each, text, code] : zip_equal(kernels, *texts, library.kernels)) {
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
        std::to_string(kernel.getPrograms()) +
        (isGpu ? "\nthreads per program " + std::to_string(code.threads) : "") +
        (isGpu ? "\nshared bytes per program "
               : "\nscratch bytes per worker ") +
        std::to_string(code.scratchBytes) + "\nflops " +
        std::to_string(kernel.getFlops().value_or(0)) + "\ntraffic bytes " +
        std::to_string(kernel.getTraffic().value_or(0)) + "\n";
    if (isGpu)
      facts += resourcesOf(text.assembly);
    if (failed(write(".tile.mlir", textOf(kernel))) ||
        failed(write(".ll", text.llvm)) ||
        failed(write(isGpu ? ".ptx" : ".s", text.assembly)) ||
        failed(write(".txt", facts)))
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
                          target == "cuda"
                              ? std::string("tile-to-nvvm")
                              : ("tile-to-x86{target=" + target + "}").str())))
      return failure();
    return CompiledVariant();
  }

  codegen::Options codegenOptions{target.str(), options.cache};
  std::vector<tile::KernelOp> kernels = usedKernels(module);
  FailureOr<codegen::Library> library = failure();
  if (failed(runner.lower(module, target, [&]() -> LogicalResult {
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
                        uint64_t(code.scratchBytes), uint32_t(code.threads)});
  CompiledVariant variant;
  variant.tables = assembleVariant(module, target, compiled);
  auto machineCode = std::make_unique<fb::ModuleT>();
  machineCode->format = library->format;
  variant.tables.tables->modules.push_back(std::move(machineCode));
  variant.segments.modules.emplace_back(library->bytes.begin(),
                                        library->bytes.end());
  variant.segments.constants = std::move(variant.tables.constants);
  return variant;
}
