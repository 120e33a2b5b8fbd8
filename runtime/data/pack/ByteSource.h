//===- ByteSource.h - A file, decompressed as it is read ------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace bitbyte {

/// A stream of bytes that can be looked ahead into.
class ByteSource {
public:
  explicit ByteSource(std::string path) : name(std::move(path)) {}
  virtual ~ByteSource() = default;

  /// Up to out.size() bytes; 0 at the end and only there.
  Result<size_t> read(std::span<char> out);
  /// The next `count` bytes without taking them; fewer at the end.
  Result<std::string_view> peek(size_t count);

  const std::string &path() const { return name; }

protected:
  virtual Result<size_t> fill(std::span<char> out) = 0;

private:
  std::string name;
  std::string ahead; ///< Looked at, not yet taken.
  size_t taken = 0;
};

/// How a file's bytes are read.
enum class Decode {
  Auto, ///< gzip, zstd and xz by their first bytes, all members and frames
  Raw,  ///< as they are
};

/// Opens a file, or standard input for "-". Compressed data that end early, or
/// fail their checksum, are BadInput with path and offset.
Result<std::unique_ptr<ByteSource>> openSource(const std::string &path,
                                               Decode decode);

/// Reads a source to its end.
Result<std::string> readAll(ByteSource &source);

} // namespace bitbyte
