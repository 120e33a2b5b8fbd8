//===- DigitsTest.cpp - The layout algebra --------------------------------===//
#include "dialects/tile/Digits.h"

#include <gmock/gmock.h>

using namespace bitbyte::tile;
using testing::ElementsAre;

namespace {

// The micro-tile of AVX2: 6 rows of 16 columns, two registers per row.
Distribution microTile() {
  return {{{2, 1, 8}, {6, 0, 1}}, {{8, 1, 1}}, {}, 2};
}

TEST(Digits, CountsThroughRegistersInnermostFirst) {
  Distribution tile = microTile();
  EXPECT_EQ(tile.registers(), 12);
  EXPECT_EQ(tile.lanes(), 8);
  EXPECT_EQ(tile.warps(), 1);
  EXPECT_THAT(tile.registerCoordinate(1), ElementsAre(0, 8));
  EXPECT_THAT(tile.registerCoordinate(2), ElementsAre(1, 0));
  EXPECT_THAT(tile.laneCoordinate(5), ElementsAre(0, 5));
}

TEST(Digits, FindsTheRegisterOfACoordinate) {
  Distribution tile = microTile();
  for (int64_t index = 0; index < tile.registers(); ++index)
    EXPECT_EQ(tile.find(tile.registerCoordinate(index)), index);
  EXPECT_EQ(tile.find({6, 0}), -1);
}

TEST(Digits, DroppingAnAxisMakesReplicasOfItsLanes) {
  Distribution columns = microTile().drop(0);
  EXPECT_EQ(columns.rank, 1u);
  EXPECT_THAT(columns.reg, ElementsAre(Digit{2, 0, 8}));
  EXPECT_THAT(columns.lane, ElementsAre(Digit{8, 0, 1}));

  Distribution rows = microTile().drop(1);
  EXPECT_THAT(rows.reg, ElementsAre(Digit{6, 0, 1}));
  EXPECT_THAT(rows.lane, ElementsAre(Digit{8, -1, 0}));
  EXPECT_TRUE(rows.lanesAreReplicas());
  EXPECT_FALSE(columns.lanesAreReplicas());
}

TEST(Digits, CoversOnlyWhenEveryElementHasOnePlace) {
  EXPECT_TRUE(microTile().covers({6, 16}));
  EXPECT_FALSE(microTile().covers({12, 8}));
  // Twice stride 1 owns elements 0 and 1 twice, and 3 never.
  Distribution doubled{{{2, 0, 1}}, {{2, 0, 1}}, {}, 1};
  EXPECT_FALSE(doubled.covers({4}));
}

TEST(Digits, KnowsRowsOfLanes) {
  EXPECT_TRUE(microTile().lanesAreRowOf(1));
  EXPECT_FALSE(microTile().lanesAreRowOf(0));
  Distribution fragment{{{2, 1, 1}}, {{4, 1, 2}, {8, 0, 1}}, {}, 2};
  EXPECT_FALSE(fragment.lanesAreRowOf(1));
}

TEST(Digits, SplitsALevelIntoBits) {
  EXPECT_THAT(Distribution::bits({{4, 1, 2}, {2, -1, 0}}),
              ElementsAre(Digit{2, 1, 2}, Digit{2, 1, 4}, Digit{2, -1, 0}));
}

} // namespace
