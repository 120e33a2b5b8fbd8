#include "runtime/train/Evaluate.h"
#include "test/runtime/FakeEngine.h"
#include "test/runtime/TestData.h"
#include "test/runtime/core/TemporaryFolder.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <numbers>

namespace bitbyte::test {
namespace {

using testing::HasSubstr;

class Evaluation : public testing::Test {
protected:
  EvalResult run(FakeEngine &engine, const EvalOptions &options) {
    auto result = evaluate(engine, *data, options);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return result ? *result : EvalResult();
  }
  Error errorOf(FakeEngine &engine, const EvalOptions &options) {
    auto result = evaluate(engine, *data, options);
    EXPECT_FALSE(result);
    return result ? Error() : result.error();
  }
  void write(const std::string &val) {
    data.emplace(makeDataset(folder / "data", patternedBytes(100, 16), val));
  }
  /// A model with different probabilities everywhere.
  static void fill(FakeEngine &engine) {
    for (size_t i = 0; i < engine.table.size(); ++i)
      engine.table[i] = std::sin(static_cast<float>(i));
  }
  /// What the rules say, position by position.
  static double expected(FakeEngine &engine, const std::string &text,
                         int64_t window, int64_t stride) {
    double nats = 0;
    for (int64_t i = 1; i < std::ssize(text); ++i) {
      int64_t start = 0; // the first window that reaches byte i
      while (start + window < i)
        start += stride;
      std::vector<double> z;
      double sum = 0;
      for (int64_t v = 0; v < 16; ++v) {
        z.push_back(
            engine.table[text[i - 1] * 16 + v] +
            (i - 1 > start ? 0.5f * engine.table[text[i - 2] * 16 + v] : 0));
        sum += std::exp(z.back());
      }
      nats += std::log(sum) - z[text[i]];
    }
    return (8 + nats / std::numbers::ln2) / double(text.size());
  }

  TemporaryFolder folder;
  std::optional<Dataset> data;
};

TEST_F(Evaluation, AUniformModelGivesEightBitsForEveryCut) {
  for (uint64_t size : {1, 2, 8, 9, 17, 100}) {
    TemporaryFolder own;
    Dataset set = makeDataset(own / "data", "x", patternedBytes(size, 256));
    FakeEngine engine({.vocab = 256, .shapes = {{2, 8}, {3, 5}}});
    for (int64_t window : {0, 3, 5, 8})
      for (int64_t stride : {0, 1, 2}) {
        auto result =
            evaluate(engine, set, {.window = window, .stride = stride});
        ASSERT_TRUE(result) << result.error().message;
        EXPECT_NEAR(result->bitsPerByte, 8, 1e-6);
        EXPECT_EQ(result->evalBytes, size);
      }
  }
}

TEST_F(Evaluation, CountsEveryByteOnceWithTheContextOfItsWindow) {
  for (size_t size : {2, 9, 16, 17, 33, 50}) {
    TemporaryFolder own;
    std::string text = patternedBytes(size, 16);
    Dataset set = makeDataset(own / "data", "x", text);
    FakeEngine engine;
    fill(engine);
    for (auto [window, stride] :
         {std::pair{8, 8}, {8, 3}, {8, 1}, {5, 5}, {5, 2}, {1, 1}}) {
      auto result = evaluate(engine, set, {.window = window, .stride = stride});
      ASSERT_TRUE(result) << result.error().message;
      EXPECT_NEAR(result->bitsPerByte, expected(engine, text, window, stride),
                  1e-6)
          << size << " " << window << " " << stride;
    }
  }
}

TEST_F(Evaluation, TheBatchSizeChangesNothing) {
  write(patternedBytes(101, 16));
  FakeEngine one({.shapes = {{1, 8}}}), many({.shapes = {{5, 8}}});
  fill(one);
  fill(many);
  EXPECT_EQ(run(one, {}).bitsPerByte, run(many, {}).bitsPerByte);
}

TEST_F(Evaluation, MaxBytesTakesTheFirstBytes) {
  std::string text = patternedBytes(90, 16);
  write(text);
  FakeEngine engine;
  fill(engine);
  EvalResult result = run(engine, {.maxBytes = 37});
  EXPECT_EQ(result.evalBytes, 37u);
  EXPECT_NEAR(result.bitsPerByte, expected(engine, text.substr(0, 37), 8, 8),
              1e-6);
  EXPECT_EQ(run(engine, {.maxBytes = 1000}).evalBytes, 90u);
}

TEST_F(Evaluation, TakesTheSmallestProgramThatHoldsTheWindow) {
  write(patternedBytes(40, 16));
  FakeEngine engine({.shapes = {{2, 8}, {1, 16}, {4, 4}}});
  run(engine, {});
  EXPECT_EQ(engine.log.back(), "score");
  run(engine, {.window = 3});
  EXPECT_EQ(engine.log.back(), "score.B4T4");
  run(engine, {.window = 9});
  EXPECT_EQ(engine.log.back(), "score.B1T16");
  EXPECT_THAT(errorOf(engine, {.window = 17}).message,
              HasSubstr("no score program for windows of 17 bytes"));
}

TEST_F(Evaluation, RefusesWhatItCannotCount) {
  write("");
  FakeEngine engine;
  Error error = errorOf(engine, {});
  EXPECT_EQ(error.kind, ErrorKind::BadInput);
  EXPECT_THAT(error.message, HasSubstr("split 'val' is empty"));
  write(patternedBytes(40, 16));
  EXPECT_EQ(errorOf(engine, {.window = 8, .stride = 9}).kind, ErrorKind::Usage);
  EXPECT_EQ(errorOf(engine, {.stride = -1}).kind, ErrorKind::Usage);
  write(patternedBytes(40, 16) + "\x10");
  EXPECT_EQ(errorOf(engine, {}).kind, ErrorKind::BadInput);
}

TEST_F(Evaluation, NamesTheFirstPositionThatIsNotFinite) {
  std::string text(30, '\1');
  text[20] = 5;
  write(text);
  FakeEngine engine;
  engine.table[5 * 16] = std::numeric_limits<float>::quiet_NaN();
  Error error = errorOf(engine, {});
  EXPECT_EQ(error.kind, ErrorKind::Diverged);
  EXPECT_THAT(error.message, HasSubstr("the loss of byte 21"));
}

TEST_F(Evaluation, CanBeStopped) {
  write(patternedBytes(100, 16));
  FakeEngine engine;
  int polls = 0;
  EvalOptions options;
  options.stop = [&] { return ++polls == 3; };
  EXPECT_EQ(errorOf(engine, options).kind, ErrorKind::Interrupted);
}

} // namespace
} // namespace bitbyte::test
