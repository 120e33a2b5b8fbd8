#include "runtime/train/TrainRun.h"

#include "runtime/core/File.h"
#include "runtime/engine/Weights.h"
#include "runtime/generate/Generator.h"
#include "runtime/train/Evaluate.h"
#include "runtime/train/Initialize.h"
#include "runtime/train/Report.h"
#include "runtime/train/RunDirectory.h"
#include "runtime/train/Trainer.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>

namespace bitbyte {

namespace fs = std::filesystem;

namespace {

/// --config, --set, --steps and friends over what is there.
Result<void> applyRequest(RunConfig &config, const TrainRequest &request) {
  if (!request.configFile.empty())
    BB_TRY(config.readFile(request.configFile));
  for (const std::string &assignment : request.assignments)
    BB_TRY(config.set(assignment));
  if (request.steps)
    BB_TRY(config.set(fmt::format("train.steps={}", *request.steps)));
  if (request.seed)
    BB_TRY(config.set(fmt::format("train.seed={}", *request.seed)));
  if (request.minutes)
    BB_TRY(config.set(fmt::format("train.minutes={}", *request.minutes)));
  return {};
}

/// What may differ from the run so far, and the record of what does.
Result<void> compareConfigs(const RunConfig &before, const RunConfig &now,
                            const TrainRequest &request,
                            const std::string &path, int64_t step,
                            RunRecord &record) {
  // A default that is asked for by its value is no change either.
  RunConfig full = before, fullNow = now;
  bool resolved = full.resolve() && fullNow.resolve();
  for (const RunConfig::Key &key : RunConfig::keys()) {
    std::string was = before.valueText(key), is = now.valueText(key);
    std::string name = key.fullName();
    if (was == is || key.change == RunConfig::Change::freely ||
        (resolved && full.valueText(key) == fullNow.valueText(key)))
      continue;
    if (key.change == RunConfig::Change::never)
      return fail(ErrorKind::Usage,
                  "{}: the run has {} = {}, asked is {}; a resumed run keeps "
                  "it",
                  path, name, was, is);
    if (std::ranges::find(request.allowChange, name) ==
        request.allowChange.end())
      return fail(ErrorKind::Usage,
                  "{}: the run has {} = {}, asked is {}; to change it, give "
                  "--allow-change {}",
                  path, name, was, is, name);
    record.changes.push_back(
        fmt::format("step {}: {} from {} to {}", step, name, was, is));
  }
  return {};
}

Result<void> checkAllowed(const TrainRequest &request) {
  for (const std::string &name : request.allowChange) {
    const RunConfig::Key *key = RunConfig::findKey(name);
    if (!key)
      return fail(ErrorKind::Usage, "--allow-change {}: there is no such key",
                  name);
    if (key->change == RunConfig::Change::never)
      return fail(ErrorKind::Usage,
                  "--allow-change {}: a resumed run must keep it", name);
  }
  return {};
}

/// BadInput, with both values, if the checkpoint is of another run.
Result<void> compareIdentity(const Checkpoint &checkpoint,
                             const std::map<std::string, std::string> &now) {
  std::map<std::string, std::string> before = checkpoint.state.identity;
  for (const auto &[what, is] : now) {
    auto was = before.find(what);
    if (was == before.end() || was->second != is)
      return fail(ErrorKind::BadInput,
                  "{} cannot be resumed: its {} is {}, now it is {}",
                  checkpoint.path, what,
                  was == before.end() ? "unknown" : was->second, is);
  }
  return {};
}

std::string sampleText(Engine &engine, const RunConfig &config,
                       Progress &progress) {
  std::string sample;
  if (config.sampleBytes == 0 || !engine.program("after.1"))
    return sample;
  GenerateOptions options;
  options.sampler.seed = config.seed;
  options.bytes = config.sampleBytes;
  auto end = generate(engine, "", options, [&](uint8_t byte) {
    sample += static_cast<char>(byte);
    return true;
  });
  if (!end)
    progress.note(fmt::format("no sample: {}", end.error().message));
  return sample;
}

class TrainRun {
public:
  TrainRun(Engine &engine, const TrainRequest &request, Progress &progress)
      : engine(engine), request(request), progress(progress) {}

  Result<void> run();
  Result<void> dryRun();

private:
  /// The checkpoint to go on from, if any, and the config for it.
  Result<void> prepare();
  /// NoDevice, with the figures, if memory is too small: before anything is
  /// written.
  Result<void> reserve();
  Result<void> fillEngine(const Dataset &data);
  Result<void> writeConfig(const Dataset &data);
  Result<void> report(const RunState &state, uint64_t parameters);

  Engine &engine;
  const TrainRequest &request;
  Progress &progress;
  RunConfig config;
  RunRecord record;
  TrainPlan plan;
  std::optional<Checkpoint> from;
  RunState state;
};

Result<void> TrainRun::prepare() {
  BB_TRY(checkAllowed(request));
  BB_ASSIGN(config, defaultConfig(engine.artifact()));
  std::string saved = request.out + "/config.toml";
  std::error_code error;
  bool begun = request.resume && fs::exists(saved, error);
  RunConfig before;
  if (request.resume) {
    CheckpointSearch search = findCheckpoint(request.out);
    for (const std::string &reason : search.skipped)
      progress.note("skipping a checkpoint: " + reason);
    from = std::move(search.newest);
    if (!from)
      progress.note(fmt::format(
          "{}: no whole checkpoint to resume from; starting at step 0",
          request.out));
  }
  if (begun) {
    BB_TRY(config.readFile(saved));
    BB_ASSIGN(record, RunRecord::read(saved));
    config.unresolve();
    before = config;
  }
  BB_TRY(applyRequest(config, request));
  if (from && begun)
    BB_TRY(compareConfigs(before, config, request, request.out,
                          from->state.step, record));
  if (auto resolved = config.resolve(); !resolved)
    return fail(request.configFile.empty() ? ErrorKind::Usage
                                           : resolved.error().kind,
                "{}", resolved.error().message);
  if (from && from->state.seed != config.seed)
    return fail(ErrorKind::Usage,
                "{}: the run has train.seed = {}, asked is {}; a resumed run "
                "keeps it",
                request.out, from->state.seed, config.seed);
  return {};
}

Result<void> TrainRun::reserve() {
  std::vector<const Program *> programs = {plan.update};
  for (const TrainPhase &phase : plan.phases)
    programs.push_back(phase.micro);
  if (plan.evaluates)
    programs.push_back(scoreProgram(engine, 0));
  return engine.reserve(programs);
}

Result<void> TrainRun::fillEngine(const Dataset &data) {
  BB_TRY(reserve());
  std::map<std::string, std::string> identity =
      runIdentity(engine.artifact(), data, plan);
  if (from) {
    BB_TRY(compareIdentity(*from, identity));
    BB_TRY(loadCheckpoint(engine, *from));
    state = from->state;
    if (state.artifactHash != engine.artifact().hash)
      progress.note("the artifact is not the one that this run was begun with; "
                    "results may differ in the last bits");
    progress.note(fmt::format("resuming at step {}", state.step));
  } else if (!request.init.empty()) {
    BB_ASSIGN(WeightsSource source, findWeights(request.init));
    BB_TRY(zeroTrainingState(engine));
    BB_TRY(loadWeights(engine, source.file));
  } else {
    BB_TRY(initializeModel(engine, config.seed));
  }
  state.seed = config.seed;
  state.identity = std::move(identity);
  state.artifactHash = engine.artifact().hash;
  return {};
}

Result<void> TrainRun::writeConfig(const Dataset &data) {
  const Artifact &artifact = engine.artifact();
  record.facts = {{"bb_run", BB_VERSION},
                  {"compiler", artifact.compiler},
                  {"model", artifact.model},
                  {"artifact", fs::absolute(artifact.path)},
                  {"artifact_hash", artifact.hash},
                  {"source_hash", artifact.sourceHash},
                  {"compute_type", artifact.computeType},
                  {"device", engine.describe()},
                  {"data", data.directory()},
                  {"data_hash", data.hash()},
                  {"memory_bytes", std::to_string(engine.allocatedBytes())},
                  {"init", request.init}};
  std::string modelConfig;
  for (const auto &[name, value] : artifact.config)
    modelConfig +=
        fmt::format("{}{}={}", modelConfig.empty() ? "" : ",", name, value);
  record.facts["model_config"] = modelConfig;
  return writeFileAtomically(request.out + "/config.toml",
                             config.toToml() + "\n" + record.toToml());
}

Result<void> TrainRun::report(const RunState &last, uint64_t parameters) {
  ReportContent content;
  content.title = fmt::format("{}: {}", engine.artifact().model, request.out);
  BB_ASSIGN(content.history, RunHistory::read(request.out + "/metrics.jsonl"));
  content.config = config.toToml() + "\n" + record.toToml();
  content.sample = sampleText(engine, config, progress);
  content.facts = {
      {"parameters", std::to_string(parameters)},
      {"device", engine.describe()},
      {"steps", fmt::format("{} of {}", last.step, config.steps)},
      {"bytes", std::to_string(last.cursor)},
      {"time in steps", formatDuration(last.seconds)},
      {"speed (median step)", formatSpeed(content.history.bytesPerSecond)},
      {"skipped steps", std::to_string(last.skipped)}};
  if (!content.history.training.empty())
    content.facts.emplace_back(
        "bits per byte, last step",
        fmt::format("{:.4f}", content.history.training.back().bitsPerByte));
  for (const auto &[split, points] : content.history.evaluation)
    content.facts.emplace_back(fmt::format("bits per byte, {}", split),
                               fmt::format("{:.4f} at step {}",
                                           points.back().bitsPerByte,
                                           points.back().step));
  return writeFileAtomically(request.out + "/report.html", reportHtml(content));
}

double steadySeconds() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct CloseFile {
  void operator()(FILE *file) const { fclose(file); }
};

Result<void> TrainRun::dryRun() {
  BB_TRY(prepare());
  BB_ASSIGN(Dataset data, Dataset::open(request.data));
  BB_ASSIGN(plan, planTraining(engine, config, data));
  fmt::print("{}", describePlan(engine, config, plan, data));
  return reserve();
}

Result<void> TrainRun::run() {
  BB_ASSIGN(RunDirectory directory,
            RunDirectory::open(request.out, request.resume));
  BB_TRY(prepare());
  BB_ASSIGN(Dataset data, Dataset::open(request.data));
  BB_ASSIGN(plan, planTraining(engine, config, data));
  BB_TRY(fillEngine(data));
  BB_TRY(writeConfig(data));
  BB_ASSIGN(Metrics metrics,
            Metrics::open(directory.metrics(), state.metricsBytes));
  std::unique_ptr<FILE, CloseFile> batches;
  if (!request.recordBatches.empty()) {
    batches.reset(fopen(request.recordBatches.c_str(), "wb"));
    if (!batches)
      return fail(ErrorKind::Failed, "{}: cannot be written: {}",
                  request.recordBatches, systemError(errno));
  }
  progress.note(
      fmt::format("{}: {} parameters, {}, {} steps of {} bytes",
                  engine.artifact().model, engine.artifact().parameterCount(),
                  engine.describe(), config.steps, plan.bytesPerStep));
  if (config.evalEvery > 0 && !plan.evaluates)
    progress.note(
        fmt::format("no evaluation while training: {}",
                    data.splitBytes(config.evalSplit) == 0
                        ? fmt::format("split '{}' is empty", config.evalSplit)
                        : std::string("the artifact has no score program")));

  Trainer trainer({.engine = engine,
                   .data = data,
                   .config = config,
                   .plan = plan,
                   .run = request.out,
                   .metrics = metrics,
                   .progress = progress,
                   .stop = request.stop,
                   .clock = request.clock ? request.clock : steadySeconds,
                   .record = batches.get()},
                  state);
  BB_ASSIGN(TrainEnd end, trainer.run());
  if (batches && fflush(batches.get()) != 0)
    return fail(ErrorKind::Failed, "{}: cannot be written: {}",
                request.recordBatches, systemError(errno));
  const RunState &last = trainer.progress();
  if (end == TrainEnd::stopped)
    return fail(ErrorKind::Interrupted,
                "stopped and saved at step {} of {}; go on with --resume",
                last.step, config.steps);
  if (end == TrainEnd::timeOver)
    progress.note(fmt::format("time is over at step {} of {}; saved", last.step,
                              config.steps));
  return report(last, engine.artifact().parameterCount());
}

} // namespace

Result<void> trainRun(Engine &engine, const TrainRequest &request,
                      Progress &progress) {
  TrainRun run(engine, request, progress);
  return request.dryRun ? run.dryRun() : run.run();
}

} // namespace bitbyte
