//===- WindowOrder.h - A shuffle that needs no memory ---------------------===//
#pragma once

#include <cstdint>

namespace bitbyte {

/// A keyed permutation of [0, count), different for each (seed, epoch): a
/// Feistel network whose round function is Philox, on the smallest square power
/// of two that holds `count`; an image outside the range is sent through again
/// (cycle walking; fewer than four rounds on average). Any position can be
/// asked for at any time, so a position in the data is one integer.
class WindowOrder {
public:
  WindowOrder(uint64_t seed, uint64_t epoch, uint64_t count);

  /// The window at `position`, both in [0, count).
  uint64_t operator()(uint64_t position) const;

  uint64_t count() const { return size; }

private:
  uint64_t permute(uint64_t value) const;

  uint64_t seed, epoch, size;
  unsigned halfBits;
};

/// A number in [0, limit) that depends on (seed, epoch) only.
uint64_t epochOffset(uint64_t seed, uint64_t epoch, uint64_t limit);

} // namespace bitbyte
