//===- Codegen.cpp - Tile kernels to machine code -------------------------===//
#include "compiler/codegen/Codegen.h"

#include "compiler/codegen/KernelCache.h"
#include "compiler/codegen/Link.h"
#include "compiler/codegen/Machine.h"
#include "dialects/tile/KernelTarget.h"
#include "passes/lower/ToNvvm.h"
#include "passes/lower/ToX86.h"

#include "mlir/IR/Threading.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/CrashRecoveryContext.h"
#include "llvm/Support/xxhash.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir;

namespace bitbyte::codegen {

/// Part of every cache key: to be raised when Machine.cpp makes other code of
/// the same LLVM IR.
static constexpr llvm::StringLiteral generation = "2 LLVM " LLVM_VERSION_STRING;

std::string hostTarget() {
  llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  auto has = [&](llvm::StringRef name) { return features.lookup(name); };
  if (!has("avx2") || !has("fma") || !has("f16c") || !has("bmi2"))
    return "";
  if (!has("avx512f") || !has("avx512bw") || !has("avx512vl") ||
      !has("avx512dq"))
    return "cpu-v3";
  return has("avx512bf16") ? "cpu-v4bf16" : "cpu-v4";
}

namespace {

/// One kernel on its way.
struct Job {
  tile::KernelOp kernel;
  Kernel result;
  std::string code; ///< object, assembly or PTX
  std::string llvm; ///< only for people
};

/// What all jobs share.
struct Work {
  const tile::KernelTarget &target;
  const KernelCache &cache;
  bool forPeople; ///< assembly instead of objects, and LLVM IR
};

} // namespace

static LogicalResult report(tile::KernelOp kernel, llvm::Error error) {
  return kernel.emitError() << llvm::toString(std::move(error));
}

static LogicalResult run(Job &job, const Work &work) {
  // A module of its own: jobs run side by side.
  Location loc = job.kernel.getLoc();
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  OpBuilder builder(module->getBodyRegion());
  auto kernel = cast<tile::KernelOp>(builder.clone(*job.kernel));
  LLVM::LLVMFuncOp function =
      work.target.isGpu ? tile::lowerGpuKernel(kernel, "f", work.target)
                        : tile::lowerKernel(kernel, "f", work.target);
  if (!function)
    return failure();
  auto take = [&](llvm::StringRef name) -> int64_t {
    auto value = dyn_cast_or_null<IntegerAttr>(function->removeAttr(name));
    return value ? value.getInt() : 0;
  };
  job.result.scratchBytes = take("tile.scratch_bytes");
  job.result.threads = take("tile.threads");
  kernel.erase();

  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code =
      translateModuleToLLVMIR(*module, context, "kernel");
  if (!code)
    return job.kernel.emitError("has no translation to LLVM IR");
  module = {};
  llvm::Expected<Machine> machine = Machine::create(work.target);
  if (!machine)
    return report(job.kernel, machine.takeError());
  machine->prepare(*code);

  // The key covers the whole way down to here, whatever the lowering does.
  std::string text = (generation + "\n").str();
  llvm::raw_string_ostream stream(text);
  code->print(stream, nullptr);
  llvm::XXH128_hash_t hash =
      llvm::xxh3_128bits(llvm::arrayRefFromStringRef(text));
  std::string key = llvm::utohexstr(hash.high64, /*LowerCase=*/true, 16) +
                    llvm::utohexstr(hash.low64, /*LowerCase=*/true, 16);
  llvm::StringRef anchor = job.kernel.getAnchor().value_or("kernel");
  job.result.symbol = (anchor + "_" + key).str();
  for (char &c : job.result.symbol)
    if (!llvm::isAlnum(c))
      c = '_';
  // The anchor is in the object, so it is in the key.
  key += "_" + llvm::utohexstr(llvm::xxh3_64bits(anchor), /*LowerCase=*/true);

  if (!work.forPeople)
    if (std::optional<std::string> object = work.cache.find(key)) {
      job.code = std::move(*object);
      return success();
    }
  code->getFunction("f")->setName(job.result.symbol);
  machine->optimize(*code);
  if (work.forPeople) {
    llvm::raw_string_ostream out(job.llvm);
    code->print(out, nullptr);
  }
  llvm::Expected<std::string> emitted = machine->emit(*code, work.forPeople);
  if (!emitted)
    return report(job.kernel, emitted.takeError());
  job.code = std::move(*emitted);
  if (!work.forPeople)
    work.cache.insert(key, job.code);
  return success();
}

static FailureOr<std::vector<Job>> runAll(ArrayRef<tile::KernelOp> kernels,
                                          const Options &options,
                                          bool forPeople) {
  std::vector<Job> jobs;
  for (tile::KernelOp kernel : kernels)
    jobs.push_back({kernel, {}, {}, {}});
  if (jobs.empty())
    return jobs;
  MLIRContext *context = jobs.front().kernel.getContext();
  std::optional<tile::KernelTarget> target =
      tile::KernelTarget::named(options.target);
  if (!target) {
    jobs.front().kernel.emitError("there is no target `")
        << options.target << "`";
    return failure();
  }
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  context->appendDialectRegistry(registry);
  context->loadDialect<LLVM::LLVMDialect>();

  KernelCache cache(options.cacheDirectory);
  Work work{*target, cache, forPeople};
  // A crash on a worker thread would end the program without a word about the
  // kernel. What a job works on is its own, and is left behind.
  llvm::CrashRecoveryContext::Enable();
  auto guarded = [&](Job &job) -> LogicalResult {
    LogicalResult result = failure();
    llvm::CrashRecoveryContext guard;
    if (!guard.RunSafely([&] { result = run(job, work); }))
      return job.kernel.emitError("crashes the code generator");
    return result;
  };
  if (failed(failableParallelForEach(context, jobs, guarded)))
    return failure();
  return jobs;
}

/// One module of PTX from one per kernel: they differ in what is behind the
/// header, and each may declare the scratch that all share.
static std::string joinPtx(ArrayRef<std::string> modules) {
  constexpr llvm::StringLiteral headerEnd = ".address_size 64\n";
  std::string result;
  bool declared = false;
  for (llvm::StringRef module : modules) {
    size_t header = module.find(headerEnd) + headerEnd.size();
    if (result.empty())
      result += module.take_front(header);
    for (llvm::StringRef line : llvm::split(module.drop_front(header), '\n')) {
      bool isScratch = line.starts_with(".extern .shared");
      if (!(isScratch && declared))
        result += (line + "\n").str();
      declared |= isScratch;
    }
  }
  return result;
}

/// Adds cubins, and what the kernels take. Where ptxas is missing or refuses,
/// nothing is added, unless it must be: a driver assembles PTX itself.
static LogicalResult addCubins(Library &library, tile::KernelOp at,
                               const Options &options) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas && options.mustAssemble)
    return emitError(UnknownLoc::get(at.getContext()))
           << "no ptxas to assemble for " << llvm::join(options.gpuArchs, ", ")
           << ": it is neither on PATH nor in CUDA_HOME/bin nor in "
              "/usr/local/cuda/bin";
  if (!ptxas)
    return success();
  struct Part {
    llvm::StringRef arch;
    std::string code, problem;
  };
  SmallVector<Part> parts;
  for (const std::string &arch : options.gpuArchs)
    parts.push_back({arch, "", ""});
  KernelCache cache(options.cacheDirectory);
  llvm::StringRef ptx(library.bytes.data(), library.bytes.size());
  parallelForEach(at.getContext(), parts, [&](Part &part) {
    std::string key =
        (part.arch + "_" +
         llvm::utohexstr(llvm::xxh3_64bits(llvm::arrayRefFromStringRef(ptx)),
                         /*LowerCase=*/true))
            .str();
    if (std::optional<std::string> known = cache.find(key)) {
      part.code = std::move(*known);
      return;
    }
    llvm::Expected<Assembled> made = assemble(*ptxas, ptx, part.arch);
    if (!made) {
      part.problem = llvm::toString(made.takeError());
      return;
    }
    part.code = made->messages + std::string(1, '\0') + made->cubin;
    cache.insert(key, part.code);
  });
  for (Part &part : parts) {
    if (!part.problem.empty()) {
      if (options.mustAssemble)
        return at.emitError() << "for " << part.arch << ", " << part.problem;
      at.emitWarning() << part.problem << "; the artifact has no cubin for "
                       << part.arch;
      continue;
    }
    auto [messages, cubin] = llvm::StringRef(part.code).split('\0');
    for (Kernel &kernel : library.kernels)
      kernel.resources.push_back(
          resourcesOf(messages, kernel.symbol, part.arch));
    library.cubins.push_back(cubin.str());
  }
  return success();
}

FailureOr<Library> compile(ArrayRef<tile::KernelOp> kernels,
                           const Options &options) {
  FailureOr<std::vector<Job>> jobs = runAll(kernels, options, false);
  if (failed(jobs))
    return failure();
  Library library;
  if (jobs->empty())
    return library;
  std::vector<std::string> objects;
  llvm::StringSet<> symbols;
  for (Job &job : *jobs) {
    if (symbols.insert(job.result.symbol).second)
      objects.push_back(std::move(job.code));
    library.kernels.push_back(std::move(job.result));
  }
  if (jobs->front().result.threads) {
    std::string text = joinPtx(objects);
    library.format = "ptx";
    library.bytes.assign(text.begin(), text.end());
    if (failed(addCubins(library, kernels.front(), options)))
      return failure();
    return library;
  }
  llvm::Expected<std::vector<char>> bytes = linkSharedLibrary(objects);
  if (!bytes)
    return report(kernels.front(), bytes.takeError());
  library.bytes = std::move(*bytes);
  return library;
}

FailureOr<std::vector<Texts>> emitTexts(ArrayRef<tile::KernelOp> kernels,
                                        const Options &options) {
  FailureOr<std::vector<Job>> jobs = runAll(kernels, options, true);
  if (failed(jobs))
    return failure();
  std::vector<Texts> texts;
  for (Job &job : *jobs)
    texts.push_back({std::move(job.llvm), std::move(job.code)});
  return texts;
}

} // namespace bitbyte::codegen
