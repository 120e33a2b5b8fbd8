//===- AddressSpace.h - The global memory that a launch may touch ---------===//
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bitbyte::emu {

/// Ranges of this process's memory. What lies outside of all is out of bounds.
class AddressSpace {
public:
  struct Range {
    uint64_t begin = 0, end = 0;
    bool readOnly = false;
    uint32_t number = 0; ///< Its place in the order of `add`.
    bool holds(uint64_t address, uint64_t bytes) const {
      return address >= begin && address < end && bytes <= end - address;
    }
  };

  void add(const void *data, uint64_t bytes, bool readOnly = false);
  const std::vector<Range> &all() const { return ranges; }
  void clear() { ranges.clear(), last = 0; }

  /// The range that holds all these bytes, or null.
  const Range *find(uint64_t address, uint64_t bytes) const {
    if (last < ranges.size() && ranges[last].holds(address, bytes))
      return &ranges[last];
    return search(address, bytes);
  }
  /// The range nearest to an address; null if there is none.
  const Range *nearest(uint64_t address) const;

private:
  const Range *search(uint64_t address, uint64_t bytes) const;

  std::vector<Range> ranges;
  mutable size_t last = 0;
};

} // namespace bitbyte::emu
