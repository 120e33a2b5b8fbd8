//===- Digits.cpp - Layout algebra of register tiles ----------------------===//
#include "dialects/tile/Digits.h"

#include <algorithm>

namespace bitbyte::tile {

int64_t Distribution::size(llvm::ArrayRef<Digit> level) {
  int64_t count = 1;
  for (const Digit &digit : level)
    count *= digit.extent;
  return count;
}

Coordinate Distribution::coordinate(llvm::ArrayRef<Digit> level,
                                    int64_t index) const {
  Coordinate result(rank, 0);
  for (const Digit &digit : level) {
    if (digit.axis >= 0)
      result[digit.axis] += index % digit.extent * digit.stride;
    index /= digit.extent;
  }
  return result;
}

int64_t Distribution::find(llvm::ArrayRef<int64_t> wanted) const {
  for (int64_t index = 0, count = registers(); index < count; ++index)
    if (llvm::ArrayRef<int64_t>(registerCoordinate(index)) == wanted)
      return index;
  return -1;
}

Distribution Distribution::drop(unsigned axis) const {
  auto dropFrom = [axis](llvm::ArrayRef<Digit> level, bool keepAsReplica) {
    llvm::SmallVector<Digit, 4> result;
    for (Digit digit : level) {
      if (digit.axis == axis) {
        if (!keepAsReplica)
          continue;
        digit = {digit.extent, -1, 0};
      }
      // Replicas side by side are one digit, so that equal layouts look equal.
      if (digit.axis < 0 && !result.empty() && result.back().axis < 0) {
        result.back().extent *= digit.extent;
        continue;
      }
      if (digit.axis > static_cast<int64_t>(axis))
        --digit.axis;
      result.push_back(digit);
    }
    return result;
  };
  return {dropFrom(reg, false), dropFrom(lane, true), dropFrom(warp, true),
          rank - 1};
}

bool Distribution::covers(llvm::ArrayRef<int64_t> shape) const {
  // The digits of an axis, sorted by stride, must each start where the finer
  // ones end: then every coordinate has one spelling.
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    llvm::SmallVector<Digit, 8> digits;
    for (llvm::ArrayRef<Digit> level :
         {llvm::ArrayRef<Digit>(reg), llvm::ArrayRef<Digit>(lane),
          llvm::ArrayRef<Digit>(warp)})
      for (const Digit &digit : level)
        if (digit.axis == static_cast<int64_t>(axis) && digit.extent > 1)
          digits.push_back(digit);
    std::sort(digits.begin(), digits.end(), [](const Digit &a, const Digit &b) {
      return a.stride < b.stride;
    });
    int64_t reached = 1;
    for (const Digit &digit : digits) {
      if (digit.stride != reached)
        return false;
      reached *= digit.extent;
    }
    if (reached != shape[axis])
      return false;
  }
  return true;
}

bool Distribution::lanesAreRowOf(unsigned axis) const {
  int64_t width = 1;
  for (const Digit &digit : lane) {
    if (digit.extent == 1)
      continue;
    if (digit.axis != axis || digit.stride != width)
      return false;
    width *= digit.extent;
  }
  return true;
}

bool Distribution::lanesAreReplicas() const {
  return std::all_of(lane.begin(), lane.end(), [](const Digit &digit) {
    return digit.axis < 0 || digit.extent == 1;
  });
}

llvm::SmallVector<Digit, 8> Distribution::bits(llvm::ArrayRef<Digit> level) {
  llvm::SmallVector<Digit, 8> result;
  for (const Digit &digit : level)
    for (int64_t step = 1; step < digit.extent; step *= 2)
      result.push_back(
          {2, digit.axis, digit.axis < 0 ? 0 : digit.stride * step});
  return result;
}

} // namespace bitbyte::tile
