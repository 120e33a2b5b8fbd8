//===- Dataset.h - Reads a data directory ---------------------------------===//
//
//   BB_ASSIGN(auto data, Dataset::open("corpus"));
//   data.read("train", offset, buffer);
//
// Shards are memory-mapped read-only. `open` checks the index, every shard's
// size and every block's hash, so that what follows reads sound bytes.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/data/Index.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace bitbyte {

/// Move-only; reading is thread-safe.
class Dataset {
public:
  /// BadInput names the file, and the offset where bytes are missing or differ.
  static Result<Dataset> open(const std::string &directory);

  Dataset(Dataset &&);
  Dataset &operator=(Dataset &&);
  ~Dataset();

  /// Bytes of a split: 0 for an empty one, and for a name that does not exist.
  uint64_t splitBytes(std::string_view split) const;

  /// Copies bytes [offset, offset + out.size()) of the split's stream, across
  /// the ends of shards and documents. BadInput past its end.
  Result<void> read(std::string_view split, uint64_t offset,
                    std::span<std::byte> out) const;

  /// 32 hex digits that name the content of all splits (not the shard sizes).
  std::string hash() const;

  /// BadInput, with file, offset and byte, if a byte of the split is no id
  /// below `vocab`. Reads the split only if `vocab` < 256.
  Result<void> requireVocabulary(std::string_view split, int64_t vocab) const;

  const DataIndex &index() const;
  const std::string &directory() const;

private:
  struct Impl;
  explicit Dataset(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

} // namespace bitbyte
