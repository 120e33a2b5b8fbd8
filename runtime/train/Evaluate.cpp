#include "runtime/train/Evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>

namespace bitbyte {

namespace {

/// One [B, T] call of a score program on windows of a stream of bytes.
class Scorer {
public:
  static Result<Scorer> create(Engine &engine, const Program &program) {
    Scorer scorer(engine, program);
    const Tensor *nats = program.output("nats");
    if (!nats || nats->shape.size() != 2 || nats->dtype != DType::f32)
      return fail(ErrorKind::BadInput,
                  "{}: program '{}' gives no `nats` f32 [B, T]",
                  engine.artifact().path, program.name);
    scorer.B = static_cast<int64_t>(nats->shape[0]);
    scorer.T = static_cast<int64_t>(nats->shape[1]);
    for (const Tensor &input : program.inputs) {
      if (input.dtype != DType::u8 || input.shape != nats->shape)
        return fail(ErrorKind::BadInput,
                    "{}: input '{}' of program '{}' is no u8 [{}, {}]",
                    engine.artifact().path, input.name, program.name, scorer.B,
                    scorer.T);
      scorer.ahead = std::max<int64_t>(scorer.ahead, input.ahead);
      scorer.inputs.emplace_back(scorer.B * scorer.T);
    }
    scorer.nats.resize(scorer.B * scorer.T);
    return scorer;
  }

  /// nats[b, t] = loss of byte starts[b] + t + ahead. Positions past `end`
  /// and rows without a window are zero bytes.
  Result<std::span<const float>> run(const Dataset &data,
                                     const std::string &split, uint64_t end,
                                     std::span<const uint64_t> starts) {
    std::vector<InputBytes> given;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Tensor &input = program->inputs[i];
      std::ranges::fill(inputs[i], std::byte(0));
      for (size_t b = 0; b < starts.size(); ++b) {
        uint64_t from = starts[b] + input.ahead;
        if (from >= end)
          continue;
        std::span row = std::span(inputs[i]).subspan(
            b * T, std::min<uint64_t>(T, end - from));
        BB_TRY(data.read(split, from, row));
      }
      given.push_back({input.name, inputs[i]});
    }
    OutputBytes out{"nats", std::as_writable_bytes(std::span(nats))};
    BB_TRY(engine->run(*program, given, {&out, 1}));
    return std::span<const float>(nats);
  }

  int64_t B = 0, T = 0;
  int64_t ahead = 0; ///< How far the predicted byte lies ahead of the position.

private:
  Scorer(Engine &engine, const Program &program)
      : engine(&engine), program(&program) {}

  Engine *engine;
  const Program *program;
  std::vector<std::vector<std::byte>> inputs;
  std::vector<float> nats;
};

} // namespace

const Program *scoreProgram(const Engine &engine, int64_t window) {
  if (window == 0)
    return engine.program("score");
  const Program *best = nullptr;
  auto positions = [](const Program &program) -> int64_t {
    const Tensor *nats = program.output("nats");
    return nats && nats->shape.size() == 2
               ? static_cast<int64_t>(nats->shape[1])
               : 0;
  };
  for (const Program &program : engine.variant().programs)
    if (program.base == "score" && positions(program) >= window &&
        (!best || positions(program) < positions(*best)))
      best = &program;
  return best;
}

Result<EvalResult> evaluate(Engine &engine, const Dataset &data,
                            const EvalOptions &options) {
  const Artifact &artifact = engine.artifact();
  auto begin = std::chrono::steady_clock::now();
  uint64_t end = data.splitBytes(options.split);
  if (end == 0)
    return fail(ErrorKind::BadInput, "{}: split '{}' is empty",
                data.directory(), options.split);
  if (options.maxBytes > 0)
    end = std::min(end, options.maxBytes);

  const Program *program = scoreProgram(engine, options.window);
  if (!program)
    return fail(
        ErrorKind::BadInput,
        "{} has no score program{}; compile it with `eval` among "
        "--programs{}",
        artifact.path,
        options.window ? fmt::format(" for windows of {} bytes", options.window)
                       : "",
        options.window ? fmt::format(" and --shape B=1,T={}", options.window)
                       : "");
  BB_ASSIGN(Scorer scorer, Scorer::create(engine, *program));
  EvalResult result;
  result.window = options.window ? options.window : scorer.T;
  result.stride = options.stride ? options.stride : result.window;
  result.batch = scorer.B;
  result.evalBytes = end;
  if (result.stride < 1 || result.stride > result.window)
    return fail(ErrorKind::Usage, "stride {} is outside 1 to the window, {}",
                result.stride, result.window);
  if (auto vocab = artifact.configValue("vocab"))
    BB_TRY(data.requireVocabulary(options.split, std::atoll(vocab->c_str())));

  double nats = 0;
  uint64_t counted = std::min<uint64_t>(scorer.ahead, end); // all before it
  auto charged = static_cast<double>(counted);
  for (uint64_t window = 0; counted < end;) {
    if (options.stop && options.stop())
      return fail(ErrorKind::Interrupted,
                  "evaluation stopped after {} of {} "
                  "bytes",
                  counted, end);
    std::vector<uint64_t> starts;
    for (uint64_t reach = counted; std::ssize(starts) < scorer.B && reach < end;
         ++window) {
      starts.push_back(window * result.stride);
      reach = starts.back() + scorer.ahead + result.window;
    }
    BB_ASSIGN(std::span<const float> losses,
              scorer.run(data, options.split, end, starts));
    for (size_t b = 0; b < starts.size(); ++b) {
      uint64_t first = starts[b] + scorer.ahead;
      uint64_t last = std::min<uint64_t>(first + result.window, end);
      for (; counted < last; ++counted) {
        float loss = losses[b * scorer.T + (counted - first)];
        if (!std::isfinite(loss))
          return fail(ErrorKind::Diverged,
                      "{}: the loss of byte {} of split '{}' is {}",
                      data.directory(), counted, options.split, loss);
        nats += loss;
      }
    }
    if (options.progress)
      options.progress(counted);
  }
  result.bitsPerByte =
      (8 * charged + nats / std::numbers::ln2) / static_cast<double>(end);
  result.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
          .count();
  return result;
}

} // namespace bitbyte
