#include "runtime/data/pack/Unpack.h"

#include "test/runtime/data/Scratch.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <zlib.h>

using namespace bitbyte;
using testing::ElementsAre;

namespace {

struct Collector : DocumentSink {
  std::vector<std::string> documents;
  std::string current;
  Result<void> append(std::string_view bytes) override {
    current += bytes;
    return {};
  }
  Result<void> endDocument() override {
    documents.push_back(std::exchange(current, ""));
    return {};
  }
};

std::string big(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>(value >> shift);
  return out;
}
std::string little(uint32_t value) {
  std::string out = big(value);
  return {out.rbegin(), out.rend()};
}

std::string deflated(const std::string &text) {
  uLongf size = compressBound(text.size());
  std::string out(size, 0);
  compress(reinterpret_cast<Bytef *>(out.data()), &size,
           reinterpret_cast<const Bytef *>(text.data()), text.size());
  out.resize(size);
  return out;
}

/// A character vector as R saves it.
std::string rVector(const std::vector<std::string> &lines) {
  std::string out = "X\n" + big(3) + big(0x40201) + big(0x30500) + big(5) +
                    "UTF-8" + big(16) + big(lines.size());
  for (const std::string &line : lines)
    out += big(0x40009) + big(line.size()) + line;
  return big(out.size()) + deflated(out);
}

} // namespace

TEST(Unpack, NovelsBecomeChapters) {
  Scratch scratch;
  std::string file =
      rVector({"EMMA", "", "CHAPTER 1", "", "One line", "and  one more.", "",
               "Next.", "Chapter 2", "End."}) +
      rVector({"Other book"});
  Collector sink;
  ASSERT_TRUE(extractNovels(scratch.write("d.rdb", file), sink));
  EXPECT_THAT(sink.documents,
              ElementsAre("EMMA\n",
                          "CHAPTER 1\nOne line and one more.\nNext.\n",
                          "Chapter 2 End.\n", "Other book\n"));
  for (size_t size : {size_t(3), file.size() / 2, file.size() - 1})
    EXPECT_FALSE(
        extractNovels(scratch.write("d.rdb", file.substr(0, size)), sink));
}

TEST(Unpack, ScriptureBecomesChapters) {
  Scratch scratch;
  std::string book =
      "<title>Luke</title><chapter n=\"1\" sID=\"Luke.1\"/><w x=\"1\">In</w> "
      "<w x=\"2\">the<note>a note</note></w> “days”<div type=\"x-milestone\" "
      "sID=\"p\"/> of Herod.<div sID=\"g\" type=\"x-p\"/>He left."
      "<chapter eID=\"Luke.1\"/><chapter n=\"2\" sID=\"Luke.2\"/>Two.";
  std::string packed = deflated(book);
  scratch.write("nt.bzs",
                little(0) + little(packed.size()) + little(book.size()));
  Collector sink;
  ASSERT_TRUE(extractScripture(scratch.write("nt.bzz", packed), sink));
  EXPECT_THAT(sink.documents,
              ElementsAre("In the \"days\" of Herod.\nHe left.\n", "Two.\n"));
  scratch.write("nt.bzs",
                little(1) + little(packed.size()) + little(book.size()));
  EXPECT_FALSE(extractScripture(scratch / "nt.bzz", sink));
}

TEST(Unpack, Glosses) {
  Scratch scratch;
  Collector sink;
  ASSERT_TRUE(extractGlosses(
      scratch.write("data.noun",
                    "  1 This is a licence | no\n"
                    "00006269 03 n 02 life 0 living_thing 1 002 @ 00004258 n "
                    "0000 | living things collectively  \n"),
      sink));
  EXPECT_THAT(sink.documents,
              ElementsAre("life, living thing: living things collectively\n"));
  EXPECT_FALSE(extractGlosses(scratch.write("data.noun", "x | y\n"), sink));
}

TEST(Unpack, DictionaryEntriesStayWhole) {
  Scratch scratch;
  std::string text;
  for (int i = 0; i < 1000; ++i)
    text += fmt::format(
        "Word{}\n   Explained by {{Other}}.\n   [1913 Webster]\n\n", i);
  Collector sink;
  ASSERT_TRUE(extractDictionary(scratch.write("d.dict", text), sink));
  ASSERT_GT(sink.documents.size(), 2u);
  for (const std::string &page : sink.documents) {
    EXPECT_THAT(page, testing::StartsWith("Word"));
    EXPECT_THAT(page, testing::EndsWith("Explained by Other.\n"));
  }
}
