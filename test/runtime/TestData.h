//===- TestData.h - A small data directory for a test ---------------------===//
#pragma once

#include "runtime/core/Hash.h"
#include "runtime/data/Dataset.h"

#include <filesystem>
#include <fstream>
#include <string>

namespace bitbyte::test {

/// One shard for each split; `train` or `val` may be empty.
inline Dataset makeDataset(const std::string &directory,
                           const std::string &train, const std::string &val) {
  std::filesystem::create_directories(directory);
  DataIndex index;
  for (auto [name, text] : {std::pair{"train", &train}, {"val", &val}}) {
    SplitEntry split;
    split.name = name;
    split.bytes = text->size();
    split.documents = text->empty() ? 0 : 1;
    if (!text->empty()) {
      split.shards.push_back({std::string(name) + "-00000.bin", text->size()});
      std::ofstream(directory + "/" + split.shards[0].file, std::ios::binary)
          << *text;
    }
    auto bytes = std::as_bytes(std::span(*text));
    for (uint64_t at = 0; at < bytes.size(); at += indexBlockBytes)
      split.blockHashes.push_back(hash64(
          bytes.subspan(at, std::min(indexBlockBytes, bytes.size() - at))));
    index.splits.push_back(split);
  }
  index.sourceJson = "{}";
  std::ofstream(directory + "/index.json", std::ios::binary) << index.toJson();
  auto data = Dataset::open(directory);
  if (!data)
    throw std::runtime_error(data.error().message);
  return std::move(*data);
}

/// Bytes below `vocab` with structure to learn: three of four follow from the
/// one before.
inline std::string patternedBytes(size_t count, unsigned vocab,
                                  unsigned seed = 1) {
  std::string text(count, '\0');
  unsigned last = 1;
  for (char &c : text) {
    seed = seed * 1664525 + 1013904223;
    last = (seed >> 24) % 4 ? (3 * last + 1) % vocab : (seed >> 16) % vocab;
    c = static_cast<char>(last);
  }
  return text;
}

} // namespace bitbyte::test
