#include "runtime/core/Safetensors.h"
#include "runtime/core/Float16.h"
#include "test/runtime/core/TemporaryFolder.h"

#include <cstring>
#include <gmock/gmock.h>

using namespace bitbyte;
using testing::ElementsAre;
using testing::HasSubstr;

/// A file with this header text and this many data bytes.
static std::vector<std::byte> file(std::string_view header, size_t dataBytes) {
  uint64_t length = header.size();
  std::vector<std::byte> bytes(8 + header.size() + dataBytes);
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

static std::string errorOf(const std::vector<std::byte> &bytes) {
  auto result = Safetensors::parse(bytes, "x.safetensors");
  if (result)
    return "was accepted";
  EXPECT_EQ(result.error().kind, ErrorKind::BadInput);
  return result.error().message;
}

static std::vector<std::byte> bytesOf(const std::string &path) {
  auto file = MappedFile::open(path);
  return {(*file)->bytes().begin(), (*file)->bytes().end()};
}

TEST(Safetensors, ReadsWhatItWrote) {
  test::TemporaryFolder folder;
  std::vector<uint16_t> halves = {floatToBf16(1.5f), floatToBf16(-2)};
  std::vector<uint8_t> bytes = {1, 2, 3};
  std::vector<double> wide = {0.1};
  SafetensorsWriter writer;
  writer.add("b", StoredType::u8, {3}, std::as_bytes(std::span(bytes)));
  writer.add("w", {2, 2}, {1, 2, 3, 4});
  writer.add("half", StoredType::bf16, {2}, std::as_bytes(std::span(halves)));
  writer.add("scalar", StoredType::f64, {}, std::as_bytes(std::span(wide)));
  writer.add("empty", {0, 5}, {});
  writer.note("format", "test");
  ASSERT_TRUE(writer.write(folder / "a.safetensors"));

  auto read = Safetensors::open(folder / "a.safetensors");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->tensors().size(), 5u);
  EXPECT_EQ(read->metadata().at("format"), "test");
  EXPECT_THAT(*toFloats(*read->find("w")), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(read->find("w")->shape, ElementsAre(2u, 2u));
  EXPECT_THAT(*toFloats(*read->find("half")), ElementsAre(1.5f, -2));
  EXPECT_THAT(*toFloats(*read->find("scalar")), ElementsAre(0.1f));
  EXPECT_TRUE(read->find("empty")->bytes.empty());
  EXPECT_EQ(read->find("nothing"), nullptr);
  auto noFloat = toFloats(*read->find("b"));
  ASSERT_FALSE(noFloat);
  EXPECT_THAT(noFloat.error().message, HasSubstr("'b' is U8"));
  for (const StoredTensor &tensor : read->tensors())
    EXPECT_EQ((tensor.bytes.data() - read->find("scalar")->bytes.data()) %
                  byteWidth(tensor.type),
              0u)
        << tensor.name;
}

TEST(Safetensors, OrderOfAddingDoesNotShow) {
  test::TemporaryFolder folder;
  SafetensorsWriter one, other;
  one.add("a", {1}, {1});
  one.add("b", {1}, {2});
  other.add("b", {1}, {2});
  other.add("a", {1}, {1});
  ASSERT_TRUE(one.write(folder / "1") && other.write(folder / "2"));
  EXPECT_EQ(bytesOf(folder / "1"), bytesOf(folder / "2"));
}

TEST(Safetensors, RefusesEveryTruncation) {
  test::TemporaryFolder folder;
  SafetensorsWriter writer;
  writer.add("a", {3}, {1, 2, 3});
  writer.add("b", {2, 2}, {4, 5, 6, 7});
  ASSERT_TRUE(writer.write(folder / "a"));
  std::vector<std::byte> whole = bytesOf(folder / "a");
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_THAT(errorOf({whole.begin(), whole.begin() + size}),
                HasSubstr("x.safetensors: "))
        << size;
  whole.push_back(std::byte(0));
  EXPECT_THAT(errorOf(whole), HasSubstr("1 bytes from byte"));
}

TEST(Safetensors, SaysWhatIsWrong) {
  auto entry = [](const char *type, const char *shape, const char *offsets) {
    return fmt::format(R"("a":{{"dtype":"{}","shape":{},"data_offsets":{}}})",
                       type, shape, offsets);
  };
  EXPECT_THAT(
      errorOf(file("{" + entry("F32", "[2]", "[0,8]") + "}", 7)),
      HasSubstr(
          "'a' lies at data bytes 0 to 8, but the file ends at data byte 7"));
  EXPECT_THAT(errorOf(file("{" + entry("F32", "[3]", "[0,8]") + "}", 8)),
              HasSubstr("F32 [3] does not fill its 8 bytes"));
  EXPECT_THAT(
      errorOf(file(
          "{" + entry("F32", "[4294967296,4294967296,4294967296]", "[0,8]") +
              "}",
          8)),
      HasSubstr("does not fill"));
  EXPECT_THAT(errorOf(file("{" + entry("F32", "[2]", "[8,0]") + "}", 8)),
              HasSubstr("lies at data bytes 8 to 0"));
  EXPECT_THAT(errorOf(file("{" + entry("Q4", "[2]", "[0,8]") + "}", 8)),
              HasSubstr("unknown dtype \"Q4\""));
  EXPECT_THAT(errorOf(file("{" + entry("F32", "[-2]", "[0,8]") + "}", 8)),
              HasSubstr("whole numbers"));
  EXPECT_THAT(errorOf(file("{" + entry("F32", "[2]", "[0,8]") + "," +
                               entry("F32", "[2]", "[0,8]") + "}",
                           8)),
              HasSubstr("names 'a' twice"));
  std::string b = R"("b":{"dtype":"U8","shape":[8],"data_offsets":[4,12]})";
  EXPECT_THAT(
      errorOf(file("{" + entry("F32", "[2]", "[0,8]") + "," + b + "}", 12)),
      HasSubstr("'b' begins at byte"));
  EXPECT_THAT(errorOf(file("{\"a\":", 0)), HasSubstr("no JSON"));
  EXPECT_THAT(errorOf(file("[1]", 0)), HasSubstr("no JSON object"));
  EXPECT_THAT(errorOf(std::vector<std::byte>(7)), HasSubstr("7 bytes are no"));
  EXPECT_THAT(errorOf(std::vector<std::byte>(100, std::byte(0xff))),
              HasSubstr("byte 0 says"));
}

TEST(Safetensors, AnyByteFlipIsReadOrRefusedInWords) {
  test::TemporaryFolder folder;
  SafetensorsWriter writer;
  writer.add("a", {3}, {1, 2, 3});
  writer.note("k", "v");
  ASSERT_TRUE(writer.write(folder / "a"));
  std::vector<std::byte> whole = bytesOf(folder / "a");
  for (size_t position = 0; position < whole.size(); ++position)
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<std::byte> flipped = whole;
      flipped[position] ^= std::byte(1 << bit);
      auto result = Safetensors::parse(flipped, "x");
      if (!result) {
        EXPECT_THAT(result.error().message, HasSubstr("x: "));
      }
    }
}
