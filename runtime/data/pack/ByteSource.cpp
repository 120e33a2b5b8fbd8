#include "runtime/data/pack/ByteSource.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <lzma.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

namespace bitbyte {

static constexpr size_t chunkBytes = 1 << 16;

Result<size_t> ByteSource::read(std::span<char> out) {
  if (taken < ahead.size()) {
    size_t count = std::min(out.size(), ahead.size() - taken);
    std::memcpy(out.data(), ahead.data() + taken, count);
    taken += count;
    return count;
  }
  return fill(out);
}

Result<std::string_view> ByteSource::peek(size_t count) {
  ahead.erase(0, taken);
  taken = 0;
  while (ahead.size() < count) {
    size_t old = ahead.size();
    ahead.resize(count);
    Result<size_t> got = fill(std::span(ahead).subspan(old));
    ahead.resize(old + got.value_or(0));
    if (!got)
      return tl::unexpected(got.error());
    if (*got == 0)
      break;
  }
  return std::string_view(ahead).substr(0, count);
}

namespace {

class FileSource : public ByteSource {
public:
  FileSource(std::string path, int file)
      : ByteSource(std::move(path)), file(file) {}
  ~FileSource() override {
    if (file > 0)
      ::close(file);
  }

protected:
  Result<size_t> fill(std::span<char> out) override {
    ssize_t got;
    do
      got = ::read(file, out.data(), out.size());
    while (got < 0 && errno == EINTR);
    if (got < 0)
      return fail(ErrorKind::BadInput, "{}: {}", path(), std::strerror(errno));
    return static_cast<size_t>(got);
  }

private:
  int file;
};

/// What the three decoders share: packed bytes from below, with their offset.
class Decoder : public ByteSource {
public:
  Decoder(std::unique_ptr<ByteSource> below, std::string_view format)
      : ByteSource(below->path()), below(std::move(below)), format(format) {}

protected:
  /// Refills `packed` when it is empty; it stays empty at the end of the file.
  Result<void> more() {
    if (!packed.empty())
      return {};
    BB_ASSIGN(size_t got, below->read(buffer));
    packed = std::span(buffer).first(got);
    end += got;
    return {};
  }

  uint64_t offset() const { return end - packed.size(); }

  tl::unexpected<Error> truncated() const {
    return fail(ErrorKind::BadInput,
                "{}: truncated: the {} data end at offset {} inside a member",
                path(), format, offset());
  }
  tl::unexpected<Error> damaged(std::string_view why) const {
    return fail(ErrorKind::BadInput, "{}: damaged {} data near offset {}: {}",
                path(), format, offset(), why);
  }

  std::span<char> packed;

private:
  std::unique_ptr<ByteSource> below;
  std::string_view format;
  char buffer[chunkBytes];
  uint64_t end = 0;
};

class GzipSource : public Decoder {
public:
  explicit GzipSource(std::unique_ptr<ByteSource> below)
      : Decoder(std::move(below), "gzip") {
    inflateInit2(&stream, 15 + 16); // 16: a gzip header and checksum
  }
  ~GzipSource() override { inflateEnd(&stream); }

protected:
  Result<size_t> fill(std::span<char> out) override {
    stream.next_out = reinterpret_cast<Bytef *>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    while (stream.avail_out == out.size()) {
      BB_TRY(more());
      if (betweenMembers) {
        BB_TRY(skipPadding());
        if (packed.empty())
          return 0;
        inflateReset(&stream);
        betweenMembers = false;
      }
      if (packed.empty())
        return truncated();
      stream.next_in = reinterpret_cast<Bytef *>(packed.data());
      stream.avail_in = static_cast<uInt>(packed.size());
      int status = inflate(&stream, Z_NO_FLUSH);
      packed = packed.last(stream.avail_in);
      if (status == Z_STREAM_END)
        betweenMembers = true;
      else if (status != Z_OK && status != Z_BUF_ERROR)
        return damaged(stream.msg ? stream.msg : zError(status));
    }
    return out.size() - stream.avail_out;
  }

private:
  /// Tapes and block devices leave zeros behind the last member.
  Result<void> skipPadding() {
    while (!packed.empty() && packed.front() == 0) {
      packed = packed.subspan(1);
      BB_TRY(more());
    }
    return {};
  }

  z_stream stream = {};
  bool betweenMembers = false;
};

class ZstdSource : public Decoder {
public:
  explicit ZstdSource(std::unique_ptr<ByteSource> below)
      : Decoder(std::move(below), "zstd"), stream(ZSTD_createDStream()) {}
  ~ZstdSource() override { ZSTD_freeDStream(stream); }

protected:
  Result<size_t> fill(std::span<char> out) override {
    ZSTD_outBuffer to = {out.data(), out.size(), 0};
    while (to.pos == 0) {
      BB_TRY(more());
      if (packed.empty() && betweenFrames)
        return 0;
      ZSTD_inBuffer from = {packed.data(), packed.size(), 0};
      size_t status = ZSTD_decompressStream(stream, &to, &from);
      if (ZSTD_isError(status))
        return damaged(ZSTD_getErrorName(status));
      // Without input, only what the decoder still holds can come out.
      if (packed.empty() && to.pos == 0)
        return truncated();
      packed = packed.subspan(from.pos);
      betweenFrames = status == 0;
    }
    return to.pos;
  }

private:
  ZSTD_DStream *stream;
  bool betweenFrames = false;
};

class XzSource : public Decoder {
public:
  explicit XzSource(std::unique_ptr<ByteSource> below)
      : Decoder(std::move(below), "xz") {
    started = lzma_stream_decoder(&stream, UINT64_MAX, LZMA_CONCATENATED);
  }
  ~XzSource() override { lzma_end(&stream); }

protected:
  Result<size_t> fill(std::span<char> out) override {
    stream.next_out = reinterpret_cast<uint8_t *>(out.data());
    stream.avail_out = out.size();
    if (started != LZMA_OK)
      return damaged("out of memory");
    while (stream.avail_out == out.size() && !done) {
      BB_TRY(more());
      stream.next_in = reinterpret_cast<const uint8_t *>(packed.data());
      stream.avail_in = packed.size();
      lzma_ret status =
          lzma_code(&stream, packed.empty() ? LZMA_FINISH : LZMA_RUN);
      packed = packed.last(stream.avail_in);
      if (status == LZMA_STREAM_END)
        done = true;
      else if (status == LZMA_BUF_ERROR)
        return truncated();
      else if (status != LZMA_OK)
        return damaged(status == LZMA_MEM_ERROR ? "out of memory"
                                                : "the stream is not valid");
    }
    return out.size() - stream.avail_out;
  }

private:
  lzma_stream stream = LZMA_STREAM_INIT;
  lzma_ret started;
  bool done = false;
};

} // namespace

Result<std::unique_ptr<ByteSource>> openSource(const std::string &path,
                                               Decode decode) {
  std::unique_ptr<ByteSource> source;
  if (path == "-") {
    source = std::make_unique<FileSource>("<standard input>", 0);
  } else {
    int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0)
      return fail(ErrorKind::BadInput, "{}: {}", path, std::strerror(errno));
    source = std::make_unique<FileSource>(path, file);
  }
  if (decode == Decode::Raw)
    return source;

  BB_ASSIGN(std::string_view magic, source->peek(6));
  auto begins = [&](std::string_view bytes) {
    return magic.substr(0, bytes.size()) == bytes;
  };
  if (begins("\x1f\x8b"))
    return std::make_unique<GzipSource>(std::move(source));
  if (begins("\x28\xb5\x2f\xfd"))
    return std::make_unique<ZstdSource>(std::move(source));
  if (begins(std::string_view("\xfd"
                              "7zXZ\0",
                              6)))
    return std::make_unique<XzSource>(std::move(source));
  // Other packed formats would be noise to a model: refused, not guessed at.
  for (auto [bytes, format] :
       {std::pair("BZh", "bzip2"), std::pair("PK\x03\x04", "zip"),
        std::pair("7z\xbc\xaf", "7-zip"), std::pair("Rar!", "rar"),
        std::pair("\x04\x22\x4d\x18", "lz4")})
    if (begins(bytes))
      return fail(ErrorKind::BadInput,
                  "{}: {} data; unpack them first, or give --raw to take the "
                  "bytes as they are",
                  source->path(), format);
  return source;
}

Result<std::string> readAll(ByteSource &source) {
  std::string text;
  char buffer[chunkBytes];
  while (true) {
    BB_ASSIGN(size_t got, source.read(buffer));
    if (got == 0)
      return text;
    text.append(buffer, got);
  }
}

} // namespace bitbyte
