//===- TrainRun.h - `bb-run train`: one run from its start to its report --===//
#pragma once

#include "runtime/engine/Engine.h"
#include "runtime/train/Progress.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace bitbyte {

/// The command line of `train`.
struct TrainRequest {
  std::string data, out;
  std::string configFile;               ///< "": none
  std::vector<std::string> assignments; ///< --set
  std::optional<int64_t> steps, seed;
  std::optional<double> minutes;
  bool resume = false, dryRun = false;
  std::string init;                     ///< Weights to begin with; "": random.
  std::vector<std::string> allowChange; ///< Keys.
  std::string recordBatches; ///< File for u8 [steps, A x B, T + 1]; "": none.

  std::function<bool()> stop = {}; ///< Polled after each step.
  /// Seconds since some moment; the machine's steady clock if there is none.
  std::function<double()> clock = {};
};

/// Trains to the last step, or until `minutes` are over, and leaves a
/// checkpoint and a report. Interrupted: `stop` said so; the run is saved.
Result<void> trainRun(Engine &engine, const TrainRequest &request,
                      Progress &progress);

} // namespace bitbyte
