#include "runtime/data/WindowOrder.h"

#include <gmock/gmock.h>
#include <numeric>
#include <vector>

using namespace bitbyte;
using testing::Each;

static std::vector<uint64_t> order(uint64_t seed, uint64_t epoch,
                                   uint64_t count) {
  WindowOrder windows(seed, epoch, count);
  std::vector<uint64_t> out(count);
  for (uint64_t i = 0; i < count; ++i)
    out[i] = windows(i);
  return out;
}

TEST(WindowOrder, IsAPermutationOfAnyCount) {
  for (uint64_t count : {1, 2, 3, 4, 5, 7, 16, 17, 255, 1000, 4097}) {
    std::vector<uint64_t> found = order(7, 3, count), all(count);
    std::iota(all.begin(), all.end(), 0);
    std::sort(found.begin(), found.end());
    EXPECT_EQ(found, all) << count;
  }
}

TEST(WindowOrder, DependsOnSeedAndEpochAlone) {
  EXPECT_EQ(order(1, 0, 1000), order(1, 0, 1000));
  EXPECT_NE(order(1, 0, 1000), order(1, 1, 1000));
  EXPECT_NE(order(1, 0, 1000), order(2, 0, 1000));
  // The high words take part too.
  EXPECT_NE(order(1, 0, 1000), order(1 + (uint64_t(1) << 32), 0, 1000));
}

TEST(WindowOrder, IsPinned) {
  // A change of these would make every resumed run draw other bytes.
  EXPECT_EQ(order(0, 0, 8), (std::vector<uint64_t>{4, 7, 2, 0, 6, 5, 1, 3}));
  EXPECT_EQ(WindowOrder(42, 5, 1'000'000'007)(123'456'789), 67482560u);
  EXPECT_EQ(epochOffset(42, 5, 1'000'000'007), 21163215u);
}

TEST(WindowOrder, LooksShuffled) {
  // Over many windows: the correlation of place and window is small, and few
  // windows stay beside their neighbours.
  constexpr uint64_t count = 20000;
  std::vector<uint64_t> windows = order(11, 0, count);
  double mean = (count - 1) / 2.0, covariance = 0, variance = 0;
  int neighbours = 0;
  for (uint64_t i = 0; i < count; ++i) {
    covariance += (i - mean) * (windows[i] - mean);
    variance += (i - mean) * (i - mean);
    neighbours += i > 0 && windows[i] == windows[i - 1] + 1;
  }
  EXPECT_LT(std::abs(covariance / variance), 0.03);
  EXPECT_LT(neighbours, 10);
}

TEST(WindowOrder, ReachesHugeCounts) {
  WindowOrder windows(1, 2, uint64_t(1) << 50);
  std::vector<uint64_t> few;
  for (uint64_t i = 0; i < 100; ++i)
    few.push_back(windows(i));
  EXPECT_THAT(few, Each(testing::Lt(uint64_t(1) << 50)));
  std::sort(few.begin(), few.end());
  EXPECT_EQ(std::unique(few.begin(), few.end()), few.end());
}
