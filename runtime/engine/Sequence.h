//===- Sequence.h - Programs in a row, as a device recorded them ----------===//
#pragma once

#include "runtime/engine/Engine.h"

#include <array>
#include <set>

namespace bitbyte {

/// Runs of programs with the same outputs wanted. What goes in and comes out
/// lies in host memory that the device reaches by itself, so that a replay
/// moves it along: a whole train step is one call of the device. There are two
/// such places, taken in turn, each with a recording of its own: while the
/// device works with one, the inputs of the next replay go into the other.
class Sequence {
public:
  explicit Sequence(std::span<const Run> runs);

  /// Whether these are the programs, and the outputs in their order.
  bool fits(std::span<const Run> runs) const;
  /// Whether the next replay's place is.
  bool recorded() const { return places[turn].recording != nullptr; }
  /// Addresses changed, so that recordings are void.
  void forget() {
    for (Place &place : places)
      place.recording = nullptr;
  }

  /// How programs lie in memory, and how one's steps are started.
  struct Walk {
    std::function<std::byte *(const Buffer &)> at;
    std::function<Result<void>(const Program &)> steps;
  };
  Result<void> record(Device &device, const Walk &walk);
  /// Takes inputs of the next replay, of runs that fit, if its place is there.
  void stage(std::span<const Run> runs);
  /// Runs that fit, whose inputs are complete.
  Result<void> replay(Device &device, std::span<const Run> runs,
                      const std::function<Result<void>()> &meanwhile);

private:
  struct Part {
    const Program *program = nullptr;
    std::vector<const Tensor *> outputs; ///< That are wanted.
    /// Offsets into the host memory, in the order of inputs and outputs.
    std::vector<uint64_t> inputOffsets, outputOffsets;
  };
  struct Place {
    DeviceMemory host;
    std::shared_ptr<const Recording> recording;
    std::set<uint64_t> staged; ///< Offsets of inputs that are there.
  };
  Result<void> note(Device &device, const Walk &walk,
                    const DeviceMemory &host) const;

  std::vector<Part> parts;
  uint64_t hostBytes = 0; ///< Of a place.
  std::array<Place, 2> places;
  size_t turn = 0; ///< The place of the next replay.
};

} // namespace bitbyte
