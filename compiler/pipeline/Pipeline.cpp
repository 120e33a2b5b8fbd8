//===- Pipeline.cpp - From a spec to an artifact --------------------------===//

#include "compiler/pipeline/Pipeline.h"

#include "compiler/pipeline/Load.h"
#include "compiler/pipeline/PhaseRunner.h"
#include "compiler/pipeline/Programs.h"
#include "compiler/pipeline/RegisterPasses.h"
#include "compiler/pipeline/Report.h"
#include "compiler/pipeline/Variant.h"
#include "dialects/bb/Nearest.h"

#include "mlir/Parser/Parser.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/WithColor.h"

#include <limits>

using namespace llvm;
using namespace mlir;
using namespace bitbyte;
using namespace bitbyte::bb;

namespace {

std::string textOfValue(Attribute value) {
  if (auto dim = dyn_cast_or_null<DimAttr>(value))
    return dim.str();
  if (auto text = dyn_cast_or_null<StringAttr>(value))
    return text.str();
  std::string text;
  if (std::optional<double> number = value ? evaluate(value) : std::nullopt) {
    raw_string_ostream out(text);
    printExpr(out, Builder(value.getContext()).getF64FloatAttr(*number));
  }
  return text;
}

/// How often the whole way down is tried to fit a memory budget.
constexpr int budgetAttempts = 6;

/// One run of bbc: what its phases share.
class Compilation {
public:
  Compilation(const CompileOptions &options, MLIRContext &context)
      : options(options), context(context), runner(options) {}

  Outcome run();

private:
  Outcome chooseWords();
  Outcome instantiate(ModuleOp module);
  /// From quantize to fuse.
  Outcome derive(ModuleOp module, int64_t budget);
  void dropOtherPrograms(ModuleOp module);
  Outcome compileVariants(ModuleOp module);
  Outcome stop(ModuleOp module);
  Outcome write(ModuleOp module);

  std::string optimizerFile() const;
  /// The numbers that a run uses where its config says nothing: those of the
  /// optimizer's block, then those of --default.
  llvm::MapVector<StringRef, std::string> runDefaults();
  std::string sourceHash() const;
  bool asks(StringRef word) const { return is_contained(asked, word); }
  int64_t trainArena() const;

  const CompileOptions &options;
  MLIRContext &context;
  PhaseRunner runner;
  LoadedSpec spec;
  std::vector<std::string> asked; ///< Words of --programs, or its default.
  std::vector<std::string> bases; ///< Programs that serve them.
  std::vector<CompiledVariant> variants;
  OwningOpRef<ModuleOp> optimizerModule;
};

Outcome Compilation::run() {
  SourceMgr sources;
  SourceMgrDiagnosticHandler diagnostics(sources, &context, errs());
  spec = loadSpec(options.spec, sources, &context);
  if (!spec.module)
    return Outcome::badInput;
  if (Outcome outcome = chooseWords(); outcome != Outcome::done)
    return outcome;
  if (Outcome outcome = instantiate(*spec.module); outcome != Outcome::done)
    return outcome;
  if (runner.stopsAfter(Phase::instantiate))
    return stop(*spec.module);

  int64_t budget = options.memoryBudget;
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int attempt = 0;; ++attempt) {
    OwningOpRef<ModuleOp> module = spec.module->clone();
    if (Outcome outcome = derive(*module, budget); outcome != Outcome::done)
      return outcome;
    if (options.stopAfter && *options.stopAfter <= Phase::fuse)
      return stop(*module);
    if (Outcome outcome = compileVariants(*module);
        outcome != Outcome::done || options.stopAfter)
      return outcome;
    int64_t arena = trainArena();
    if (!options.memoryBudget || arena <= options.memoryBudget)
      return write(*module);
    least = std::min(least, arena);
    // The estimate on the graph was too low: aim lower by as much.
    int64_t next = int64_t(double(budget) * double(options.memoryBudget) /
                           double(arena) * 0.99);
    if (attempt + 1 == budgetAttempts || next == budget) {
      WithColor::error(errs(), "bbc")
          << "the train arena takes " << least
          << " bytes at least, with all activations recomputed that "
          << "can be, but --memory-budget is " << options.memoryBudget << "\n";
      return Outcome::tooLarge;
    }
    budget = next;
    variants.clear();
  }
}

/// Checks --programs against the spec; by default, all that its programs allow.
Outcome Compilation::chooseWords() {
  auto models = to_vector(spec.module->getOps<ModelOp>());
  if (models.size() != 1) {
    emitError(spec.module->getLoc())
        << "a spec has one bb.model, and this one has " << models.size();
    return Outcome::badInput;
  }
  std::vector<std::string> ofSpec;
  for (auto program : models.front().getBody().getOps<ProgramOp>())
    ofSpec.push_back(program.getSymName().str());
  bool scores = is_contained(ofSpec, "score"),
       predicts = is_contained(ofSpec, "logits");
  asked = options.programs;
  if (asked.empty()) {
    if (scores)
      asked = {"train", "eval"};
    if (predicts)
      asked.push_back("generate");
    if (asked.empty())
      asked = ofSpec;
  }
  std::string wrong;
  bases = basesOf(asked, ofSpec, wrong);
  if (!wrong.empty()) {
    SmallVector<StringRef> known = {"train", "eval", "generate", "gradients"};
    known.append(ofSpec.begin(), ofSpec.end());
    WithColor::error(errs(), "bbc") << "--programs: there is no '" << wrong
                                    << "'" << hintOrList(wrong, known) << "\n";
    return Outcome::usage;
  }
  for (auto [word, needs, has] : {std::tuple("train", "score", scores),
                                  std::tuple("eval", "score", scores),
                                  std::tuple("gradients", "score", scores),
                                  std::tuple("generate", "logits", predicts)})
    if (asks(word) && !has) {
      models.front().emitError()
          << "--programs " << word << " needs a program @" << needs
          << ", which the spec lacks";
      return Outcome::badInput;
    }
  return Outcome::done;
}

Outcome Compilation::instantiate(ModuleOp module) {
  InstantiateOptions instantiate;
  instantiate.preset = options.preset;
  for (auto &[name, value] : options.config) {
    auto overrides = parseOverrides(&context, name + "=" + value);
    if (failed(overrides))
      return Outcome::usage;
    instantiate.overrides.append(*overrides);
  }
  Builder builder(&context);
  instantiate.compute = options.computeType == "f32"
                            ? mlir::Type(builder.getF32Type())
                            : mlir::Type(builder.getBF16Type());
  for (const NameValues &shape : options.shapes) {
    auto &list = instantiate.shapes.emplace_back();
    for (auto &[name, value] : shape) {
      int64_t number = 0;
      if (StringRef(value).getAsInteger(10, number) || number <= 0) {
        WithColor::error(errs(), "bbc")
            << "--shape: " << name << " is a whole number above 0, not '"
            << value << "'\n";
        return Outcome::usage;
      }
      list.emplace_back(name, number);
    }
  }
  instantiate.decode = asks("generate");
  auto add = [&](OpPassManager &passes) {
    passes.addPass(createInstantiatePass(instantiate));
  };
  return succeeded(runner.run(Phase::instantiate, module, "", add))
             ? Outcome::done
             : Outcome::badInput;
}

Outcome Compilation::derive(ModuleOp module, int64_t budget) {
  DifferentiateOptions differentiate;
  differentiate.train = asks("train");
  differentiate.gradients = asks("gradients");
  differentiate.optimizer = options.optimizer;
  differentiate.optimizerFile = optimizerFile();
  differentiate.memoryBudget = budget;

  if (failed(runner.run(Phase::quantize, module, "", "bb-quantize")))
    return Outcome::badInput;
  if (runner.stopsAfter(Phase::quantize))
    return Outcome::done;
  auto add = [&](OpPassManager &passes) {
    passes.addPass(createDifferentiatePass(differentiate));
  };
  if (failed(runner.run(Phase::differentiate, module, "", add)))
    return Outcome::badInput;
  if (runner.stopsAfter(Phase::differentiate))
    return Outcome::done;
  if (asks("generate") && failed(runner.run(Phase::incrementalize, module, "",
                                            "bb-incrementalize")))
    return Outcome::badInput;
  dropOtherPrograms(module);
  if (runner.stopsAfter(Phase::incrementalize))
    return Outcome::done;
  return succeeded(runner.run(Phase::fuse, module, "", "bb-fuse"))
             ? Outcome::done
             : Outcome::failed;
}

/// The optimizer's block: beside the spec, else among the models of this
/// program.
std::string Compilation::optimizerFile() const {
  std::string name = options.optimizer + ".mlir";
  SmallString<128> beside(sys::path::parent_path(options.spec));
  sys::path::append(beside, "optim", name);
  if (sys::fs::exists(beside))
    return std::string(beside);
  static int anchor; // any address of this program
  SmallString<128> program(sys::fs::getMainExecutable("bbc", &anchor));
  StringRef folder = sys::path::parent_path(program);
  SmallString<128> found(beside);
  for (StringRef models :
       {"../../models/optim", "../share/bitbyte/models/optim"}) {
    SmallString<128> path(folder);
    sys::path::append(path, models, name);
    sys::path::remove_dots(path, /*remove_dot_dot=*/true);
    if (sys::fs::exists(path))
      return std::string(path);
  }
  return std::string(found);
}

llvm::MapVector<StringRef, std::string> Compilation::runDefaults() {
  llvm::MapVector<StringRef, std::string> values;
  ParserConfig config(&context);
  optimizerModule = parseSourceFile<ModuleOp>(optimizerFile(), config);
  if (optimizerModule)
    for (auto block : optimizerModule->getOps<BlockOp>())
      if (block.getSymName() == options.optimizer)
        for (auto entry : block.getConfig().getAsRange<ConfigAttr>())
          values[entry.getName()] = textOfValue(entry.getValue());
  for (auto &[name, value] : options.defaults)
    values[name] = value;
  return values;
}

/// Of the spec, its imports and, where the artifact trains, the optimizer.
std::string Compilation::sourceHash() const {
  if (asks("train"))
    if (auto text = MemoryBuffer::getFile(optimizerFile()))
      return hashOf(spec.sourceHash + (*text)->getBuffer().str());
  return spec.sourceHash;
}

/// Keeps what serves a word of --programs. A base that ends in a dot stands for
/// the shapes of a program without the program itself.
void Compilation::dropOtherPrograms(ModuleOp module) {
  for (auto model : module.getOps<ModelOp>())
    for (auto program :
         make_early_inc_range(model.getBody().getOps<ProgramOp>())) {
      StringRef name = program.getSymName();
      bool kept = any_of(bases, [&](StringRef base) {
        return base.ends_with(".")
                   ? name.starts_with(base)
                   : name == base || name.starts_with((base + ".").str());
      });
      if (!kept || name.ends_with(".open"))
        program.erase();
    }
}

Outcome Compilation::compileVariants(ModuleOp module) {
  for (StringRef target : options.targets) {
    OwningOpRef<ModuleOp> copy = module.clone();
    auto variant = compileVariant(*copy, target, options, runner);
    if (failed(variant))
      return Outcome::failed;
    if (options.stopAfter) {
      if (Outcome outcome = stop(*copy); outcome != Outcome::done)
        return outcome;
      continue;
    }
    variants.push_back(std::move(*variant));
  }
  return Outcome::done;
}

/// The largest arena of a program that trains.
int64_t Compilation::trainArena() const {
  uint64_t most = 0;
  for (const CompiledVariant &variant : variants)
    for (auto &program : variant.tables.tables->programs)
      if (program->base == "micro")
        most = std::max(most, program->arena_bytes);
  return int64_t(most);
}

Outcome Compilation::stop(ModuleOp module) {
  if (Error error = writeWhole(options.output, textOf(module))) {
    WithColor::error(errs(), "bbc") << toString(std::move(error)) << "\n";
    return Outcome::failed;
  }
  return Outcome::done;
}

std::unique_ptr<fb::NameValueT> pairOf(StringRef name, StringRef value) {
  auto pair = std::make_unique<fb::NameValueT>();
  pair->name = name;
  pair->value = value;
  return pair;
}

std::unique_ptr<fb::ImportRuleT> tableOf(ImportRuleOp rule) {
  auto table = std::make_unique<fb::ImportRuleT>();
  table->pattern = rule.getPattern().value_or("");
  if (auto names = rule.getNames())
    for (auto name : names->getAsRange<StringAttr>())
      table->names.push_back(name.str());
  table->transpose = rule.getTranspose();
  if (auto reshape = rule.getReshape())
    for (auto size : reshape->getAsRange<DimAttr>())
      table->reshape.push_back(*size.constant());
  table->ignore = rule.getIgnore();
  return table;
}

Outcome Compilation::write(ModuleOp module) {
  ModelOp model = *module.getOps<ModelOp>().begin();
  fb::ArtifactT artifact;
  artifact.compiler = "bbc " BITBYTE_VERSION;
  artifact.model = model.getSymName();
  for (auto entry : model.getConfig().getAsRange<ConfigAttr>())
    artifact.config.push_back(
        pairOf(entry.getName(), textOfValue(entry.getValue())));
  artifact.compute_type = options.computeType;
  artifact.source_hash = sourceHash();
  artifact.programs_asked = asked;
  if (asks("train"))
    for (auto &[name, value] : runDefaults())
      artifact.defaults.push_back(pairOf(name, value));
  for (auto rule : model.getBody().getOps<ImportRuleOp>())
    artifact.import_rules.push_back(tableOf(rule));
  std::vector<VariantSegments> segments;
  for (CompiledVariant &variant : variants) {
    if (artifact.states.empty())
      artifact.states = std::move(variant.tables.states);
    artifact.variants.push_back(std::move(variant.tables.tables));
    segments.push_back(std::move(variant.segments));
  }
  std::string bytes = encodeArtifact(artifact, segments);
  if (Error error = writeWhole(options.output, bytes)) {
    WithColor::error(errs(), "bbc") << toString(std::move(error)) << "\n";
    return Outcome::failed;
  }
  if (options.report != ReportFormat::none)
    printReport(options, artifact, runner, bytes.size(), outs());
  return Outcome::done;
}

} // namespace

Outcome bb::compile(const CompileOptions &options) {
  DialectRegistry registry;
  registerDialectsAndPasses(registry);
  DefaultThreadPool threads(hardware_concurrency(options.threads));
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  if (options.threads > 1)
    context.setThreadPool(threads);
  context.loadAllAvailableDialects();
  context.printOpOnDiagnostic(false);
  return Compilation(options, context).run();
}
