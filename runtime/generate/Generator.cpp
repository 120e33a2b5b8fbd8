#include "runtime/generate/Generator.h"

#include <algorithm>
#include <limits>

namespace bitbyte {

namespace {

Result<uint64_t> contextOf(const Artifact &artifact) {
  auto text = artifact.configValue("context");
  if (!text)
    return std::numeric_limits<uint64_t>::max();
  int64_t context = std::atoll(text->c_str());
  if (context < 1)
    return fail(ErrorKind::BadInput, "{}: context = {} is no length",
                artifact.path, *text);
  return static_cast<uint64_t>(context);
}

Result<void> requireRoom(uint64_t position, size_t more, uint64_t capacity) {
  if (position + more > capacity)
    return fail(ErrorKind::Usage,
                "{} bytes do not fit: the model's context is {}",
                position + more, capacity);
  return {};
}

std::string lacks(const Artifact &artifact, std::string_view programs) {
  return fmt::format("{} has no program {}; compile it with `generate` among "
                     "--programs (it has {})",
                     artifact.path, programs,
                     fmt::join(artifact.programsAsked, ","));
}

/// Everything anew for each byte: slow, and the check of the other one. Takes
/// the first row of a batch.
class PlainModel : public ByteModel {
public:
  static Result<std::unique_ptr<ByteModel>> create(Engine &engine) {
    auto model = std::unique_ptr<PlainModel>(new PlainModel(engine));
    model->program = findProgram(engine);
    if (!model->program)
      return fail(ErrorKind::BadInput, "{}",
                  lacks(engine.artifact(), "'logits'"));
    const Tensor *logits = model->program->output("logits");
    model->positions = logits->shape[1];
    model->vocab = logits->shape[2];
    model->bytes.resize(logits->shape[0] * model->positions);
    model->values.resize(model->bytes.size() * model->vocab);
    return model;
  }

  /// The one with the fewest rows, and of those with the most positions.
  static const Program *findProgram(const Engine &engine) {
    const Program *best = nullptr;
    auto shape = [](const Program &program) {
      const std::vector<uint64_t> &logits = program.output("logits")->shape;
      return std::pair(-static_cast<int64_t>(logits[0]), logits[1]);
    };
    for (const Program &program : engine.variant().programs) {
      const Tensor *logits = program.output("logits");
      if (program.base == "logits" && program.inputs.size() == 1 && logits &&
          logits->dtype == DType::f32 && logits->shape.size() == 3 &&
          (!best || shape(program) > shape(*best)))
        best = &program;
    }
    return best;
  }

  uint64_t capacity() const override { return positions; }
  uint64_t position() const override { return fed; }
  std::span<const float> logits() const override {
    return std::span(values).subspan((fed - 1) * vocab, vocab);
  }

  Result<void> feed(std::span<const uint8_t> more) override {
    BB_TRY(requireRoom(fed, more.size(), positions));
    std::ranges::copy(more, bytes.begin() + fed);
    fed += more.size();
    InputBytes input{program->inputs[0].name, std::as_bytes(std::span(bytes))};
    OutputBytes output{"logits", std::as_writable_bytes(std::span(values))};
    return engine.run(*program, {&input, 1}, {&output, 1});
  }

private:
  explicit PlainModel(Engine &engine) : engine(engine) {}

  Engine &engine;
  const Program *program = nullptr;
  uint64_t positions = 0, vocab = 0, fed = 0;
  std::vector<uint8_t> bytes;
  std::vector<float> values;
};

/// Caches in the engine: a byte costs one step. Programs that take no
/// `position` are the same at each, so that their caches never fill.
class CachedModel : public ByteModel {
public:
  static Result<std::unique_ptr<ByteModel>> create(Engine &engine) {
    auto model = std::unique_ptr<CachedModel>(new CachedModel(engine));
    model->step = engine.program("after.1");
    if (!model->step)
      return fail(
          ErrorKind::BadInput, "{}{}", lacks(engine.artifact(), "'after.1'"),
          PlainModel::findProgram(engine) ? ", or give --no-cache" : "");
    BB_TRY(model->check(*model->step));
    if (const Program *prefill = engine.program("prefill")) {
      BB_TRY(model->check(*prefill));
      model->prefill = prefill;
      model->chunk = prefill->input("byte")->shape[1];
    }
    if (model->step->input("byte")->shape[1] != 1)
      return fail(ErrorKind::BadInput, "{}: 'after.1' takes {} bytes, not one",
                  engine.artifact().path, model->step->input("byte")->shape[1]);
    model->values.resize(model->step->output("logits")->shape[1]);
    if (model->step->input("position") ||
        (model->prefill && model->prefill->input("position"))) {
      BB_ASSIGN(model->context, contextOf(engine.artifact()));
    }
    BB_TRY(engine.zeroStates(StateKind::cache));
    return model;
  }

  uint64_t capacity() const override { return context; }
  uint64_t position() const override { return fed; }
  std::span<const float> logits() const override { return values; }

  Result<void> feed(std::span<const uint8_t> bytes) override {
    BB_TRY(requireRoom(fed, bytes.size(), context));
    while (!bytes.empty()) {
      bool whole = prefill && fed % chunk == 0 && bytes.size() >= chunk;
      size_t count = whole ? chunk : 1;
      BB_TRY(run(whole ? *prefill : *step, bytes.first(count)));
      bytes = bytes.subspan(count);
    }
    return {};
  }

private:
  explicit CachedModel(Engine &engine) : engine(engine) {}

  Result<void> check(const Program &program) {
    const Tensor *byte = program.input("byte"),
                 *position = program.input("position"),
                 *logits = program.output("logits");
    bool fits = byte && byte->dtype == DType::u8 && byte->shape.size() == 2 &&
                byte->shape[0] == 1 &&
                (!position ||
                 (position->dtype == DType::i32 && position->shape.empty())) &&
                logits && logits->dtype == DType::f32 &&
                logits->shape.size() == 2 && logits->shape[0] == 1;
    if (fits)
      return {};
    return fail(ErrorKind::BadInput,
                "{}: program '{}' is not (position i32 [] or nothing, byte u8 "
                "[1, rows]) to logits f32 [1, vocab]",
                engine.artifact().path, program.name);
  }

  Result<void> run(const Program &program, std::span<const uint8_t> bytes) {
    auto position = static_cast<int32_t>(fed);
    InputBytes inputs[] = {{"position", std::as_bytes(std::span(&position, 1))},
                           {"byte", std::as_bytes(bytes)}};
    OutputBytes output{"logits", std::as_writable_bytes(std::span(values))};
    bool isPlaced = program.input("position");
    BB_TRY(engine.run(program, std::span(inputs).subspan(isPlaced ? 0 : 1),
                      {&output, 1}));
    fed += bytes.size();
    return {};
  }

  Engine &engine;
  const Program *step = nullptr, *prefill = nullptr;
  uint64_t chunk = 1, context = std::numeric_limits<uint64_t>::max(), fed = 0;
  std::vector<float> values;
};

} // namespace

Result<std::unique_ptr<ByteModel>> ByteModel::create(Engine &engine,
                                                     bool cache) {
  return cache ? CachedModel::create(engine) : PlainModel::create(engine);
}

Result<GenerateEnd> generate(Engine &engine, std::string_view prompt,
                             const GenerateOptions &options,
                             const std::function<bool(uint8_t)> &emit) {
  BB_ASSIGN(Sampler sampler, Sampler::create(options.sampler));
  BB_ASSIGN(auto model, ByteModel::create(engine, options.cache));
  std::string_view given = prompt.empty() ? std::string_view("\n") : prompt;
  auto vocab = engine.artifact().configValue("vocab");
  for (size_t i = 0; vocab && i < given.size(); ++i)
    if (static_cast<uint8_t>(given[i]) >= std::atoll(vocab->c_str()))
      return fail(ErrorKind::BadInput,
                  "byte {} of the prompt is {}, the model's vocabulary is {}",
                  i, static_cast<uint8_t>(given[i]), *vocab);
  BB_TRY(model->feed(
      {reinterpret_cast<const uint8_t *>(given.data()), given.size()}));
  for (uint64_t i = 0; i < options.bytes; ++i) {
    auto byte = sampler.draw(model->logits(), i);
    if (!byte)
      return fail(byte.error().kind, "position {}: {}", model->position(),
                  byte.error().message);
    if (!emit(*byte))
      return GenerateEnd::closed;
    if (i + 1 == options.bytes)
      break;
    if (model->position() == model->capacity())
      return GenerateEnd::contextFull;
    uint8_t fed = *byte;
    BB_TRY(model->feed({&fed, 1}));
  }
  return GenerateEnd::finished;
}

} // namespace bitbyte
