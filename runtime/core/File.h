//===- File.h - Whole files, in and out -----------------------------------===//
//
//   BB_ASSIGN(auto file, MappedFile::open("weights.safetensors"));
//   BB_TRY(writeFileAtomically("manifest.json", text));
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitbyte {

/// A whole file, mapped read-only; its bytes begin on a page. What cannot be
/// mapped (a pipe, /dev/stdin) is read to its end.
class MappedFile {
public:
  /// BadInput if it does not exist or cannot be read.
  static Result<std::shared_ptr<const MappedFile>>
  open(const std::string &path);
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;

  const std::string &path() const { return filePath; }
  std::span<const std::byte> bytes() const { return view; }
  std::string_view text() const {
    return {reinterpret_cast<const char *>(view.data()), view.size()};
  }

private:
  explicit MappedFile(std::string path) : filePath(std::move(path)) {}

  std::string filePath;
  std::span<const std::byte> view;
  void *mapped = nullptr; ///< Null if there are no bytes.
};

/// A file that appears whole or not at all: it is written under a temporary
/// name beside its own, flushed to the disk, and renamed. A link stays one: the
/// file behind it is replaced. Standard output ("-"), pipes and devices are
/// written in place.
class AtomicFile {
public:
  /// Failed if the folder does not exist or cannot be written.
  static Result<AtomicFile> create(const std::string &path);
  AtomicFile(AtomicFile &&other) noexcept;
  AtomicFile &operator=(AtomicFile &&) = delete;
  /// Removes the temporary file unless committed.
  ~AtomicFile();

  /// Failed, with the bytes missing and free, if the disk is full.
  Result<void> write(std::span<const std::byte> bytes);
  Result<void> write(std::string_view text);
  /// fsync, rename, fsync of the folder.
  Result<void> commit();

private:
  AtomicFile() = default;
  Result<void> failed(std::string_view doing, uint64_t missing,
                      int error) const;

  std::string path, temporary; ///< `temporary` is empty when writing in place
  int descriptor = -1;
};

Result<void> writeFileAtomically(const std::string &path,
                                 std::span<const std::byte> bytes);
Result<void> writeFileAtomically(const std::string &path,
                                 std::string_view text);

/// Makes renames inside a folder durable.
Result<void> syncFolder(const std::string &path);

/// The words of the system for an errno, in the C locale.
std::string systemError(int error);

} // namespace bitbyte
