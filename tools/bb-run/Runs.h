//===- Runs.h - What --checkpoint and RUN name ----------------------------===//
#pragma once

#include "runtime/engine/Engine.h"

#include <string>

namespace bitbyte {

/// Weights of a run (its newest whole checkpoint; stderr tells what was
/// skipped), of a checkpoint, or of a file.
Result<void> loadCheckpointWeights(Engine &engine, const std::string &path);

/// The artifact that a run, or the run of a checkpoint, was trained with. Usage
/// if that cannot be told.
Result<std::string> artifactOfRun(const std::string &path);

} // namespace bitbyte
