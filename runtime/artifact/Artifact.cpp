#include "runtime/artifact/Artifact.h"

#include "runtime/artifact/TableReader.h"
#include "runtime/core/File.h"
#include "runtime/core/Hash.h"
#include "runtime/core/Safetensors.h"

#include <cstring>

namespace bitbyte {

//===----------------------------------------------------------------------===//
// The file
//===----------------------------------------------------------------------===//

namespace {

/// As on disk; bitbyte.fbs has the words.
struct Header {
  char magic[8];
  uint32_t version, zero;
  uint64_t fileBytes, tableOffset, tableBytes;
  uint64_t contentLow, contentHigh; ///< XXH3-128 of all bytes after the header
  uint64_t headerHash;              ///< XXH3-64 of the bytes above
};
static_assert(sizeof(Header) == 64);

constexpr char magic[8] = {'B', 'I', 'T', 'B', 'Y', 'T', 'E', 0};
constexpr uint32_t formatVersion = 1;

} // namespace

static Result<Header> readHeader(std::span<const std::byte> file,
                                 const std::string &path) {
  Header header;
  if (file.size() < sizeof(Header))
    return fail(ErrorKind::BadInput,
                "{}: {} bytes are no artifact: the header has {}: truncated?",
                path, file.size(), sizeof(Header));
  std::memcpy(&header, file.data(), sizeof(Header));
  if (std::memcmp(header.magic, magic, sizeof(magic)) != 0)
    return fail(ErrorKind::BadInput,
                "{}: byte 0: no artifact: it does not begin with "
                "BITBYTE",
                path);
  if (header.headerHash != hash64(file.first(offsetof(Header, headerHash))))
    return fail(ErrorKind::BadInput,
                "{}: byte 0: the header is damaged (wrong hash)", path);
  if (header.version != formatVersion || header.zero != 0)
    return fail(
        ErrorKind::BadInput,
        "{}: byte 8: format version {}, but this program reads {}: compile the "
        "model again with the bbc beside it",
        path, header.version, formatVersion);
  if (header.fileBytes != file.size())
    return fail(ErrorKind::BadInput,
                "{}: byte 16: the file had {} bytes and has {}: {}", path,
                header.fileBytes, file.size(),
                file.size() < header.fileBytes ? "truncated"
                                               : "something was appended");
  if (header.tableOffset < sizeof(Header) || header.tableOffset % 8 != 0 ||
      header.tableOffset > file.size() ||
      header.tableBytes > file.size() - header.tableOffset)
    return fail(ErrorKind::BadInput,
                "{}: byte 24: the table lies at {} + {} of {} bytes", path,
                header.tableOffset, header.tableBytes, file.size());
  return header;
}

Result<std::shared_ptr<const Artifact>>
Artifact::open(const std::string &path) {
  BB_ASSIGN(auto mapped, MappedFile::open(path));
  std::span<const std::byte> file = mapped->bytes();
  BB_ASSIGN(Header header, readHeader(file, path));

  Hash128 content = hash128(file.subspan(sizeof(Header)));
  if (content != Hash128{header.contentLow, header.contentHigh})
    return fail(
        ErrorKind::BadInput,
        "{}: bytes {} to {} are damaged: their hash is {}, the header says {}",
        path, sizeof(Header), file.size(), content.hex(),
        Hash128{header.contentLow, header.contentHigh}.hex());

  auto table = file.subspan(header.tableOffset, header.tableBytes);
  flatbuffers::Verifier verifier(
      reinterpret_cast<const uint8_t *>(table.data()), table.size(),
      /*max_depth=*/16,
      /*max_tables=*/1u << 26);
  if (table.size() < 8 || !fb::VerifyArtifactBuffer(verifier))
    return fail(ErrorKind::BadInput, "{}: byte {}: the table is malformed",
                path, header.tableOffset);

  auto artifact = std::make_shared<Artifact>();
  artifact->path = path;
  artifact->hash = content.hex();
  artifact->mapping = mapped;
  TableReader reader(file, header.tableOffset + header.tableBytes, *artifact);
  BB_TRY(reader.read(*fb::GetArtifact(table.data())));
  return artifact;
}

//===----------------------------------------------------------------------===//
// Looking things up
//===----------------------------------------------------------------------===//

template <typename List>
static auto *findByName(const List &list, std::string_view name) {
  for (const auto &item : list)
    if (item.name == name)
      return &item;
  return static_cast<decltype(list.data())>(nullptr);
}

const Tensor *Program::input(std::string_view name) const {
  return findByName(inputs, name);
}
const Tensor *Program::output(std::string_view name) const {
  return findByName(outputs, name);
}
const Program *Variant::program(std::string_view name) const {
  return findByName(programs, name);
}
const State *Artifact::state(std::string_view name) const {
  return findByName(states, name);
}

std::optional<std::string> Artifact::configValue(std::string_view name) const {
  for (const auto &[key, value] : config)
    if (key == name)
      return value;
  return std::nullopt;
}

bool Artifact::isFlat(const State &state) const {
  for (const State &other : states)
    if (other.sliceOf >= 0 && &states[size_t(other.sliceOf)] == &state)
      return true;
  return false;
}

uint64_t Artifact::parameterCount() const {
  uint64_t count = 0;
  for (const State &state : states)
    if (state.kind == StateKind::parameter && !isFlat(state))
      count += elementCount(state.shape).value_or(0);
  return count;
}

} // namespace bitbyte
