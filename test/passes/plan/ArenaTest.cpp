//===- ArenaTest.cpp - Blocks that live together lie apart ----------------===//

#include "passes/plan/Arena.h"

#include <gmock/gmock.h>
#include <random>

using namespace bitbyte::plan;

namespace {

/// Looks at every pair: obviously right, and shares nothing with the layouter.
void expectValid(llvm::ArrayRef<Block> blocks, const ArenaLayout &layout) {
  ASSERT_EQ(layout.offsets.size(), blocks.size());
  for (size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(layout.offsets[i] % 64, 0);
    EXPECT_GE(layout.offsets[i], 0);
    EXPECT_LE(layout.offsets[i] + blocks[i].bytes, layout.bytes);
    for (size_t j = 0; j < i; ++j) {
      bool together = blocks[i].first <= blocks[j].last &&
                      blocks[j].first <= blocks[i].last;
      bool apart = layout.offsets[i] + blocks[i].bytes <= layout.offsets[j] ||
                   layout.offsets[j] + blocks[j].bytes <= layout.offsets[i];
      EXPECT_TRUE(!together || apart) << i << " and " << j;
    }
  }
}

/// The backward pass of `layers` layers reads what the forward pass stored,
/// last first, beside short-lived temporaries.
std::vector<Block> trainingStep(int64_t layers) {
  std::vector<Block> blocks;
  for (int64_t i = 0; i < layers; ++i) {
    int64_t forward = 3 * i, backward = 6 * layers - 3 * i;
    blocks.push_back({4096, forward, backward});
    blocks.push_back({11264, forward + 1, backward - 1});
    blocks.push_back({1000, forward + 1, forward + 2});
    blocks.push_back({11264, backward - 1, backward});
    blocks.push_back({4096, backward, backward + 3});
  }
  return blocks;
}

TEST(Arena, NoBlocksTakeNoBytes) {
  ArenaLayout layout = layoutArena({}, 64);
  EXPECT_EQ(layout.bytes, 0);
  EXPECT_EQ(layout.live, 0);
}

TEST(Arena, BlocksThatFollowEachOtherShareBytes) {
  std::vector<Block> blocks = {{100, 0, 1}, {100, 2, 3}, {128, 4, 5}};
  ArenaLayout layout = layoutArena(blocks, 64);
  expectValid(blocks, layout);
  EXPECT_EQ(layout.bytes, 128);
  EXPECT_EQ(layout.live, 128);
}

TEST(Arena, TheStepThatEndsOneLifeAndBeginsAnotherNeedsBoth) {
  std::vector<Block> blocks = {{64, 0, 1}, {64, 1, 2}};
  ArenaLayout layout = layoutArena(blocks, 64);
  expectValid(blocks, layout);
  EXPECT_EQ(layout.bytes, 128);
}

TEST(Arena, TrainingStepIsWithinFivePercentOfTheBound) {
  for (int64_t layers : {1, 2, 6, 24, 48}) {
    std::vector<Block> blocks = trainingStep(layers);
    ArenaLayout layout = layoutArena(blocks, 64);
    expectValid(blocks, layout);
    EXPECT_LE(layout.bytes, 1.05 * layout.live) << layers << " layers";
  }
}

TEST(Arena, RandomProgramsAreValidAndTheSameEachTime) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<Block> blocks(random() % 60 + 1);
    for (Block &block : blocks) {
      block.bytes = random() % 5000;
      block.first = random() % 100;
      block.last = block.first + random() % 20;
    }
    ArenaLayout layout = layoutArena(blocks, 64);
    expectValid(blocks, layout);
    EXPECT_GE(layout.bytes, layout.live);
    EXPECT_LE(layout.bytes, 1.4 * layout.live);
    EXPECT_EQ(layoutArena(blocks, 64).offsets, layout.offsets);
  }
}

} // namespace
