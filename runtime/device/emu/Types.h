//===- Types.h - The types that PTX instructions name ---------------------===//
#pragma once

#include <cstdint>
#include <string_view>

namespace bitbyte::emu {

enum class Type : uint8_t {
  None,
  Pred,
  B8,
  U8,
  S8,
  B16,
  U16,
  S16,
  B32,
  U32,
  S32,
  B64,
  U64,
  S64,
  B128,
  F16,
  BF16,
  F16x2,
  BF16x2,
  TF32,
  F32,
  F64,
  F32x2,
  E4M3,
  E5M2,
  E4M3x2,
  E5M2x2,
  S4,
  U4,
  B4
};

struct TypeInfo {
  std::string_view name;
  Type type;
  uint16_t bits; ///< 1 for a predicate.
};

inline constexpr TypeInfo typeTable[] = {
    {"pred", Type::Pred, 1},      {"b8", Type::B8, 8},
    {"u8", Type::U8, 8},          {"s8", Type::S8, 8},
    {"b16", Type::B16, 16},       {"u16", Type::U16, 16},
    {"s16", Type::S16, 16},       {"b32", Type::B32, 32},
    {"u32", Type::U32, 32},       {"s32", Type::S32, 32},
    {"b64", Type::B64, 64},       {"u64", Type::U64, 64},
    {"s64", Type::S64, 64},       {"b128", Type::B128, 128},
    {"f16", Type::F16, 16},       {"bf16", Type::BF16, 16},
    {"f16x2", Type::F16x2, 32},   {"bf16x2", Type::BF16x2, 32},
    {"tf32", Type::TF32, 32},     {"f32", Type::F32, 32},
    {"f64", Type::F64, 64},       {"f32x2", Type::F32x2, 64},
    {"e4m3", Type::E4M3, 8},      {"e5m2", Type::E5M2, 8},
    {"e4m3x2", Type::E4M3x2, 16}, {"e5m2x2", Type::E5M2x2, 16},
    {"s4", Type::S4, 4},          {"u4", Type::U4, 4},
    {"b4", Type::B4, 4}};

constexpr Type typeNamed(std::string_view name) {
  for (const TypeInfo &info : typeTable)
    if (info.name == name)
      return info.type;
  return Type::None;
}
constexpr const TypeInfo &infoOf(Type type) {
  for (const TypeInfo &info : typeTable)
    if (info.type == type)
      return info;
  return typeTable[0];
}
constexpr unsigned bitsOf(Type type) { return infoOf(type).bits; }
constexpr bool isSigned(Type type) {
  return type == Type::S8 || type == Type::S16 || type == Type::S32 ||
         type == Type::S64 || type == Type::S4;
}
constexpr bool isInteger(Type type) {
  return (type >= Type::B8 && type <= Type::S64) || type >= Type::S4;
}

} // namespace bitbyte::emu
