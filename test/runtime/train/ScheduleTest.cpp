#include "runtime/train/Schedule.h"

#include <cmath>
#include <gtest/gtest.h>

namespace bitbyte {
namespace {

RunConfig config(const std::string &schedule) {
  RunConfig config;
  config.schedule = schedule;
  config.steps = 1000;
  config.warmup = 100;
  config.lr = 6e-4;
  config.minLr = 6e-5;
  EXPECT_TRUE(config.resolve());
  return config;
}

TEST(Schedule, WarmupRisesLinearlyToTheFullRate) {
  for (const char *name : {"cosine", "wsd", "constant"}) {
    RunConfig c = config(name);
    EXPECT_NEAR(learningRate(c, 0), 6e-4 / 101, 1e-18);
    EXPECT_NEAR(learningRate(c, 49), 6e-4 * 50 / 101, 1e-18);
    EXPECT_EQ(learningRate(c, 100), 6e-4);
  }
}

TEST(Schedule, TimeMovesARunThatWouldNotGetToItsEnd) {
  RunConfig c = config("cosine");
  EXPECT_EQ(schedulePosition(c, 7, 1e9), 7) << "no limit";
  c.minutes = 2;
  EXPECT_EQ(schedulePosition(c, 7, 0), 7);
  EXPECT_EQ(schedulePosition(c, 7, 60), 500);
  EXPECT_EQ(schedulePosition(c, 700, 60), 700) << "faster than the limit";
  EXPECT_EQ(schedulePosition(c, 7, 120), 999);
  EXPECT_EQ(schedulePosition(c, 7, 1e9), 999);
}

TEST(Schedule, CosineFollowsItsFormula) {
  RunConfig c = config("cosine");
  EXPECT_EQ(c.decaySteps, 900);
  for (int step = 100; step < 1000; ++step) {
    double part = (step - 100) / 900.0;
    double want = 6e-5 + (6e-4 - 6e-5) * 0.5 * (1 + std::cos(M_PI * part));
    EXPECT_NEAR(learningRate(c, step), want, 1e-15 * want);
  }
  EXPECT_EQ(learningRate(c, 1000), 6e-5);
  EXPECT_EQ(learningRate(c, 5000), 6e-5);
}

TEST(Schedule, CosineMayEndBeforeTheRun) {
  RunConfig c = config("cosine");
  c.decaySteps = 500;
  EXPECT_NEAR(learningRate(c, 350), (6e-4 + 6e-5) / 2, 1e-15);
  EXPECT_EQ(learningRate(c, 600), 6e-5);
  EXPECT_EQ(learningRate(c, 999), 6e-5);
}

TEST(Schedule, WsdIsFlatThenFallsToTheLowestRateAtTheLastStep) {
  RunConfig c = config("wsd");
  EXPECT_EQ(c.decaySteps, 200);
  EXPECT_EQ(learningRate(c, 500), 6e-4);
  EXPECT_EQ(learningRate(c, 799), 6e-4);
  EXPECT_NEAR(learningRate(c, 899), (6e-4 + 6e-5) / 2, 1e-15);
  EXPECT_NEAR(learningRate(c, 999), 6e-5, 1e-18);
}

TEST(Schedule, ConstantStays) {
  RunConfig c = config("constant");
  EXPECT_EQ(learningRate(c, 999), 6e-4);
}

} // namespace
} // namespace bitbyte
