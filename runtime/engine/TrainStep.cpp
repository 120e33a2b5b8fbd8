#include "runtime/engine/TrainStep.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace bitbyte {

double *StepNumbers::find(std::string_view name) {
  std::pair<std::string_view, double *> all[] = {{"lr", &lr},
                                                 {"beta1", &beta1},
                                                 {"beta2", &beta2},
                                                 {"eps", &eps},
                                                 {"weight_decay", &weightDecay},
                                                 {"clip", &clip}};
  for (auto [key, number] : all)
    if (key == name)
      return number;
  return nullptr;
}

Result<StepNumbers> StepNumbers::defaults(const Artifact &artifact) {
  StepNumbers numbers;
  for (const auto &[key, text] : artifact.defaults)
    if (double *number = numbers.find(key)) {
      // from_chars knows no locale.
      auto [end, error] =
          std::from_chars(text.data(), text.data() + text.size(), *number);
      if (error != std::errc() || end != text.data() + text.size())
        return fail(ErrorKind::BadInput,
                    "{}: the default '{}' of '{}' is no number", artifact.path,
                    text, key);
    }
  return numbers;
}

namespace {

/// A number as an element of a scalar tensor, whatever its type.
Result<std::vector<std::byte>> scalar(const Program &program,
                                      const Tensor &tensor, double value,
                                      uint64_t whole) {
  std::vector<std::byte> bytes(tensor.buffer.bytes);
  auto put = [&](auto number) {
    if (bytes.size() == sizeof(number))
      std::memcpy(bytes.data(), &number, sizeof(number));
  };
  switch (tensor.dtype) {
  case DType::f32:
    put(float(value));
    break;
  case DType::i32:
    put(uint32_t(whole));
    break;
  case DType::i64:
    put(whole);
    break;
  default:
    bytes.clear();
  }
  if (bytes.empty() || !tensor.shape.empty())
    return fail(ErrorKind::BadInput, "program '{}': input '{}' {} is no number",
                program.name, tensor.name, name(tensor.dtype));
  return bytes;
}

/// A run of a program whose inputs are numbers, but for those in `tensors`.
class NumberedRun {
public:
  NumberedRun(Engine &engine, const Program &program)
      : engine(engine), program(program), results(program.outputs.size()) {}

  void tensor(std::string_view name, std::span<const uint8_t> bytes,
              bool staged = false) {
    inputs.push_back({name, std::as_bytes(bytes), staged});
  }
  Result<void> number(std::string_view name, double value, uint64_t whole = 0) {
    const Tensor *tensor = program.input(name);
    if (!tensor)
      return {}; // this optimizer does without it
    BB_ASSIGN(std::vector<std::byte> bytes,
              scalar(program, *tensor, value, whole));
    numbers.push_back(std::move(bytes));
    inputs.push_back({name, numbers.back()});
    return {};
  }
  /// Valid as long as this object is neither moved nor given more inputs.
  Run asRun() {
    outputs.clear();
    for (size_t i = 0; i < results.size(); ++i) {
      results[i].resize(program.outputs[i].buffer.bytes);
      outputs.push_back({program.outputs[i].name, results[i]});
    }
    return {&program, inputs, outputs};
  }
  Result<void> run() {
    Run run = asRun();
    return engine.run(program, run.inputs, run.outputs);
  }
  /// An output as a number.
  Result<double> result(std::string_view name) const {
    for (size_t i = 0; i < results.size(); ++i) {
      const Tensor &tensor = program.outputs[i];
      if (tensor.name != name)
        continue;
      if (tensor.dtype == DType::f32 && results[i].size() == sizeof(float)) {
        float value;
        std::memcpy(&value, results[i].data(), sizeof(value));
        return value;
      }
      return std::any_of(results[i].begin(), results[i].end(),
                         [](std::byte byte) { return byte != std::byte(0); });
    }
    return fail(ErrorKind::BadInput, "{}: program '{}' has no output '{}'",
                engine.artifact().path, program.name, name);
  }

private:
  Engine &engine;
  const Program &program;
  std::vector<InputBytes> inputs;
  std::vector<OutputBytes> outputs;
  std::vector<std::vector<std::byte>> numbers, results;
};

Result<void> feedMicro(NumberedRun &run, std::span<const uint8_t> bytes,
                       std::span<const uint8_t> next, int64_t micros,
                       uint64_t seed, uint64_t counter, bool staged = false) {
  run.tensor("bytes", bytes, staged);
  run.tensor("next", next, staged);
  BB_TRY(run.number("weight", 1.0 / (double(bytes.size()) * double(micros))));
  BB_TRY(run.number("seed", double(seed), seed));
  return run.number("counter", double(counter), counter);
}

Result<const Program *> updateOf(const Engine &engine) {
  if (const Program *update = engine.program("update"))
    return update;
  return fail(ErrorKind::BadInput,
              "{}: has no program 'update': compile it with --programs train",
              engine.artifact().path);
}

Result<void> feedUpdate(NumberedRun &run, const StepNumbers &numbers,
                        int64_t step) {
  double t = double(step);
  // Without clipping, the norm is never above what f32 can hold.
  double clip =
      numbers.clip > 0 ? numbers.clip : std::numeric_limits<float>::max();
  std::pair<std::string_view, double> inputs[] = {
      {"lr", numbers.lr},
      {"beta1", numbers.beta1},
      {"one_minus_beta1", 1 - numbers.beta1},
      {"beta2", numbers.beta2},
      {"one_minus_beta2", 1 - numbers.beta2},
      {"eps", numbers.eps},
      {"decay", numbers.weightDecay},
      {"rate1", 1 / (1 - std::pow(numbers.beta1, t))},
      {"rate2", 1 / (1 - std::pow(numbers.beta2, t))},
      {"clip", clip},
  };
  for (auto [name, value] : inputs)
    BB_TRY(run.number(name, value));
  return {};
}

Result<StepResult> resultOf(const NumberedRun &update) {
  StepResult result;
  BB_ASSIGN(result.gradNorm, update.result("grad_norm"));
  BB_ASSIGN(double ok, update.result("ok"));
  result.ok = ok != 0;
  return result;
}

} // namespace

Result<double> runMicro(Engine &engine, const Program &micro,
                        std::span<const uint8_t> bytes,
                        std::span<const uint8_t> next, int64_t micros,
                        uint64_t seed, uint64_t counter) {
  NumberedRun run(engine, micro);
  BB_TRY(feedMicro(run, bytes, next, micros, seed, counter));
  BB_TRY(run.run());
  return run.result("loss");
}

Result<StepResult> runUpdate(Engine &engine, const StepNumbers &numbers,
                             int64_t step) {
  BB_ASSIGN(const Program *update, updateOf(engine));
  NumberedRun run(engine, *update);
  BB_TRY(feedUpdate(run, numbers, step));
  BB_TRY(run.run());
  return resultOf(run);
}

Result<StepResult> runStep(Engine &engine, const StepBatch &batch,
                           const StepNumbers &numbers, int64_t step,
                           const std::function<Result<void>()> &meanwhile) {
  BB_ASSIGN(const Program *update, updateOf(engine));
  std::vector<NumberedRun> parts; // not moved once their runs are taken
  size_t size = batch.bytes.size() / size_t(batch.micros);
  for (int64_t i = 0; i < batch.micros; ++i) {
    parts.emplace_back(engine, *batch.micro);
    size_t begin = size_t(i) * size;
    BB_TRY(feedMicro(parts.back(), batch.bytes.subspan(begin, size),
                     batch.next.subspan(begin, size), batch.micros, batch.seed,
                     batch.counter + uint64_t(i), batch.staged));
  }
  parts.emplace_back(engine, *update);
  BB_TRY(feedUpdate(parts.back(), numbers, step));
  std::vector<Run> runs;
  for (NumberedRun &part : parts)
    runs.push_back(part.asRun());
  BB_TRY(engine.runAll(runs, meanwhile));
  BB_ASSIGN(StepResult result, resultOf(parts.back()));
  for (int64_t i = 0; i < batch.micros; ++i) {
    BB_ASSIGN(double share, parts[size_t(i)].result("loss"));
    result.loss += share;
  }
  return result;
}

Result<void> stageBatch(Engine &engine, const StepBatch &batch) {
  BB_ASSIGN(const Program *update, updateOf(engine));
  std::vector<NumberedRun> parts; // not moved once their runs are taken
  size_t size = batch.bytes.size() / size_t(batch.micros);
  for (int64_t i = 0; i < batch.micros; ++i) {
    parts.emplace_back(engine, *batch.micro);
    parts.back().tensor("bytes", batch.bytes.subspan(size_t(i) * size, size));
    parts.back().tensor("next", batch.next.subspan(size_t(i) * size, size));
  }
  parts.emplace_back(engine, *update);
  std::vector<Run> runs;
  for (NumberedRun &part : parts)
    runs.push_back(part.asRun());
  return engine.stage(runs);
}

} // namespace bitbyte
