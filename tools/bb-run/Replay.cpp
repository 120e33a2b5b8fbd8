//===- Replay.cpp - bb-run replay: recorded launches, done again ----------===//

#include "runtime/engine/KernelReplay.h"
#include "tools/bb-run/Commands.h"
#include "tools/bb-run/Table.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace bitbyte {

namespace {

using json = nlohmann::ordered_json;

struct Options {
  std::string artifact, corpus;
  std::vector<std::string> kernels;
  bool asJson = false;
  EngineOptions engine;
};

/// A number that is not finite has no place in JSON.
json toJson(double value) {
  return std::isfinite(value) ? json(value) : json(nullptr);
}

json toJson(const ReplayedLaunch &launch) {
  json buffers = json::array();
  for (const BufferDifference &each : launch.buffers)
    buffers.push_back({{"buffer", each.buffer},
                       {"type", name(each.type)},
                       {"elements", each.elements},
                       {"difference", toJson(each.worst)},
                       {"bound", each.bound}});
  json result = {{"kernel", launch.kernel},
                 {"holds", launch.holds()},
                 {"buffers", std::move(buffers)}};
  if (!launch.problem.empty())
    result["problem"] = launch.problem;
  return result;
}

void addRow(Table &table, const ReplayedLaunch &launch) {
  const BufferDifference *worst = launch.worst();
  std::vector<std::string> row{launch.kernel, "", "", "", ""};
  if (worst) {
    row[1] = fmt::format("{} {}", worst->buffer, name(worst->type));
    row[2] = fmt::format("{:.2e}", worst->worst);
    row[3] = fmt::format("{:.0e}", worst->bound);
  }
  row[4] = launch.holds()           ? "holds"
           : launch.problem.empty() ? "FAILS"
                                    : "FAILS: " + launch.problem;
  table.add(row);
}

Result<void> run(const Options &options) {
  BB_ASSIGN(KernelCorpus corpus, KernelCorpus::open(inputPath(options.corpus)));
  BB_ASSIGN(auto engine, openEngine(options.artifact, options.engine));
  for (const std::string &wanted : options.kernels)
    if (std::none_of(
            corpus.launches().begin(), corpus.launches().end(),
            [&](const RecordedLaunch &l) { return l.kernel == wanted; }))
      return fail(ErrorKind::Usage, "{}: there is no launch of kernel '{}'",
                  options.corpus, wanted);
  std::vector<ReplayedLaunch> done;
  for (const RecordedLaunch &launch : corpus.launches()) {
    bool wanted = options.kernels.empty() ||
                  std::find(options.kernels.begin(), options.kernels.end(),
                            launch.kernel) != options.kernels.end();
    if (!wanted)
      continue;
    BB_ASSIGN(ReplayedLaunch replayed, replay(*engine, corpus, launch));
    done.push_back(std::move(replayed));
  }
  size_t failures = 0;
  json rows = json::array();
  Table table({"kernel", "buffer", "difference", "bound", ""});
  for (const ReplayedLaunch &launch : done) {
    failures += !launch.holds();
    rows.push_back(toJson(launch));
    addRow(table, launch);
  }
  if (options.asJson)
    fmt::print("{}\n", json{{"v", 1},
                            {"device", engine->describe()},
                            {"kernels", std::move(rows)}}
                           .dump(2));
  else
    fmt::print("{} on {}\n\n{}", options.corpus, engine->describe(),
               table.markdown());
  if (failures)
    return fail(ErrorKind::Failed,
                "{} of {} kernels do not give what was recorded", failures,
                done.size());
  return {};
}

} // namespace

void addReplay(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *command = addCommand(
      app, "replay", "Do recorded launches of kernels again, and compare",
      "bb-run train s.bba --data stories --out run --steps 1 --device emu \\\n"
      "    --record-kernels kernels.safetensors\n"
      "bb-run replay s.bba kernels.safetensors --device cuda");
  command->add_option("ARTIFACT", options->artifact, "What bbc wrote")
      ->required();
  command
      ->add_option("CORPUS", options->corpus,
                   "What --record-kernels wrote, of this artifact")
      ->required();
  command->add_option("--kernel", options->kernels,
                      "Only this kernel (repeatable; default: all)");
  command->add_flag("--json", options->asJson,
                    "All buffers that kernels write, as JSON");
  addDeviceOptions(*command, options->engine);
  command->callback(
      [options, &action] { action = [options] { return run(*options); }; });
}

} // namespace bitbyte
