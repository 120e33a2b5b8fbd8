//===- Index.h - The index.json of a data directory -----------------------===//
//
// A data directory holds raw bytes in shards and one index:
//
//   DIR/index.json
//   DIR/train-00000.bin  DIR/train-00001.bin …  DIR/val-00000.bin
//   DIR/test-00000.bin
//
// A split is one stream of bytes; shards only store it. So content hashes
// follow the stream (one for each `indexBlockBytes` of it), and the same
// content has the same `hash` whatever the shard size.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace bitbyte {

/// Bytes of the stream under one hash: small enough that a flipped byte is
/// located, large enough that a gigabyte needs a thousand hashes.
inline constexpr uint64_t indexBlockBytes = uint64_t(1) << 20;

struct ShardEntry {
  std::string file; ///< A plain name inside the directory.
  uint64_t bytes = 0;
};

struct SplitEntry {
  std::string name; ///< train, val or test
  uint64_t bytes = 0;
  uint64_t documents =
      0; ///< Units of the split: documents, or blocks of long ones.
  std::vector<ShardEntry> shards;
  std::vector<uint64_t> blockHashes; ///< XXH3-64 of each block of the stream.
};

struct DataIndex {
  std::vector<SplitEntry> splits;
  std::string separator; ///< Written after each document; raw bytes.
  std::string
      sourceJson; ///< What made it (`pack`, `recipe`, `synth`): an object.

  const SplitEntry *split(std::string_view name) const;
  uint64_t bytes() const;

  /// 32 hex digits (XXH3-128) over names, lengths and block hashes.
  std::string contentHash() const;

  std::string toJson() const;
  /// Checks everything that can be checked without the shards; `path` is for
  /// messages.
  static Result<DataIndex> parse(std::string_view text,
                                 const std::string &path);
};

} // namespace bitbyte
