//===- Compiled.cpp - Programs as machine code, run by the engine ---------===//

#include "test/ops/Compiled.h"

#include "compiler/pipeline/Variant.h"
#include "passes/fuse/Fuse.h"
#include "passes/lower/Passes.h"
#include "passes/plan/Passes.h"
#include "passes/tile/Tile.h"
#include "runtime/device/cpu/Machine.h"
#include "runtime/engine/Engine.h"
#include "test/runtime/core/TemporaryFolder.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <cstring>

using namespace mlir;

namespace bitbyte::bb::ops {

std::vector<std::string> testedTargets() {
  std::vector<std::string> targets = cpuTargets();
  targets.push_back("cuda");
  return targets;
}

std::string placeName(const std::string &target) {
  return target == "cuda" ? "Emulated" : "X86" + target.substr(strlen("cpu-"));
}

//===----------------------------------------------------------------------===//
// Compiling
//===----------------------------------------------------------------------===//

namespace {
/// Keeps the first error that is reported while it lives.
class FirstError {
public:
  explicit FirstError(MLIRContext *context)
      : handler(context, [this](Diagnostic &diagnostic) {
          if (text.empty() &&
              diagnostic.getSeverity() == DiagnosticSeverity::Error)
            text = diagnostic.str();
          return success();
        }) {}
  std::string text;

private:
  ScopedDiagnosticHandler handler;
};
} // namespace

/// The phases' own passes are found by name; those of lower, where it fails.
static void registerPhases() {
  static bool once = [] {
    tile::registerTilePass();
    plan::registerPlanPass();
    tile::registerToX86Pass();
    tile::registerToNvvmPass();
    return true;
  }();
  (void)once;
}

std::string refusalOf(ModuleOp module, const std::string &target) {
  FirstError error(module.getContext());
  OwningOpRef<ModuleOp> copy = module.clone();
  PassManager passes(module.getContext());
  passes.addPass(createFusePass());
  passes.addPass(tile::createTilePass({target}));
  if (succeeded(passes.run(*copy)))
    return "";
  return error.text.empty() ? "fails without a word" : error.text;
}

struct Compiled::Loaded {
  test::TemporaryFolder folder;
  std::unique_ptr<Engine> engine;
};
Compiled::Compiled() : loaded(std::make_unique<Loaded>()) {}
Compiled::~Compiled() = default;

std::unique_ptr<Compiled> Compiled::compile(ModuleOp module,
                                            const std::string &target,
                                            std::string &error) {
  registerPhases();
  std::unique_ptr<Compiled> compiled(new Compiled);
  std::string path = compiled->loaded->folder / "rows.bba";
  FirstError diagnostics(module.getContext());
  auto failed = [&](const std::string &why) {
    error = diagnostics.text.empty() ? why : diagnostics.text;
    return nullptr;
  };
  CompileOptions options;
  options.output = path; // where a failing phase leaves its reproducer
  options.targets = {target};
  options.cubins = false; // the emulator reads PTX
  PhaseRunner runner(options);
  OwningOpRef<ModuleOp> copy = module.clone();
  if (mlir::failed(runner.run(Phase::fuse, *copy, "", [](OpPassManager &pm) {
        pm.addPass(createFusePass());
      })))
    return failed("fuse fails");
  auto variant = compileVariant(*copy, target, options, runner);
  if (mlir::failed(variant))
    return failed("a phase after fuse fails");

  fb::ArtifactT artifact;
  artifact.compiler = artifact.model = "rows";
  artifact.compute_type = "f32";
  artifact.source_hash = hashOf("rows");
  artifact.states = std::move(variant->tables.states);
  artifact.variants.push_back(std::move(variant->tables.tables));
  if (llvm::Error wrong =
          writeWhole(path, encodeArtifact(artifact, {variant->segments})))
    return failed(llvm::toString(std::move(wrong)));
  auto opened = Artifact::open(path);
  if (!opened)
    return failed(opened.error().message);
  EngineOptions engine;
  engine.device = target == "cuda" ? "emu" : "cpu";
  engine.threads = 1;
  auto made = Engine::create(*opened, engine);
  if (!made)
    return failed(made.error().message);
  compiled->loaded->engine = std::move(*made);
  return compiled;
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

template <typename T>
static void put(std::byte *at, T value) {
  std::memcpy(at, &value, sizeof value);
}
template <typename T>
static T get(const std::byte *at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// An array's elements as they lie in memory.
static std::vector<std::byte> pack(const Array &array, DType type) {
  std::vector<std::byte> bytes(size_t(array.size() * byteWidth(type)));
  for (int64_t i = 0; i < array.size(); ++i) {
    std::byte *at = bytes.data() + i * byteWidth(type);
    switch (type) {
    case DType::f32:
      put(at, float(array[i]));
      break;
    case DType::bf16: // exact: what the interpreter holds was rounded
      put(at, uint16_t(std::bit_cast<uint32_t>(float(array[i])) >> 16));
      break;
    case DType::i32:
      put(at, int32_t(array[i]));
      break;
    default:
      put(at, uint8_t(array[i]));
    }
  }
  return bytes;
}

static Array unpack(ArrayRef<std::byte> bytes, const Tensor &tensor) {
  Array array(Shape(tensor.shape.begin(), tensor.shape.end()));
  for (int64_t i = 0; i < array.size(); ++i) {
    const std::byte *at = bytes.data() + i * byteWidth(tensor.dtype);
    switch (tensor.dtype) {
    case DType::f32:
      array[i] = get<float>(at);
      break;
    case DType::bf16:
      array[i] = std::bit_cast<float>(uint32_t(get<uint16_t>(at)) << 16);
      break;
    case DType::i32:
      array[i] = get<int32_t>(at);
      break;
    default:
      array[i] = get<uint8_t>(at);
    }
  }
  return array;
}

std::vector<Array> Compiled::run(const std::string &name,
                                 ArrayRef<Array> inputs, std::string &error) {
  const Program *program = loaded->engine->program(name);
  if (!program || program->inputs.size() != inputs.size()) {
    error = program ? "takes another number of inputs" : "is not there";
    return {};
  }
  std::vector<std::vector<std::byte>> in, out;
  std::vector<InputBytes> inputBytes;
  std::vector<OutputBytes> outputBytes;
  for (auto [tensor, array] : llvm::zip_equal(program->inputs, inputs))
    in.push_back(pack(array, tensor.dtype));
  for (auto [tensor, bytes] : llvm::zip_equal(program->inputs, in))
    inputBytes.push_back({tensor.name, bytes});
  for (const Tensor &tensor : program->outputs)
    out.emplace_back(
        size_t(elementCount(Shape(tensor.shape.begin(), tensor.shape.end())) *
               byteWidth(tensor.dtype)));
  for (auto [tensor, bytes] : llvm::zip_equal(program->outputs, out))
    outputBytes.push_back({tensor.name, bytes});
  auto done = loaded->engine->run(*program, inputBytes, outputBytes);
  if (!done) {
    error = done.error().message;
    return {};
  }
  std::vector<Array> results;
  for (auto [tensor, bytes] : llvm::zip_equal(program->outputs, out))
    results.push_back(unpack(bytes, tensor));
  return results;
}

std::string Compiled::setState(const std::string &name, const Array &value) {
  const State *state = loaded->engine->artifact().state(name);
  if (!state)
    return "there is no state " + name;
  auto done = loaded->engine->writeState(name, pack(value, state->dtype));
  return done ? "" : done.error().message;
}

} // namespace bitbyte::bb::ops
