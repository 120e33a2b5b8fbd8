//===- Exec.cpp - bb-run exec: one program on given tensors ---------------===//

#include "runtime/core/Safetensors.h"
#include "runtime/engine/TrainStep.h"
#include "runtime/engine/Weights.h"
#include "tools/bb-run/Commands.h"

#include <cmath>
#include <cstring>
#include <set>

namespace bitbyte {

namespace {

struct Options {
  std::string artifact, program, weights, inputs, outputs, stateOut;
  EngineOptions engine;
};

/// Reads named tensors of a file, and tells at the end what nobody asked for.
class Inputs {
public:
  static Result<Inputs> open(const std::string &path) {
    Inputs inputs;
    if (!path.empty()) {
      BB_ASSIGN(inputs.file, Safetensors::open(inputPath(path)));
    }
    return inputs;
  }
  const StoredTensor *find(const std::string &name) {
    asked.insert(name);
    return file.find(name);
  }
  Result<const StoredTensor *> require(const std::string &name) {
    if (const StoredTensor *tensor = find(name))
      return tensor;
    if (file.path().empty())
      return fail(ErrorKind::Usage,
                  "the program has an input '{}': give --inputs", name);
    return fail(ErrorKind::BadInput, "{}: misses the input '{}'", file.path(),
                name);
  }
  Result<void> checkSurplus(const std::string &program) const {
    for (const StoredTensor &tensor : file.tensors())
      if (!asked.contains(tensor.name))
        return fail(ErrorKind::BadInput, "{}: program '{}' has no input '{}'",
                    file.path(), program, tensor.name);
    return {};
  }
  const std::string &path() const { return file.path(); }

private:
  Safetensors file;
  std::set<std::string> asked;
};

/// The bytes of an input: floats of any type become f32, others come as they
/// are.
Result<std::vector<std::byte>> inputBytes(const StoredTensor &stored,
                                          const Tensor &tensor,
                                          const std::string &path) {
  bool scalar =
      tensor.shape.empty() && stored.shape == std::vector<uint64_t>{1};
  if (stored.shape != tensor.shape && !scalar)
    return fail(ErrorKind::BadInput, "{}: '{}' is {}, but the program takes {}",
                path, stored.name, formatShape(stored.shape),
                formatShape(tensor.shape));
  if (tensor.dtype == DType::f32 && isFloat(stored.type)) {
    BB_ASSIGN(std::vector<float> values, toFloats(stored));
    auto bytes = std::as_bytes(std::span(values));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  }
  if (stored.type != storedType(tensor.dtype))
    return fail(ErrorKind::BadInput, "{}: '{}' is {}, but the program takes {}",
                path, stored.name, name(stored.type),
                name(storedType(tensor.dtype)));
  return std::vector<std::byte>(stored.bytes.begin(), stored.bytes.end());
}

/// Gradients go out as their parameters do: under published names.
void addOutput(SafetensorsWriter &writer, const Artifact &artifact,
               const Tensor &tensor, std::span<const std::byte> bytes) {
  constexpr std::string_view prefix = "gradient.";
  if (!tensor.name.starts_with(prefix) || tensor.dtype != DType::f32) {
    writer.add(tensor.name, storedType(tensor.dtype), tensor.shape, bytes);
    return;
  }
  std::span values(reinterpret_cast<const float *>(bytes.data()),
                   bytes.size() / sizeof(float));
  PublishedForm form =
      publishedForm(artifact, tensor.name.substr(prefix.size()), tensor.shape);
  writer.add(std::string(prefix) + form.names[0], form.shape,
             toPublished(form, tensor.shape, values));
}

Result<void> execProgram(Engine &engine, const Options &options) {
  BB_ASSIGN(const Program *program,
            findProgram(engine.variant(), options.program));
  BB_ASSIGN(Inputs inputs, Inputs::open(options.inputs));

  std::vector<std::vector<std::byte>> bytes;
  std::vector<InputBytes> given;
  for (const Tensor &tensor : program->inputs) {
    BB_ASSIGN(const StoredTensor *stored, inputs.require(tensor.name));
    BB_ASSIGN(std::vector<std::byte> content,
              inputBytes(*stored, tensor, inputs.path()));
    bytes.push_back(std::move(content));
    given.push_back({tensor.name, bytes.back()});
  }
  BB_TRY(inputs.checkSurplus(program->name));

  std::vector<std::vector<std::byte>> results;
  std::vector<OutputBytes> wanted;
  results.reserve(program->outputs.size());
  for (const Tensor &tensor : program->outputs) {
    results.emplace_back(tensor.buffer.bytes);
    wanted.push_back({tensor.name, results.back()});
  }
  BB_TRY(engine.run(*program, given, wanted));

  SafetensorsWriter writer;
  for (size_t i = 0; i < results.size(); ++i)
    addOutput(writer, engine.artifact(), program->outputs[i], results[i]);
  return writer.write(options.outputs);
}

//===----------------------------------------------------------------------===//
// --program train: A times micro, then update
//===----------------------------------------------------------------------===//

/// The form of `micro` for batches [A, B, T].
Result<const Program *> microFor(const Variant &variant,
                                 const StoredTensor &batches,
                                 const std::string &path) {
  std::string shapes;
  for (const Program &program : variant.programs) {
    const Tensor *bytes =
        program.base == "micro" ? program.input("bytes") : nullptr;
    if (!bytes)
      continue;
    if (batches.shape.size() == 3 && bytes->shape.size() == 2 &&
        std::equal(bytes->shape.begin(), bytes->shape.end(),
                   batches.shape.begin() + 1))
      return &program;
    shapes += (shapes.empty() ? "" : ", ") + formatShape(bytes->shape);
  }
  if (shapes.empty())
    return fail(ErrorKind::BadInput,
                "the artifact cannot train: compile it with "
                "--programs train");
  return fail(
      ErrorKind::BadInput,
      "{}: '{}' is {}, but must be [accumulate, B, T] with [B, T] one of {}",
      path, batches.name, formatShape(batches.shape), shapes);
}

Result<int64_t> stepsDone(Engine &engine) {
  int32_t step = 0;
  if (engine.artifact().state("optimizer.step"))
    BB_TRY(engine.readState("optimizer.step",
                            std::as_writable_bytes(std::span(&step, 1))));
  return int64_t(step);
}

Result<void> readNumbers(Inputs &inputs, StepNumbers &numbers) {
  for (const char *name :
       {"lr", "beta1", "beta2", "eps", "weight_decay", "clip"}) {
    const StoredTensor *stored = inputs.find(name);
    if (!stored)
      continue;
    auto values = toFloats(*stored);
    if (!values || values->size() != 1)
      return fail(ErrorKind::BadInput, "{}: '{}' must be one float, not {} {}",
                  inputs.path(), name, bitbyte::name(stored->type),
                  formatShape(stored->shape));
    *numbers.find(name) = values->front();
  }
  return {};
}

/// The seed of random ops, 0 if it is not given.
Result<uint64_t> readSeed(Inputs &inputs) {
  const StoredTensor *stored = inputs.find("seed");
  if (!stored)
    return 0;
  int32_t seed;
  if (stored->type != StoredType::i32 || stored->bytes.size() != sizeof(seed))
    return fail(ErrorKind::BadInput, "{}: 'seed' must be one I32, not {} {}",
                inputs.path(), bitbyte::name(stored->type),
                formatShape(stored->shape));
  std::memcpy(&seed, stored->bytes.data(), sizeof(seed));
  return uint32_t(seed);
}

Result<void> execTrain(Engine &engine, const Options &options) {
  BB_ASSIGN(Inputs inputs, Inputs::open(options.inputs));
  BB_ASSIGN(const StoredTensor *bytes, inputs.require("bytes"));
  BB_ASSIGN(const StoredTensor *next, inputs.require("next"));
  BB_ASSIGN(const Program *micro,
            microFor(engine.variant(), *bytes, inputs.path()));
  if (next->shape != bytes->shape || bytes->type != StoredType::u8 ||
      next->type != StoredType::u8)
    return fail(ErrorKind::BadInput,
                "{}: 'bytes' and 'next' must be U8 of one shape",
                inputs.path());
  BB_ASSIGN(StepNumbers numbers, StepNumbers::defaults(engine.artifact()));
  BB_TRY(readNumbers(inputs, numbers));
  BB_ASSIGN(uint64_t seed, readSeed(inputs));
  BB_TRY(inputs.checkSurplus("train"));

  int64_t micros = int64_t(bytes->shape[0]);
  if (micros == 0)
    return fail(ErrorKind::BadInput, "{}: 'bytes' holds no micro-batch",
                inputs.path());
  auto content = [](const StoredTensor &tensor) {
    return std::span(reinterpret_cast<const uint8_t *>(tensor.bytes.data()),
                     tensor.bytes.size());
  };
  BB_ASSIGN(int64_t done, stepsDone(engine));
  BB_ASSIGN(StepResult step, runStep(engine,
                                     {.micro = micro,
                                      .bytes = content(*bytes),
                                      .next = content(*next),
                                      .micros = micros,
                                      .seed = seed,
                                      .counter = uint64_t(done * micros)},
                                     numbers, done + 1));
  double loss = step.loss;

  SafetensorsWriter writer;
  writer.add("loss", {}, {float(loss)});
  writer.add("grad_norm", {}, {float(step.gradNorm)});
  BB_TRY(writer.write(options.outputs));
  if (!step.ok || !std::isfinite(loss))
    return fail(ErrorKind::Diverged,
                "step {}: loss {}, gradient norm {}: not finite, so that no "
                "parameter was "
                "changed",
                done + 1, loss, step.gradNorm);
  return {};
}

Result<void> exec(const Options &options) {
  BB_ASSIGN(auto engine, openEngine(options.artifact, options.engine));
  bool train = options.program == "train";
  if (!train)
    BB_TRY(
        findProgram(engine->variant(), options.program)); // before the weights
  BB_TRY(loadWeights(*engine, inputPath(options.weights),
                     {.optimizer = train || !options.stateOut.empty()}));
  Result<void> ran =
      train ? execTrain(*engine, options) : execProgram(*engine, options);
  bool keep = ran || ran.error().kind == ErrorKind::Diverged;
  if (keep && !options.stateOut.empty())
    BB_TRY(saveWeights(*engine, options.stateOut,
                       {.layout = Layout::published, .optimizer = true}));
  return ran;
}

} // namespace

void addExec(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *command = addCommand(
      app, "exec", "Run one program on given tensors",
      "bb-run exec s.bba --program logits --weights w.safetensors \\\n"
      "    --inputs bytes.safetensors --outputs logits.safetensors\n"
      "bb-run exec s.bba --program train --weights w.safetensors --inputs "
      "batch.safetensors "
      "\\\n    --outputs loss.safetensors --state-out after.safetensors");
  command->add_option("ARTIFACT", options->artifact, "What bbc wrote")
      ->required();
  command
      ->add_option(
          "--program", options->program,
          "A program of the artifact (bb-run info lists them), or 'train': all "
          "micro-batches of 'bytes' and 'next' [accumulate, B, T], then an "
          "update")
      ->required();
  command
      ->add_option(
          "--weights", options->weights,
          "Parameters: a checkpoint's or published safetensors file, or what "
          "--state-out wrote")
      ->required();
  command->add_option(
      "--inputs", options->inputs,
      "Safetensors file with the program's inputs under their names; "
      "'train' also takes lr, beta1, beta2, eps, weight_decay, clip, seed");
  command
      ->add_option("--outputs", options->outputs, "Safetensors file to write")
      ->required();
  command->add_option(
      "--state-out", options->stateOut,
      "Safetensors file for parameters and optimizer state afterwards");
  addDeviceOptions(*command, options->engine);
  command->callback(
      [options, &action] { action = [options] { return exec(*options); }; });
}

} // namespace bitbyte
