//===- TensorMap.h - How a tensor copy walks global memory ----------------===//
#pragma once

#include "runtime/core/Error.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace bitbyte::emu {

/// The emulator's own reading of the 128 opaque bytes that a tensor copy takes.
/// A driver writes others: kernels only pass them on.
struct TensorMap {
  static constexpr uint32_t mark = 0x50414d42; ///< "BMAP"
  uint32_t magic = mark;
  uint8_t rank = 0;         ///< 1 to 5; axis 0 is the contiguous one.
  uint8_t elementBytes = 0; ///< 1, 2, 4 or 8.
  uint8_t swizzle = 0;      ///< 0, 32, 64 or 128 bytes.
  uint8_t reserved = 0;
  uint64_t base = 0;        ///< A multiple of 16.
  uint64_t sizes[5] = {};   ///< In elements.
  uint64_t strides[5] = {}; ///< In bytes; of axis 0 not used.
  uint16_t box[5] = {};     ///< Elements that one copy takes.
};

/// Usage, saying what is wrong, if no device could make such a map.
Result<std::array<std::byte, 128>> encodeTensorMap(const TensorMap &map);

/// Where the byte at `address` of shared memory lies, 16-byte pieces of rows
/// being exchanged within 1024, 512 or 256 bytes.
constexpr uint32_t swizzled(uint32_t address, uint32_t swizzle) {
  uint32_t mask = swizzle == 128 ? 0x70 : swizzle == 64 ? 0x30 : 0x10;
  return swizzle ? address ^ (address >> 3 & mask) : address;
}

} // namespace bitbyte::emu
