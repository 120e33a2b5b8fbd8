//===- Eval.cpp - bb-run eval ---------------------------------------------===//

#include "runtime/train/Evaluate.h"
#include "runtime/train/Progress.h"
#include "tools/bb-run/Commands.h"
#include "tools/bb-run/Runs.h"
#include "tools/bb-run/StopSignals.h"

#include <nlohmann/json.hpp>

namespace bitbyte {

namespace {

struct Options {
  std::string artifact, checkpoint, data;
  EvalOptions eval;
  EngineOptions engine;
  bool json = false;
};

nlohmann::ordered_json toJson(const EvalOptions &asked,
                              const EvalResult &result) {
  return {{"split", asked.split},      {"eval_bytes", result.evalBytes},
          {"bpb", result.bitsPerByte}, {"window", result.window},
          {"stride", result.stride},   {"seconds", result.seconds}};
}

Result<void> eval(const Options &options) {
  BB_ASSIGN(auto engine, openEngine(options.artifact, options.engine));
  BB_TRY(loadCheckpointWeights(*engine, options.checkpoint));
  BB_ASSIGN(Dataset data, Dataset::open(options.data));
  Progress progress(stderr);
  EvalOptions asked = options.eval;
  uint64_t total = data.splitBytes(asked.split);
  if (asked.maxBytes > 0)
    total = std::min(total, asked.maxBytes);
  asked.progress = [&](uint64_t done) {
    progress.advance("byte", done, total, "");
  };
  installStopSignals();
  asked.stop = stopRequested;
  auto result = evaluate(*engine, data, asked);
  if (!result) {
    if (options.json && result.error().kind == ErrorKind::Diverged)
      fmt::print("{}\n", nlohmann::ordered_json(
                             {{"split", asked.split}, {"bpb", nullptr}})
                             .dump());
    return tl::unexpected(std::move(result.error()));
  }
  if (options.json)
    fmt::print("{}\n", toJson(asked, *result).dump());
  else
    fmt::print("{:.4f} bits per byte over {} bytes of split '{}' (window {}, "
               "stride {}, {})\n",
               result->bitsPerByte, result->evalBytes, asked.split,
               result->window, result->stride,
               formatSpeed(double(result->evalBytes) / result->seconds));
  return {};
}

} // namespace

void addEval(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *command = addCommand(
      app, "eval", "Measure a model in bits per byte",
      "bb-run eval s.bba --checkpoint runs/a --data stories --split val\n"
      "bb-run eval s.bba --checkpoint runs/a --data stories --stride 64");
  command->add_option("ARTIFACT", options->artifact, "What bbc wrote")
      ->required();
  command
      ->add_option("--checkpoint", options->checkpoint,
                   "A run (its newest checkpoint), a checkpoint, or a "
                   "safetensors file")
      ->required();
  command->add_option("--data", options->data, "What bb-data wrote")
      ->required();
  command->add_option("--split", options->eval.split, "train, val or test")
      ->capture_default_str();
  command
      ->add_option("--window", options->eval.window,
                   "Bytes that the model sees at once (default: its T)")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40));
  command
      ->add_option("--stride", options->eval.stride,
                   "Bytes between windows (default: the window); a smaller one "
                   "gives every byte more context and takes longer")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40));
  command->add_option("--max-bytes", options->eval.maxBytes,
                      "Only the first bytes of the split");
  command->add_flag("--json", options->json, "Print an object");
  addDeviceOptions(*command, options->engine);
  command->callback(
      [options, &action] { action = [options] { return eval(*options); }; });
}

} // namespace bitbyte
