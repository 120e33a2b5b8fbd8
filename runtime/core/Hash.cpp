#define XXH_INLINE_ALL
#include "runtime/core/Hash.h"

#include <fmt/format.h>
#include <xxhash.h>

namespace bitbyte {

std::string Hash128::hex() const {
  return fmt::format("{:016x}{:016x}", high, low);
}

uint64_t hash64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Hash128 hash128(std::span<const std::byte> bytes) {
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

struct Hasher128::State {
  XXH3_state_t state;
};

Hasher128::Hasher128() : state(std::make_unique<State>()) {
  XXH3_128bits_reset(&state->state);
}
Hasher128::~Hasher128() = default;
Hasher128::Hasher128(Hasher128 &&) noexcept = default;
Hasher128 &Hasher128::operator=(Hasher128 &&) noexcept = default;

void Hasher128::add(std::span<const std::byte> bytes) {
  XXH3_128bits_update(&state->state, bytes.data(), bytes.size());
}

Hash128 Hasher128::digest() const {
  XXH128_hash_t hash = XXH3_128bits_digest(&state->state);
  return {hash.low64, hash.high64};
}

} // namespace bitbyte
