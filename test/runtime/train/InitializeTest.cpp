#include "runtime/train/Initialize.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

namespace bitbyte {
namespace {

std::vector<float> values(Init init, std::vector<uint64_t> shape,
                          uint64_t seed = 1, std::string_view name = "w") {
  return initialValues(seed, name, shape, init);
}

TEST(Initialize, Constants) {
  EXPECT_EQ(values({InitKind::zeros}, {3}), std::vector<float>(3, 0));
  EXPECT_EQ(values({InitKind::ones}, {3}), std::vector<float>(3, 1));
  EXPECT_EQ(values({InitKind::constant, 0.25}, {3}),
            std::vector<float>(3, 0.25));
  EXPECT_EQ(values({InitKind::ones}, {}), std::vector<float>(1, 1));
}

TEST(Initialize, NormalHasItsDeviation) {
  auto w = values({InitKind::normal, 0.02}, {300, 301});
  double sum = 0, squares = 0;
  for (float x : w) {
    sum += x;
    squares += double(x) * x;
  }
  EXPECT_NEAR(sum / w.size(), 0, 0.02 * 0.012);
  EXPECT_NEAR(std::sqrt(squares / w.size()), 0.02, 0.02 * 0.01);
}

TEST(Initialize, ValuesDependOnSeedAndNameAlone) {
  Init init{InitKind::normal, 0.02};
  EXPECT_EQ(values(init, {64}), values(init, {64}));
  EXPECT_NE(values(init, {64}), values(init, {64}, 2));
  EXPECT_NE(values(init, {64}), values(init, {64}, 1, "v"));
  auto longer = values(init, {77});
  longer.resize(64);
  EXPECT_EQ(values(init, {64}), longer);
  // Recorded once: the same bits on every machine.
  EXPECT_EQ(values(init, {4})[3], 0x1.702f4ep-7f);
}

TEST(Initialize, KaimingTakesAllAxesButTheFirstAsFanIn) {
  auto w = values({InitKind::kaimingUniform, 1}, {50, 20, 5});
  auto [least, most] = std::ranges::minmax(w);
  EXPECT_GE(least, -0.1f);
  EXPECT_LE(most, 0.1f);
  EXPECT_LT(least, -0.099f);
  EXPECT_GT(most, 0.099f);
}

TEST(Initialize, UniformStaysInside) {
  auto [least, most] =
      std::ranges::minmax(values({InitKind::uniform, 2, 3}, {10000}));
  EXPECT_GE(least, 2.0f);
  EXPECT_LE(most, 3.0f);
  EXPECT_LT(least, 2.001f);
  EXPECT_GT(most, 2.999f);
}

TEST(Initialize, LogRangeCountsAlongTheLastAxis) {
  auto a = values({InitKind::logRange}, {2, 3});
  EXPECT_EQ(a[0], 0);
  EXPECT_EQ(a[3], 0);
  EXPECT_FLOAT_EQ(a[5], std::log(3.0f));
}

TEST(Initialize, SoftplusInverseIsUndoneBySoftplus) {
  auto bias = values({InitKind::softplusInverse, 1e-3, 0.1}, {5000});
  double logs = 0;
  for (float b : bias) {
    double dt = std::log1p(std::exp(double(b)));
    EXPECT_GE(dt, 1e-3 * 0.999);
    EXPECT_LE(dt, 0.1 * 1.001);
    logs += std::log10(dt);
  }
  EXPECT_NEAR(logs / bias.size(), -2, 0.03);
}

} // namespace
} // namespace bitbyte
