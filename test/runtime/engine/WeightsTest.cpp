#include "runtime/engine/Weights.h"
#include "runtime/core/Float16.h"
#include "runtime/engine/TrainStep.h"
#include "runtime/engine/WeightRules.h"
#include "test/runtime/engine/ToyEngine.h"

#include <numeric>

using namespace bitbyte;
using test::messageOf;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

struct WeightsTest : test::ToyEngine {
  WeightsTest() : w(256) { std::iota(w.begin(), w.end(), 0.0f); }

  /// A published file of the toy, after a change.
  template <typename Change>
  std::string file(Change change) {
    SafetensorsWriter writer;
    writer.add("w", {256}, w);
    writer.add("transformer.h.0.mix.weight", {3, 2}, mix);
    change(writer);
    EXPECT_TRUE(writer.write(folder / "w.safetensors"));
    return folder / "w.safetensors";
  }
  std::string file() {
    return file([](SafetensorsWriter &) {});
  }

  std::vector<float> w, mix = {1, 4, 2, 5, 3, 6}; // [3, 2] on disk
};

} // namespace

TEST(WeightRules, StarsCaptureTheLeastThatWillDo) {
  EXPECT_THAT(*matchPattern("h.*.w", "h.12.w"), ElementsAre("12"));
  EXPECT_THAT(*matchPattern("*.*", "a.b.c"), ElementsAre("a", "b.c"));
  EXPECT_THAT(*matchPattern("a", "a"), ElementsAre());
  EXPECT_FALSE(matchPattern("h.*.w", "h..w"));
  EXPECT_FALSE(matchPattern("h.*", "x.1"));
  EXPECT_FALSE(matchPattern("a", "ab"));
  std::vector<std::string> captures = {"1", "2"};
  EXPECT_EQ(fillPattern("x.*.y.*", captures), "x.1.y.2");
}

TEST(WeightRules, SeveralRulesSpeakAboutOneParameter) {
  Artifact artifact;
  artifact.importRules.push_back(
      {.pattern = "h.*.conv", .reshape = {4, 1, -1}});
  artifact.importRules.push_back({.pattern = "h.*", .names = {"h.*", "b.h.*"}});
  std::vector<uint64_t> shape = {4, 3};
  PublishedForm form = publishedForm(artifact, "h.2.conv", shape);
  EXPECT_THAT(form.names, ElementsAre("h.2.conv", "b.h.2.conv"));
  EXPECT_THAT(form.shape, ElementsAre(4u, 1u, 3u));
  EXPECT_FALSE(form.transpose);
}

TEST_F(WeightsTest, ReadsPublishedFilesByRule) {
  auto loaded = loadWeights(*engine, file());
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->layout, Layout::published);
  EXPECT_EQ(state("w", 256), w);
  EXPECT_THAT(state("h.0.mix.weight", 6), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(state("twice", 256)[10], 20); // prepared
}

TEST_F(WeightsTest, ReadsAnyFloatTypeAndAlternativeNames) {
  std::vector<uint16_t> half(256), narrow(6);
  for (size_t i = 0; i < 256; ++i)
    half[i] = floatToF16(float(i));
  for (size_t i = 0; i < 6; ++i)
    narrow[i] = floatToBf16(mix[i]);
  SafetensorsWriter writer;
  writer.add("w", StoredType::f16, {256}, std::as_bytes(std::span(half)));
  writer.add("layers.0.mix", StoredType::bf16, {3, 2},
             std::as_bytes(std::span(narrow)));
  ASSERT_TRUE(writer.write(folder / "half.safetensors"));
  auto loaded = loadWeights(*engine, folder / "half.safetensors");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(state("w", 256), w);
  EXPECT_THAT(state("h.0.mix.weight", 6), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(WeightsTest, NamesWhatIsMissingSurplusOrMisshapen) {
  SafetensorsWriter only;
  only.add("w", {256}, w);
  ASSERT_TRUE(only.write(folder / "only.safetensors"));
  auto missing = loadWeights(*engine, folder / "only.safetensors");
  EXPECT_THAT(messageOf(missing),
              HasSubstr("only.safetensors: misses 1 of the model's "
                        "tensors: 'transformer.h.0.mix.weight'"));
  EXPECT_EQ(missing.error().kind, ErrorKind::BadInput);

  EXPECT_THAT(messageOf(loadWeights(*engine, file([](auto &writer) {
                writer.add("extra", {2}, {1, 2});
              }))),
              HasSubstr("has 1 tensors that the model has not: 'extra'"));

  SafetensorsWriter turned;
  turned.add("w", {256}, w);
  turned.add("transformer.h.0.mix.weight", {2, 3}, mix);
  ASSERT_TRUE(turned.write(folder / "turned.safetensors"));
  EXPECT_THAT(
      messageOf(loadWeights(*engine, folder / "turned.safetensors")),
      HasSubstr("'transformer.h.0.mix.weight' is [2, 3], but the model's "
                "'h.0.mix.weight' takes [3, 2]"));

  SafetensorsWriter whole;
  std::vector<int64_t> numbers(256);
  whole.add("w", StoredType::i64, {256}, std::as_bytes(std::span(numbers)));
  whole.add("transformer.h.0.mix.weight", {3, 2}, mix);
  ASSERT_TRUE(whole.write(folder / "whole.safetensors"));
  EXPECT_THAT(messageOf(loadWeights(*engine, folder / "whole.safetensors")),
              HasSubstr("'w' is I64"));
}

TEST_F(WeightsTest, TakesTiedPartnersAndIgnoredTensorsSilently) {
  auto tied = loadWeights(*engine, file([&](SafetensorsWriter &writer) {
    writer.add("head.weight", {3, 2}, mix);
    writer.add("layers.0.mix", {3, 2}, mix);
    writer.add("h.0.mask", {1}, {1});
  }));
  ASSERT_TRUE(tied) << tied.error().message;

  std::vector<float> other = mix;
  other[3] = 9;
  EXPECT_THAT(
      messageOf(loadWeights(*engine, file([&](auto &writer) {
        writer.add("head.weight", {3, 2}, other);
      }))),
      HasSubstr("'head.weight' [3, 2] is no tensor of the model, nor equal to "
                "'transformer.h.0.mix.weight'"));
  EXPECT_THAT(
      messageOf(loadWeights(*engine, file([&](auto &writer) {
        writer.add("layers.0.mix", {3, 2}, other);
      }))),
      HasSubstr(
          "'transformer.h.0.mix.weight' and 'layers.0.mix' are one tensor"));
}

TEST_F(WeightsTest, WhatIsSavedIsLoadedInBothLayouts) {
  ASSERT_TRUE(loadWeights(*engine, file()));
  std::vector<uint8_t> bytes = {1, 2, 3, 4, 5, 6, 7, 8};
  ASSERT_TRUE(runMicro(*engine, program("micro"), bytes, bytes, 1));
  ASSERT_TRUE(runUpdate(*engine, {}, 1));
  auto w1 = state("w", 256), m1 = state("optimizer.m.w", 256),
       mix1 = state("h.0.mix.weight", 6);

  for (Layout layout : {Layout::spec, Layout::published}) {
    std::string path = folder / "saved.safetensors";
    auto saved =
        saveWeights(*engine, path, {.layout = layout, .optimizer = true});
    ASSERT_TRUE(saved) << saved.error().message;
    auto fresh = make(1);
    auto loaded = loadWeights(*fresh, path, {.optimizer = true});
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->layout, layout);
    EXPECT_TRUE(loaded->optimizer);
    std::swap(engine, fresh);
    EXPECT_EQ(state("w", 256), w1);
    EXPECT_EQ(state("h.0.mix.weight", 6), mix1);
    EXPECT_EQ(state("optimizer.m.w", 256), m1);
    int32_t step = 0;
    ASSERT_TRUE(engine->readState("optimizer.step",
                                  std::as_writable_bytes(std::span(&step, 1))));
    EXPECT_EQ(step, 1);
    std::swap(engine, fresh);
  }
  auto published = Safetensors::open(folder / "saved.safetensors");
  ASSERT_TRUE(published);
  EXPECT_THAT(published->find("transformer.h.0.mix.weight")->shape,
              ElementsAre(3u, 2u));
  EXPECT_EQ(published->metadata().at("format"), "pt");

  ASSERT_TRUE(
      saveWeights(*engine, folder / "also.safetensors",
                  {.layout = Layout::published, .alternativeNames = true}));
  EXPECT_TRUE(
      Safetensors::open(folder / "also.safetensors")->find("layers.0.mix"));
}

TEST_F(WeightsTest, OptimizerStateIsWholeOrAbsent) {
  setState("optimizer.m.w", std::vector<float>(256, 3));
  auto without = loadWeights(*engine, file(), {.optimizer = true});
  ASSERT_TRUE(without);
  EXPECT_FALSE(without->optimizer);
  EXPECT_THAT(state("optimizer.m.w", 256), testing::Each(0.0f));

  std::string part =
      file([&](auto &writer) { writer.add("optimizer.m.w", {256}, w); });
  EXPECT_TRUE(loadWeights(*engine, part)); // not asked for
  EXPECT_THAT(messageOf(loadWeights(*engine, part, {.optimizer = true})),
              HasSubstr("misses 4 of 5 tensors of optimizer state"));
}
