#include "runtime/generate/Sampler.h"

#include <array>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace bitbyte {
namespace {

Sampler sampler(SamplerOptions options) {
  auto result = Sampler::create(options);
  EXPECT_TRUE(result);
  return *result;
}

std::vector<double> shares(const SamplerOptions &options,
                           const std::vector<float> &logits, int draws) {
  Sampler from = sampler(options);
  std::vector<double> counts(256);
  for (int i = 0; i < draws; ++i)
    counts[*from.draw(logits, i)] += 1.0 / draws;
  return counts;
}

TEST(Sampler, DrawsWithTheProbabilitiesOfTheSoftmax) {
  std::vector<float> logits = {0.5f, -1, 2, 0};
  for (double temperature : {0.5, 1.0, 2.0}) {
    double sum = 0, chi2 = 0;
    std::array<double, 4> p;
    for (int i = 0; i < 4; ++i)
      sum += p[i] = std::exp(logits[i] / temperature);
    const int draws = 40000;
    auto got = shares({.temperature = temperature}, logits, draws);
    for (int i = 0; i < 4; ++i) {
      double want = p[i] / sum;
      chi2 += draws * (got[i] - want) * (got[i] - want) / want;
    }
    EXPECT_LT(chi2, 16.3) << temperature; // 3 degrees of freedom, p = 0.001
  }
}

TEST(Sampler, TopKKeepsTheLikeliest) {
  auto got = shares({.temperature = 1, .topK = 2}, {0, 1, 2, 1.5f}, 5000);
  EXPECT_EQ(got[0] + got[1], 0);
  EXPECT_NEAR(got[2], 1 / (1 + std::exp(-0.5)), 0.03);
}

TEST(Sampler, TopPKeepsTheFewestThatHoldIt) {
  std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  auto half = shares({.temperature = 1, .topP = 0.45}, logits, 2000);
  EXPECT_NEAR(half[0], 1, 1e-9);
  auto two = shares({.temperature = 1, .topP = 0.75}, logits, 5000);
  EXPECT_EQ(two[2], 0);
  EXPECT_NEAR(two[0], 0.625, 0.03);
}

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  Sampler greedy = sampler({.temperature = 0});
  EXPECT_EQ(*greedy.draw(std::vector<float>{1, 3, 3, 2}, 0), 1);
}

TEST(Sampler, SeedAndIndexDecide) {
  std::vector<float> flat(256);
  Sampler a = sampler({.temperature = 1, .seed = 1}),
          b = sampler({.temperature = 1, .seed = 2});
  int same = 0;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(*a.draw(flat, i), *a.draw(flat, i));
    same += *a.draw(flat, i) == *b.draw(flat, i);
  }
  EXPECT_LT(same, 10);
}

TEST(Sampler, NeverDrawsIdsThatAreNoBytes) {
  std::vector<float> logits(384, 0);
  logits[300] = 100;
  logits[7] = 50;
  EXPECT_EQ(*sampler({.temperature = 0.1}).draw(logits, 0), 7);
}

TEST(Sampler, RefusesWhatIsNotFinite) {
  auto bad = sampler({}).draw(
      std::vector<float>{0, std::numeric_limits<float>::quiet_NaN()}, 0);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind, ErrorKind::Diverged);
  EXPECT_THAT(bad.error().message, testing::HasSubstr("byte 1"));
  EXPECT_FALSE(Sampler::create({.temperature = -1}));
  EXPECT_FALSE(Sampler::create({.topK = -1}));
  EXPECT_FALSE(Sampler::create({.topP = 0}));
  EXPECT_FALSE(Sampler::create({.topP = 1.5}));
}

} // namespace
} // namespace bitbyte
