#include "runtime/train/Trainer.h"

#include "runtime/core/File.h"
#include "runtime/data/WindowSampler.h"
#include "runtime/train/Evaluate.h"
#include "runtime/train/Schedule.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <numbers>

namespace bitbyte {

Result<void> Trainer::recordBatch(int64_t T) {
  if (!parts.record)
    return {};
  std::vector<uint8_t> row(T + 1);
  for (size_t begin = 0; begin < batch.bytes.size(); begin += T) {
    std::copy_n(batch.bytes.begin() + begin, T, row.begin());
    row[T] = batch.next[begin + T - 1];
    if (fwrite(row.data(), 1, row.size(), parts.record) != row.size())
      return fail(ErrorKind::Failed, "the batches cannot be recorded: {}",
                  systemError(errno));
  }
  return {};
}

Result<void> Trainer::fetch(Batch &batch, int64_t step, uint64_t cursor) const {
  const TrainPhase &phase = parts.plan.at(step);
  BB_ASSIGN(auto sampler, WindowSampler::create(parts.data, parts.config.split,
                                                parts.config.seed, phase.T));
  size_t size = phase.B * phase.T;
  batch.bytes.resize(phase.accumulate * size);
  batch.next.resize(phase.accumulate * size);
  for (int64_t micro = 0; micro < phase.accumulate; ++micro)
    BB_TRY(sampler.batch(cursor + micro * size,
                         std::span(batch.bytes).subspan(micro * size, size),
                         std::span(batch.next).subspan(micro * size, size)));
  batch.step = step;
  return {};
}

StepBatch Trainer::asStep(const Batch &batch) const {
  const TrainPhase &phase = parts.plan.at(batch.step);
  return {.micro = phase.micro,
          .bytes = batch.bytes,
          .next = batch.next,
          .micros = phase.accumulate,
          .seed = uint64_t(parts.config.seed),
          .counter = uint64_t(phase.microBefore(batch.step))};
}

Result<void> Trainer::fetchNext() {
  if (state.step + 1 >= parts.config.steps)
    return {};
  BB_TRY(fetch(ahead, state.step + 1, state.cursor + parts.plan.bytesPerStep));
  return stageBatch(parts.engine, asStep(ahead));
}

Result<void> Trainer::guard(bool ok, double loss) {
  if (ok) {
    state.skippedRow = 0;
    return {};
  }
  ++state.skipped;
  ++state.skippedRow;
  if (state.skippedRow > parts.config.maxSkips)
    return fail(ErrorKind::Diverged,
                "step {}: the gradient is not finite (loss {}), {} times in a "
                "row; guard.max_skips is {}. The weights are those before "
                "these steps; try a lower optimizer.lr or a longer warmup",
                state.step + 1, loss, state.skippedRow, parts.config.maxSkips);
  parts.progress.note(
      fmt::format("step {}: the gradient is not finite (loss {}); step skipped",
                  state.step + 1, loss));
  return {};
}

Result<void> Trainer::step() {
  double start = parts.clock();
  const RunConfig &config = parts.config;
  StepNumbers numbers;
  numbers.lr =
      learningRate(config, schedulePosition(config, state.step, elapsed()));
  bool staged = ahead.step == state.step;
  std::swap(batch, ahead);
  if (!staged)
    BB_TRY(fetch(batch, state.step, state.cursor));
  BB_TRY(recordBatch(parts.plan.at(state.step).T));
  numbers.beta1 = config.beta1;
  numbers.beta2 = config.beta2;
  numbers.eps = config.eps;
  numbers.weightDecay = config.weightDecay;
  numbers.clip = config.clip;
  StepBatch fed = asStep(batch);
  fed.staged = staged;
  BB_ASSIGN(StepResult result,
            runStep(parts.engine, fed, numbers, state.step - state.skipped + 1,
                    [this] { return fetchNext(); }));
  double loss = result.loss;
  BB_TRY(guard(result.ok, loss));
  // A clock may stand still.
  double seconds = std::max(parts.clock() - start, 1e-9);
  ++state.step;
  state.cursor += parts.plan.bytesPerStep;
  state.seconds += seconds;
  state.evaluated = false;

  if (state.step % config.logEvery == 0 || state.step == config.steps)
    BB_TRY(parts.metrics.add(TrainLine{.step = state.step,
                                       .bytes = state.cursor,
                                       .loss = loss,
                                       .lr = numbers.lr,
                                       .gradNorm = result.gradNorm,
                                       .seconds = seconds,
                                       .stepBytes = parts.plan.bytesPerStep,
                                       .skipped = state.skipped}));
  double now = static_cast<double>(parts.plan.bytesPerStep) / seconds;
  speed = speed > 0 ? 0.95 * speed + 0.05 * now : now;
  double left = static_cast<double>(parts.plan.bytesPerStep) *
                (config.steps - state.step) / speed;
  parts.progress.advance("step", state.step, config.steps,
                         fmt::format("{:.4f} bits/byte  {}  {} left",
                                     loss / std::numbers::ln2,
                                     formatSpeed(speed), formatDuration(left)));
  return {};
}

bool Trainer::evaluationDue() const {
  return parts.plan.evaluates && !state.evaluated && state.step > 0 &&
         (state.step % parts.config.evalEvery == 0 ||
          state.step == parts.config.steps);
}

Result<bool> Trainer::evaluateNow() {
  EvalOptions options;
  options.split = parts.config.evalSplit;
  options.maxBytes = parts.config.evalBytes;
  options.stop = parts.stop;
  auto result = evaluate(parts.engine, parts.data, options);
  if (!result && result.error().kind == ErrorKind::Interrupted)
    return false;
  if (!result)
    return tl::unexpected(std::move(result.error()));
  BB_TRY(parts.metrics.add(EvalLine{.step = state.step,
                                    .split = options.split,
                                    .evalBytes = result->evalBytes,
                                    .bitsPerByte = result->bitsPerByte,
                                    .seconds = result->seconds}));
  parts.progress.note(fmt::format("step {}: {} {:.4f} bits/byte over {} bytes",
                                  state.step, options.split,
                                  result->bitsPerByte, result->evalBytes));
  state.evaluated = true;
  return true;
}

Result<void> Trainer::save() {
  BB_TRY(parts.metrics.flush());
  state.metricsBytes = parts.metrics.bytes();
  state.elapsed = elapsed();
  BB_TRY(saveCheckpoint(parts.engine, parts.run, state, parts.config.keep));
  savedStep = state.step;
  return {};
}

Result<TrainEnd> Trainer::run() {
  begin = parts.clock();
  elapsedBefore = state.elapsed;
  TrainEnd end = TrainEnd::finished;
  if (state.step > 0)
    savedStep = state.step; // it was resumed from there
  while (true) {
    // A run that was stopped before an evaluation that was due makes up for it.
    if (evaluationDue()) {
      BB_ASSIGN(bool done, evaluateNow());
      if (!done) {
        end = TrainEnd::stopped;
        break;
      }
    }
    int64_t every = parts.config.checkpointEvery;
    if (state.step != savedStep && state.step > 0 && every > 0 &&
        state.step % every == 0)
      BB_TRY(save());
    if (state.step >= parts.config.steps)
      break;
    if (stopped()) {
      end = TrainEnd::stopped;
      break;
    }
    if (parts.config.minutes > 0 && elapsed() >= parts.config.minutes * 60) {
      end = TrainEnd::timeOver;
      break;
    }
    BB_TRY(step());
  }
  if (state.step != savedStep)
    BB_TRY(save());
  return end;
}

} // namespace bitbyte
