//===- ArtifactWriterTest.cpp - The bytes of NAME.bba ---------------------===//

#include "compiler/artifact/ArtifactWriter.h"

#include <xxhash.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>

using namespace bitbyte;
using testing::HasSubstr;

namespace {

/// Two variants: one with two modules and constants, one with none of either.
fb::ArtifactT example() {
  fb::ArtifactT artifact;
  artifact.compiler = "bbc 0.1.0";
  artifact.model = "tiny";
  artifact.compute_type = "f32";
  artifact.source_hash = "00";
  for (auto target : {"cpu-v3", "cpu-v4"}) {
    auto variant = std::make_unique<fb::VariantT>();
    variant->target = target;
    artifact.variants.push_back(std::move(variant));
  }
  for (int i = 0; i < 2; ++i) {
    auto module = std::make_unique<fb::ModuleT>();
    module->format = "elf";
    artifact.variants[0]->modules.push_back(std::move(module));
  }
  return artifact;
}

std::vector<bb::VariantSegments> exampleSegments() {
  return {{{std::string(100, 'a'), "b"}, "constants"}, {{}, ""}};
}

template <typename T>
T at(const std::string &bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

TEST(ArtifactWriter, HeaderHoldsSizesAndHashes) {
  fb::ArtifactT artifact = example();
  std::string bytes = bb::encodeArtifact(artifact, exampleSegments());
  EXPECT_EQ(bytes.substr(0, 8), std::string("BITBYTE\0", 8));
  EXPECT_EQ(at<uint32_t>(bytes, 8), 1u);
  EXPECT_EQ(at<uint32_t>(bytes, 12), 0u);
  EXPECT_EQ(at<uint64_t>(bytes, 16), bytes.size());
  EXPECT_EQ(at<uint64_t>(bytes, 24), 64u);
  XXH128_hash_t hash = XXH3_128bits(bytes.data() + 64, bytes.size() - 64);
  EXPECT_EQ(at<uint64_t>(bytes, 40), hash.low64);
  EXPECT_EQ(at<uint64_t>(bytes, 48), hash.high64);
  EXPECT_EQ(at<uint64_t>(bytes, 56), XXH3_64bits(bytes.data(), 56));
}

TEST(ArtifactWriter, TablesAreValidAndPointAtTheSegments) {
  fb::ArtifactT artifact = example();
  std::string bytes = bb::encodeArtifact(artifact, exampleSegments());
  auto *table = reinterpret_cast<const uint8_t *>(bytes.data()) + 64;
  flatbuffers::Verifier verifier(table, at<uint64_t>(bytes, 32));
  ASSERT_TRUE(verifier.VerifyBuffer<fb::Artifact>());
  auto *first = fb::GetArtifact(table)->variants()->Get(0);
  auto segment = [&](uint64_t offset, uint64_t size) {
    return bytes.substr(offset, size);
  };
  for (int i = 0; i < 2; ++i) {
    auto *module = first->modules()->Get(i);
    EXPECT_EQ(module->offset() % 64, 0u);
    EXPECT_EQ(segment(module->offset(), module->bytes()),
              exampleSegments()[0].modules[i]);
  }
  EXPECT_EQ(first->constants_offset() % 64, 0u);
  EXPECT_EQ(segment(first->constants_offset(), first->constants_bytes()),
            "constants");
  EXPECT_EQ(fb::GetArtifact(table)->variants()->Get(1)->constants_bytes(), 0u);
}

TEST(ArtifactWriter, TheSameContentsGiveTheSameBytes) {
  fb::ArtifactT once = example(), twice = example();
  std::string bytes = bb::encodeArtifact(once, exampleSegments());
  EXPECT_EQ(bytes, bb::encodeArtifact(twice, exampleSegments()));
  EXPECT_EQ(bytes, bb::encodeArtifact(once, exampleSegments()));
}

TEST(ArtifactWriter, AFileAppearsWholeOrNotAtAll) {
  namespace fs = std::filesystem;
  fs::path folder =
      fs::path(testing::TempDir()) / "bitbyte-artifact-writer-test";
  fs::remove_all(folder);
  fs::create_directory(folder);
  std::string path = folder / "x.bba";
  ASSERT_FALSE(bb::writeWhole(path, "old"));
  ASSERT_FALSE(bb::writeWhole(path, "new"));
  std::ifstream file(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "new");

  std::string missing = folder / "no" / "x.bba";
  EXPECT_THAT(llvm::toString(bb::writeWhole(missing, "new")),
              HasSubstr(missing));
  // No temporary file is left behind.
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 1);
  fs::remove_all(folder);
}

TEST(ArtifactWriter, HashesAreThirtyTwoHexDigits) {
  EXPECT_EQ(bb::hashOf("").size(), 32u);
  EXPECT_EQ(bb::hashOf("a"),
            "a96faf705af16834e6c632b61e964e1f"); // as xxhsum -H2 prints
}

} // namespace
