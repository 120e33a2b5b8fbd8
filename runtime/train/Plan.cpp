#include "runtime/train/Plan.h"

#include "runtime/core/Hash.h"
#include "runtime/core/Memory.h"
#include "runtime/core/Safetensors.h"
#include "runtime/data/WindowSampler.h"
#include "runtime/engine/TrainStep.h"
#include "runtime/train/Evaluate.h"

#include <algorithm>
#include <charconv>

namespace bitbyte {

namespace {

std::string shapesOf(const Variant &variant) {
  std::string text;
  for (const Program &program : variant.programs)
    if (program.base == "micro") {
      const Tensor *bytes = program.input("bytes");
      if (bytes && bytes->shape.size() == 2)
        text += fmt::format("{}B={},T={}", text.empty() ? "" : " ",
                            bytes->shape[0], bytes->shape[1]);
    }
  return text;
}

Result<TrainPhase> phaseOf(const Program &micro, const std::string &path) {
  const Tensor *bytes = micro.input("bytes");
  if (!bytes || bytes->shape.size() != 2 || bytes->dtype != DType::u8)
    return fail(ErrorKind::BadInput,
                "{}: program '{}' takes no `bytes` u8 [B, T]", path,
                micro.name);
  TrainPhase phase;
  phase.B = static_cast<int64_t>(bytes->shape[0]);
  phase.T = static_cast<int64_t>(bytes->shape[1]);
  phase.micro = &micro;
  return phase;
}

Result<TrainPhase> phaseFor(const Engine &engine,
                            const CurriculumEntry &entry) {
  const std::string &path = engine.artifact().path;
  for (const Program &program : engine.variant().programs) {
    if (program.base != "micro")
      continue;
    BB_ASSIGN(TrainPhase phase, phaseOf(program, path));
    if (phase.B != entry.B || phase.T != entry.T)
      continue;
    phase.firstStep = entry.step;
    return phase;
  }
  return fail(ErrorKind::BadInput,
              "data.curriculum wants B={},T={} at step {}, but {} was compiled "
              "for {}; compile it with --shape B={},T={}",
              entry.B, entry.T, entry.step, path, shapesOf(engine.variant()),
              entry.B, entry.T);
}

} // namespace

const TrainPhase &TrainPlan::at(int64_t step) const {
  size_t last = 0;
  while (last + 1 < phases.size() && phases[last + 1].firstStep <= step)
    ++last;
  return phases[last];
}

Result<RunConfig> defaultConfig(const Artifact &artifact) {
  RunConfig config;
  BB_ASSIGN(StepNumbers numbers, StepNumbers::defaults(artifact));
  config.lr = numbers.lr;
  config.beta1 = numbers.beta1;
  config.beta2 = numbers.beta2;
  config.eps = numbers.eps;
  config.weightDecay = numbers.weightDecay;
  config.clip = numbers.clip;
  for (const auto &[key, text] : artifact.defaults)
    if (key == "accumulate") {
      auto [end, error] = std::from_chars(
          text.data(), text.data() + text.size(), config.accumulate);
      if (error != std::errc() || end != text.data() + text.size() ||
          config.accumulate < 1)
        return fail(ErrorKind::BadInput,
                    "{}: the default '{}' of 'accumulate' is no whole number "
                    "above 0",
                    artifact.path, text);
    }
  return config;
}

Result<TrainPlan> planTraining(const Engine &engine, const RunConfig &config,
                               const Dataset &data) {
  const Artifact &artifact = engine.artifact();
  TrainPlan plan;
  plan.steps = config.steps;
  plan.update = engine.program("update");
  const Program *micro = engine.program("micro");
  if (!micro || !plan.update)
    return fail(ErrorKind::BadInput,
                "{} cannot train: it was compiled with --programs {}; add "
                "`train`",
                artifact.path, fmt::join(artifact.programsAsked, ","));
  if (config.curriculum.empty()) {
    BB_ASSIGN(TrainPhase phase, phaseOf(*micro, artifact.path));
    plan.phases.push_back(phase);
  }
  for (const CurriculumEntry &entry : config.curriculum) {
    BB_ASSIGN(TrainPhase phase, phaseFor(engine, entry));
    plan.phases.push_back(phase);
  }

  const TrainPhase &first = plan.phases.front();
  plan.bytesPerStep =
      static_cast<uint64_t>(config.accumulate) * first.B * first.T;
  auto context = artifact.configValue("context");
  const TrainPhase *before = nullptr;
  for (TrainPhase &phase : plan.phases) {
    uint64_t bytes = static_cast<uint64_t>(phase.B) * phase.T;
    if (plan.bytesPerStep % bytes != 0)
      return fail(ErrorKind::BadInput,
                  "data.curriculum: bytes per step must stay {} (accumulate {} "
                  "x B {} x T {}), and B {} x T {} = {} does not divide it",
                  plan.bytesPerStep, config.accumulate, first.B, first.T,
                  phase.B, phase.T, bytes);
    phase.accumulate = static_cast<int64_t>(plan.bytesPerStep / bytes);
    if (before)
      phase.firstMicro = before->microBefore(phase.firstStep);
    before = &phase;
    if (context && phase.T > std::atoll(context->c_str()))
      return fail(ErrorKind::BadInput, "{}: T = {} is above context = {}",
                  artifact.path, phase.T, *context);
    BB_TRY(WindowSampler::create(data, config.split, config.seed, phase.T));
  }

  auto vocab = artifact.configValue("vocab");
  plan.evaluates = config.evalEvery > 0 && scoreProgram(engine, 0) &&
                   data.splitBytes(config.evalSplit) > 0;
  if (vocab) {
    BB_TRY(data.requireVocabulary(config.split, std::atoll(vocab->c_str())));
    if (plan.evaluates)
      BB_TRY(
          data.requireVocabulary(config.evalSplit, std::atoll(vocab->c_str())));
  }
  return plan;
}

uint64_t plannedBytes(const Engine &engine, const TrainPlan &plan) {
  const Variant &variant = engine.variant();
  uint64_t arena = plan.update->arenaBytes;
  for (const TrainPhase &phase : plan.phases)
    arena = std::max(arena, phase.micro->arenaBytes);
  if (const Program *score = scoreProgram(engine, 0); score && plan.evaluates)
    arena = std::max(arena, score->arenaBytes);
  return variant.parametersBytes + variant.trainingBytes +
         variant.derivedBytes + variant.constants.size() + arena;
}

std::string describePlan(const Engine &engine, const RunConfig &config,
                         const TrainPlan &plan, const Dataset &data) {
  const Artifact &artifact = engine.artifact();
  const Variant &variant = engine.variant();
  uint64_t total = plannedBytes(engine, plan);
  MemoryRoom room = memoryRoom();
  std::string text = fmt::format("model     {} {}, {} parameters, {}\n",
                                 artifact.model, artifact.computeType,
                                 artifact.parameterCount(), engine.describe());
  text +=
      fmt::format("data      {}, split '{}' {} bytes, {:.2f} epochs\n",
                  data.directory(), config.split, data.splitBytes(config.split),
                  static_cast<double>(plan.bytesPerStep) * plan.steps /
                      static_cast<double>(data.splitBytes(config.split)));
  text +=
      fmt::format("steps     {}, {} bytes each, {} bytes in all\n", plan.steps,
                  plan.bytesPerStep, plan.bytesPerStep * plan.steps);
  for (const TrainPhase &phase : plan.phases)
    text += fmt::format("          from step {}: {} x {} on [{}, {}]\n",
                        phase.firstStep, phase.accumulate, phase.micro->name,
                        phase.B, phase.T);
  text += fmt::format("optimizer {} lr {} to {}, warmup {}\n", config.schedule,
                      config.lr, config.minLr, config.warmup);
  text += fmt::format(
      "memory    {} (parameters {}, training {}, derived {}, constants and "
      "arena {}); {} to be had\n",
      formatBytes(total), formatBytes(variant.parametersBytes),
      formatBytes(variant.trainingBytes), formatBytes(variant.derivedBytes),
      formatBytes(total - variant.parametersBytes - variant.trainingBytes -
                  variant.derivedBytes),
      formatBytes(room.bytes));
  return text;
}

std::map<std::string, std::string> runIdentity(const Artifact &artifact,
                                               const Dataset &data,
                                               const TrainPlan &plan) {
  std::string parameters;
  for (const State &state : artifact.states)
    if (state.kind == StateKind::parameter)
      parameters +=
          fmt::format("{} {}\n", state.name, formatShape(state.shape));
  std::map<std::string, std::string> identity = {
      {"model", artifact.model},
      {"compute type", artifact.computeType},
      {"parameters",
       fmt::format("{} ({})", artifact.parameterCount(),
                   hash128(std::as_bytes(std::span(parameters))).hex())},
      {"data hash", data.hash()},
      {"bytes per step", std::to_string(plan.bytesPerStep)},
  };
  for (const auto &[name, value] : artifact.config)
    identity[fmt::format("model config {}", name)] = value;
  return identity;
}

} // namespace bitbyte
