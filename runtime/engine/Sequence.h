//===- Sequence.h - Programs in a row, as a device recorded them ----------===//
#pragma once

#include "runtime/engine/Engine.h"

namespace bitbyte {

/// Runs of programs with the same outputs wanted. What goes in and comes out
/// lies in host memory that the device reaches by itself, so that a replay
/// moves it along: a whole train step is one call of the device.
class Sequence {
public:
  explicit Sequence(std::span<const Run> runs);

  /// Whether these are the programs, and the outputs in their order.
  bool fits(std::span<const Run> runs) const;
  bool recorded() const { return recording != nullptr; }
  /// Addresses changed, so that the recording is void.
  void forget() { recording = nullptr; }

  /// How programs lie in memory, and how one's steps are started.
  struct Walk {
    std::function<std::byte *(const Buffer &)> at;
    std::function<Result<void>(const Program &)> steps;
  };
  Result<void> record(Device &device, const Walk &walk);
  /// Runs of `fits`, whose inputs are complete.
  Result<void> replay(Device &device, std::span<const Run> runs,
                      const std::function<Result<void>()> &meanwhile);

private:
  struct Part {
    const Program *program = nullptr;
    std::vector<const Tensor *> outputs; ///< That are wanted.
    /// Offsets into the host memory, in the order of inputs and outputs.
    std::vector<uint64_t> inputOffsets, outputOffsets;
  };
  Result<void> note(Device &device, const Walk &walk) const;

  std::vector<Part> parts;
  uint64_t hostBytes = 0;
  DeviceMemory host;
  std::shared_ptr<const Recording> recording;
};

} // namespace bitbyte
