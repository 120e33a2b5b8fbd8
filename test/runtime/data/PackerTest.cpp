#include "runtime/data/pack/Packer.h"

#include "runtime/data/Dataset.h"
#include "test/runtime/data/Scratch.h"

#include <gmock/gmock.h>

using namespace bitbyte;
using testing::HasSubstr;
namespace fs = std::filesystem;

static std::string stream(const Dataset &data, std::string_view split) {
  std::string out(data.splitBytes(split), 0);
  EXPECT_TRUE(data.read(split, 0, std::as_writable_bytes(std::span(out))));
  return out;
}

/// Packs documents and returns the streams of the three splits.
static std::array<std::string, 3>
pack(const std::vector<std::string> &documents, PackOptions options) {
  Scratch scratch;
  auto packer = Packer::create(scratch / "d", options);
  EXPECT_TRUE(packer);
  for (const std::string &document : documents)
    EXPECT_TRUE((*packer)->document(document));
  auto index = (*packer)->finish("{}");
  EXPECT_TRUE(index) << index.error().message;
  auto data = Dataset::open(scratch / "d");
  EXPECT_TRUE(data) << data.error().message;
  return {stream(*data, "train"), stream(*data, "val"), stream(*data, "test")};
}

static size_t count(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string_view::npos;
       ++at)
    ++n;
  return n;
}

TEST(Packer, SplitsByHashAndKeepsOrder) {
  std::vector<std::string> documents;
  for (int i = 0; i < 5000; ++i)
    documents.push_back(fmt::format("<document {:05}>", i));
  PackOptions options;
  options.separator = "|";
  auto splits = pack(documents, options);
  size_t total = 0;
  for (const std::string &text : splits) {
    size_t units = count(text, "<");
    total += units;
    EXPECT_EQ(count(text, "|"), units - 1);
    EXPECT_NE(text.front(), '|');
    EXPECT_NE(text.back(), '|');
  }
  EXPECT_EQ(total, 5000u);
  // 1 % of 5000 is 50 with a deviation of 7.
  EXPECT_NEAR(count(splits[1], "<"), 50, 30);
  EXPECT_NEAR(count(splits[2], "<"), 50, 30);
  EXPECT_LT(splits[0].find("00000"), splits[0].find("04000"));

  // A document's place depends on its own bytes alone.
  std::reverse(documents.begin(), documents.end());
  auto reversed = pack(documents, options);
  EXPECT_EQ(reversed[1].size(), splits[1].size());
}

TEST(Packer, CutsLongDocumentsAndJoinsNeighbours) {
  std::string text;
  for (int i = 0; text.size() < 40 * unitBytes + 5; ++i)
    text += fmt::format("{} ", i);
  PackOptions options;
  options.separator = "<SEPARATOR>";
  options.split = false;
  // All blocks in one split: no separator inside the document.
  EXPECT_EQ(pack({text}, options)[0], text);
  options.split = true;
  auto splits = pack({text}, options);
  size_t sum = 0, separators = 0;
  for (const std::string &split : splits) {
    EXPECT_FALSE(split.empty());
    sum += split.size();
    separators += count(split, options.separator);
  }
  EXPECT_EQ(sum, text.size() + separators * options.separator.size());
}

TEST(Packer, AnEmptySplitTakesAUnit) {
  // Every number of units, and equal ones, which all have the same hash.
  PackOptions options;
  options.separator = "|";
  for (int units : {3, 4, 5, 9, 30})
    for (bool equal : {false, true}) {
      std::vector<std::string> documents;
      for (int i = 0; i < units; ++i)
        documents.push_back(fmt::format("<unit {}>", equal ? 0 : i));
      auto splits = pack(documents, options);
      size_t sum = 0;
      for (const std::string &text : splits) {
        EXPECT_FALSE(text.empty()) << units << equal;
        EXPECT_EQ(count(text, "|") + 1, count(text, "<")) << text;
        EXPECT_EQ(count(text, "||"), 0u) << text;
        EXPECT_TRUE(text.front() == '<' && text.back() == '>') << text;
        sum += count(text, "<");
      }
      EXPECT_EQ(sum, size_t(units));
    }
}

TEST(Packer, RefusesTooFewUnitsAndLeavesNothing) {
  Scratch scratch;
  {
    auto packer = Packer::create(scratch / "d", {});
    ASSERT_TRUE(packer);
    ASSERT_TRUE((*packer)->document("one"));
    ASSERT_TRUE((*packer)->document("two"));
    auto index = (*packer)->finish("{}");
    ASSERT_FALSE(index);
    EXPECT_EQ(index.error().kind, ErrorKind::BadInput);
    EXPECT_THAT(index.error().message, HasSubstr("2 units"));
  }
  EXPECT_TRUE(fs::is_empty(scratch.path));
}

TEST(Packer, StopsWhenAsked) {
  Scratch scratch;
  PackOptions options;
  options.progress = [](uint64_t, uint64_t) { return false; };
  {
    auto packer = Packer::create(scratch / "d", options);
    ASSERT_TRUE(packer);
    EXPECT_FALSE((*packer)->append(std::string(3 << 20, 'x')));
  }
  EXPECT_TRUE(fs::is_empty(scratch.path));
}

TEST(Packer, KeepsAnExistingDirectory) {
  Scratch scratch;
  scratch.write("d/mine", "precious");
  auto packer = Packer::create(scratch / "d/", {});
  ASSERT_FALSE(packer);
  EXPECT_EQ(packer.error().kind, ErrorKind::Usage);
  EXPECT_EQ(scratch.read("d/mine"), "precious");
}
