//===- Generator.h - A model that is fed bytes, one after another ---------===//
#pragma once

#include "runtime/engine/Engine.h"
#include "runtime/generate/Sampler.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bitbyte {

/// Feeds bytes to a model and knows the logits of the next one.
class ByteModel {
public:
  /// With `cache`: prompts through `prefill`, single bytes through `after.1`.
  /// Without: all bytes so far through `logits` (that with the fewest rows),
  /// the rest of it zero. BadInput if the artifact lacks these programs.
  static Result<std::unique_ptr<ByteModel>> create(Engine &engine, bool cache);
  virtual ~ByteModel() = default;

  /// How many bytes it can be fed: the context, or with a cache no end of them
  /// if the model never asks for its position.
  virtual uint64_t capacity() const = 0;
  /// How many it was fed.
  virtual uint64_t position() const = 0;
  /// Usage if they do not fit.
  virtual Result<void> feed(std::span<const uint8_t> bytes) = 0;
  /// [vocab], after the last byte fed.
  virtual std::span<const float> logits() const = 0;
};

struct GenerateOptions {
  SamplerOptions sampler = {};
  uint64_t bytes = 256;
  bool cache = true;
};

enum class GenerateEnd {
  finished,
  contextFull, ///< The model can be fed no more.
  closed       ///< `emit` said so.
};

/// Feeds the prompt (an empty one stands for a newline), then draws bytes and
/// passes each to `emit`, until that returns false. Usage: the prompt does not
/// fit the context. Diverged: a logit that is not finite, with the position.
Result<GenerateEnd> generate(Engine &engine, std::string_view prompt,
                             const GenerateOptions &options,
                             const std::function<bool(uint8_t)> &emit);

} // namespace bitbyte
