#include "runtime/generate/Generator.h"
#include "test/runtime/FakeEngine.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

namespace bitbyte::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Output {
  GenerateEnd end;
  std::string text;
};

class Generation : public testing::Test {
protected:
  Generation() {
    for (size_t i = 0; i < engine.table.size(); ++i)
      engine.table[i] = std::sin(static_cast<float>(i * i));
  }
  Output run(std::string_view prompt, GenerateOptions options) {
    Output result;
    auto end = generate(engine, prompt, options, [&](uint8_t byte) {
      result.text += static_cast<char>(byte);
      return true;
    });
    EXPECT_TRUE(end) << (end ? "" : end.error().message);
    result.end = end ? *end : GenerateEnd::closed;
    return result;
  }

  FakeEngine engine; // vocab 16, context 24, prefill chunk 4
};

std::string prompt(size_t length) {
  std::string text;
  for (size_t i = 0; i < length; ++i)
    text += static_cast<char>(i * 7 % 16);
  return text;
}

TEST_F(Generation, TheCacheChangesNothing) {
  for (double temperature : {0.0, 1.0})
    for (size_t length : {1, 3, 4, 5, 8, 11}) {
      GenerateOptions options{.sampler = {.temperature = temperature},
                              .bytes = 10};
      std::string cached = run(prompt(length), options).text;
      options.cache = false;
      EXPECT_EQ(cached, run(prompt(length), options).text);
      EXPECT_EQ(cached.size(), 10u);
    }
}

TEST_F(Generation, WithoutACacheTheFirstRowOfABatchWillDo) {
  FakeEngine batch({.logitsRows = 3});
  batch.table = engine.table;
  GenerateOptions options{.bytes = 10, .cache = false};
  std::string text;
  auto end = generate(batch, prompt(5), options, [&](uint8_t byte) {
    text += static_cast<char>(byte);
    return true;
  });
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(text, run(prompt(5), options).text);
}

TEST_F(Generation, PromptsGoThroughPrefillAsFarAsTheyFill) {
  run(prompt(11), {.bytes = 2});
  EXPECT_THAT(engine.log, ElementsAre("prefill", "prefill", "after.1",
                                      "after.1", "after.1", "after.1"));
}

TEST_F(Generation, PrefillBeginsAtWholeChunksOnly) {
  // What prefill does at a place inside a chunk could straddle a block.
  auto model = ByteModel::create(engine, /*cache=*/true);
  ASSERT_TRUE(model) << model.error().message;
  std::vector<uint8_t> bytes(17, 1);
  ASSERT_TRUE((*model)->feed(std::span(bytes).first(3)));
  ASSERT_TRUE((*model)->feed(std::span(bytes).first(10)));
  EXPECT_EQ((*model)->position(), 13u);
  EXPECT_THAT(engine.log,
              ElementsAre("after.1", "after.1", "after.1", "after.1", "prefill",
                          "prefill", "after.1"));
}

TEST_F(Generation, StopsWhenTheContextIsFull) {
  for (bool cache : {true, false}) {
    Output full = run(prompt(20), {.bytes = 100, .cache = cache});
    EXPECT_EQ(full.end, GenerateEnd::contextFull);
    EXPECT_EQ(full.text.size(), 5u); // 24 are fed, and the last one is drawn
    Output fits = run(prompt(20), {.bytes = 5, .cache = cache});
    EXPECT_EQ(fits.end, GenerateEnd::finished);
    EXPECT_EQ(fits.text, full.text);
  }
}

TEST_F(Generation, GoesOnForEverWhereNoProgramAsksForItsPosition) {
  FakeEngine endless({.positions = false});
  endless.table = engine.table;
  std::string text;
  auto end = generate(endless, prompt(30), {.bytes = 100}, [&](uint8_t byte) {
    text += static_cast<char>(byte);
    return true;
  });
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(*end, GenerateEnd::finished);
  EXPECT_EQ(text.size(), 100u);
  // As far as the other one goes, it says the same.
  text.clear();
  ASSERT_TRUE(generate(endless, prompt(20), {.bytes = 5}, [&](uint8_t byte) {
    text += static_cast<char>(byte);
    return true;
  }));
  EXPECT_EQ(text, run(prompt(20), {.bytes = 5}).text);
}

TEST_F(Generation, RefusesAPromptThatDoesNotFit) {
  auto result = generate(engine, prompt(25), {}, [](uint8_t) { return true; });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::Usage);
  EXPECT_THAT(result.error().message, HasSubstr("context is 24"));
  auto byte = generate(engine, "\x20", {}, [](uint8_t) { return true; });
  ASSERT_FALSE(byte);
  EXPECT_EQ(byte.error().kind, ErrorKind::BadInput);
}

TEST_F(Generation, AnEmptyPromptStandsForANewline) {
  EXPECT_EQ(run("", {.bytes = 8}).text, run("\n", {.bytes = 8}).text);
}

TEST_F(Generation, EndsWhereTheReaderEnds) {
  int taken = 0;
  auto end = generate(engine, "\1", {.bytes = 20},
                      [&](uint8_t) { return ++taken < 3; });
  ASSERT_TRUE(end);
  EXPECT_EQ(*end, GenerateEnd::closed);
  EXPECT_EQ(taken, 3);
}

TEST_F(Generation, NamesThePositionOfABadLogit) {
  engine.table[3 * 16] = std::numeric_limits<float>::infinity();
  auto result = generate(engine, "\1\2\3", {}, [](uint8_t) { return true; });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::Diverged);
  EXPECT_THAT(result.error().message, HasSubstr("position 3"));
}

TEST_F(Generation, TwoCallsAreAlike) {
  Output first = run(prompt(6), {.bytes = 12});
  EXPECT_EQ(first.text, run(prompt(6), {.bytes = 12}).text);
}

} // namespace
} // namespace bitbyte::test
