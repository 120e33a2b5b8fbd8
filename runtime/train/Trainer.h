//===- Trainer.h - The loop over steps ------------------------------------===//
#pragma once

#include "runtime/engine/TrainStep.h"
#include "runtime/train/Checkpoint.h"
#include "runtime/train/Metrics.h"
#include "runtime/train/Plan.h"
#include "runtime/train/Progress.h"

#include <cstdio>
#include <functional>

namespace bitbyte {

/// How the loop ended, if without an error.
enum class TrainEnd { finished, timeOver, stopped };

/// Runs steps from `state` on. All that is passed in is borrowed.
class Trainer {
public:
  struct Parts {
    Engine &engine;
    const Dataset &data;
    const RunConfig &config; ///< Resolved.
    const TrainPlan &plan;
    const std::string &run; ///< Folder, for checkpoints.
    Metrics &metrics;
    Progress &progress;
    std::function<bool()> stop;
    std::function<double()> clock; ///< Seconds since some moment.
    FILE *record = nullptr;        ///< Batches go here; null: nowhere.
  };

  Trainer(Parts parts, RunState state)
      : parts(std::move(parts)), state(std::move(state)) {}

  /// Every way out but an error leaves a checkpoint of the last step done.
  /// Diverged: more than max_skips steps in a row were not finite.
  Result<TrainEnd> run();

  const RunState &progress() const { return state; }

private:
  Result<void> step();
  /// What a step learns from.
  struct Batch {
    std::vector<uint8_t> bytes, next; ///< [accumulate, B, T]
    int64_t step = -1;                ///< That it is for.
  };
  StepBatch asStep(const Batch &batch) const;
  /// Reads the batch of a step that begins at `cursor` of the data.
  Result<void> fetch(Batch &batch, int64_t step, uint64_t cursor) const;
  /// Reads and stages the next step's batch, while the device works.
  Result<void> fetchNext();
  Result<void> recordBatch(int64_t T);
  Result<void> guard(bool ok, double loss);
  /// False if it was stopped.
  Result<bool> evaluateNow();
  bool evaluationDue() const;
  Result<void> save();
  bool stopped() const { return parts.stop && parts.stop(); }
  /// Seconds of the run so far, those before it was resumed included.
  double elapsed() const { return elapsedBefore + parts.clock() - begin; }

  Parts parts;
  RunState state;
  int64_t savedStep = -1;
  double begin = 0, elapsedBefore = 0;
  double speed = 0;   ///< Bytes per second, smoothed.
  Batch batch, ahead; ///< Of this step and of the next one.
};

} // namespace bitbyte
