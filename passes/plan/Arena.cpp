//===- Arena.cpp - Offsets for blocks that live for some of the steps -----===//
//
// Placing intervals in the least memory is NP-hard. Best fit in a good order
// comes within a few per cent nearly always, and which order is good depends on
// the program: so a handful is tried. If none reaches the bound, the block that
// sticks out most is given its choice earlier, again and again.
//
//===----------------------------------------------------------------------===//

#include "passes/plan/Arena.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

#include <limits>
#include <map>
#include <numeric>

using namespace llvm;
using namespace bitbyte::plan;

namespace {

/// Comparisons between blocks that all rounds together may take, about 0.1 s.
constexpr int64_t effort = 50'000'000;
constexpr int64_t mostRounds = 1000;
/// An arena this close to the bound is good enough to stop trying.
constexpr double closeEnough = 1.01;

class Layouter {
public:
  Layouter(ArrayRef<Block> blocks, int64_t alignment)
      : blocks(blocks.begin(), blocks.end()), offsets(blocks.size(), 0) {
    for (Block &block : this->blocks)
      block.bytes = alignTo(block.bytes, alignment);
  }

  ArenaLayout run() {
    best.live = lowerBound();
    best.bytes = std::numeric_limits<int64_t>::max();
    std::vector<size_t> bestOrder;
    for (auto key : {bySize, byArea, byDuration, byStart}) {
      std::vector<size_t> order = sorted(key);
      if (place(order))
        bestOrder = order;
    }
    improve(bestOrder);
    return best;
  }

private:
  using Key = int64_t (*)(const Block &);
  static int64_t duration(const Block &b) { return b.last - b.first + 1; }
  static int64_t bySize(const Block &b) { return b.bytes; }
  static int64_t byArea(const Block &b) { return b.bytes * duration(b); }
  static int64_t byDuration(const Block &b) { return duration(b); }
  static int64_t byStart(const Block &b) { return -b.first; }

  /// Block numbers by falling key; equal keys by size, then in order.
  std::vector<size_t> sorted(Key key) const {
    std::vector<size_t> order(blocks.size());
    std::iota(order.begin(), order.end(), 0);
    auto rank = [&](size_t i) {
      return std::tuple(-key(blocks[i]), -blocks[i].bytes, i);
    };
    sort(order, [&](size_t a, size_t b) { return rank(a) < rank(b); });
    return order;
  }

  int64_t lowerBound() const {
    std::map<int64_t, int64_t> change; // bytes that come and go, by step
    for (const Block &block : blocks) {
      change[block.first] += block.bytes;
      change[block.last + 1] -= block.bytes;
    }
    int64_t live = 0, most = 0;
    for (auto [step, bytes] : change)
      most = std::max(most, live += bytes);
    return most;
  }

  /// Places all blocks in this order; keeps the layout if it is the best so
  /// far.
  bool place(ArrayRef<size_t> order) {
    std::vector<size_t> placed; // by offset
    placed.reserve(order.size());
    int64_t bytes = 0;
    for (size_t number : order) {
      offsets[number] = bestFit(blocks[number], placed);
      bytes = std::max(bytes, offsets[number] + blocks[number].bytes);
      auto byOffset = [&](size_t a, size_t b) {
        return offsets[a] < offsets[b];
      };
      placed.insert(upper_bound(placed, number, byOffset), number);
    }
    spent += int64_t(order.size()) * int64_t(order.size()) / 2 + 1;
    if (bytes >= best.bytes)
      return false;
    best.bytes = bytes;
    best.offsets = offsets;
    return true;
  }

  /// The start of the smallest gap that holds the block, among the blocks that
  /// live when it does; the end of the last of them if there is none.
  int64_t bestFit(const Block &block, ArrayRef<size_t> placed) const {
    int64_t end = 0, gapStart = 0, gap = std::numeric_limits<int64_t>::max();
    for (size_t number : placed) {
      const Block &other = blocks[number];
      if (other.first > block.last || block.first > other.last ||
          other.bytes == 0)
        continue;
      int64_t room = offsets[number] - end;
      if (room >= block.bytes && room < gap) {
        gap = room;
        gapStart = end;
      }
      end = std::max(end, offsets[number] + other.bytes);
    }
    return gap == std::numeric_limits<int64_t>::max() ? end : gapStart;
  }

  bool good() const {
    return double(best.bytes) <= closeEnough * double(best.live);
  }

  /// Lets the block that ends last choose before those that were placed in the
  /// half of the order ahead of it, as long as there is effort left.
  void improve(std::vector<size_t> order) {
    for (int64_t round = 0; round < mostRounds && !good() && spent < effort;
         ++round) {
      auto top = max_element(order, [&](size_t a, size_t b) {
        return offsets[a] + blocks[a].bytes < offsets[b] + blocks[b].bytes;
      });
      if (top == order.begin())
        return;
      std::rotate(order.begin() + (top - order.begin()) / 2, top, top + 1);
      place(order);
    }
  }

  std::vector<Block> blocks;
  std::vector<int64_t> offsets; // of the round that runs
  ArenaLayout best;
  int64_t spent = 0;
};

} // namespace

ArenaLayout bitbyte::plan::layoutArena(ArrayRef<Block> blocks,
                                       int64_t alignment) {
  if (blocks.empty())
    return {};
  return Layouter(blocks, alignment).run();
}
