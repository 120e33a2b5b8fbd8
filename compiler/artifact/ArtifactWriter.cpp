//===- ArtifactWriter.cpp - Writes NAME.bba -------------------------------===//

#include "compiler/artifact/ArtifactWriter.h"

#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <xxhash.h>

using namespace llvm;
using namespace bitbyte;

namespace {

constexpr uint64_t headerBytes = 64, segmentAlignment = 64;
constexpr uint32_t formatVersion = 1;

/// The tables as bytes, with the offsets that they hold now.
std::string packTables(const fb::ArtifactT &artifact) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(fb::Artifact::Pack(builder, &artifact));
  return {reinterpret_cast<const char *>(builder.GetBufferPointer()),
          builder.GetSize()};
}

/// Gives each segment its place from `offset` on; returns the end of the last.
uint64_t placeSegments(fb::ArtifactT &artifact,
                       ArrayRef<bb::VariantSegments> segments,
                       uint64_t offset) {
  auto place = [&](const std::string &segment, uint64_t &start,
                   uint64_t &bytes) {
    start = alignTo(offset, segmentAlignment);
    bytes = segment.size();
    offset = start + bytes;
  };
  for (auto [variant, parts] : zip_equal(artifact.variants, segments)) {
    for (auto [module, code] : zip_equal(variant->modules, parts.modules))
      place(code, module->offset, module->bytes);
    place(parts.constants, variant->constants_offset, variant->constants_bytes);
  }
  return offset;
}

std::string header(StringRef rest, uint64_t tableBytes) {
  std::string bytes("BITBYTE\0", 8);
  auto put = [&](auto number) {
    char word[sizeof(number)];
    support::endian::write(word, number, endianness::little);
    bytes.append(word, sizeof(number));
  };
  put(formatVersion);
  put(uint32_t(0));
  put(headerBytes + rest.size()); // file bytes
  put(headerBytes);               // table offset
  put(tableBytes);
  XXH128_hash_t hash = XXH3_128bits(rest.data(), rest.size());
  put(uint64_t(hash.low64));
  put(uint64_t(hash.high64));
  put(uint64_t(XXH3_64bits(bytes.data(), bytes.size())));
  return bytes;
}

} // namespace

std::string bb::encodeArtifact(fb::ArtifactT &artifact,
                               const std::vector<VariantSegments> &segments) {
  // The tables hold the offsets of what follows them, and a number of 0 takes
  // no room in them: so their size is measured with offsets that are not 0, as
  // the final ones are.
  placeSegments(artifact, segments, headerBytes);
  uint64_t tableBytes = packTables(artifact).size();
  placeSegments(artifact, segments, headerBytes + tableBytes);
  std::string rest = packTables(artifact);

  auto append = [&](uint64_t offset, const std::string &segment) {
    rest.resize(offset - headerBytes);
    rest += segment;
  };
  for (auto [variant, parts] : zip_equal(artifact.variants, segments)) {
    for (auto [module, code] : zip_equal(variant->modules, parts.modules))
      append(module->offset, code);
    append(variant->constants_offset, parts.constants);
  }
  return header(rest, tableBytes) + rest;
}

Error bb::writeWhole(StringRef path, StringRef bytes) {
  if (path == "-") {
    outs() << bytes;
    outs().flush();
    return Error::success();
  }
  auto failed = [&](const Twine &why) {
    return createStringError(path + ": cannot write: " + why);
  };
  auto mode = sys::fs::all_read | sys::fs::all_write;
  Expected<sys::fs::TempFile> file =
      sys::fs::TempFile::create(path + ".%%%%%%.tmp", mode);
  if (!file)
    return failed(toString(file.takeError()));
  raw_fd_ostream out(file->FD, /*shouldClose=*/false);
  out << bytes;
  out.flush();
  if (std::error_code error = out.error()) {
    out.clear_error();
    consumeError(file->discard());
    return failed(error.message());
  }
  if (Error error = file->keep(path))
    return failed(toString(std::move(error)));
  return Error::success();
}

std::string bb::hashOf(StringRef bytes) {
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return formatv("{0:x-16}{1:x-16}", hash.high64, hash.low64);
}
