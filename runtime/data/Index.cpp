#include "runtime/data/Index.h"

#include <nlohmann/json.hpp>
#include <set>
#include <xxhash.h>

using nlohmann::ordered_json;

namespace bitbyte {

static constexpr std::string_view formatName = "bitbyte-data";
static constexpr int formatVersion = 1;

static std::string hex(std::string_view bytes) {
  std::string out;
  for (unsigned char byte : bytes)
    out += fmt::format("{:02x}", byte);
  return out;
}

static bool parseHex64(std::string_view text, uint64_t &value) {
  if (text.size() != 16)
    return false;
  value = 0;
  for (char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
      return false;
    value = value * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return true;
}

static std::string unhex(std::string_view text) {
  std::string out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out += static_cast<char>(
        std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  return out;
}

const SplitEntry *DataIndex::split(std::string_view name) const {
  for (const SplitEntry &entry : splits)
    if (entry.name == name)
      return &entry;
  return nullptr;
}

uint64_t DataIndex::bytes() const {
  uint64_t sum = 0;
  for (const SplitEntry &entry : splits)
    sum += entry.bytes;
  return sum;
}

std::string DataIndex::contentHash() const {
  std::string text;
  for (const SplitEntry &entry : splits) {
    text += fmt::format("{} {}\n", entry.name, entry.bytes);
    for (uint64_t hash : entry.blockHashes)
      text += fmt::format("{:016x}\n", hash);
  }
  XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

/// The hash of the index itself, so that a flipped digit is found as well.
static std::string checksumOf(ordered_json object) {
  object.erase("checksum");
  std::string text = object.dump();
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

std::string DataIndex::toJson() const {
  ordered_json object;
  object["format"] = formatName;
  object["version"] = formatVersion;
  object["hash"] = contentHash();
  object["separator_hex"] = hex(separator);
  object["source"] = sourceJson.empty() ? ordered_json::object()
                                        : ordered_json::parse(sourceJson);
  object["block_bytes"] = indexBlockBytes;
  for (const SplitEntry &entry : splits) {
    ordered_json split = {{"name", entry.name},
                          {"bytes", entry.bytes},
                          {"documents", entry.documents},
                          {"shards", ordered_json::array()},
                          {"block_hashes", ordered_json::array()}};
    for (const ShardEntry &shard : entry.shards)
      split["shards"].push_back({{"file", shard.file}, {"bytes", shard.bytes}});
    for (uint64_t hash : entry.blockHashes)
      split["block_hashes"].push_back(fmt::format("{:016x}", hash));
    object["splits"].push_back(std::move(split));
  }
  object["checksum"] = checksumOf(object);
  return object.dump(1) + "\n";
}

static Result<SplitEntry> parseSplit(const ordered_json &json,
                                     const std::string &path) {
  SplitEntry entry;
  entry.name = json.at("name").get<std::string>();
  entry.bytes = json.at("bytes").get<uint64_t>();
  entry.documents = json.at("documents").get<uint64_t>();

  std::set<std::string> seen;
  uint64_t sum = 0;
  for (const ordered_json &item : json.at("shards")) {
    ShardEntry shard{item.at("file").get<std::string>(),
                     item.at("bytes").get<uint64_t>()};
    // A name that leaves the directory would make a data set able to show a
    // model any file of its reader.
    if (shard.file.empty() || shard.file.find('/') != std::string::npos ||
        shard.file[0] == '.' || !seen.insert(shard.file).second)
      return fail(ErrorKind::BadInput, "{}: split '{}': bad shard name '{}'",
                  path, entry.name, shard.file);
    if (shard.bytes == 0 || shard.bytes > entry.bytes - sum)
      return fail(ErrorKind::BadInput,
                  "{}: split '{}': shard '{}' of {} bytes does not fit into "
                  "the split's {} bytes",
                  path, entry.name, shard.file, shard.bytes, entry.bytes);
    sum += shard.bytes;
    entry.shards.push_back(std::move(shard));
  }
  if (sum != entry.bytes)
    return fail(ErrorKind::BadInput,
                "{}: split '{}': its shards hold {} bytes, not {}", path,
                entry.name, sum, entry.bytes);

  for (const ordered_json &item : json.at("block_hashes")) {
    uint64_t hash = 0;
    if (!parseHex64(item.get<std::string>(), hash))
      return fail(ErrorKind::BadInput,
                  "{}: split '{}': block hash {} is not 16 hex digits", path,
                  entry.name, entry.blockHashes.size());
    entry.blockHashes.push_back(hash);
  }
  uint64_t blocks =
      entry.bytes / indexBlockBytes + (entry.bytes % indexBlockBytes != 0);
  if (entry.blockHashes.size() != blocks)
    return fail(ErrorKind::BadInput,
                "{}: split '{}' of {} bytes needs {} block hashes, has {}",
                path, entry.name, entry.bytes, blocks,
                entry.blockHashes.size());
  return entry;
}

static Result<DataIndex> parseObject(const ordered_json &object,
                                     const std::string &path) {
  if (object.value("format", "") != formatName)
    return fail(ErrorKind::BadInput,
                "{}: not the index of a data directory made by bb-data", path);
  if (int version = object.at("version").get<int>(); version != formatVersion)
    return fail(ErrorKind::BadInput,
                "{}: format version {}, this program reads {}", path, version,
                formatVersion);
  if (object.at("checksum").get<std::string>() != checksumOf(object))
    return fail(ErrorKind::BadInput,
                "{}: damaged or edited: its content does not match its "
                "checksum",
                path);
  if (object.at("block_bytes").get<uint64_t>() != indexBlockBytes)
    return fail(ErrorKind::BadInput, "{}: block_bytes is not {}", path,
                indexBlockBytes);

  DataIndex index;
  index.separator = unhex(object.at("separator_hex").get<std::string>());
  index.sourceJson = object.at("source").dump();
  for (const ordered_json &item : object.at("splits")) {
    BB_ASSIGN(SplitEntry entry, parseSplit(item, path));
    if (index.split(entry.name))
      return fail(ErrorKind::BadInput, "{}: two splits named '{}'", path,
                  entry.name);
    index.splits.push_back(std::move(entry));
  }
  if (index.contentHash() != object.at("hash").get<std::string>())
    return fail(ErrorKind::BadInput,
                "{}: the hash of the data does not match the block hashes",
                path);
  return index;
}

Result<DataIndex> DataIndex::parse(std::string_view text,
                                   const std::string &path) {
  // The JSON library reports by exceptions; they end here.
  try {
    return parseObject(ordered_json::parse(text), path);
  } catch (const std::exception &error) {
    return fail(ErrorKind::BadInput, "{}: {}", path, error.what());
  }
}

} // namespace bitbyte
