#include "runtime/device/emu/TensorMap.h"

#include <cstring>

namespace bitbyte::emu {

static_assert(sizeof(TensorMap) <= 128);

Result<std::array<std::byte, 128>> encodeTensorMap(const TensorMap &map) {
  if (map.rank < 1 || map.rank > 5)
    return fail(ErrorKind::Usage, "a tensor map has 1 to 5 axes, not {}",
                map.rank);
  if (map.base % 16)
    return fail(ErrorKind::Usage,
                "a tensor map starts at a multiple of 16 bytes, not {:#x}",
                map.base);
  uint64_t row = uint64_t(map.box[0]) * map.elementBytes;
  for (uint32_t i = 0; i < map.rank; ++i) {
    if (map.sizes[i] < 1 || map.sizes[i] > uint64_t(1) << 32)
      return fail(ErrorKind::Usage, "axis {} of a tensor map has {} elements",
                  i, map.sizes[i]);
    if (map.box[i] < 1 || map.box[i] > 256)
      return fail(ErrorKind::Usage,
                  "a box takes 1 to 256 elements of axis {}, not {}", i,
                  map.box[i]);
    if (i && (map.strides[i] % 16 || map.strides[i] >= uint64_t(1) << 40))
      return fail(ErrorKind::Usage,
                  "the stride of axis {} is {} bytes, no multiple of 16 below "
                  "2^40",
                  i, map.strides[i]);
  }
  if (row % 16)
    return fail(ErrorKind::Usage,
                "a row of the box has {} bytes, no multiple of 16", row);
  if (map.swizzle && row > map.swizzle)
    return fail(ErrorKind::Usage,
                "a row of the box has {} bytes, more than the swizzle's {}",
                row, map.swizzle);
  std::array<std::byte, 128> bytes{};
  std::memcpy(bytes.data(), &map, sizeof(map));
  return bytes;
}

} // namespace bitbyte::emu
