#include "runtime/data/pack/Tar.h"

#include <algorithm>
#include <archive.h>
#include <archive_entry.h>
#include <cstring>
#include <optional>

namespace bitbyte {

bool isTarHeader(std::string_view block) {
  if (block.size() < tarBlockBytes || block[0] == 0)
    return false;
  constexpr size_t checksumAt = 148, checksumBytes = 8;
  unsigned sum = 0, stated = 0;
  for (size_t i = 0; i < tarBlockBytes; ++i)
    sum += i >= checksumAt && i < checksumAt + checksumBytes
               ? ' '
               : static_cast<unsigned char>(block[i]);
  bool digits = false;
  for (char c : block.substr(checksumAt, checksumBytes))
    if (c >= '0' && c <= '7') {
      stated = stated * 8 + (c - '0');
      digits = true;
    } else if (c != ' ' && c != 0) {
      return false;
    }
  return digits && sum == stated;
}

namespace {

/// The reader below libarchive: keeps the first error of the source, and
/// whether the last block was zeros, as the end mark of an archive is.
struct Feed {
  ByteSource &source;
  std::vector<char> buffer = std::vector<char>(1 << 16);
  std::string lastBlock = {};
  uint64_t offset = 0;
  std::optional<Error> error = {};

  Result<size_t> next() {
    BB_ASSIGN(size_t got, source.read(buffer));
    offset += got;
    lastBlock.append(buffer.data(), got);
    if (lastBlock.size() > tarBlockBytes)
      lastBlock.erase(0, lastBlock.size() - tarBlockBytes);
    return got;
  }

  static la_ssize_t read(archive *, void *self, const void **bytes) {
    Feed &feed = *static_cast<Feed *>(self);
    Result<size_t> got = feed.next();
    if (!got) {
      feed.error = got.error();
      return -1;
    }
    *bytes = feed.buffer.data();
    return static_cast<la_ssize_t>(*got);
  }
};

/// The content of the current member.
class Member : public ByteSource {
public:
  Member(std::string path, archive *reader, Feed &feed)
      : ByteSource(std::move(path)), reader(reader), feed(feed) {}

protected:
  Result<size_t> fill(std::span<char> out) override {
    la_ssize_t got = archive_read_data(reader, out.data(), out.size());
    if (got >= 0)
      return static_cast<size_t>(got);
    if (feed.error)
      return tl::unexpected(*feed.error);
    return fail(ErrorKind::BadInput,
                "{}: damaged or truncated near offset {}: {}", path(),
                feed.offset, archive_error_string(reader));
  }

private:
  archive *reader;
  Feed &feed;
};

} // namespace

static Result<void>
readMembers(archive *reader, Feed &feed,
            const std::function<Result<void>(ByteSource &)> &visit) {
  const std::string &path = feed.source.path();
  archive_entry *entry;
  int status;
  while ((status = archive_read_next_header(reader, &entry)) == ARCHIVE_OK ||
         status == ARCHIVE_WARN) {
    if (archive_entry_filetype(entry) != AE_IFREG ||
        archive_entry_hardlink(entry))
      continue;
    const char *name = archive_entry_pathname(entry);
    Member member(path + "(" + (name ? name : "?") + ")", reader, feed);
    BB_TRY(visit(member));
  }
  if (feed.error)
    return tl::unexpected(*feed.error);
  if (status != ARCHIVE_EOF)
    return fail(ErrorKind::BadInput,
                "{}: damaged or truncated tar archive near offset {}: {}", path,
                feed.offset, archive_error_string(reader));

  // What follows the end mark is padding, and the checksum of a packed file.
  while (true) {
    BB_ASSIGN(size_t got, feed.next());
    if (got == 0)
      break;
  }
  bool zeros = std::all_of(feed.lastBlock.begin(), feed.lastBlock.end(),
                           [](char c) { return c == 0; });
  if (!zeros)
    return fail(ErrorKind::BadInput,
                "{}: truncated: the tar archive ends at offset {} without its "
                "end mark",
                path, feed.offset);
  return {};
}

Result<void> readTar(ByteSource &source,
                     const std::function<Result<void>(ByteSource &)> &visit) {
  std::unique_ptr<archive, int (*)(archive *)> reader(archive_read_new(),
                                                      archive_read_free);
  archive_read_support_format_tar(reader.get());
  archive_read_set_format_option(reader.get(), "tar",
                                 "read_concatenated_archives", "1");
  Feed feed{source};
  if (archive_read_open(reader.get(), &feed, nullptr, Feed::read, nullptr) !=
      ARCHIVE_OK) {
    if (feed.error)
      return tl::unexpected(*feed.error);
    return fail(ErrorKind::BadInput, "{}: {}", source.path(),
                archive_error_string(reader.get()));
  }
  return readMembers(reader.get(), feed, visit);
}

} // namespace bitbyte
