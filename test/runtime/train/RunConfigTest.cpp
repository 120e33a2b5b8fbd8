#include "runtime/train/RunConfig.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitbyte {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string errorOf(std::string_view text) {
  RunConfig config;
  auto result = config.readText(text, "run.toml");
  EXPECT_FALSE(result) << text;
  if (result)
    return "";
  EXPECT_EQ(result.error().kind, ErrorKind::BadInput);
  return result.error().message;
}

std::string setErrorOf(std::string_view assignment) {
  RunConfig config;
  auto result = config.set(assignment);
  EXPECT_FALSE(result) << assignment;
  if (result)
    return "";
  EXPECT_EQ(result.error().kind, ErrorKind::Usage);
  return result.error().message;
}

TEST(RunConfig, ReadsEverySection) {
  RunConfig config;
  auto result = config.readText(R"(
[train]
steps = 50
minutes = 2
[optimizer]
lr = 3e-4
schedule = "wsd"
[data]
curriculum = [{step = 0, T = 64, B = 8}, {step = 20, T = 128, B = 4}]
[guard]
max_skips = 0
)",
                                "run.toml");
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(config.steps, 50);
  EXPECT_EQ(config.minutes, 2);
  EXPECT_EQ(config.lr, 3e-4);
  EXPECT_EQ(config.schedule, "wsd");
  EXPECT_EQ(config.maxSkips, 0);
  ASSERT_EQ(config.curriculum.size(), 2u);
  EXPECT_EQ(config.curriculum[1], (CurriculumEntry{20, 128, 4}));
}

TEST(RunConfig, WhatItWritesItReads) {
  RunConfig config;
  config.lr = 1.0 / 3;
  config.minLr = 1e-5;
  config.steps = 12345;
  config.split = "odd \"name\"\\\n";
  config.curriculum = {{0, 64, 8}, {7, 128, 4}};
  ASSERT_TRUE(config.resolve());
  RunConfig again;
  auto result = again.readText("[run]\nversion = \"1\"\n" + config.toToml(),
                               "config.toml");
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_TRUE(again.resolve());
  for (const RunConfig::Key &key : RunConfig::keys())
    EXPECT_EQ(config.valueText(key), again.valueText(key)) << key.fullName();
}

TEST(RunConfig, NamesTheNearestKey) {
  EXPECT_EQ(errorOf("[train]\nstpes = 5\n"),
            "run.toml:2:1: error: unknown key 'stpes' in [train]; did you mean "
            "'steps'?");
  EXPECT_EQ(errorOf("\n [optimiser]\n"),
            "run.toml:2:3: error: unknown section 'optimiser'; did you mean "
            "'optimizer'?");
  EXPECT_EQ(errorOf("lr = 5\n[train]\n"),
            "run.toml:1:1: error: unknown key outside of any section 'lr'");
  EXPECT_EQ(errorOf("[train]\nqqqqqq = 5\n"),
            "run.toml:2:1: error: unknown key 'qqqqqq' in [train]");
}

TEST(RunConfig, SaysWhereTypesAndRangesAreWrong) {
  EXPECT_EQ(errorOf("[train]\nsteps = \"many\"\n"),
            "run.toml:2:9: error: train.steps is text, wants a whole number");
  EXPECT_EQ(
      errorOf("[train]\nsteps = 1.5\n"),
      "run.toml:2:9: error: train.steps is a number, wants a whole number");
  EXPECT_THAT(
      errorOf("[train]\nsteps = 0\n"),
      StartsWith("run.toml:2:9: error: train.steps = 0 is outside 1 to"));
  EXPECT_EQ(errorOf("[optimizer]\nbeta1 = 1.5\n"),
            "run.toml:2:9: error: optimizer.beta1 = 1.5 is outside 0 to 1");
  EXPECT_THAT(errorOf("[optimizer]\nlr = nan\n"), HasSubstr("is outside"));
  EXPECT_EQ(errorOf("[optimizer]\nschedule = \"cosin\"\n"),
            "run.toml:2:12: error: optimizer.schedule = \"cosin\" is none of "
            "cosine, wsd, constant; did you mean 'cosine'?");
  EXPECT_THAT(errorOf("[train\n"), StartsWith("run.toml:1:"));
  EXPECT_THAT(errorOf("train = 5"), HasSubstr("'train' is a whole number"));
}

TEST(RunConfig, ReportsTheTopmostError) {
  EXPECT_THAT(errorOf("[train]\nzzz = 1\n[data]\naaa = 1\n"),
              StartsWith("run.toml:2:1:"));
}

TEST(RunConfig, ChecksCurricula) {
  EXPECT_EQ(errorOf("[data]\ncurriculum = 5\n"),
            "run.toml:2:14: error: data.curriculum is a whole number, wants an "
            "array like [{step = 0, T = 64, B = 8}]");
  EXPECT_THAT(errorOf("[data]\ncurriculum = [{step = 0, T = 64}]\n"),
              HasSubstr("lacks 'B'"));
  EXPECT_THAT(errorOf("[data]\ncurriculum = [{step = 0, T = 64, B = 0}]\n"),
              HasSubstr("B = 0 is outside"));
  EXPECT_THAT(errorOf("[data]\ncurriculum = [{stp = 0, T = 64, B = 1}]\n"),
              HasSubstr("did you mean 'step'?"));
  RunConfig config;
  config.curriculum = {{5, 64, 8}};
  EXPECT_FALSE(config.resolve());
  config.curriculum = {{0, 64, 8}, {9, 128, 4}, {9, 256, 2}};
  EXPECT_FALSE(config.resolve());
}

TEST(RunConfig, SetTakesOneValue) {
  RunConfig config;
  EXPECT_TRUE(config.set("optimizer.lr=3e-4"));
  EXPECT_TRUE(config.set("optimizer.schedule=wsd"));
  EXPECT_TRUE(config.set("data.split=\"val\""));
  EXPECT_TRUE(config.set("train.steps=7"));
  EXPECT_TRUE(config.set("data.curriculum=[{step = 0, T = 32, B = 2}]"));
  EXPECT_EQ(config.lr, 3e-4);
  EXPECT_EQ(config.schedule, "wsd");
  EXPECT_EQ(config.split, "val");
  EXPECT_EQ(config.steps, 7);
  EXPECT_EQ(config.curriculum.size(), 1u);
}

TEST(RunConfig, SetRefuses) {
  EXPECT_EQ(setErrorOf("steps=5"), "--set steps=5: wants section.key=value");
  EXPECT_EQ(setErrorOf("train.stpes=5"),
            "--set train.stpes=5: unknown key 'stpes' in [train]; did you mean "
            "'steps'?");
  EXPECT_THAT(setErrorOf("tain.steps=5"), HasSubstr("did you mean 'train'?"));
  EXPECT_THAT(setErrorOf("train.steps=many"), HasSubstr("'many' is no value"));
  EXPECT_THAT(setErrorOf("train.steps=5\nx = 6"), HasSubstr("is no value"));
  EXPECT_THAT(setErrorOf("optimizer.schedule=linear"), HasSubstr("is none of"));
}

TEST(RunConfig, FillsWhatWasNotGiven) {
  RunConfig config;
  config.steps = 1000;
  config.lr = 1e-3;
  ASSERT_TRUE(config.resolve());
  EXPECT_EQ(config.minLr, 1e-4);
  EXPECT_EQ(config.warmup, 50);
  EXPECT_EQ(config.decaySteps, 950);
  RunConfig bad;
  bad.minLr = 1;
  EXPECT_FALSE(bad.resolve());
}

} // namespace
} // namespace bitbyte
