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

/// What a kernel takes, for people.
std::string resourceLines(const codegen::Kernel &kernel) {
  if (kernel.resources.empty())
    return "no ptxas here: registers and spills are not known\n";
  std::string text;
  raw_string_ostream out(text);
  for (const codegen::Resources &each : kernel.resources)
    out << each.arch << ": " << each.registers << " registers, "
        << each.sharedBytes << " bytes of static shared memory, "
        << each.spillBytes << " bytes spilled, " << each.stackBytes
        << " bytes of stack\n";
  return text;
}

/// Writes NAME.tile.mlir, NAME.ll, NAME.s or NAME.ptx, and NAME.txt for each
/// kernel, and the cubins.
LogicalResult dumpKernels(ArrayRef<tile::KernelOp> kernels,
                          const codegen::Library &library,
                          const codegen::Options &target, StringRef folder) {
  auto texts = codegen::emitTexts(kernels, target);
  if (failed(texts))
    return failure();
  if (std::error_code error = sys::fs::create_directories(folder)) {
    WithColor::error(errs(), "bbc")
        << folder << ": " << error.message() << "\n";
    return failure();
  }
  bool isGpu = library.format == "ptx";
  auto writeFile = [&](const Twine &name, StringRef content) {
    SmallString<128> path(folder);
    sys::path::append(path, name);
    Error error = writeWhole(path, content);
    bool good = !error;
    if (error)
      WithColor::error(errs(), "bbc") << toString(std::move(error)) << "\n";
    return success(good);
  };
  for (auto [cubin, made] :
       zip(library.cubins, library.kernels.empty()
                               ? std::vector<codegen::Resources>()
                               : library.kernels.front().resources))
    if (failed(writeFile(made.arch + ".cubin", cubin)))
      return failure();
  for (auto [each, text, code] : zip_equal(kernels, *texts, library.kernels)) {
    tile::KernelOp kernel = each;
    auto write = [&](StringRef ending, StringRef content) {
      return writeFile(kernel.getSymName() + ending, content);
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
      facts += resourceLines(code);
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
  if (!options.cubins)
    codegenOptions.gpuArchs.clear();
  if (!options.gpuArchs.empty()) {
    codegenOptions.gpuArchs = options.gpuArchs;
    codegenOptions.mustAssemble = true;
  }
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
  auto add = [&](StringRef format, std::string code) {
    auto module = std::make_unique<fb::ModuleT>();
    module->format = format;
    variant.tables.tables->modules.push_back(std::move(module));
    variant.segments.modules.push_back(std::move(code));
  };
  add(library->format, {library->bytes.begin(), library->bytes.end()});
  for (std::string &cubin : library->cubins)
    add("cubin", std::move(cubin));
  variant.segments.constants = std::move(variant.tables.constants);
  return variant;
}
