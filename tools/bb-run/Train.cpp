//===- Train.cpp - bb-run train -------------------------------------------===//

#include "runtime/train/RunConfig.h"
#include "runtime/train/TrainRun.h"
#include "tools/bb-run/Commands.h"
#include "tools/bb-run/StopSignals.h"

namespace bitbyte {

namespace {

struct Options {
  std::string artifact;
  TrainRequest request;
  EngineOptions engine;
};

Result<void> train(const Options &options) {
  if (options.request.out.empty() && !options.request.dryRun)
    return fail(ErrorKind::Usage, "train needs --out RUN, or --dry-run");
  BB_ASSIGN(auto engine, openEngine(options.artifact, options.engine));
  TrainRequest request = options.request;
  installStopSignals();
  request.stop = stopRequested;
  Progress progress(stderr);
  return trainRun(*engine, request, progress);
}

std::string keyHelp() {
  std::string text = "Config keys, for --config (TOML) and --set:";
  std::string_view section;
  RunConfig defaults;
  for (const RunConfig::Key &key : RunConfig::keys()) {
    if (key.section != section)
      text += fmt::format("\n  [{}]", key.section);
    section = key.section;
    text += fmt::format("\n    {:<17} {}", key.name, key.help);
    std::string value = defaults.valueText(key);
    bool artifacts = key.section == "optimizer" &&
                     std::holds_alternative<double RunConfig::*>(key.member);
    if (value != "-1" && value != "[]" && !artifacts)
      text += fmt::format(" [{}]", value);
  }
  return text +
         "\n  The optimizer's numbers default to those that bbc recorded "
         "in the artifact.\n";
}

} // namespace

void addTrain(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  TrainRequest &request = options->request;
  CLI::App *command = addCommand(
      app, "train", "Train a model on a data directory",
      "bb-run train s.bba --data stories --out runs/a --steps 2000\n"
      "bb-run train s.bba --data stories --out runs/a --resume\n"
      "bb-run train s.bba --data stories --out runs/b --set optimizer.lr=3e-4");
  command->footer(keyHelp() + "\n" + command->get_footer());
  command->add_option("ARTIFACT", options->artifact, "What bbc wrote")
      ->required();
  command->add_option("--data", request.data, "What bb-data wrote")->required();
  command->add_option("--out", request.out,
                      "Folder of the run; must not exist without --resume");
  command->add_option("--config", request.configFile, "TOML file");
  command
      ->add_option("--set", request.assignments,
                   "section.key=value; stronger than --config; repeatable")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--steps", request.steps, "As --set train.steps=N");
  command->add_option("--minutes", request.minutes,
                      "As --set train.minutes=M: end, saved, after M minutes");
  command->add_option("--seed", request.seed, "As --set train.seed=N");
  command->add_flag("--resume", request.resume,
                    "Go on from the newest whole checkpoint of --out");
  command
      ->add_option("--allow-change", request.allowChange,
                   "A key that may differ from the run so far (--resume); "
                   "repeatable")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--init", request.init,
                      "Begin with these weights: a safetensors file, a "
                      "checkpoint or a run");
  command->add_option("--record-batches", request.recordBatches,
                      "Write what each step sees: u8 [steps, A x B, T + 1]");
  command->add_flag("--dry-run", request.dryRun,
                    "Check everything, print the plan, train nothing");
  addDeviceOptions(*command, options->engine);
  command->callback(
      [options, &action] { action = [options] { return train(*options); }; });
}

} // namespace bitbyte
