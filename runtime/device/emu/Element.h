//===- Element.h - What tensor cores multiply -----------------------------===//
#pragma once

#include "runtime/device/emu/SmallFloat.h"
#include "runtime/device/emu/Types.h"

#include <optional>

namespace bitbyte::emu {

enum class ElementType : uint8_t {
  BF16,
  F16,
  TF32,
  E4M3,
  E5M2,
  S8,
  U8,
  S4,
  U4
};

inline std::optional<ElementType> elementTypeOf(Type type) {
  switch (type) {
  case Type::BF16:
    return ElementType::BF16;
  case Type::F16:
    return ElementType::F16;
  case Type::TF32:
    return ElementType::TF32;
  case Type::E4M3:
    return ElementType::E4M3;
  case Type::E5M2:
    return ElementType::E5M2;
  case Type::S8:
    return ElementType::S8;
  case Type::U8:
    return ElementType::U8;
  case Type::S4:
    return ElementType::S4;
  case Type::U4:
    return ElementType::U4;
  default:
    return std::nullopt;
  }
}

constexpr unsigned elementBits(ElementType type) {
  return type == ElementType::TF32  ? 32
         : type <= ElementType::F16 ? 16
         : type <= ElementType::U8  ? 8
                                    : 4;
}
constexpr bool isWhole(ElementType type) { return type >= ElementType::S8; }

/// Of tf32 the low 13 bits do not count.
inline float elementToFloat(ElementType type, uint32_t bits) {
  switch (type) {
  case ElementType::BF16:
    return brainToFloat(bits & 0xffff);
  case ElementType::F16:
    return halfToFloat(bits);
  case ElementType::TF32:
    return std::bit_cast<float>(bits & 0xffffe000);
  case ElementType::E4M3:
    return float8ToFloat(bits, false);
  case ElementType::E5M2:
    return float8ToFloat(bits, true);
  case ElementType::S8:
    return float(int8_t(bits));
  case ElementType::U8:
    return float(uint8_t(bits));
  case ElementType::S4:
    return float(int32_t(bits << 28) >> 28);
  default:
    return float(bits & 15);
  }
}

} // namespace bitbyte::emu
