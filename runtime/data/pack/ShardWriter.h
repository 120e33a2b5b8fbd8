//===- ShardWriter.h - Writes one split as shards -------------------------===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/data/Index.h"

#include <memory>
#include <string>
#include <string_view>

namespace bitbyte {

/// Appends to the stream of one split: cuts it into shards, hashes it in
/// blocks, and makes it durable on `finish`.
class ShardWriter {
public:
  /// `stem` is the split's name, and what its files are called.
  ShardWriter(std::string directory, std::string stem, uint64_t shardBytes);
  ~ShardWriter();
  ShardWriter(const ShardWriter &) = delete;
  ShardWriter &operator=(const ShardWriter &) = delete;

  Result<void> append(std::string_view bytes);
  Result<void> finish();

  uint64_t bytes() const { return entry.bytes; }
  /// Complete after `finish`; `documents` is the caller's to count.
  SplitEntry entry;

private:
  Result<void> openShard();
  Result<void> closeShard();
  void hash(std::string_view bytes);

  struct State;
  std::unique_ptr<State> state;
  std::string directory;
  uint64_t shardBytes;
};

} // namespace bitbyte
