//===- Float16.h - The two 16-bit float formats, in bits ------------------===//
#pragma once

#include <bit>
#include <cstdint>

namespace bitbyte {

constexpr float bf16ToFloat(uint16_t bits) {
  return std::bit_cast<float>(uint32_t(bits) << 16);
}

/// Rounds to nearest, ties to even; a NaN stays one.
constexpr uint16_t floatToBf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return uint16_t((bits >> 16) | 0x40);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float f16ToFloat(uint16_t bits);

/// Rounds to nearest, ties to even; too large becomes infinity.
uint16_t floatToF16(float value);

} // namespace bitbyte
