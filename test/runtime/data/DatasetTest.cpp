#include "runtime/data/Dataset.h"

#include "runtime/data/WindowSampler.h"
#include "runtime/data/pack/Packer.h"
#include "test/runtime/data/Scratch.h"

#include <gmock/gmock.h>
#include <set>

using namespace bitbyte;
using testing::HasSubstr;

/// Bytes that differ from place to place.
static std::string noise(size_t size) {
  std::string out(size, 0);
  uint32_t state = 1;
  for (char &c : out)
    c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return out;
}

static void pack(const std::string &directory, std::string_view text,
                 uint64_t shardBytes) {
  PackOptions options;
  options.shardBytes = shardBytes;
  options.split = false;
  auto packer = Packer::create(directory, options);
  ASSERT_TRUE(packer) << packer.error().message;
  ASSERT_TRUE((*packer)->document(text));
  auto index = (*packer)->finish("{}");
  ASSERT_TRUE(index) << index.error().message;
}

TEST(Dataset, ReadsAcrossTheEndsOfShards) {
  Scratch scratch;
  std::string text = noise(3'000'000); // more than two blocks
  pack(scratch / "d", text, 700'001);
  auto data = Dataset::open(scratch / "d");
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->index().splits[0].shards.size(), 5u);
  EXPECT_EQ(data->splitBytes("train"), text.size());
  EXPECT_EQ(data->splitBytes("val"), 0u);
  EXPECT_EQ(data->splitBytes("nothing"), 0u);
  for (auto [offset, size] :
       {std::pair(0, 3'000'000), std::pair(700'000, 2), std::pair(1'400'002, 0),
        std::pair(5, 2'900'000)}) {
    std::string out(size, 0);
    ASSERT_TRUE(
        data->read("train", offset, std::as_writable_bytes(std::span(out))));
    EXPECT_EQ(out, text.substr(offset, size));
  }
  std::byte two[2];
  auto past = data->read("train", text.size() - 1, two);
  ASSERT_FALSE(past);
  EXPECT_EQ(past.error().kind, ErrorKind::BadInput);
}

TEST(Dataset, HashFollowsTheContentNotTheShards) {
  Scratch scratch;
  std::string text = noise(100'000);
  pack(scratch / "a", text, 30'000);
  pack(scratch / "b", text, 1 << 20);
  text[99'999] ^= 1;
  pack(scratch / "c", text, 1 << 20);
  auto a = Dataset::open(scratch / "a"), b = Dataset::open(scratch / "b"),
       c = Dataset::open(scratch / "c");
  ASSERT_TRUE(a && b && c);
  EXPECT_EQ(a->hash(), b->hash());
  EXPECT_NE(a->hash(), c->hash());
}

TEST(Dataset, EveryFlippedOrMissingByteIsFound) {
  Scratch scratch;
  pack(scratch / "d", noise(40'000), 15'000);
  std::string index = scratch.read("d/index.json");
  for (const char *file : {"d/index.json", "d/train-00001.bin"}) {
    std::string whole = scratch.read(file);
    size_t stride = whole.size() / 50 + 1;
    for (size_t at = 0; at < whole.size(); at += stride) {
      std::string flipped = whole;
      flipped[at] ^= 0x10;
      scratch.write(file, flipped);
      auto data = Dataset::open(scratch / "d");
      ASSERT_FALSE(data) << file << " at " << at;
      EXPECT_EQ(data.error().kind, ErrorKind::BadInput);
      EXPECT_THAT(data.error().message, HasSubstr(scratch / "d"));
    }
    for (size_t size : {size_t(0), whole.size() / 2, whole.size() - 2}) {
      scratch.write(file, whole.substr(0, size));
      EXPECT_FALSE(Dataset::open(scratch / "d")) << file << " cut at " << size;
    }
    scratch.write(file, whole);
  }
  std::filesystem::remove(scratch.path / "d/train-00002.bin");
  auto missing = Dataset::open(scratch / "d");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("train-00002.bin"));
}

TEST(Dataset, RefusesShardsOutsideTheDirectory) {
  DataIndex index;
  index.splits = {{"train", 4, 1, {{"../secret", 4}}, {0}}};
  auto parsed = DataIndex::parse(index.toJson(), "index.json");
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().message, HasSubstr("../secret"));
}

TEST(Dataset, NamesAByteThatAModelCannotRead) {
  Scratch scratch;
  std::string text(50'000, 'a');
  text[40'123] = '\xc3';
  pack(scratch / "d", text, 30'000);
  auto data = Dataset::open(scratch / "d");
  ASSERT_TRUE(data);
  EXPECT_TRUE(data->requireVocabulary("train", 256));
  auto refused = data->requireVocabulary("train", 128);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              HasSubstr("train-00001.bin: byte 195 at offset 10123"));
}

TEST(WindowSampler, AnEpochShowsEveryWindowOnce) {
  Scratch scratch;
  std::string text = noise(10'000);
  pack(scratch / "d", text, 3'000);
  auto data = Dataset::open(scratch / "d");
  ASSERT_TRUE(data);
  constexpr uint64_t T = 64;
  auto sampler = WindowSampler::create(*data, "train", 5, T);
  ASSERT_TRUE(sampler);
  EXPECT_EQ(sampler->windowsPerEpoch(), (10'000 - T) / T);

  std::set<uint64_t> first, shifts;
  for (uint64_t i = 0; i < sampler->windowsPerEpoch(); ++i)
    first.insert(sampler->offsetOf(i));
  EXPECT_EQ(first.size(), sampler->windowsPerEpoch());
  EXPECT_LE(*first.rbegin() + T + 1, text.size());
  for (uint64_t epoch = 0; epoch < 20; ++epoch)
    shifts.insert(sampler->offsetOf(epoch * sampler->windowsPerEpoch()) % T);
  EXPECT_GT(shifts.size(), 10u) << "the cut moves from epoch to epoch";
}

TEST(WindowSampler, ABatchHasTheNextBytesAndOneCursor) {
  Scratch scratch;
  std::string text = noise(5'000);
  pack(scratch / "d", text, 1'000);
  auto data = Dataset::open(scratch / "d");
  ASSERT_TRUE(data);
  constexpr uint64_t B = 3, T = 32;
  auto sampler = WindowSampler::create(*data, "train", 9, T);
  ASSERT_TRUE(sampler);
  std::vector<uint8_t> inputs(B * T), next(B * T), again(B * T), later(B * T);
  ASSERT_TRUE(sampler->batch(7 * B * T, inputs, next));
  for (uint64_t row = 0; row < B; ++row) {
    uint64_t offset = sampler->offsetOf(7 * B + row);
    for (uint64_t t = 0; t < T; ++t) {
      EXPECT_EQ(inputs[row * T + t], uint8_t(text[offset + t]));
      EXPECT_EQ(next[row * T + t], uint8_t(text[offset + t + 1]));
    }
  }
  // Another sampler, asked out of order, gives the same: the cursor is all.
  auto other = WindowSampler::create(*data, "train", 9, T);
  ASSERT_TRUE(other->batch(8 * B * T, later, next));
  ASSERT_TRUE(other->batch(7 * B * T, again, next));
  EXPECT_EQ(again, inputs);
  EXPECT_NE(later, inputs);
}

TEST(WindowSampler, TheShortestSplitIsOneWindow) {
  Scratch scratch;
  pack(scratch / "d", noise(65), 1'000);
  auto data = Dataset::open(scratch / "d");
  ASSERT_TRUE(data);
  auto sampler = WindowSampler::create(*data, "train", 1, 64);
  ASSERT_TRUE(sampler);
  std::vector<uint8_t> inputs(128), next(128);
  EXPECT_TRUE(sampler->batch(0, inputs, next));
  auto tooLong = WindowSampler::create(*data, "train", 1, 65);
  ASSERT_FALSE(tooLong);
  EXPECT_EQ(tooLong.error().kind, ErrorKind::BadInput);
  EXPECT_FALSE(WindowSampler::create(*data, "val", 1, 1));
}
