//===- RunDirectory.h - The folder that holds one run ---------------------===//
//
//   RUN/config.toml  metrics.jsonl  report.html  checkpoints/  lock
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <map>
#include <string>
#include <vector>

namespace bitbyte {

/// Holds the run's lock (flock on RUN/lock) while it lives; the system frees it
/// when the process ends, however it ends.
class RunDirectory {
public:
  /// Makes the folder. Usage: it exists and is not empty and `resume` is not
  /// set, or another process is in it.
  static Result<RunDirectory> open(const std::string &path, bool resume);
  RunDirectory(RunDirectory &&other) noexcept;
  RunDirectory &operator=(RunDirectory &&) = delete;
  ~RunDirectory();

  const std::string &path() const { return folder; }
  std::string config() const { return folder + "/config.toml"; }
  std::string metrics() const { return folder + "/metrics.jsonl"; }
  std::string report() const { return folder + "/report.html"; }

private:
  RunDirectory() = default;

  std::string folder;
  int lock = -1;
};

/// The section [run] of config.toml: what a run was made with.
struct RunRecord {
  std::map<std::string, std::string> facts; ///< version, artifact, hashes, …
  std::vector<std::string> changes;         ///< By --allow-change.

  std::string toToml() const;
  /// Absent facts and changes are no error: a person may have written the file.
  static Result<RunRecord> read(const std::string &path);
};

} // namespace bitbyte
