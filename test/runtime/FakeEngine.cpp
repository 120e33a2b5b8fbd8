#include "test/runtime/FakeEngine.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace bitbyte::test {

namespace {

Tensor tensor(std::string name, DType dtype, std::vector<uint64_t> shape,
              int ahead = 0) {
  Tensor result;
  result.name = std::move(name);
  result.dtype = dtype;
  result.shape = std::move(shape);
  result.ahead = ahead;
  result.buffer.bytes = byteWidth(dtype);
  for (uint64_t size : result.shape)
    result.buffer.bytes *= size;
  return result;
}

Program program(std::string name, std::string base, std::vector<Tensor> inputs,
                std::vector<Tensor> outputs) {
  Program result;
  result.name = std::move(name);
  result.base = std::move(base);
  result.inputs = std::move(inputs);
  result.outputs = std::move(outputs);
  result.arenaBytes = 1024;
  return result;
}

State state(std::string name, DType dtype, std::vector<uint64_t> shape,
            StateKind kind, int sliceOf = -1) {
  State result;
  result.name = std::move(name);
  result.dtype = dtype;
  result.shape = std::move(shape);
  result.kind = kind;
  result.group = "decay";
  result.sliceOf = sliceOf;
  result.saved = sliceOf >= 0 || kind == StateKind::counter;
  result.buffer.bytes = byteWidth(dtype);
  for (uint64_t size : result.shape)
    result.buffer.bytes *= size;
  return result;
}

template <typename T>
T number(std::span<const InputBytes> inputs, std::string_view name) {
  for (const InputBytes &input : inputs)
    if (input.name == name && input.bytes.size() == sizeof(T)) {
      T value;
      std::memcpy(&value, input.bytes.data(), sizeof(T));
      return value;
    }
  std::abort(); // `run` has checked that it is there
}

std::span<const uint8_t> bytesOf(std::span<const InputBytes> inputs,
                                 std::string_view name) {
  for (const InputBytes &input : inputs)
    if (input.name == name)
      return {reinterpret_cast<const uint8_t *>(input.bytes.data()),
              input.bytes.size()};
  std::abort();
}

template <typename T>
void give(std::span<const OutputBytes> outputs, std::string_view name,
          const T *values) {
  for (const OutputBytes &output : outputs)
    if (output.name == name)
      std::memcpy(output.bytes.data(), values, output.bytes.size());
}

} // namespace

std::shared_ptr<const Artifact> fakeArtifact(const FakeOptions &options) {
  auto artifact = std::make_shared<Artifact>();
  uint64_t n = options.vocab, elements = n * n;
  artifact->path = "fake.bba";
  artifact->compiler = "bbc test";
  artifact->model = "fake";
  artifact->computeType = options.computeType;
  artifact->hash = "0123";
  artifact->sourceHash = "4567";
  artifact->config = {{"vocab", std::to_string(n)},
                      {"context", std::to_string(options.context)}};
  artifact->defaults = {{"lr", "0.05"}, {"beta2", "0.99"}};
  artifact->programsAsked = {"train", "eval", "generate"};
  auto pair = [&](const std::string &flat, const std::string &slice,
                  StateKind kind) {
    artifact->states.push_back(state(flat, DType::f32, {elements}, kind));
    artifact->states.push_back(state(slice, DType::f32, {n, n}, kind,
                                     int(artifact->states.size()) - 1));
  };
  pair("master.decay", "table", StateKind::parameter);
  artifact->states.back().init = options.init;
  pair("gradient.decay", "gradient.table", StateKind::gradient);
  pair("optimizer.m.decay", "optimizer.m.table", StateKind::moment);
  pair("optimizer.v.decay", "optimizer.v.table", StateKind::moment);
  artifact->states.push_back(
      state("optimizer.step", DType::i32, {}, StateKind::counter));

  Variant variant;
  variant.target = "fake";
  bool first = true;
  for (auto [B, T] : options.shapes) {
    std::string suffix = first ? "" : fmt::format(".B{}T{}", B, T);
    first = false;
    std::vector<Tensor> window = {tensor("bytes", DType::u8, {B, T}),
                                  tensor("next", DType::u8, {B, T}, 1)};
    variant.programs.push_back(program("score" + suffix, "score", window,
                                       {tensor("nats", DType::f32, {B, T})}));
    window.push_back(tensor("weight", DType::f32, {}));
    if (options.dropout)
      window.push_back(tensor("counter", DType::i32, {}));
    variant.programs.push_back(program("micro" + suffix, "micro", window,
                                       {tensor("loss", DType::f32, {})}));
  }
  std::vector<Tensor> numbers;
  for (const char *name :
       {"lr", "beta1", "one_minus_beta1", "beta2", "one_minus_beta2", "eps",
        "decay", "rate1", "rate2", "clip"})
    numbers.push_back(tensor(name, DType::f32, {}));
  variant.programs.push_back(program(
      "update", "update", numbers,
      {tensor("grad_norm", DType::f32, {}), tensor("ok", DType::i1, {})}));
  auto generating = [&](std::string name, uint64_t rows) {
    std::vector<Tensor> inputs{tensor("byte", DType::u8, {1, rows})};
    if (options.positions)
      inputs.insert(inputs.begin(), tensor("position", DType::i32, {}));
    variant.programs.push_back(program(name, name, std::move(inputs),
                                       {tensor("logits", DType::f32, {1, n})}));
  };
  generating("prefill", options.chunk);
  generating("after.1", 1);
  variant.programs.push_back(program(
      fmt::format("logits.B{}T{}", options.logitsRows, options.context),
      "logits",
      {tensor("bytes", DType::u8, {options.logitsRows, options.context})},
      {tensor("logits", DType::f32,
              {options.logitsRows, options.context, n})}));
  variant.parametersBytes = elements * 4;
  variant.trainingBytes = elements * 12 + 4;
  artifact->variants.push_back(std::move(variant));
  return artifact;
}

FakeEngine::FakeEngine(const FakeOptions &options)
    : table(options.vocab * options.vocab), gradient(table.size()),
      mean(table.size()), square(table.size()), held(fakeArtifact(options)),
      vocab(options.vocab), cache(options.context) {}

void FakeEngine::logits(int byte, int before, float *out) const {
  for (uint64_t i = 0; i < vocab; ++i)
    out[i] = table[byte * vocab + i] +
             (before < 0 ? 0 : 0.5f * table[before * vocab + i]);
}

float FakeEngine::nats(int byte, int before, int next, float seed) {
  std::vector<float> p(vocab);
  logits(byte, before, p.data());
  float largest = *std::max_element(p.begin(), p.end()), sum = 0;
  float target = p[next];
  for (float &x : p)
    sum += x = std::exp(x - largest);
  for (uint64_t i = 0; seed != 0 && i < vocab; ++i) {
    float g = seed * (p[i] / sum - (int(i) == next));
    gradient[byte * vocab + i] += g;
    if (before >= 0)
      gradient[before * vocab + i] += 0.5f * g;
  }
  return largest + std::log(sum) - target;
}

void FakeEngine::update(std::span<const InputBytes> inputs,
                        std::span<const OutputBytes> outputs) {
  float norm = 0;
  for (float g : gradient)
    norm += g * g;
  norm = std::sqrt(norm);
  if (badUpdates.contains(++updates))
    norm = std::numeric_limits<float>::quiet_NaN();
  auto ok = static_cast<uint8_t>(std::isfinite(norm));
  give(outputs, "grad_norm", &norm);
  give(outputs, "ok", &ok);
  if (ok) {
    auto in = [&](const char *name) { return number<float>(inputs, name); };
    float clip = in("clip"), scale = norm > clip ? clip / norm : 1;
    for (size_t i = 0; i < table.size(); ++i) {
      float g = gradient[i] * scale;
      mean[i] = in("beta1") * mean[i] + in("one_minus_beta1") * g;
      square[i] = in("beta2") * square[i] + in("one_minus_beta2") * g * g;
      table[i] -=
          in("lr") * (in("decay") * table[i] +
                      mean[i] * in("rate1") /
                          (std::sqrt(square[i] * in("rate2")) + in("eps")));
    }
    ++count;
  }
  std::fill(gradient.begin(), gradient.end(), 0.0f);
}

Result<void> FakeEngine::run(const Program &program,
                             std::span<const InputBytes> inputs,
                             std::span<const OutputBytes> outputs) {
  if (onRun)
    onRun(program);
  log.push_back(program.name);
  for (const Tensor &tensor : program.inputs) {
    bool found = false;
    for (const InputBytes &input : inputs)
      found |= input.name == tensor.name &&
               input.bytes.size() == tensor.buffer.bytes;
    if (!found)
      return fail(ErrorKind::BadInput, "fake: no input '{}' of {} bytes",
                  tensor.name, tensor.buffer.bytes);
  }
  for (const OutputBytes &output : outputs) {
    const Tensor *tensor = program.output(output.name);
    if (!tensor || tensor->buffer.bytes != output.bytes.size())
      return fail(ErrorKind::BadInput, "fake: no output '{}'", output.name);
  }
  if (program.base == "update") {
    update(inputs, outputs);
    return {};
  }
  if (program.base == "prefill" || program.base == "after.1") {
    auto bytes = bytesOf(inputs, "byte");
    int64_t position = seen;
    if (program.input("position"))
      position = number<int32_t>(inputs, "position");
    seen = position + int64_t(bytes.size());
    cache.resize(std::max(cache.size(), size_t(seen)));
    std::copy(bytes.begin(), bytes.end(), cache.begin() + position);
    int64_t last = seen - 1;
    std::vector<float> out(vocab);
    logits(cache[last], last ? cache[last - 1] : -1, out.data());
    give(outputs, "logits", out.data());
    return {};
  }
  auto bytes = bytesOf(inputs, "bytes");
  uint64_t T = program.inputs[0].shape[1];
  if (program.base == "logits") {
    std::vector<float> out(bytes.size() * vocab);
    for (uint64_t i = 0; i < bytes.size(); ++i)
      logits(bytes[i], i % T ? bytes[i - 1] : -1, &out[i * vocab]);
    give(outputs, "logits", out.data());
    return {};
  }
  auto next = bytesOf(inputs, "next");
  if (program.input("counter"))
    counters.push_back(number<int32_t>(inputs, "counter"));
  float seed = program.base == "micro" ? number<float>(inputs, "weight") : 0.0f;
  std::vector<float> losses(bytes.size());
  float loss = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    losses[i] = nats(bytes[i], i % T ? bytes[i - 1] : -1, next[i], seed);
    loss += losses[i];
  }
  loss *= seed;
  give(outputs, "loss", &loss);
  give(outputs, "nats", losses.data());
  return {};
}

std::span<std::byte> FakeEngine::stateBytes(std::string_view name) {
  auto of = [&](std::vector<float> &values) {
    return std::as_writable_bytes(std::span(values));
  };
  if (name == "table" || name == "master.decay")
    return of(table);
  if (name == "gradient.table" || name == "gradient.decay")
    return of(gradient);
  if (name == "optimizer.m.table" || name == "optimizer.m.decay")
    return of(mean);
  if (name == "optimizer.v.table" || name == "optimizer.v.decay")
    return of(square);
  if (name == "optimizer.step")
    return std::as_writable_bytes(std::span(&count, 1));
  return {};
}

Result<void> FakeEngine::readState(std::string_view name,
                                   std::span<std::byte> out) {
  auto bytes = stateBytes(name);
  if (bytes.size() != out.size())
    return fail(ErrorKind::Failed, "fake: state '{}'", name);
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return {};
}

Result<void> FakeEngine::writeState(std::string_view name,
                                    std::span<const std::byte> in) {
  auto bytes = stateBytes(name);
  if (bytes.size() != in.size())
    return fail(ErrorKind::Failed, "fake: state '{}'", name);
  std::copy(in.begin(), in.end(), bytes.begin());
  return {};
}

Result<void> FakeEngine::zeroStates(StateKind kind) {
  if (kind == StateKind::cache)
    std::fill(cache.begin(), cache.end(), uint8_t(0)), seen = 0;
  for (const State &state : held->states)
    if (state.kind == kind) {
      auto bytes = stateBytes(state.name);
      std::fill(bytes.begin(), bytes.end(), std::byte(0));
    }
  return {};
}

} // namespace bitbyte::test
