#include "runtime/artifact/Artifact.h"
#include "runtime/core/File.h"
#include "test/runtime/ArtifactBuilder.h"
#include "test/runtime/core/TemporaryFolder.h"

#include <cstring>
#include <gmock/gmock.h>

using namespace bitbyte;
using testing::HasSubstr;

namespace {

struct ArtifactFile : testing::Test {
  test::TemporaryFolder folder;

  Result<std::shared_ptr<const Artifact>>
  open(std::span<const std::byte> bytes) {
    EXPECT_TRUE(writeFileAtomically(folder / "a.bba", bytes));
    return Artifact::open(folder / "a.bba");
  }
  /// The message for bytes that must be refused.
  std::string refused(std::span<const std::byte> bytes) {
    auto result = open(bytes);
    if (result)
      return "was accepted";
    EXPECT_EQ(result.error().kind, ErrorKind::BadInput);
    EXPECT_THAT(result.error().message, HasSubstr("a.bba: "));
    return result.error().message;
  }
  /// The message for the toy artifact after a change.
  template <typename Change>
  std::string refusedAfter(Change change) {
    fb::ArtifactT toy = test::toyArtifact();
    change(toy);
    return refused(test::encode(toy));
  }
};

} // namespace

TEST_F(ArtifactFile, IsReadAsItWasWritten) {
  auto result = open(test::encode(test::toyArtifact()));
  ASSERT_TRUE(result) << result.error().message;
  const Artifact &artifact = **result;
  EXPECT_EQ(artifact.model, "toy");
  EXPECT_EQ(artifact.configValue("context"), "4");
  EXPECT_EQ(artifact.configValue("nothing"), std::nullopt);
  EXPECT_EQ(artifact.hash.size(), 32u);
  EXPECT_EQ(artifact.parameterCount(), 256u + 6u);

  const State *mix = artifact.state("h.0.mix.weight");
  ASSERT_TRUE(mix);
  EXPECT_THAT(mix->shape, testing::ElementsAre(2u, 3u));
  EXPECT_EQ(mix->buffer.offset, 1024u);
  EXPECT_EQ(artifact.states[size_t(mix->sliceOf)].name, "master.decay");
  EXPECT_TRUE(artifact.isFlat(*artifact.state("master.decay")));
  EXPECT_FALSE(artifact.isFlat(*mix));
  EXPECT_EQ(artifact.state("w")->init->kind, InitKind::normal);
  EXPECT_EQ(artifact.state("w")->init->a, 0.02);
  EXPECT_EQ(artifact.importRules.size(), 2u);

  ASSERT_EQ(artifact.variants.size(), 1u);
  const Variant &variant = artifact.variants[0];
  EXPECT_EQ(variant.target, "cpu-v3");
  EXPECT_EQ(variant.constants.size(), 256u);
  EXPECT_EQ(std::memcmp(variant.modules[0].code.data(), "\177ELF", 4), 0);
  const Program *score = variant.program("score");
  ASSERT_TRUE(score);
  EXPECT_EQ(score->input("next")->ahead, 1);
  EXPECT_EQ(score->output("nats")->buffer.bytes, 32u);
  EXPECT_EQ(score->shape.at("T"), "4");
  EXPECT_EQ(variant.program("nothing"), nullptr);
  EXPECT_TRUE(
      std::holds_alternative<Zero>(variant.program("numbers")->steps[0]));
  EXPECT_TRUE(
      std::holds_alternative<Copy>(variant.program("doubled")->steps[0]));
}

TEST_F(ArtifactFile, RefusesTruncations) {
  std::vector<std::byte> whole = test::encode(test::toyArtifact());
  for (size_t size = 0; size < whole.size(); size += size < 100 ? 1 : 97)
    refused(std::span(whole).first(size));
  EXPECT_THAT(refused(std::span(whole).first(whole.size() - 1)),
              HasSubstr("truncated"));
  whole.push_back(std::byte(0));
  EXPECT_THAT(refused(whole), HasSubstr("something was appended"));
}

TEST_F(ArtifactFile, RefusesBitFlips) {
  std::vector<std::byte> whole = test::encode(test::toyArtifact());
  for (size_t position = 0; position < whole.size();
       position += position < 64 ? 1 : 61)
    for (int bit : {0, 3, 7}) {
      whole[position] ^= std::byte(1 << bit);
      EXPECT_NE(refused(whole), "was accepted") << position;
      whole[position] ^= std::byte(1 << bit);
    }
  EXPECT_TRUE(open(whole));
}

TEST_F(ArtifactFile, WithFreshHashesAFlippedTableIsReadOrRefusedInWords) {
  std::vector<std::byte> whole = test::encode(test::toyArtifact());
  for (size_t position = 64; position < 9000; position += 7) {
    auto flipped = whole;
    flipped[position] ^= std::byte(1 << position % 8);
    test::rehash(flipped);
    if (auto result = open(flipped); !result)
      EXPECT_EQ(result.error().kind, ErrorKind::BadInput)
          << result.error().message;
  }
}

TEST_F(ArtifactFile, SaysThatItIsNoneOrOfAnotherVersion) {
  EXPECT_THAT(refused({}), HasSubstr("0 bytes are no artifact"));
  std::vector<std::byte> other(100, std::byte('x'));
  EXPECT_THAT(refused(other), HasSubstr("does not begin with BITBYTE"));
  std::vector<std::byte> future = test::encode(test::toyArtifact());
  future[8] = std::byte(2);
  test::rehash(future);
  EXPECT_THAT(refused(future),
              HasSubstr("format version 2, but this program reads 1"));
}

TEST_F(ArtifactFile, StatesLieWhereTheyMust) {
  EXPECT_THAT(refusedAfter([](auto &a) { a.states[1]->shape = {257}; }),
              HasSubstr("f32[257] does not fill its buffer of 1024 bytes"));
  EXPECT_THAT(
      refusedAfter([](auto &a) { a.states[1]->name = "h.0.mix.weight"; }),
      HasSubstr("two states are called 'h.0.mix.weight'"));
  EXPECT_THAT(refusedAfter([](auto &a) {
                *a.states[2]->buffer = test::at(*a.states[2]->buffer, 960);
              }),
              HasSubstr("states 'w' and 'h.0.mix.weight' overlap"));
  EXPECT_THAT(refusedAfter([](auto &a) {
                *a.states[2]->buffer = test::at(*a.states[2]->buffer, 2048);
              }),
              HasSubstr("slice 'h.0.mix.weight' is not inside 'master.decay'"));
  EXPECT_THAT(refusedAfter([](auto &a) { a.states[2]->slice_of = 99; }),
              HasSubstr("a slice of 99"));
  EXPECT_THAT(refusedAfter([](auto &a) { a.states[2]->slice_of = 1; }),
              HasSubstr("no flat state"));
  EXPECT_THAT(refusedAfter([](auto &a) {
                *a.states[3]->buffer = test::at(*a.states[3]->buffer, 1024);
              }),
              HasSubstr("is not inside"));
  EXPECT_THAT(refusedAfter([](auto &a) {
                *a.states[1]->buffer = test::place(fb::Space::cache, 0, 1024);
              }),
              HasSubstr("a space of another kind"));
  EXPECT_THAT(
      refusedAfter([](auto &a) { a.states[1]->kind = fb::StateKind(77); }),
      HasSubstr("kind 77 is unknown"));
  EXPECT_THAT(
      refusedAfter([](auto &a) { a.variants[0]->parameters_bytes = 2047; }),
      HasSubstr("'master.decay' lies at 0 + 2048 of 2047 bytes of parameters"));
  EXPECT_THAT(refusedAfter([](auto &a) { a.states[1]->name = "a\nb"; }),
              HasSubstr("contains the byte 0x0a"));
  EXPECT_THAT(
      refusedAfter([](auto &a) { a.variants[0]->derived[0]->name = "w"; }),
      HasSubstr("two states are called 'w'"));
}

TEST_F(ArtifactFile, ImportRulesAreWhole) {
  EXPECT_THAT(
      refusedAfter([](auto &a) { a.import_rules[0]->names[0] = "x.*.*"; }),
      HasSubstr("different numbers of *"));
  EXPECT_THAT(refusedAfter([](auto &a) { a.import_rules[0]->pattern = ""; }),
              HasSubstr("needs a pattern"));
  EXPECT_THAT(
      refusedAfter([](auto &a) { a.import_rules[0]->reshape = {-1, -1}; }),
      HasSubstr("[-1, -1] is no shape"));
}

TEST_F(ArtifactFile, ProgramsFitTheirKernelsAndSpaces) {
  auto step = [](fb::ArtifactT &a) -> fb::DispatchT & {
    return *a.variants[0]->programs[0]->steps[0].AsDispatch();
  };
  EXPECT_THAT(refusedAfter([&](auto &a) { step(a).kernel = 8; }),
              HasSubstr("program 'score' calls kernel 8 of 8"));
  EXPECT_THAT(
      refusedAfter([&](auto &a) { a.variants[0]->kernels[0]->threads = 48; }),
      HasSubstr("has blocks of 48 threads; a block has at most 1024"));
  EXPECT_THAT(refusedAfter([&](auto &a) { step(a).buffers.pop_back(); }),
              HasSubstr("with 3 buffers and 0 scalars; it takes 4 and 0"));
  EXPECT_THAT(refusedAfter([&](auto &a) { step(a).scalars = {1}; }),
              HasSubstr("with 4 buffers and 1 scalars"));
  EXPECT_THAT(refusedAfter([&](auto &a) {
                step(a).buffers[3] = test::place(fb::Space::arena, 128, 31);
              }),
              HasSubstr("buffer 3 of 'score' has 31 bytes of 32"));
  EXPECT_THAT(refusedAfter([&](auto &a) {
                step(a).buffers[3] = test::at(step(a).buffers[3], 132);
              }),
              HasSubstr("begins at 132, no multiple of 64"));
  EXPECT_THAT(refusedAfter([&](auto &a) {
                step(a).buffers[3] = test::at(step(a).buffers[3], 256);
              }),
              HasSubstr("lies at 256 + 32 of 256 bytes of arena"));
  EXPECT_THAT(refusedAfter([&](auto &a) {
                step(a).buffers[3] = test::place(fb::Space::constant, 0, 32);
              }),
              HasSubstr("writes a constant"));
  EXPECT_THAT(refusedAfter([&](auto &a) {
                step(a).buffers[3] =
                    test::place(fb::Space::arena, ~0ull - 63, 32);
              }),
              HasSubstr("fits in no space"));
  EXPECT_THAT(refusedAfter([](auto &a) {
                a.variants[0]->programs[1]->steps[0].AsDispatch()->buffers[5] =
                    test::place(fb::Space::training, 64, 4);
              }),
              HasSubstr("writes its buffers 4 and 5, which overlap"));
  EXPECT_THAT(refusedAfter([](auto &a) {
                *a.variants[0]->programs[4]->steps[0].AsCopy()->source =
                    test::place(fb::Space::derived, 0, 8);
              }),
              HasSubstr("copies 8 bytes to 1024"));
  EXPECT_THAT(refusedAfter([](auto &a) {
                *a.variants[0]->programs[4]->steps[0].AsCopy()->source =
                    test::place(fb::Space::arena, 0, 1024);
              }),
              HasSubstr("that overlap them"));
  EXPECT_THAT(
      refusedAfter([](auto &a) { a.variants[0]->programs[1]->name = "score"; }),
      HasSubstr("no form of 'micro'"));
  EXPECT_THAT(refusedAfter([](auto &a) {
                a.variants[0]->programs[1]->name =
                    a.variants[0]->programs[1]->base = "score";
              }),
              HasSubstr("two programs are called 'score'"));
  EXPECT_THAT(refusedAfter([](auto &a) {
                *a.variants[0]->programs[0]->inputs[1]->buffer =
                    test::at(*a.variants[0]->programs[0]->inputs[1]->buffer, 4);
              }),
              HasSubstr("inputs 'bytes' and 'next' overlap"));
  EXPECT_THAT(refusedAfter([](auto &a) {
                a.variants[0]->programs[0]->inputs[1]->name = "bytes";
              }),
              HasSubstr("two tensors 'bytes'"));
  EXPECT_THAT(refusedAfter([](auto &a) {
                a.variants[0]->programs[0]->live_bytes = 257;
              }),
              HasSubstr("257 live bytes in an arena of 256"));
  EXPECT_THAT(
      refusedAfter([](auto &a) { a.variants[0]->kernels[0]->module_ = 1; }),
      HasSubstr("is in module 1 of 1"));
  EXPECT_THAT(refusedAfter([](auto &a) {
                a.variants[0]->kernels[0]->writes.pop_back();
              }),
              HasSubstr("4 buffers, but 3 marks"));
  EXPECT_THAT(
      refusedAfter([](auto &a) { a.variants[0]->kernels[0]->programs = 0; }),
      HasSubstr("0 programs"));
  EXPECT_THAT(
      refusedAfter([](auto &a) { a.variants[0]->modules[0]->format = "exe"; }),
      HasSubstr("format 'exe' is unknown"));
  EXPECT_THAT(refusedAfter([](auto &a) { a.variants.clear(); }),
              HasSubstr("there is no variant"));
}
