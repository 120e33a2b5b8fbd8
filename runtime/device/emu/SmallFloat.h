//===- SmallFloat.h - Floats of 8 and 16 bits -----------------------------===//
#pragma once

#include "runtime/core/Float16.h"

#include <cmath>
#include <limits>

namespace bitbyte::emu {

/// Rounds to float so that a second rounding, to 16 bits, is as good as one:
/// an inexact result gets an odd last bit.
inline float roundToOdd(double value) {
  float rounded = float(value);
  if (double(rounded) == value || !(value == value) || std::isinf(rounded))
    return rounded;
  uint32_t bits = std::bit_cast<uint32_t>(rounded);
  if (std::abs(double(rounded)) > std::abs(value))
    --bits;
  return std::bit_cast<float>(bits | 1);
}

inline float halfToFloat(uint32_t bits) {
  return float(std::bit_cast<_Float16>(uint16_t(bits)));
}
/// As the GPU's conversion: a NaN becomes 0x7fff.
inline uint32_t floatToHalf(float value) {
  uint32_t rounded = std::bit_cast<uint16_t>(_Float16(value));
  return value == value ? rounded : 0x7fff;
}
inline float brainToFloat(uint32_t bits) {
  return std::bit_cast<float>(bits << 16);
}
/// As the GPU's conversion: a NaN becomes 0x7fff.
inline uint32_t floatToBrain(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return value == value ? rounded : 0x7fff;
}

/// The value of an 8-bit float: e4m3 has no infinity and one NaN, e5m2 is like
/// IEEE.
inline float float8ToFloat(uint32_t bits, bool e5m2) {
  if (e5m2)
    return halfToFloat((bits & 255) << 8);
  uint32_t exponent = bits >> 3 & 15, mantissa = bits & 7;
  float sign = bits & 128 ? -1.f : 1.f;
  if (exponent == 15 && mantissa == 7)
    return std::numeric_limits<float>::quiet_NaN();
  return exponent ? sign * std::ldexp(float(8 + mantissa), int(exponent) - 10)
                  : sign * std::ldexp(float(mantissa), -9);
}

/// Rounds to nearest, ties to even; too large becomes the largest finite one.
inline uint32_t floatToFloat8(float value, bool e5m2) {
  uint32_t sign = std::signbit(value) ? 128 : 0;
  uint32_t top = e5m2 ? 0x7b : 0x7e;
  if (value != value)
    return 0x7f;
  float size = std::abs(value);
  if (size >= float8ToFloat(top, e5m2))
    return sign | top;
  uint32_t low = 0, high = top; // low's value <= size < high's
  while (high - low > 1) {
    uint32_t middle = (low + high) / 2;
    (float8ToFloat(middle, e5m2) <= size ? low : high) = middle;
  }
  double below = float8ToFloat(low, e5m2), above = float8ToFloat(high, e5m2);
  double half = (below + above) / 2;
  return sign | (size > half || (size == half && (low & 1)) ? high : low);
}

} // namespace bitbyte::emu
