//===- DType.h - Element types of tensors outside the compiler ------------===//
#pragma once

#include <cstdint>
#include <string_view>

namespace bitbyte {

/// Values equal bitbyte.fb.DType of the artifact schema.
enum class DType : uint8_t { f32, bf16, f16, u8, i8, i32, i64, i1 };

constexpr int64_t byteWidth(DType type) {
  switch (type) {
  case DType::f32:
  case DType::i32:
    return 4;
  case DType::bf16:
  case DType::f16:
    return 2;
  case DType::i64:
    return 8;
  case DType::u8:
  case DType::i8:
  case DType::i1:
    return 1;
  }
  return 0;
}

constexpr std::string_view name(DType type) {
  constexpr std::string_view names[] = {"f32", "bf16", "f16", "u8",
                                        "i8",  "i32",  "i64", "i1"};
  return names[static_cast<int>(type)];
}

} // namespace bitbyte
