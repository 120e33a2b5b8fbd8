#include "runtime/data/pack/ShardWriter.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <unistd.h>
#include <xxhash.h>

namespace bitbyte {

struct ShardWriter::State {
  FILE *file = nullptr;
  XXH3_state_t *hash = XXH3_createState();
  uint64_t inBlock = 0;

  State() { XXH3_64bits_reset(hash); }
  ~State() {
    if (file)
      std::fclose(file);
    XXH3_freeState(hash);
  }
};

ShardWriter::ShardWriter(std::string directory, std::string stem,
                         uint64_t shardBytes)
    : state(std::make_unique<State>()), directory(std::move(directory)),
      shardBytes(shardBytes) {
  entry.name = std::move(stem);
}
ShardWriter::~ShardWriter() = default;

static tl::unexpected<Error> writeError(const std::string &path) {
  return fail(ErrorKind::Failed, "{}: {}", path, std::strerror(errno));
}

Result<void> ShardWriter::openShard() {
  entry.shards.push_back(
      {fmt::format("{}-{:05}.bin", entry.name, entry.shards.size()), 0});
  std::string path = directory + "/" + entry.shards.back().file;
  state->file = std::fopen(path.c_str(), "wb");
  if (!state->file)
    return writeError(path);
  return {};
}

Result<void> ShardWriter::closeShard() {
  if (!state->file)
    return {};
  FILE *file = std::exchange(state->file, nullptr);
  bool written = std::fflush(file) == 0 && fsync(fileno(file)) == 0;
  int error = errno;
  written &= std::fclose(file) == 0 || !written;
  if (!written) {
    errno = error ? error : errno;
    return writeError(directory + "/" + entry.shards.back().file);
  }
  return {};
}

void ShardWriter::hash(std::string_view bytes) {
  while (!bytes.empty()) {
    size_t count =
        std::min<uint64_t>(bytes.size(), indexBlockBytes - state->inBlock);
    XXH3_64bits_update(state->hash, bytes.data(), count);
    state->inBlock += count;
    bytes.remove_prefix(count);
    if (state->inBlock == indexBlockBytes) {
      entry.blockHashes.push_back(XXH3_64bits_digest(state->hash));
      XXH3_64bits_reset(state->hash);
      state->inBlock = 0;
    }
  }
}

Result<void> ShardWriter::append(std::string_view bytes) {
  hash(bytes);
  while (!bytes.empty()) {
    if (state->file && entry.shards.back().bytes == shardBytes)
      BB_TRY(closeShard());
    if (!state->file)
      BB_TRY(openShard());
    ShardEntry &shard = entry.shards.back();
    size_t count = std::min<uint64_t>(bytes.size(), shardBytes - shard.bytes);
    if (std::fwrite(bytes.data(), 1, count, state->file) != count)
      return writeError(directory + "/" + shard.file);
    shard.bytes += count;
    entry.bytes += count;
    bytes.remove_prefix(count);
  }
  return {};
}

Result<void> ShardWriter::finish() {
  if (state->inBlock > 0) {
    entry.blockHashes.push_back(XXH3_64bits_digest(state->hash));
    state->inBlock = 0;
  }
  return closeShard();
}

} // namespace bitbyte
