//===- Hash.h - XXH3, one shot and streaming ------------------------------===//
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace bitbyte {

struct Hash128 {
  uint64_t low = 0, high = 0;
  bool operator==(const Hash128 &) const = default;
  /// 32 hex digits, the high half first.
  std::string hex() const;
};

uint64_t hash64(std::span<const std::byte> bytes);
Hash128 hash128(std::span<const std::byte> bytes);

/// hash128 of bytes that come in pieces.
class Hasher128 {
public:
  Hasher128();
  ~Hasher128();
  Hasher128(Hasher128 &&) noexcept;
  Hasher128 &operator=(Hasher128 &&) noexcept;

  void add(std::span<const std::byte> bytes);
  Hash128 digest() const;

private:
  struct State;
  std::unique_ptr<State> state;
};

} // namespace bitbyte
