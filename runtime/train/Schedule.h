//===- Schedule.h - The learning rate of each step ------------------------===//
#pragma once

#include "runtime/train/RunConfig.h"

namespace bitbyte {

/// The learning rate of step `step` (from 0), in double, with the same bits on
/// every machine. It rises linearly from lr / (warmup + 1) to lr over the first
/// `warmup` steps, then
///
///   cosine    falls along half a cosine to min_lr over `decay_steps`
///             (default: all the rest), and stays there;
///   wsd       stays at lr, and falls linearly to min_lr over the last
///             `decay_steps` steps ("warmup, stable, decay");
///   constant  stays at lr.
///
/// `config` must be resolved.
double learningRate(const RunConfig &config, int64_t step);

/// Where in its schedule a run stands that has done `step` steps in `seconds`:
/// `step`, or, in a run of limited minutes that will not get to its last step,
/// the share of `steps` that is the share of time spent. So the rate falls to
/// min_lr as the time runs out, whatever the machine's speed. From 0 to steps
/// - 1.
int64_t schedulePosition(const RunConfig &config, int64_t step, double seconds);

} // namespace bitbyte
