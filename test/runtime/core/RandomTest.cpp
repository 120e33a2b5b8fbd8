#include "runtime/core/Random.h"

#include <cmath>
#include <gtest/gtest.h>

namespace bitbyte {
namespace {

TEST(Random, IsTheSameOnEveryMachine) {
  RandomStream random(1, RandomUse::initialValues, 7);
  // Recorded once: a change here changes every model that is made from a seed.
  EXPECT_EQ(random.uniform(0), 0x1.dfd3a75db7c0fp-1);
  EXPECT_EQ(random.normal(0), 0x1.818fe43b76b25p+0);
  EXPECT_EQ(random.normal(1000003), -0x1.7cfe363541454p-1);
}

TEST(Random, SeedUseAndStreamMatter) {
  double base = RandomStream(1, RandomUse::initialValues, 7).uniform(3);
  EXPECT_NE(base, RandomStream(2, RandomUse::initialValues, 7).uniform(3));
  EXPECT_NE(base, RandomStream(1, RandomUse::sampling, 7).uniform(3));
  EXPECT_NE(base, RandomStream(1, RandomUse::initialValues, 8).uniform(3));
}

TEST(Random, NormalsHaveTheirMoments) {
  RandomStream random(3, RandomUse::sampling, 0);
  double sum = 0, squares = 0, fourth = 0, tail = 0;
  const int count = 200000;
  for (int block = 0; block < count / 4; ++block)
    for (double z : random.normals(block)) {
      sum += z;
      squares += z * z;
      fourth += z * z * z * z;
      tail += z > 1.959963985;
    }
  EXPECT_NEAR(sum / count, 0, 0.01);
  EXPECT_NEAR(squares / count, 1, 0.015);
  EXPECT_NEAR(fourth / count, 3, 0.1);
  EXPECT_NEAR(tail / count, 0.025, 0.002);
}

TEST(Random, ElementaryFunctionsAgreeWithTheLibrary) {
  RandomStream random(5, RandomUse::sampling, 0);
  for (int i = 0; i < 20000; ++i) {
    double u = random.uniform(i) + 0x1p-60;
    double wide = std::ldexp(u, i % 400 - 200);
    EXPECT_NEAR(exact::log(wide), std::log(wide),
                4.5e-16 * std::abs(std::log(wide)) + 1e-18);
    double x = (u - 0.5) * 400;
    EXPECT_NEAR(exact::exp(x) / std::exp(x), 1, 5e-16);
    double small = (u - 0.5) * std::pow(10, -(i % 12));
    EXPECT_NEAR(exact::expm1(small) / std::expm1(small), 1, 7e-16);
    auto [sin, cos] = exact::sinCosTurns(u - 0.5);
    EXPECT_NEAR(sin, std::sin((u - 0.5) * 2 * M_PI), 1e-15);
    EXPECT_NEAR(cos, std::cos((u - 0.5) * 2 * M_PI), 1e-15);
  }
  EXPECT_EQ(exact::log(1), 0);
  EXPECT_EQ(exact::exp(0), 1);
  EXPECT_EQ(exact::exp(-1000), 0);
  EXPECT_EQ(exact::sinCosTurns(0.5).cos, -1);
}

} // namespace
} // namespace bitbyte
