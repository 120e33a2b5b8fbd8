//===- Metrics.h - RUN/metrics.jsonl --------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <string>

namespace bitbyte {

/// One step. `loss` is in nats per byte, `bytes` counts from the start of the
/// run, `skipped` counts skipped steps so far.
struct TrainLine {
  int64_t step = 0;
  uint64_t bytes = 0;
  double loss = 0, lr = 0, gradNorm = 0, seconds = 0;
  uint64_t stepBytes = 0;
  int64_t skipped = 0;
};
struct EvalLine {
  int64_t step = 0;
  std::string split;
  uint64_t evalBytes = 0;
  double bitsPerByte = 0, seconds = 0;
};

/// "0.125"; what is not finite is `null`.
std::string jsonNumber(double value);

/// Appends lines, each with one write, so that a reader sees whole lines.
class Metrics {
public:
  /// Cuts an existing file to `bytes` first (a resumed run). BadInput if it is
  /// shorter.
  static Result<Metrics> open(const std::string &path, uint64_t bytes);
  Metrics(Metrics &&other) noexcept;
  Metrics &operator=(Metrics &&) = delete;
  ~Metrics();

  Result<void> add(const TrainLine &line);
  Result<void> add(const EvalLine &line);
  /// Lines so far are on the disk when it returns.
  Result<void> flush();
  uint64_t bytes() const { return length; }

private:
  Metrics() = default;
  Result<void> append(const std::string &line);

  std::string path;
  int descriptor = -1;
  uint64_t length = 0;
};

} // namespace bitbyte
