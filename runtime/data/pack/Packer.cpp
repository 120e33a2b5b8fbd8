#include "runtime/data/pack/Packer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <unistd.h>
#include <xxhash.h>

namespace fs = std::filesystem;

namespace bitbyte {

static constexpr const char *splitNames[] = {"train", "val", "test"};

/// 98/1/1 by the upper bits, which XXH3 mixes well.
static size_t splitOf(uint64_t hash) {
  uint64_t percent = (hash >> 32) * 100 >> 32;
  return percent < 98 ? 0 : percent == 98 ? 1 : 2;
}

Packer::Packer(std::string target, std::string temporary, PackOptions options)
    : target(std::move(target)), temporary(std::move(temporary)),
      options(std::move(options)) {
  for (size_t i = 0; i < splits.size(); ++i)
    splits[i].writer = std::make_unique<ShardWriter>(
        this->temporary, splitNames[i], this->options.shardBytes);
}

Packer::~Packer() {
  if (!temporary.empty()) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
  }
}

Result<std::unique_ptr<Packer>> Packer::create(const std::string &directory,
                                               PackOptions options) {
  std::string target = directory;
  while (target.size() > 1 && target.back() == '/')
    target.pop_back();
  std::error_code error;
  if (target.empty() ||
      fs::symlink_status(target, error).type() != fs::file_type::not_found)
    return fail(ErrorKind::Usage,
                "{} exists: remove it, or choose another directory for -o",
                directory);
  std::string temporary = fmt::format("{}.partial-{}", target, ::getpid());
  fs::create_directories(temporary, error);
  if (error)
    return fail(ErrorKind::Failed, "{}: {}", temporary, error.message());
  return std::unique_ptr<Packer>(
      new Packer(std::move(target), std::move(temporary), std::move(options)));
}

Result<void> Packer::append(std::string_view bytes) {
  taken += bytes.size();
  while (!bytes.empty()) {
    // A full unit is taken when the next byte shows that the document goes on.
    if (unit.size() == unitBytes)
      BB_TRY(takeUnit());
    size_t count = std::min(bytes.size(), unitBytes - unit.size());
    unit.append(bytes.substr(0, count));
    bytes.remove_prefix(count);
  }
  return {};
}

Result<void> Packer::endDocument() {
  if (!unit.empty())
    BB_TRY(takeUnit());
  ++documents;
  unitInDocument = 0;
  return {};
}

Result<void> Packer::takeUnit() {
  constexpr uint64_t reportEvery = 1 << 20;
  if (options.progress && taken - reported >= reportEvery) {
    reported = taken;
    if (!options.progress(taken, documents))
      return fail(ErrorKind::Failed, "interrupted; nothing was written");
  }

  Candidate candidate;
  candidate.hash = XXH3_64bits(unit.data(), unit.size());
  Split &split = splits[options.split ? splitOf(candidate.hash) : 0];
  bool follows =
      split.lastDocument == documents && split.lastUnit + 1 == unitInDocument;
  candidate.separated = split.writer->bytes() > 0 && !follows;
  if (candidate.separated) {
    for (Candidate &other : split.smallest)
      other.separatedAfter |= other.end == split.writer->bytes();
    BB_TRY(split.writer->append(options.separator));
  }
  candidate.begin = split.writer->bytes();
  BB_TRY(split.writer->append(unit));
  candidate.end = split.writer->bytes();
  ++split.writer->entry.documents;
  keepIfSmall(split, candidate);

  split.lastDocument = documents;
  split.lastUnit = unitInDocument++;
  unit.clear();
  return {};
}

void Packer::keepIfSmall(Split &split, const Candidate &candidate) {
  auto place = std::upper_bound(
      split.smallest.begin(), split.smallest.end(), candidate,
      [](const Candidate &a, const Candidate &b) { return a.hash < b.hash; });
  split.smallest.insert(place, candidate);
  if (split.smallest.size() > 2)
    split.smallest.pop_back();
}

Result<void> Packer::fillEmptySplits() {
  uint64_t units = 0;
  for (const Split &split : splits)
    units += split.writer->entry.documents;
  if (units == 0)
    return fail(ErrorKind::BadInput, "the inputs hold no bytes");
  if (!options.split)
    return {};
  if (units < splits.size())
    return fail(ErrorKind::BadInput,
                "{} unit{} (documents, or 64 KiB blocks of longer ones) cannot "
                "fill train, val and test; give more text, or --no-val",
                units, units == 1 ? "" : "s");

  for (Split &split : splits) {
    if (split.writer->entry.documents > 0)
      continue;
    Split *donor = nullptr;
    for (Split &other : splits)
      if (other.writer->entry.documents > 1 &&
          (!donor ||
           other.smallest.front().hash < donor->smallest.front().hash))
        donor = &other;
    BB_TRY(move(*donor, split));
  }
  return {};
}

/// Copies [begin, end) of the stream in `files`.
static Result<void> copyRange(const std::string &directory,
                              const std::vector<ShardEntry> &shards,
                              uint64_t begin, uint64_t end, ShardWriter &to) {
  std::vector<char> buffer(1 << 20);
  uint64_t start = 0;
  for (const ShardEntry &shard : shards) {
    uint64_t stop = start + shard.bytes;
    if (begin < stop && end > start) {
      std::string path = directory + "/" + shard.file;
      std::ifstream file(path, std::ios::binary);
      file.seekg(static_cast<std::streamoff>(std::max(begin, start) - start));
      uint64_t left = std::min(end, stop) - std::max(begin, start);
      while (left > 0) {
        size_t count = std::min<uint64_t>(left, buffer.size());
        if (!file.read(buffer.data(), static_cast<std::streamsize>(count)))
          return fail(ErrorKind::Failed, "{}: cannot read it back", path);
        BB_TRY(to.append({buffer.data(), count}));
        left -= count;
      }
    }
    start = stop;
  }
  return {};
}

/// Gives the unit of smallest hash to an empty split, and writes the donor's
/// stream anew without it. Rare (a split of a few hundred units, or of equal
/// ones), so simple rather than fast.
Result<void> Packer::move(Split &from, Split &to) {
  Candidate unit = from.smallest.front();
  SplitEntry old = from.writer->entry;
  BB_TRY(from.writer->finish());
  old = from.writer->entry;
  // Aside, so that the new files can have the old names.
  for (ShardEntry &shard : old.shards) {
    std::string name = "old-" + shard.file;
    fs::rename(temporary + "/" + shard.file, temporary + "/" + name);
    shard.file = name;
  }

  BB_TRY(copyRange(temporary, old.shards, unit.begin, unit.end, *to.writer));
  to.writer->entry.documents = 1;
  to.smallest = {{unit.hash, 0, unit.end - unit.begin, false, false}};

  // One separator goes with the unit: the one before it, or, for the first
  // unit, the one behind it. Where the next unit went on without one, the
  // separator before it stays and parts that unit from its new neighbour.
  uint64_t separator = options.separator.size();
  uint64_t cutBegin = unit.begin, cutEnd = unit.end;
  if (unit.separatedAfter)
    cutEnd += separator;
  else if (unit.separated && unit.end == old.bytes)
    cutBegin -= separator;
  auto writer =
      std::make_unique<ShardWriter>(temporary, old.name, options.shardBytes);
  BB_TRY(copyRange(temporary, old.shards, 0, cutBegin, *writer));
  BB_TRY(copyRange(temporary, old.shards, cutEnd, old.bytes, *writer));
  writer->entry.documents = old.documents - 1;
  from.writer = std::move(writer);
  for (const ShardEntry &shard : old.shards)
    fs::remove(temporary + "/" + shard.file);

  from.smallest.erase(from.smallest.begin());
  for (Candidate &other : from.smallest) {
    if (other.begin >= cutEnd) {
      other.begin -= cutEnd - cutBegin;
      other.end -= cutEnd - cutBegin;
    }
    other.separated &= other.begin > 0;
    other.separatedAfter &= other.end < from.writer->bytes();
  }
  return {};
}

static Result<void> writeDurably(const std::string &path,
                                 const std::string &text) {
  int file =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  bool written = file >= 0 &&
                 ::write(file, text.data(), text.size()) ==
                     static_cast<ssize_t>(text.size()) &&
                 fsync(file) == 0;
  int error = errno;
  if (file >= 0)
    ::close(file);
  if (!written)
    return fail(ErrorKind::Failed, "{}: {}", path, std::strerror(error));
  return {};
}

Result<DataIndex>
Packer::finish(std::string sourceJson,
               const std::function<Result<void>(const DataIndex &)> &accept) {
  BB_TRY(fillEmptySplits());
  DataIndex index;
  index.separator = options.separator;
  index.sourceJson = std::move(sourceJson);
  for (Split &split : splits) {
    BB_TRY(split.writer->finish());
    index.splits.push_back(split.writer->entry);
  }
  if (accept)
    BB_TRY(accept(index));
  BB_TRY(writeDurably(temporary + "/index.json", index.toJson()));

  // Refuses a target that appeared meanwhile, unless it is an empty directory.
  if (::rename(temporary.c_str(), target.c_str()) != 0)
    return fail(ErrorKind::Failed, "{}: {}", target, std::strerror(errno));
  temporary.clear();
  return index;
}

} // namespace bitbyte
