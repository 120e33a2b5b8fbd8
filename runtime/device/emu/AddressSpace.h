//===- AddressSpace.h - The global memory that a launch may touch ---------===//
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
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

/// Who touched global memory in this launch: two different blocks that do, one
/// of them writing, race. Atomic accesses do not.
class GlobalShadow {
public:
  struct Word {
    uint64_t writer = 0; ///< Block + 1, 0: none.
    uint64_t reader = 0; ///< The same; ~0 for several.
    uint32_t writerLine = 0, readerLine = 0;
  };
  /// `granule`: bytes of a word, a power of two.
  explicit GlobalShadow(uint32_t granule) : granule(granule) {}
  Word &at(uint64_t address);
  void clear() { pages.clear(), lastPage = ~uint64_t(0); }

private:
  static constexpr uint64_t pageBytes = 16384;
  std::map<uint64_t, std::unique_ptr<Word[]>> pages;
  uint64_t granule;
  uint64_t lastPage = ~uint64_t(0);
  Word *lastWords = nullptr;
};

} // namespace bitbyte::emu
