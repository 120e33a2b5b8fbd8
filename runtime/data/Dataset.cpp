#include "runtime/data/Dataset.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

namespace bitbyte {

namespace {

/// One read-only mapping of a whole file.
class Mapping {
public:
  static Result<Mapping> open(const std::string &path, uint64_t expectedBytes) {
    int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0)
      return fail(ErrorKind::BadInput, "{}: {}", path, std::strerror(errno));
    struct stat status;
    if (fstat(file, &status) != 0 ||
        static_cast<uint64_t>(status.st_size) != expectedBytes) {
      ::close(file);
      return fail(ErrorKind::BadInput,
                  "{}: {} bytes, but the index says {} bytes", path,
                  static_cast<uint64_t>(status.st_size), expectedBytes);
    }
    void *address =
        mmap(nullptr, expectedBytes, PROT_READ, MAP_PRIVATE, file, 0);
    int error = errno;
    ::close(file);
    if (address == MAP_FAILED)
      return fail(ErrorKind::Failed, "{}: cannot map {} bytes: {}", path,
                  expectedBytes, std::strerror(error));
    return Mapping(path, static_cast<const std::byte *>(address),
                   expectedBytes);
  }

  Mapping(Mapping &&other) noexcept
      : path(std::move(other.path)),
        bytes(std::exchange(other.bytes, std::span<const std::byte>())) {}
  Mapping &operator=(Mapping &&) = delete;
  ~Mapping() {
    if (bytes.data())
      munmap(const_cast<std::byte *>(bytes.data()), bytes.size());
  }

  std::string path;
  std::span<const std::byte> bytes;

private:
  Mapping(std::string path, const std::byte *data, uint64_t size)
      : path(std::move(path)), bytes(data, size) {}
};

/// The stream of one split.
struct Stream {
  std::string name;
  uint64_t bytes = 0;
  std::vector<Mapping> shards;
  std::vector<uint64_t> starts; ///< Offset of each shard in the stream.

  size_t shardAt(uint64_t offset) const {
    return std::upper_bound(starts.begin(), starts.end(), offset) -
           starts.begin() - 1;
  }

  /// Calls `visit` with the contiguous pieces of [offset, offset + count).
  template <typename Visit>
  void forPieces(uint64_t offset, uint64_t count, Visit visit) const {
    for (size_t i = count ? shardAt(offset) : 0; count > 0; ++i) {
      uint64_t begin = offset - starts[i];
      uint64_t size = std::min<uint64_t>(count, shards[i].bytes.size() - begin);
      visit(shards[i].bytes.subspan(begin, size), shards[i].path, begin);
      offset += size;
      count -= size;
    }
  }
};

} // namespace

struct Dataset::Impl {
  std::string directory;
  DataIndex index;
  std::string hash;
  std::vector<Stream> streams;

  const Stream *stream(std::string_view name) const {
    for (const Stream &stream : streams)
      if (stream.name == name)
        return &stream;
    return nullptr;
  }
};

static Result<Stream> openStream(const SplitEntry &split,
                                 const std::string &directory) {
  Stream stream;
  stream.name = split.name;
  for (const ShardEntry &shard : split.shards) {
    BB_ASSIGN(Mapping mapping,
              Mapping::open(directory + "/" + shard.file, shard.bytes));
    stream.starts.push_back(stream.bytes);
    stream.shards.push_back(std::move(mapping));
    stream.bytes += shard.bytes;
  }
  return stream;
}

static Result<void> checkHashes(const Stream &stream,
                                const std::vector<uint64_t> &hashes) {
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t *)> state(
      XXH3_createState(), XXH3_freeState);
  for (size_t block = 0; block < hashes.size(); ++block) {
    uint64_t begin = block * indexBlockBytes;
    uint64_t size = std::min(indexBlockBytes, stream.bytes - begin);
    XXH3_64bits_reset(state.get());
    stream.forPieces(begin, size, [&](auto piece, const auto &, uint64_t) {
      XXH3_64bits_update(state.get(), piece.data(), piece.size());
    });
    if (XXH3_64bits_digest(state.get()) != hashes[block]) {
      size_t shard = stream.shardAt(begin);
      return fail(ErrorKind::BadInput,
                  "{}: damaged: the {} bytes from offset {} do not match "
                  "their hash",
                  stream.shards[shard].path, size,
                  begin - stream.starts[shard]);
    }
  }
  return {};
}

Result<Dataset> Dataset::open(const std::string &directory) {
  std::string path = directory + "/index.json";
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return fail(ErrorKind::BadInput,
                "{}: {}; a data directory is made by bb-data pack, recipe or "
                "synth",
                path, std::strerror(errno));
  std::ostringstream text;
  text << file.rdbuf();

  auto impl = std::make_unique<Impl>();
  impl->directory = directory;
  BB_ASSIGN(impl->index, DataIndex::parse(text.str(), path));
  impl->hash = impl->index.contentHash();
  for (const SplitEntry &split : impl->index.splits) {
    BB_ASSIGN(Stream stream, openStream(split, directory));
    BB_TRY(checkHashes(stream, split.blockHashes));
    impl->streams.push_back(std::move(stream));
  }
  return Dataset(std::move(impl));
}

Dataset::Dataset(std::unique_ptr<Impl> impl) : impl(std::move(impl)) {}
Dataset::Dataset(Dataset &&) = default;
Dataset &Dataset::operator=(Dataset &&) = default;
Dataset::~Dataset() = default;

uint64_t Dataset::splitBytes(std::string_view split) const {
  const Stream *stream = impl->stream(split);
  return stream ? stream->bytes : 0;
}

Result<void> Dataset::read(std::string_view split, uint64_t offset,
                           std::span<std::byte> out) const {
  const Stream *stream = impl->stream(split);
  if (!stream)
    return fail(ErrorKind::BadInput, "{}: no split named '{}'", impl->directory,
                split);
  if (offset > stream->bytes || out.size() > stream->bytes - offset)
    return fail(ErrorKind::BadInput,
                "{}: bytes {} to {} of split '{}' were asked for, it has {}",
                impl->directory, offset, offset + out.size(), split,
                stream->bytes);
  std::byte *to = out.data();
  stream->forPieces(offset, out.size(),
                    [&](auto piece, const auto &, uint64_t) {
                      to = std::copy(piece.begin(), piece.end(), to);
                    });
  return {};
}

std::string Dataset::hash() const { return impl->hash; }
const DataIndex &Dataset::index() const { return impl->index; }
const std::string &Dataset::directory() const { return impl->directory; }

Result<void> Dataset::requireVocabulary(std::string_view split,
                                        int64_t vocab) const {
  const Stream *stream = impl->stream(split);
  if (!stream || vocab >= 256)
    return {};
  std::string problem;
  stream->forPieces(
      0, stream->bytes,
      [&](auto piece, const std::string &path, uint64_t begin) {
        auto bad = std::find_if(piece.begin(), piece.end(), [&](std::byte b) {
          return std::to_integer<int64_t>(b) >= vocab;
        });
        if (bad != piece.end() && problem.empty())
          problem = fmt::format(
              "{}: byte {} at offset {} is no id of a model with vocab = {}",
              path, std::to_integer<int>(*bad), begin + (bad - piece.begin()),
              vocab);
      });
  if (!problem.empty())
    return fail(ErrorKind::BadInput, "{}", problem);
  return {};
}

} // namespace bitbyte
