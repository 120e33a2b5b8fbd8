//===- Compare.cpp - bb-run compare ---------------------------------------===//

#include "runtime/core/Memory.h"
#include "runtime/train/Progress.h"
#include "runtime/train/Report.h"
#include "runtime/train/RunConfig.h"
#include "runtime/train/RunDirectory.h"
#include "tools/bb-run/Commands.h"
#include "tools/bb-run/Table.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace bitbyte {

namespace {

struct Options {
  std::vector<std::string> runs;
  bool json = false;
};

struct Run {
  std::string path;
  std::map<std::string, std::string> settings; ///< All but the seed.
  std::string seed;
  int64_t steps = 0;
  uint64_t bytes = 0, memory = 0;
  double trainBits = 0; ///< Mean of the last tenth of the steps.
  double evalBits = std::numeric_limits<double>::quiet_NaN(); ///< The last.
  double speed = 0;
};

Result<Run> readRun(const std::string &path) {
  Run run;
  run.path = path;
  RunConfig config;
  BB_TRY(config.readFile(path + "/config.toml"));
  BB_ASSIGN(RunRecord record, RunRecord::read(path + "/config.toml"));
  for (const RunConfig::Key &key : RunConfig::keys())
    if (key.change != RunConfig::Change::freely)
      run.settings[key.fullName()] = config.valueText(key);
  run.seed = run.settings["train.seed"];
  run.settings.erase("train.seed");
  for (const char *fact :
       {"model", "model_config", "compute_type", "device", "data_hash", "init"})
    run.settings[fact] = record.facts[fact];
  run.memory = std::strtoull(record.facts["memory_bytes"].c_str(), nullptr, 10);

  BB_ASSIGN(RunHistory history, RunHistory::read(path + "/metrics.jsonl"));
  if (history.training.empty())
    return fail(ErrorKind::BadInput, "{}/metrics.jsonl: has no step", path);
  run.steps = history.training.back().step;
  run.bytes = history.bytes;
  run.speed = history.bytesPerSecond;
  size_t last = std::max<size_t>(1, history.training.size() / 10);
  for (size_t i = history.training.size() - last; i < history.training.size();
       ++i)
    run.trainBits += history.training[i].bitsPerByte / double(last);
  auto val = history.evaluation.find(config.evalSplit);
  if (val != history.evaluation.end())
    run.evalBits = val->second.back().bitsPerByte;
  return run;
}

std::string bits(double value) {
  return std::isfinite(value) ? fmt::format("{:.4f}", value) : "-";
}

/// "1.2345 ± 0.0012": the deviation of a sample.
std::string spread(const std::vector<const Run *> &runs, double Run::*figure,
                   int digits) {
  double sum = 0, squares = 0, count = double(runs.size());
  for (const Run *run : runs)
    sum += run->*figure;
  for (const Run *run : runs)
    squares += std::pow(run->*figure - sum / count, 2);
  return fmt::format("{:.{}f} ± {:.{}f}", sum / count, digits,
                     std::sqrt(squares / (count - 1)), digits);
}

void printSeeds(const std::vector<Run> &runs) {
  std::map<std::map<std::string, std::string>, std::vector<const Run *>> groups;
  for (const Run &run : runs)
    groups[run.settings].push_back(&run);
  for (const auto &[settings, members] : groups)
    if (members.size() > 1)
      fmt::print(
          "\n{} runs like {} differ in the seed alone: train {}, eval {} "
          "bits per byte\n",
          members.size(), members[0]->path, spread(members, &Run::trainBits, 4),
          spread(members, &Run::evalBits, 4));
}

void printDifferences(const std::vector<Run> &runs) {
  std::vector<std::string> header = {"setting"};
  for (const Run &run : runs)
    header.push_back(run.path);
  Table table(header);
  bool any = false;
  for (const auto &[key, first] : runs[0].settings) {
    std::vector<std::string> row = {key};
    bool differs = false;
    for (const Run &run : runs) {
      row.push_back(run.settings.at(key));
      differs |= row.back() != first;
    }
    if (differs)
      table.add(row);
    any |= differs;
  }
  if (any)
    fmt::print("\n{}", table.markdown());
}

void printJson(const std::vector<Run> &runs) {
  auto number = [](double value) {
    return std::isfinite(value) ? nlohmann::ordered_json(value)
                                : nlohmann::ordered_json(nullptr);
  };
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Run &run : runs)
    all.push_back({{"run", run.path},
                   {"seed", run.seed},
                   {"steps", run.steps},
                   {"bytes", run.bytes},
                   {"train_bpb", number(run.trainBits)},
                   {"eval_bpb", number(run.evalBits)},
                   {"bytes_per_second", number(run.speed)},
                   {"memory_bytes", run.memory},
                   {"settings", run.settings}});
  fmt::print("{}\n", all.dump(2));
}

Result<void> compare(const Options &options) {
  std::vector<Run> runs;
  for (const std::string &path : options.runs) {
    BB_ASSIGN(Run run, readRun(path));
    runs.push_back(std::move(run));
  }
  if (options.json) {
    printJson(runs);
    return {};
  }
  Table table({"run", "steps", "bytes", "train bits/byte", "eval bits/byte",
               "speed", "memory", "seed"});
  for (const Run &run : runs)
    table.add({run.path, std::to_string(run.steps), std::to_string(run.bytes),
               bits(run.trainBits), bits(run.evalBits), formatSpeed(run.speed),
               run.memory ? formatBytes(run.memory) : "-", run.seed});
  fmt::print("{}", table.markdown());
  printDifferences(runs);
  printSeeds(runs);
  return {};
}

} // namespace

void addCompare(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *command = addCommand(
      app, "compare", "Compare runs: bits per byte, speed, memory, config",
      "bb-run compare runs/a runs/b\n"
      "bb-run compare runs/seed-* --json");
  command->add_option("RUN", options->runs, "Folders of runs")->required();
  command->add_flag("--json", options->json, "Print an array");
  command->callback(
      [options, &action] { action = [options] { return compare(*options); }; });
}

} // namespace bitbyte
