//===- TrainStep.h - One optimizer step: A times `micro`, then `update` ---===//
#pragma once

#include "runtime/engine/Engine.h"

namespace bitbyte {

/// The run-time numbers of a step. Doubles, because 1 - 0.999 is wrong by 1e-5
/// in f32: what `update` takes is computed from them here.
struct StepNumbers {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weightDecay = 0.1;
  double clip = 1; ///< Of the global gradient norm; 0: no clipping.

  /// What `bbc` recorded, else the values above. BadInput if a recorded value
  /// is no number.
  static Result<StepNumbers> defaults(const Artifact &artifact);
  /// The number of this name ("weight_decay"), or null.
  double *find(std::string_view name);
};

struct StepResult {
  double loss = 0;     ///< Mean nats; `runStep` only.
  double gradNorm = 0; ///< Before clipping.
  bool ok = true;      ///< False: not finite, so nothing was changed.
};

/// Adds the gradients of one micro-batch; gives its share of the loss. `bytes`
/// and `next` are [B, T]; `micros` of these make a step. `counter` numbers the
/// micro-batches of a run for random ops, keyed by `seed`; programs take the
/// low 32 bits of both.
Result<double> runMicro(Engine &engine, const Program &micro,
                        std::span<const uint8_t> bytes,
                        std::span<const uint8_t> next, int64_t micros,
                        uint64_t seed = 0, uint64_t counter = 0);

/// Applies the gradients, which become zero, as update number `step` (from 1).
Result<StepResult> runUpdate(Engine &engine, const StepNumbers &numbers,
                             int64_t step);

/// A whole step, which a GPU does in one launch: `micros` times runMicro on the
/// parts of `bytes` and `next` [micros, B, T] with counters from `counter` on,
/// then runUpdate. `meanwhile`: as of Engine::runAll.
struct StepBatch {
  const Program *micro = nullptr;
  std::span<const uint8_t> bytes, next;
  int64_t micros = 1;
  uint64_t seed = 0, counter = 0;
  bool staged = false; ///< `stageBatch` has had it.
};
Result<StepResult> runStep(Engine &engine, const StepBatch &batch,
                           const StepNumbers &numbers, int64_t step,
                           const std::function<Result<void>()> &meanwhile = {});

/// Copies `bytes` and `next` of the coming step to where the device will read
/// them, while it works on this one: to be called from `meanwhile`.
Result<void> stageBatch(Engine &engine, const StepBatch &batch);

} // namespace bitbyte
