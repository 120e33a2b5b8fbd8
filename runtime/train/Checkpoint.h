//===- Checkpoint.h - What a run can be continued from --------------------===//
//
//   RUN/checkpoints/step-50/weights.safetensors
//                           optimizer.safetensors
//                           manifest.json
//
// A checkpoint is written into a hidden folder beside its own, each file
// flushed, the manifest last, and then renamed: it is whole or it is not there.
// The manifest holds size and hash of both files and of itself, so that a
// reader can tell a whole one from one that a disk has damaged.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/engine/Engine.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bitbyte {

/// The state of a run besides the tensors.
struct RunState {
  int64_t step = 0;       ///< Steps done.
  uint64_t cursor = 0;    ///< Bytes drawn from the data: the place in it.
  int64_t seed = 0;       ///< With `step`, the whole state of all randomness.
  int64_t skipped = 0;    ///< Steps with non-finite gradients so far,
  int64_t skippedRow = 0; ///< and at the end of them, in a row.
  bool evaluated = false; ///< The evaluation that is due after `step` is done.
  uint64_t metricsBytes = 0; ///< Length of metrics.jsonl.
  double seconds = 0;        ///< Spent in steps.
  double elapsed = 0;        ///< Spent in all: what train.minutes counts.
  std::map<std::string, std::string> identity; ///< runIdentity
  std::string artifactHash;
};

struct Checkpoint {
  std::string path;
  RunState state;
};

/// Failed, with what is missing, if the disk is full; nothing is left behind
/// and older checkpoints stay. Then removes all but the newest `keep`.
Result<void> saveCheckpoint(Engine &engine, const std::string &run,
                            const RunState &state, int64_t keep);

/// A checkpoint at step 0 of the engine's parameters alone, in a folder that is
/// made for it and appears whole or not at all: what `import` writes.
Result<void> saveWeightsFolder(Engine &engine, const std::string &folder);

/// Checks sizes and hashes. BadInput names the file that is not whole.
Result<Checkpoint> openCheckpoint(const std::string &directory);

struct CheckpointSearch {
  std::optional<Checkpoint> newest;
  std::vector<std::string> skipped; ///< Newer ones, with the reason.
};
/// The newest whole checkpoint of a run.
CheckpointSearch findCheckpoint(const std::string &run);

/// Parameters, moments and counters into the engine; gradients become zero.
Result<void> loadCheckpoint(Engine &engine, const Checkpoint &checkpoint);

/// Moments and gradients to zero, counters too.
Result<void> zeroTrainingState(Engine &engine);

/// What --checkpoint names: a run (its newest whole checkpoint), a checkpoint,
/// a folder with weights.safetensors, or a file of weights.
struct WeightsSource {
  std::string file;
  std::optional<Checkpoint> checkpoint;
  std::vector<std::string> skipped;
};
Result<WeightsSource> findWeights(const std::string &path);

} // namespace bitbyte
