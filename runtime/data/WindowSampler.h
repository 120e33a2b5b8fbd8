//===- WindowSampler.h - Training batches from a byte cursor --------------===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/data/Dataset.h"

#include <cstdint>
#include <span>
#include <string>

namespace bitbyte {

/// Cuts a split into windows of T bytes, shuffles them anew in each epoch, and
/// shifts the cut by a random amount below T, so that a byte is not always seen
/// at the same position. The whole state is one cursor: the bytes drawn so far
/// since step 0. It goes on counting when T changes (a sequence curriculum).
/// The data set is borrowed.
class WindowSampler {
public:
  /// BadInput if the split is shorter than one window and its next byte (T +
  /// 1).
  static Result<WindowSampler> create(const Dataset &data, std::string split,
                                      uint64_t seed, int64_t T);

  /// Fills `inputs` and `next`, both u8 [B, T] (B from their size): window b is
  /// the one at ordinal cursor / T + b. The caller adds B * T to the cursor.
  Result<void> batch(uint64_t cursor, std::span<uint8_t> inputs,
                     std::span<uint8_t> next) const;

  uint64_t windowsPerEpoch() const { return windows; }
  uint64_t epochOf(uint64_t cursor) const { return cursor / T / windows; }
  /// Where the window at this ordinal begins in the split.
  uint64_t offsetOf(uint64_t ordinal) const;

private:
  WindowSampler() = default;

  const Dataset *data = nullptr;
  std::string split;
  uint64_t seed = 0, T = 0, windows = 0;
  uint64_t slack = 0; ///< Shifts of the cut that fit: 0 to slack.
};

} // namespace bitbyte
