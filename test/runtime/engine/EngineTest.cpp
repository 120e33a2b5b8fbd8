#include "test/runtime/engine/ToyEngine.h"

#include "runtime/core/Memory.h"

#include <numeric>
#include <sys/resource.h>

using namespace bitbyte;
using test::messageOf;
using testing::Each;
using testing::HasSubstr;

namespace {

using EngineTest = test::ToyEngine;

const std::vector<uint8_t> bytes = {0, 1, 2, 3, 4, 5, 6, 7};
const std::vector<uint8_t> next = {1, 2, 3, 4, 5, 6, 7, 128};

Result<std::vector<float>> score(Engine &engine) {
  std::vector<float> nats(8);
  InputBytes inputs[] = {{"bytes", std::as_bytes(std::span(bytes))},
                         {"next", std::as_bytes(std::span(next))}};
  OutputBytes outputs[] = {{"nats", std::as_writable_bytes(std::span(nats))}};
  BB_TRY(engine.run(*engine.program("score"), inputs, outputs));
  return nats;
}

} // namespace

TEST_F(EngineTest, RunsAProgramOnGivenBytes) {
  EXPECT_EQ(engine->describe(), "cpu-v3, 2 threads");
  std::vector<float> w(256, 0.25f);
  setState("w", w);
  auto nats = score(*engine);
  ASSERT_TRUE(nats) << nats.error().message;
  for (size_t i = 0; i < 8; ++i) {
    float error = 0.25f - float(next[i]) / 256;
    EXPECT_FLOAT_EQ((*nats)[i], error * error / 2);
  }
}

TEST_F(EngineTest, AsksForExactlyItsInputs) {
  auto asBytes = std::as_bytes(std::span(bytes));
  InputBytes one[] = {{"bytes", asBytes}};
  EXPECT_THAT(messageOf(engine->run(program("score"), one, {})),
              HasSubstr("input 'next' of program 'score' is missing"));
  InputBytes twice[] = {
      {"bytes", asBytes}, {"bytes", asBytes}, {"next", asBytes}};
  EXPECT_THAT(messageOf(engine->run(program("score"), twice, {})),
              HasSubstr("given twice"));
  InputBytes unknown[] = {
      {"bytes", asBytes}, {"next", asBytes}, {"x", asBytes}};
  EXPECT_THAT(messageOf(engine->run(program("score"), unknown, {})),
              HasSubstr("has no input 'x'"));
  InputBytes small[] = {{"bytes", asBytes.first(7)}, {"next", asBytes}};
  EXPECT_THAT(messageOf(engine->run(program("score"), small, {})),
              HasSubstr("input 'bytes' of program 'score' has 8 bytes, not 7"));
  std::vector<std::byte> out(4);
  InputBytes right[] = {{"bytes", asBytes}, {"next", asBytes}};
  OutputBytes short4[] = {{"nats", out}};
  EXPECT_THAT(
      messageOf(engine->run(program("score"), right, short4)),
      HasSubstr("output 'nats' of program 'score' has 32 bytes, not 4"));
}

TEST_F(EngineTest, KnowsEveryKindOfStep) {
  std::vector<int64_t> numbers(1000);
  OutputBytes output[] = {
      {"numbers", std::as_writable_bytes(std::span(numbers))}};
  ASSERT_TRUE(engine->run(program("numbers"), {}, output)); // zero, dispatch
  for (int64_t i = 0; i < 1000; ++i)
    ASSERT_EQ(numbers[size_t(i)], 7 * i + 1);

  float sum = 0;
  OutputBytes sums[] = {{"sum", std::as_writable_bytes(std::span(&sum, 1))}};
  ASSERT_TRUE(engine->run(program("constant"), {}, sums)); // reads the file
  EXPECT_EQ(sum, 63 * 64 / 2);

  std::vector<float> w(256), twice(256);
  std::iota(w.begin(), w.end(), -3.0f);
  setState("w", w);
  ASSERT_TRUE(engine->prepare());
  OutputBytes doubled[] = {{"twice", std::as_writable_bytes(std::span(twice))}};
  ASSERT_TRUE(engine->run(program("doubled"), {}, doubled)); // copy
  for (size_t i = 0; i < 256; ++i)
    EXPECT_EQ(twice[i], 2 * w[i]);
  EXPECT_EQ(state("twice", 256), twice);
}

TEST_F(EngineTest, KernelsFlushDenormals) {
  float tiny = 1e-39f;
  std::vector<float> halved(500, 1);
  InputBytes input[] = {{"tiny", std::as_bytes(std::span(&tiny, 1))}};
  OutputBytes output[] = {
      {"halved", std::as_writable_bytes(std::span(halved))}};
  ASSERT_TRUE(engine->run(program("denormal"), input, output));
  EXPECT_THAT(halved, Each(0.0f));
}

TEST_F(EngineTest, StatesAreReadWrittenAndZeroed) {
  setState("h.0.mix.weight", {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(state("master.decay", 512)[256],
            1); // the slice is inside the flat one
  EXPECT_EQ(state("master.decay", 512)[261], 6);
  std::vector<std::byte> small(4);
  EXPECT_THAT(messageOf(engine->readState("w", small)),
              HasSubstr("state 'w' has 1024 bytes, not 4"));
  EXPECT_THAT(messageOf(engine->readState("nothing", small)),
              HasSubstr("no state 'nothing'"));

  setState("optimizer.m.w", std::vector<float>(256, 1));
  setState("gradient.w", std::vector<float>(256, 1));
  ASSERT_TRUE(engine->zeroStates(StateKind::moment));
  EXPECT_THAT(state("optimizer.m.w", 256), Each(0.0f));
  EXPECT_THAT(state("gradient.w", 256), Each(1.0f));

  std::vector<float> add(16, 2.5f), ring(16);
  InputBytes input[] = {{"add", std::as_bytes(std::span(add))}};
  OutputBytes output[] = {{"ring", std::as_writable_bytes(std::span(ring))}};
  ASSERT_TRUE(engine->run(program("ring"), input, output));
  EXPECT_THAT(ring, Each(2.5f));
  EXPECT_THAT(state("ring", 16), Each(2.5f));
  ASSERT_TRUE(engine->zeroStates(StateKind::cache));
  EXPECT_THAT(state("ring", 16), Each(0.0f));
}

TEST_F(EngineTest, AllocatesWhatProgramsTouch) {
  EXPECT_EQ(engine->allocatedBytes(), 0u);
  ASSERT_TRUE(score(*engine));
  EXPECT_EQ(engine->allocatedBytes(), 256u + 2048u); // arena, parameters
  const Program *more[] = {&program("numbers"), &program("micro")};
  ASSERT_TRUE(engine->reserve(more));
  EXPECT_EQ(engine->allocatedBytes(), 8192u + 2048u + 6208u); // and training
  ASSERT_TRUE(score(*engine));
  EXPECT_EQ(engine->allocatedBytes(), 8192u + 2048u + 6208u);
}

TEST_F(EngineTest, RefusesWhatDoesNotFitBeforeItAllocates) {
  fb::ArtifactT large = test::toyArtifact();
  large.variants[0]->programs[0]->arena_bytes = uint64_t(1) << 46;
  engine = make(1, large);
  auto result = score(*engine);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::NoDevice);
  EXPECT_THAT(
      result.error().message,
      HasSubstr("running 'score' needs 64.0 TiB more memory (arena 64.0 TiB, "
                "parameters 2.00 KiB), but "));
  EXPECT_EQ(engine->allocatedBytes(), 0u);
}

TEST_F(EngineTest, MeasuresSteps) {
  engine->collectStepTimes(true);
  ASSERT_TRUE(score(*engine));
  EXPECT_EQ(engine->stepSeconds().size(), 1u);
  EXPECT_GT(engine->stepSeconds()[0], 0);
  engine->collectStepTimes(false);
  ASSERT_TRUE(score(*engine));
  EXPECT_TRUE(engine->stepSeconds().empty());
}

TEST_F(EngineTest, ChoosesAVariantOrSaysWhatWouldHelp) {
  test::write(folder / "gpu.bba", test::toyArtifact("cuda"));
  auto artifact = Artifact::open(folder / "gpu.bba");
  ASSERT_TRUE(artifact);
  auto none = Engine::create(*artifact);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::NoDevice);
  EXPECT_THAT(none.error().message,
              testing::AllOf(HasSubstr("has code for cuda, but this machine"),
                             HasSubstr("bbc --targets cpu-v")));
  auto cuda = Engine::create(*artifact, {.device = "cuda"});
  ASSERT_FALSE(cuda);
  EXPECT_EQ(cuda.error().kind, ErrorKind::NoDevice);
  auto unknown = Engine::create(*artifact, {.device = "tpu"});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind, ErrorKind::Usage);
}
