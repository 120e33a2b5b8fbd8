#include "runtime/data/WindowOrder.h"

#include <Random123/philox.h>

namespace bitbyte {

/// Counter word 0 of what is not a Feistel round.
static constexpr uint32_t offsetStream = 0xffffffff;
static constexpr uint32_t rounds = 6;

static uint64_t random(uint64_t seed, uint64_t epoch, uint32_t stream,
                       uint32_t value) {
  r123::Philox4x32 philox;
  r123::Philox4x32::ctr_type counter = {{stream, value,
                                         static_cast<uint32_t>(epoch),
                                         static_cast<uint32_t>(epoch >> 32)}};
  r123::Philox4x32::key_type key = {
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}};
  auto words = philox(counter, key);
  return uint64_t(words[1]) << 32 | words[0];
}

WindowOrder::WindowOrder(uint64_t seed, uint64_t epoch, uint64_t count)
    : seed(seed), epoch(epoch), size(count), halfBits(1) {
  while (halfBits < 32 && (uint64_t(1) << (2 * halfBits)) < count)
    ++halfBits;
}

uint64_t WindowOrder::permute(uint64_t value) const {
  uint64_t mask = (uint64_t(1) << halfBits) - 1;
  uint64_t left = value >> halfBits, right = value & mask;
  for (uint32_t round = 0; round < rounds; ++round) {
    uint64_t mixed = random(seed, epoch, round, static_cast<uint32_t>(right));
    uint64_t next = left ^ (mixed & mask);
    left = right;
    right = next;
  }
  return left << halfBits | right;
}

uint64_t WindowOrder::operator()(uint64_t position) const {
  // A permutation's cycle returns to its start, which is inside the range.
  do
    position = permute(position);
  while (position >= size);
  return position;
}

uint64_t epochOffset(uint64_t seed, uint64_t epoch, uint64_t limit) {
  uint64_t number = random(seed, epoch, offsetStream, 0);
  // The bias of a 64-bit remainder is below limit / 2^64.
  return limit ? number % limit : 0;
}

} // namespace bitbyte
