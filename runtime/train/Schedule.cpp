#include "runtime/train/Schedule.h"

#include "runtime/core/Random.h"

#include <algorithm>

#pragma STDC FP_CONTRACT OFF

namespace bitbyte {

double learningRate(const RunConfig &config, int64_t step) {
  double lr = config.lr, low = config.minLr;
  if (step < config.warmup)
    return lr * static_cast<double>(step + 1) /
           static_cast<double>(config.warmup + 1);
  if (config.schedule == "constant" || config.decaySteps == 0)
    return lr;
  auto span = static_cast<double>(config.decaySteps);
  if (config.schedule == "wsd") {
    // The last step, steps - 1, has taken decay_steps of decay_steps.
    auto taken =
        static_cast<double>(step - (config.steps - config.decaySteps) + 1);
    double part = std::clamp(taken / span, 0.0, 1.0);
    return lr + (low - lr) * part;
  }
  double part = std::min(static_cast<double>(step - config.warmup) / span, 1.0);
  double cosine = exact::sinCosTurns(part / 2).cos;
  return low + (lr - low) * (0.5 * (1 + cosine));
}

int64_t schedulePosition(const RunConfig &config, int64_t step,
                         double seconds) {
  if (config.minutes <= 0)
    return step;
  double share = std::clamp(seconds / (config.minutes * 60), 0.0, 1.0);
  auto byTime = static_cast<int64_t>(share * static_cast<double>(config.steps));
  return std::min(std::max(step, byTime), config.steps - 1);
}

} // namespace bitbyte
