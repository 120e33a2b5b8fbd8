//===- KernelCache.cpp - Objects of earlier compilations ------------------===//
#include "compiler/codegen/KernelCache.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"

namespace bitbyte::codegen {

/// An entry is the object's hash in 8 bytes, then the object.
static uint64_t hashOf(llvm::StringRef object) {
  return llvm::xxh3_64bits(llvm::arrayRefFromStringRef(object));
}

static llvm::SmallString<128> pathOf(llvm::StringRef directory,
                                     llvm::StringRef key) {
  llvm::SmallString<128> path(directory);
  llvm::sys::path::append(path, key + ".kernel");
  return path;
}

KernelCache::KernelCache(std::string directory)
    : directory(std::move(directory)) {
  if (!this->directory.empty() &&
      llvm::sys::fs::create_directories(this->directory))
    this->directory.clear();
}

std::optional<std::string> KernelCache::find(llvm::StringRef key) const {
  if (directory.empty())
    return std::nullopt;
  auto file = llvm::MemoryBuffer::getFile(pathOf(directory, key));
  if (!file)
    return std::nullopt;
  llvm::StringRef entry = (*file)->getBuffer();
  if (entry.size() < 8)
    return std::nullopt;
  llvm::StringRef object = entry.drop_front(8);
  if (llvm::support::endian::read64le(entry.data()) != hashOf(object))
    return std::nullopt;
  return object.str();
}

void KernelCache::insert(llvm::StringRef key, llvm::StringRef object) const {
  if (directory.empty())
    return;
  llvm::SmallString<128> path = pathOf(directory, key), temporary;
  int descriptor;
  if (llvm::sys::fs::createUniqueFile(path + ".%%%%%%%%", descriptor,
                                      temporary))
    return;
  char hash[8];
  llvm::support::endian::write64le(hash, hashOf(object));
  {
    llvm::raw_fd_ostream stream(descriptor, /*shouldClose=*/true);
    stream << llvm::StringRef(hash, 8) << object;
    stream.flush();
    if (stream.has_error()) {
      stream.clear_error();
      llvm::sys::fs::remove(temporary);
      return;
    }
  }
  if (llvm::sys::fs::rename(temporary, path))
    llvm::sys::fs::remove(temporary);
}

} // namespace bitbyte::codegen
