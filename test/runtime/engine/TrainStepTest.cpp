#include "runtime/engine/TrainStep.h"
#include "test/runtime/engine/ToyEngine.h"

#include <cmath>

using namespace bitbyte;
using testing::HasSubstr;

namespace {

using TrainStepTest = test::ToyEngine;

const std::vector<uint8_t> bytes = {0, 0, 2, 3, 4, 5, 6, 7};
const std::vector<uint8_t> next = {64, 128, 3, 4, 5, 6, 7, 8};

} // namespace

TEST_F(TrainStepTest, AccumulatesAndUpdatesAsAdamW) {
  setState("w", std::vector<float>(256, 0.5f));
  double loss = 0;
  for (int micro = 0; micro < 2; ++micro) {
    auto share = runMicro(*engine, program("micro"), bytes, next, 2);
    ASSERT_TRUE(share) << share.error().message;
    loss += *share;
  }
  std::vector<double> gradient(256, 0);
  double expected = 0, square = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    double error = 0.5 - next[i] / 256.0;
    expected += error * error / 2 / 8;
    gradient[bytes[i]] += error / 8;
  }
  for (double g : gradient)
    square += g * g;
  EXPECT_NEAR(loss, expected, 1e-7);

  StepNumbers numbers;
  numbers.clip = 0;
  auto step = runUpdate(*engine, numbers, 1);
  ASSERT_TRUE(step) << step.error().message;
  EXPECT_TRUE(step->ok);
  EXPECT_NEAR(step->gradNorm, std::sqrt(square), 1e-6);
  // The first step of Adam goes by lr against the sign.
  EXPECT_NEAR(state("w", 256)[0], 0.5 - numbers.lr, 1e-6);
  EXPECT_EQ(state("w", 256)[100], 0.5f);
  EXPECT_THAT(state("gradient.w", 256), testing::Each(0.0f));
  EXPECT_NEAR(state("optimizer.m.w", 256)[0], 0.1 * gradient[0], 1e-7);
  EXPECT_NEAR(state("twice", 256)[0], 2 * (0.5 - numbers.lr), 1e-5); // prepared
  int32_t count = 0;
  ASSERT_TRUE(engine->readState("optimizer.step",
                                std::as_writable_bytes(std::span(&count, 1))));
  EXPECT_EQ(count, 1);
}

TEST_F(TrainStepTest, NumbersThatAreNotFiniteChangeNothing) {
  setState("w", std::vector<float>(256, 0.5f));
  std::vector<float> gradient(256, 0);
  gradient[7] = NAN;
  setState("gradient.w", gradient);
  auto step = runUpdate(*engine, {}, 1);
  ASSERT_TRUE(step);
  EXPECT_FALSE(step->ok);
  EXPECT_TRUE(std::isnan(step->gradNorm));
  EXPECT_THAT(state("w", 256), testing::Each(0.5f));
  EXPECT_THAT(state("gradient.w", 256), testing::Each(0.0f));
}

TEST_F(TrainStepTest, TheSameBitsWithAnyNumberOfThreads) {
  std::vector<std::vector<float>> results;
  for (int threads : {1, 2, 5}) {
    engine = make(threads);
    setState("w", std::vector<float>(256, 0.5f));
    for (int64_t step = 1; step <= 5; ++step) {
      ASSERT_TRUE(runMicro(*engine, program("micro"), bytes, next, 1));
      ASSERT_TRUE(runUpdate(*engine, {}, step));
    }
    results.push_back(state("w", 256));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST_F(TrainStepTest, DefaultsAreTheArtifacts) {
  auto numbers = StepNumbers::defaults(engine->artifact());
  ASSERT_TRUE(numbers);
  EXPECT_EQ(numbers->lr, 0.25);
  EXPECT_EQ(numbers->beta2, 0.95);
  EXPECT_EQ(numbers->find("nothing"), nullptr);

  fb::ArtifactT broken = test::toyArtifact();
  broken.defaults[0]->value = "0.1x";
  engine = make(1, broken);
  auto refused = StepNumbers::defaults(engine->artifact());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              HasSubstr("default '0.1x' of 'lr' is no number"));
}
