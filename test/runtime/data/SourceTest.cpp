#include "runtime/data/pack/ByteSource.h"
#include "runtime/data/pack/Documents.h"
#include "test/runtime/data/Scratch.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

using namespace bitbyte;
using testing::ElementsAre;
using testing::HasSubstr;

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

std::string gzip(std::string_view text) {
  std::string out(text.size() + 1000, 0);
  z_stream stream = {};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(text.data()));
  stream.avail_in = text.size();
  stream.next_out = reinterpret_cast<Bytef *>(out.data());
  stream.avail_out = out.size();
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), 0);
  ZSTD_CCtx *context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  out.resize(ZSTD_compress2(context, out.data(), out.size(), text.data(),
                            text.size()));
  ZSTD_freeCCtx(context);
  return out;
}

std::string xz(std::string_view text) {
  std::string out(lzma_stream_buffer_bound(text.size()), 0);
  size_t size = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(
                0, LZMA_CHECK_CRC64, nullptr,
                reinterpret_cast<const uint8_t *>(text.data()), text.size(),
                reinterpret_cast<uint8_t *>(out.data()), &size, out.size()),
            LZMA_OK);
  out.resize(size);
  return out;
}

std::string tar(const std::vector<std::pair<std::string, std::string>> &files) {
  std::string out(1 << 20, 0);
  size_t size = 0;
  archive *writer = archive_write_new();
  archive_write_set_format_pax_restricted(writer);
  archive_write_open_memory(writer, out.data(), out.size(), &size);
  for (const auto &[name, text] : files) {
    archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, text.size());
    archive_write_header(writer, entry);
    archive_write_data(writer, text.data(), text.size());
    archive_entry_free(entry);
  }
  archive_write_close(writer);
  archive_write_free(writer);
  out.resize(size);
  return out;
}

std::string sample() {
  std::string text;
  for (int i = 0; i < 30'000; ++i)
    text += fmt::format("{} ", i * 7919 % 10007);
  return text;
}

Result<std::vector<std::string>> documentsOf(const std::string &path,
                                             DocumentOptions options = {}) {
  Collector sink;
  DocumentCounts counts;
  BB_TRY(readDocuments(path, options, sink, counts));
  return sink.documents;
}

struct Format {
  const char *name;
  std::string (*pack)(std::string_view);
};
class Compressed : public testing::TestWithParam<Format> {};

TEST_P(Compressed, ReadsAllMembers) {
  Scratch scratch;
  auto [name, pack] = GetParam();
  std::string text = sample();
  std::string path =
      scratch.write("f", pack(text) + pack("") + pack("the second"));
  auto documents = documentsOf(path);
  ASSERT_TRUE(documents) << documents.error().message;
  EXPECT_THAT(*documents, ElementsAre(text + "the second"));
}

TEST_P(Compressed, EveryCutIsFound) {
  Scratch scratch;
  auto [name, pack] = GetParam();
  std::string whole = pack(sample());
  for (size_t size = 7; size < whole.size(); size += whole.size() / 40 + 1) {
    auto documents = documentsOf(scratch.write("f", whole.substr(0, size)));
    ASSERT_FALSE(documents) << size;
    EXPECT_EQ(documents.error().kind, ErrorKind::BadInput);
    EXPECT_THAT(documents.error().message, HasSubstr("truncated"));
    EXPECT_THAT(documents.error().message, HasSubstr(scratch / "f"));
    EXPECT_THAT(documents.error().message,
                HasSubstr(fmt::format("offset {}", size)));
  }
  // The last bytes are the checksum.
  EXPECT_FALSE(
      documentsOf(scratch.write("f", whole.substr(0, whole.size() - 1))));
}

TEST_P(Compressed, AFlippedByteIsFound) {
  Scratch scratch;
  auto [name, pack] = GetParam();
  std::string whole = pack(sample());
  for (size_t at = 100; at < whole.size(); at += whole.size() / 20 + 1) {
    std::string flipped = whole;
    flipped[at] ^= 0x40;
    EXPECT_FALSE(documentsOf(scratch.write("f", flipped))) << at;
  }
}

INSTANTIATE_TEST_SUITE_P(Source, Compressed,
                         testing::Values(Format{"gzip", gzip},
                                         Format{"zstd", zstd},
                                         Format{"xz", xz}),
                         [](const auto &info) { return info.param.name; });

TEST(Source, RefusesFormatsThatItDoesNotUnpack) {
  Scratch scratch;
  std::string path = scratch.write("f", "BZh91AY&SY........");
  auto documents = documentsOf(path);
  ASSERT_FALSE(documents);
  EXPECT_THAT(documents.error().message, HasSubstr("bzip2"));
  EXPECT_TRUE(documentsOf(path, {Decode::Raw, ""}));
}

TEST(Source, RawTakesTheBytesAsTheyAre) {
  Scratch scratch;
  std::string packed = gzip("text");
  EXPECT_THAT(*documentsOf(scratch.write("f", packed), {Decode::Raw, ""}),
              ElementsAre(packed));
}

TEST(Tar, IsOneDocumentAFile) {
  Scratch scratch;
  std::string archive =
      tar({{"b", "first"}, {"a", std::string(2000, 'x')}, {"empty", ""}});
  for (const std::string &bytes : {archive, gzip(archive), xz(archive)}) {
    auto documents = documentsOf(scratch.write("f", bytes));
    ASSERT_TRUE(documents) << documents.error().message;
    EXPECT_THAT(*documents, ElementsAre("first", std::string(2000, 'x'), ""));
  }
}

TEST(Tar, EveryCutIsFound) {
  Scratch scratch;
  std::string archive = tar({{"b", std::string(700, 'y')}, {"a", "second"}});
  // Header 512, content 1024, header 512, content 512, two blocks of zeros.
  for (size_t size : {512, 600, 1000, 1536, 1700, 2048, 2300, 2560})
    EXPECT_FALSE(documentsOf(scratch.write("f", archive.substr(0, size))))
        << size;
  EXPECT_TRUE(documentsOf(scratch.write("f", archive.substr(0, 3584))));
}

TEST(JsonLines, TakeOneFieldOfEachLine) {
  Scratch scratch;
  std::string path = scratch.write(
      "f", "{\"text\": \"one\\n\", \"id\": 3}\n\n  {\"text\":\"\\u00e9\"}");
  auto documents = documentsOf(path, {Decode::Auto, "text"});
  ASSERT_TRUE(documents) << documents.error().message;
  EXPECT_THAT(*documents, ElementsAre("one\n", "\u00e9"));
}

TEST(JsonLines, ErrorsNameTheLine) {
  Scratch scratch;
  auto message = [&](const std::string &line) {
    std::string path = scratch.write("f", "{\"text\": \"ok\"}\n" + line + "\n");
    auto documents = documentsOf(path, {Decode::Auto, "text"});
    EXPECT_FALSE(documents);
    return documents ? "" : documents.error().message;
  };
  EXPECT_THAT(message("{\"text\": "), HasSubstr("f:2: "));
  EXPECT_THAT(message("[1]"), HasSubstr("f:2: a JSON array"));
  EXPECT_THAT(message("{\"body\": \"x\"}"),
              HasSubstr("f:2: no field 'text'; it has: body"));
  EXPECT_THAT(message("{\"text\": 7}"), HasSubstr("is a number, not a string"));
}

TEST(Directory, IsReadInOrderWithoutHiddenFiles) {
  Scratch scratch;
  scratch.write("d/b", "2");
  scratch.write("d/a/z", "1");
  scratch.write("d/c.gz", gzip("3"));
  scratch.write("d/.hidden", "no");
  scratch.write("d/.git/x", "no");
  std::filesystem::create_symlink("b", scratch.path / "d/link");
  Collector sink;
  DocumentCounts counts;
  ASSERT_TRUE(readDocuments(scratch / "d", {}, sink, counts));
  EXPECT_THAT(sink.documents, ElementsAre("1", "2", "3"));
  EXPECT_EQ(counts.files, 3u);
  EXPECT_EQ(counts.skipped, 3u);
}

} // namespace
