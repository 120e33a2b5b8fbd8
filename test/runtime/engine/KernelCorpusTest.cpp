#include "test/runtime/engine/ToyEngine.h"

#include "runtime/engine/KernelReplay.h"

#include <cmath>
#include <cstring>

using namespace bitbyte;
using test::messageOf;
using testing::HasSubstr;

namespace {

/// The launch of `score`: bytes, next and w are read, nats is written.
struct KernelCorpusTest : test::ToyEngine {
  void SetUp() override {
    ToyEngine::SetUp();
    std::vector<float> w(256);
    for (size_t i = 0; i < w.size(); ++i)
      w[i] = float(i) / 512;
    EngineOptions options{.device = "cpu", .threads = 2};
    options.recordKernels = folder / "kernels";
    auto recording =
        Engine::create(*Artifact::open(folder / "toy.bba"), options);
    ASSERT_TRUE(recording) << recording.error().message;
    ASSERT_TRUE((*recording)->writeState("w", std::as_bytes(std::span(w))));
    std::vector<uint8_t> bytes = {0, 1, 2, 3, 4, 5, 6, 7};
    InputBytes inputs[] = {{"bytes", std::as_bytes(std::span(bytes))},
                           {"next", std::as_bytes(std::span(bytes))}};
    const Program *score = (*recording)->program("score");
    auto ran = (*recording)->run(*score, inputs, {});
    ASSERT_TRUE(ran) << ran.error().message;
    auto opened = KernelCorpus::open(folder / "kernels");
    ASSERT_TRUE(opened) << opened.error().message;
    corpus = std::move(*opened);
    ASSERT_EQ(corpus.launches().size(), 1u);
    launch = corpus.launches()[0];
  }

  /// What `after` of a buffer's region holds, one of its numbers changed.
  std::string changed(size_t buffer, float to) {
    const MemoryRegion &region = launch.regions[launch.buffers[buffer].region];
    auto old =
        corpus.content(region.after.empty() ? region.before : region.after);
    std::vector<std::byte> bytes(old.begin(), old.end());
    std::memcpy(bytes.data() + 8, &to, sizeof(to));
    return corpus.keep(std::move(bytes));
  }

  KernelCorpus corpus;
  RecordedLaunch launch;
};

} // namespace

TEST_F(KernelCorpusTest, GivesTheSameAgain) {
  auto done = replay(*engine, corpus, launch);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(done->holds()) << done->problem;
  ASSERT_EQ(done->buffers.size(), 1u);
  EXPECT_EQ(done->buffers[0].buffer, 3u);
  EXPECT_EQ(done->buffers[0].elements, 8u);
  EXPECT_EQ(done->buffers[0].worst, 0);
  // What the kernel overwrites is not kept; what it reads does not change.
  EXPECT_EQ(launch.regions[launch.buffers[3].region].before, "");
  EXPECT_EQ(launch.regions[launch.buffers[2].region].after, "");
}

TEST_F(KernelCorpusTest, TellsANumberThatDiffers) {
  launch.regions[launch.buffers[3].region].after = changed(3, 0.5f);
  auto done = replay(*engine, corpus, launch);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_FALSE(done->holds());
  EXPECT_GT(done->worst()->worst, 0.9);
  EXPECT_EQ(done->problem, "");

  launch.regions[launch.buffers[3].region].after = changed(3, NAN);
  done = replay(*engine, corpus, launch);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_FALSE(done->holds());
}

TEST_F(KernelCorpusTest, TellsWhatShouldHaveBeenLeftAlone) {
  launch.regions[launch.buffers[2].region].after = changed(2, 0.5f);
  auto done = replay(*engine, corpus, launch);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_FALSE(done->holds());
  EXPECT_EQ(done->problem, "it changes buffer 2, which it should only read");
}

TEST_F(KernelCorpusTest, WantsTheKernelOfTheRecording) {
  RecordedLaunch other = launch;
  other.hash = "0";
  EXPECT_THAT(messageOf(replay(*engine, corpus, other)),
              HasSubstr("its kernel 'score' is not the one that was recorded"));
  other = launch;
  other.scalars.push_back(1);
  EXPECT_THAT(messageOf(replay(*engine, corpus, other)),
              HasSubstr("'score' was recorded with other buffers"));
}

TEST_F(KernelCorpusTest, RefusesFilesThatDoNotFitTogether) {
  auto refused = [&](const RecordedLaunch &bad) {
    KernelCorpus broken = corpus;
    broken.add(bad);
    EXPECT_TRUE(broken.write(folder / "broken"));
    return messageOf(KernelCorpus::open(folder / "broken"));
  };
  EXPECT_THAT(refused(launch), HasSubstr("it is there twice"));
  RecordedLaunch bad = launch;
  bad.kernel = "other";
  bad.regions[0].before = bad.regions[0].after = "";
  EXPECT_THAT(refused(bad), HasSubstr("a region without content"));
  bad.regions[0].before = "nowhere";
  EXPECT_THAT(refused(bad), HasSubstr("content nowhere is missing"));
  bad = launch;
  bad.kernel = "other";
  bad.regions[0].bytes += 1;
  EXPECT_THAT(refused(bad), HasSubstr("its region"));
  bad = launch;
  bad.kernel = "other";
  bad.buffers[0].offset = ~uint64_t(0);
  EXPECT_THAT(refused(bad), HasSubstr("a buffer outside of its region"));
}
