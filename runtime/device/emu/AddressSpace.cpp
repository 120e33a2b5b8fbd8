#include "runtime/device/emu/AddressSpace.h"

namespace bitbyte::emu {

void AddressSpace::add(const void *data, uint64_t bytes, bool readOnly) {
  uint64_t begin = reinterpret_cast<uint64_t>(data);
  if (bytes)
    ranges.push_back({begin, begin + bytes, readOnly, uint32_t(ranges.size())});
}

const AddressSpace::Range *AddressSpace::search(uint64_t address,
                                                uint64_t bytes) const {
  const Range *found = nullptr;
  for (size_t i = 0; i < ranges.size(); ++i)
    if (ranges[i].holds(address, bytes)) {
      // A buffer may be given twice, once for reading only.
      if (found && ranges[i].readOnly)
        continue;
      found = &ranges[i];
      last = i;
    }
  return found;
}

const AddressSpace::Range *AddressSpace::nearest(uint64_t address) const {
  const Range *found = nullptr;
  uint64_t least = ~uint64_t(0);
  for (const Range &range : ranges) {
    uint64_t distance = address < range.begin  ? range.begin - address
                        : address >= range.end ? address - range.end
                                               : 0;
    if (distance < least) {
      least = distance;
      found = &range;
    }
  }
  return found;
}

} // namespace bitbyte::emu
