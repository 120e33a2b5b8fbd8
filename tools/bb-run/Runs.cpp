#include "tools/bb-run/Runs.h"

#include "runtime/engine/Weights.h"
#include "runtime/train/Checkpoint.h"
#include "runtime/train/RunDirectory.h"

#include <filesystem>

namespace bitbyte {

namespace fs = std::filesystem;

Result<void> loadCheckpointWeights(Engine &engine, const std::string &path) {
  BB_ASSIGN(WeightsSource source, findWeights(path));
  for (const std::string &reason : source.skipped)
    fmt::print(stderr, "bb-run: skipping a checkpoint: {}\n", reason);
  BB_TRY(loadWeights(engine, source.file));
  return {};
}

Result<std::string> artifactOfRun(const std::string &path) {
  // RUN, or RUN/checkpoints/step-N
  std::error_code error;
  for (fs::path folder : {fs::path(path), fs::path(path) / ".." / ".."}) {
    std::string config = (folder / "config.toml").lexically_normal();
    if (!fs::exists(config, error))
      continue;
    BB_ASSIGN(RunRecord record, RunRecord::read(config));
    const std::string &artifact = record.facts["artifact"];
    if (!artifact.empty() && fs::exists(artifact, error))
      return artifact;
    return fail(ErrorKind::Usage,
                "{}: was trained with '{}', which is not there; give "
                "--artifact",
                path, artifact);
  }
  return fail(ErrorKind::Usage,
              "{}: is no run, so that its artifact is not known; give "
              "--artifact",
              path);
}

} // namespace bitbyte
