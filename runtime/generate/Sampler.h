//===- Sampler.h - From logits to the next byte ---------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <span>

namespace bitbyte {

struct SamplerOptions {
  double temperature = 0.8; ///< 0: the likeliest byte.
  int64_t topK = 0;         ///< Only the K likeliest; 0: off.
  double topP = 1;          ///< Only the fewest that hold this probability.
  int64_t seed = 1;
};

/// Draws bytes. Byte number i of a seed takes its own random number, so a
/// sample does not depend on how it is cut into calls; sums and exponentials
/// are the same on every machine.
class Sampler {
public:
  /// Usage for a number out of range.
  static Result<Sampler> create(const SamplerOptions &options);

  /// `logits` [vocab]; ids above 255 are never drawn. Of equal logits the
  /// smaller id is the likelier one. Diverged if one is not finite.
  Result<uint8_t> draw(std::span<const float> logits, uint64_t index) const;

private:
  explicit Sampler(const SamplerOptions &options) : options(options) {}
  SamplerOptions options;
};

} // namespace bitbyte
