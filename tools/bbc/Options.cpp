//===- Options.cpp - The command line of bbc ------------------------------===//

#include "tools/bbc/Options.h"

#include "compiler/codegen/Codegen.h"
#include "dialects/bb/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/WithColor.h"

#include <thread>

using namespace llvm;
using namespace bitbyte::bb;

namespace {

constexpr int usageError = 2;

cl::OptionCategory modelGroup("Model options", "What the spec leaves open");
cl::OptionCategory outputGroup("Output options", "What the artifact holds");
cl::OptionCategory lookGroup("Options for a closer look");

cl::opt<std::string> spec(cl::Positional, cl::Required, cl::desc("SPEC.mlir"),
                          cl::cat(modelGroup));
cl::opt<std::string>
    preset("preset", cl::value_desc("name"), cl::cat(modelGroup),
           cl::desc("A named set of config values in the spec"));
cl::list<std::string>
    sets("set", cl::value_desc("K=V,..."), cl::CommaSeparated,
         cl::cat(modelGroup),
         cl::desc("Config values, stronger than the preset; repeatable"));
cl::opt<std::string>
    computeType("dtype", cl::value_desc("f32|bf16"), cl::init("f32"),
                cl::cat(modelGroup),
                cl::desc("Compute type; master weights are f32 (default f32)"));
cl::list<std::string>
    shapes("shape", cl::value_desc("B=8,T=128"), cl::cat(modelGroup),
           cl::desc("A further shape for train and eval; repeatable"));
cl::opt<std::string>
    optimizer("optimizer", cl::value_desc("name"), cl::init("adamw"),
              cl::cat(modelGroup),
              cl::desc("The block that update calls (default adamw)"));

cl::opt<std::string>
    output("o", cl::value_desc("file.bba"), cl::cat(outputGroup),
           cl::desc("The artifact (default: SPEC.bba here; - for stdout)"));
cl::list<std::string>
    targets("targets", cl::value_desc("list"), cl::CommaSeparated,
            cl::cat(outputGroup),
            cl::desc("Of cpu (this machine's level), cpu-v3, cpu-v4, "
                     "cpu-v4bf16, cuda (default cpu,cuda; with --stop-after "
                     "tile and later cpu)"));
cl::list<std::string>
    gpuArchs("gpu-arch", cl::value_desc("list"), cl::CommaSeparated,
             cl::cat(outputGroup),
             cl::desc("GPUs to assemble for, as sm_90, beside the PTX that all "
                      "take from sm_80 on (default sm_80,sm_90 where ptxas is "
                      "present)"));
cl::list<std::string>
    programs("programs", cl::value_desc("list"), cl::CommaSeparated,
             cl::cat(outputGroup),
             cl::desc("Of train, eval, generate, gradients and the spec's own "
                      "programs (default train,eval,generate)"));
cl::list<std::string> defaults(
    "default", cl::value_desc("K=V,..."), cl::CommaSeparated,
    cl::cat(modelGroup),
    cl::desc("Numbers that a run uses where its config says nothing: lr, "
             "beta1, beta2, eps, weight_decay, clip, accumulate; repeatable"));
cl::opt<bool> nondeterministic("nondeterministic", cl::Hidden,
                               cl::cat(outputGroup),
                               cl::desc("Allow atomics where they are faster"));
cl::opt<int64_t>
    memoryBudget("memory-budget", cl::value_desc("bytes"), cl::cat(outputGroup),
                 cl::desc("Recompute activations until the train arena fits"));
cl::opt<std::string> cache(
    "cache", cl::value_desc("dir"), cl::cat(outputGroup),
    cl::desc("Compiled kernels, by hash (default: the user's cache folder)"));
cl::opt<unsigned>
    threads("threads", cl::value_desc("n"), cl::init(0), cl::cat(outputGroup),
            cl::desc("Compile threads (default: cores); the output does not "
                     "depend on it"));

cl::opt<ReportFormat> report(
    "report", cl::ValueOptional, cl::init(ReportFormat::none),
    cl::cat(lookGroup),
    cl::desc("Print parameters, FLOPs, bytes, arenas, kernels and seconds"),
    cl::values(clEnumValN(ReportFormat::text, "", "as a table"),
               clEnumValN(ReportFormat::text, "text", "as a table"),
               clEnumValN(ReportFormat::json, "json", "as JSON")));
/// LLVM's code generator has an option of this name already, so bbc takes that
/// one over: its words, its help, and its value out of the code generator's
/// sight.
cl::opt<std::string> &stopAfterOption() {
  cl::Option *option = cl::getRegisteredOptions().lookup("stop-after");
  return *static_cast<cl::opt<std::string> *>(option);
}

cl::opt<std::string>
    dumpPhases("dump-phases", cl::value_desc("dir"), cl::cat(lookGroup),
               cl::desc("Write the IR after each phase as NN-phase.mlir"));
cl::opt<std::string>
    dumpKernels("dump-kernels", cl::value_desc("dir"), cl::cat(lookGroup),
                cl::desc("Write NAME.{tile.mlir,ll,s,txt} for each kernel"));

cl::opt<std::string>
    testFailure("test-failure", cl::Hidden, cl::cat(lookGroup),
                cl::desc("PHASE or PHASE:crash: fail on purpose at its end"));

cl::extrahelp examples(R"(
EXAMPLES:

  bbc models/bitbyte_lm.mlir --preset s --set B=8,T=256 -o s.bba
  bbc models/bitbyte_lm.mlir --preset tiny --programs logits,score --targets cpu-v3,cpu-v4
  bbc models/bitbyte_lm.mlir --preset s --shape B=16,T=128 --report
  bbc models/bitbyte_lm.mlir --preset tiny --stop-after fuse --programs score

EXIT CODES:

  0 done; 1 failed while compiling; 2 wrong command line; 3 wrong spec or config
)");

template <typename Text>
int usage(const Text &message) {
  WithColor::error(errs(), "bbc") << message << "\n";
  return usageError;
}

/// "K=V" for a config name; a reason why not is reported.
std::optional<std::pair<std::string, std::string>> nameValue(StringRef option,
                                                             StringRef text) {
  auto [name, value] = text.split('=');
  if (!name.trim().empty() && !value.trim().empty())
    return std::pair(name.trim().str(), value.trim().str());
  usage("--" + option.str() + " takes NAME=VALUE, not '" + text.str() + "'");
  return std::nullopt;
}

/// Whether a run takes such a number; a reason why not is reported.
bool checkDefault(StringRef name, StringRef value) {
  constexpr StringRef known[] = {"lr",           "beta1", "beta2",     "eps",
                                 "weight_decay", "clip",  "accumulate"};
  if (!is_contained(known, name))
    return usage("--default: a run takes no '" + name.str() + "'" +
                 hintOrList(name, known)),
           false;
  bool whole = name == "accumulate";
  int64_t count = 0;
  double number = 0;
  bool good =
      whole ? !value.getAsInteger(10, count) && count > 0
            : value.find_first_not_of("0123456789.eE-+") == StringRef::npos &&
                  !value.starts_with("+") && !value.getAsDouble(number) &&
                  number >= 0;
  if (!good)
    usage("--default: " + name.str() + " is a " +
          (whole ? "whole number above 0" : "number of at least 0") +
          ", not '" + value.str() + "'");
  return good;
}

/// Fills `result` with the names of variants, each once; false if one is wrong.
bool resolveTargets(std::vector<std::string> &result) {
  constexpr StringRef known[] = {"cpu-v3", "cpu-v4", "cpu-v4bf16", "cuda"};
  std::vector<std::string> asked(targets.begin(), targets.end());
  if (asked.empty()) {
    asked.push_back("cpu");
    std::optional<Phase> last = phaseOf(stopAfterOption());
    if (!last || *last < Phase::tile) // from tile on one target's IR is printed
      asked.push_back("cuda");
  }
  for (std::string name : asked) {
    if (name == "cpu")
      name = bitbyte::codegen::hostTarget();
    if (name.empty())
      return usage("this machine is below x86-64-v3: name a target, as in "
                   "--targets cpu-v3"),
             false;
    if (!is_contained(known, name))
      return usage("--targets: no target '" + name + "'" +
                   hintOrList(name, {"cpu", "cpu-v3", "cpu-v4", "cpu-v4bf16",
                                     "cuda"})),
             false;
    if (!is_contained(result, name))
      result.push_back(name);
  }
  return true;
}

/// Fills `result` with the machines of --gpu-arch, each once; false if one is
/// wrong.
bool resolveArchs(std::vector<std::string> &result,
                  const std::vector<std::string> &targets) {
  constexpr StringRef known[] = {"sm_80", "sm_86",  "sm_87",  "sm_89",
                                 "sm_90", "sm_100", "sm_103", "sm_120"};
  if (!gpuArchs.empty() && !is_contained(targets, "cuda"))
    return usage("--gpu-arch needs cuda in --targets"), false;
  for (const std::string &name : gpuArchs) {
    if (!is_contained(known, name))
      return usage("--gpu-arch: no machine '" + name + "' from sm_80 on" +
                   hintOrList(name, known)),
             false;
    if (!is_contained(result, name))
      result.push_back(name);
  }
  return true;
}

std::string defaultCache() {
  if (const char *folder = std::getenv("BITBYTE_CACHE"))
    return folder;
  SmallString<128> folder;
  if (!sys::path::cache_directory(folder)) // no home: no cache
    return "";
  sys::path::append(folder, "bitbyte", "kernels");
  return std::string(folder);
}

} // namespace

std::variant<CompileOptions, int> bitbyte::bb::parseCommandLine(int argc,
                                                                char **argv) {
  cl::opt<std::string> &stopOption = stopAfterOption();
  stopOption.addCategory(lookGroup);
  stopOption.setDescription(
      "Print the IR after a phase to -o (default stdout): "
      "instantiate, quantize, differentiate, "
      "incrementalize, fuse, tile, plan, lower");
  cl::HideUnrelatedOptions({&modelGroup, &outputGroup, &lookGroup});
  cl::SetVersionPrinter(
      [](raw_ostream &out) { out << "bbc " BITBYTE_VERSION "\n"; });
  if (!cl::ParseCommandLineOptions(
          argc, argv, "Compiles a model spec into one artifact.\n", &errs()))
    return usageError;
  std::string stopAfter = stopOption;
  stopOption = "";

  CompileOptions options;
  options.spec = spec;
  options.preset = preset;
  for (StringRef text : sets) {
    auto pair = nameValue("set", text);
    if (!pair)
      return usageError;
    options.config.push_back(*pair);
  }
  for (StringRef text : defaults) {
    auto pair = nameValue("default", text);
    if (!pair || !checkDefault(pair->first, pair->second))
      return usageError;
    options.defaults.push_back(*pair);
  }
  for (StringRef text : shapes) {
    SmallVector<StringRef> parts;
    text.split(parts, ',');
    NameValues &shape = options.shapes.emplace_back();
    for (StringRef part : parts) {
      auto pair = nameValue("shape", part);
      if (!pair)
        return usageError;
      shape.push_back(*pair);
    }
  }
  if (computeType != "f32" && computeType != "bf16")
    return usage("--dtype is f32 or bf16, not '" + computeType + "'" +
                 hint(computeType, {"f32", "bf16"}));
  options.computeType = computeType;
  if (!resolveTargets(options.targets) ||
      !resolveArchs(options.gpuArchs, options.targets))
    return usageError;
  options.programs.assign(programs.begin(), programs.end());
  options.optimizer = optimizer;
  if (nondeterministic)
    return usage(
        "--nondeterministic: no target of this build has a kernel that "
        "is faster with atomics; results are the same without it");
  if (memoryBudget < 0)
    return usage("--memory-budget is a number of bytes");
  options.memoryBudget = memoryBudget;
  options.report = report;
  if (!stopAfter.empty()) {
    options.stopAfter = phaseOf(stopAfter);
    if (!options.stopAfter)
      return usage("--stop-after: no phase '" + stopAfter + "'" +
                   hintOrList(stopAfter, phaseNames));
    if (*options.stopAfter >= Phase::tile && options.targets.size() > 1)
      return usage("--stop-after " + stopAfter +
                   " prints one target's IR: name one in --targets");
  }
  if (!testFailure.empty()) {
    auto [phase, how] = StringRef(testFailure).split(':');
    options.testFailure = phaseOf(phase);
    options.testCrash = how == "crash";
    if (!options.testFailure)
      return usage("--test-failure: no phase '" + phase.str() + "'");
  }
  options.dumpPhases = dumpPhases;
  options.dumpKernels = dumpKernels;
  options.cache =
      cache.getNumOccurrences() ? std::string(cache) : defaultCache();
  options.threads = threads ? unsigned(threads)
                            : std::max(1u, std::thread::hardware_concurrency());
  options.output = output;
  if (options.output.empty())
    options.output = options.stopAfter
                         ? "-"
                         : (sys::path::stem(options.spec) + ".bba").str();
  return options;
}
