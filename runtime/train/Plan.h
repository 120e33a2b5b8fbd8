//===- Plan.h - What a run will do, step by step, checked before it starts ===//
#pragma once

#include "runtime/data/Dataset.h"
#include "runtime/engine/Engine.h"
#include "runtime/train/RunConfig.h"

#include <map>
#include <string>
#include <vector>

namespace bitbyte {

/// From `firstStep` on, a step is `accumulate` times `micro` on [B, T], then
/// `update`.
struct TrainPhase {
  int64_t firstStep = 0, B = 0, T = 0, accumulate = 1;
  int64_t firstMicro = 0; ///< Micro-batches of all the phases before.
  const Program *micro = nullptr;

  /// The number of the first micro-batch of `step`, counted from the start of
  /// training: dropout draws by it, so that no two are alike.
  int64_t microBefore(int64_t step) const {
    return firstMicro + (step - firstStep) * accumulate;
  }
};

/// The engine's programs are borrowed.
struct TrainPlan {
  std::vector<TrainPhase> phases;
  const Program *update = nullptr;
  int64_t steps = 0;
  uint64_t bytesPerStep = 0; ///< accumulate * B * T, the same in every phase.
  bool evaluates = false;    ///< There is a score program and a split for it.

  const TrainPhase &at(int64_t step) const;
};

/// The config with the optimizer numbers that `bbc` recorded in the artifact.
Result<RunConfig> defaultConfig(const Artifact &artifact);

/// BadInput, with the figures, for a shape that the artifact lacks, bytes per
/// step that are not constant, a T above the context, data that are too short
/// or hold bytes that the model cannot read.
Result<TrainPlan> planTraining(const Engine &engine, const RunConfig &config,
                               const Dataset &data);

/// Bytes that training will allocate: spaces, constants, the largest arena.
uint64_t plannedBytes(const Engine &engine, const TrainPlan &plan);

/// What --dry-run prints.
std::string describePlan(const Engine &engine, const RunConfig &config,
                         const TrainPlan &plan, const Dataset &data);

/// What must not differ between a run and its continuation: model, config,
/// compute type, parameters, data, bytes per step.
std::map<std::string, std::string> runIdentity(const Artifact &artifact,
                                               const Dataset &data,
                                               const TrainPlan &plan);

} // namespace bitbyte
