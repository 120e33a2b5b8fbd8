//===- KernelCache.h - Objects of earlier compilations --------------------===//
#pragma once

#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>

namespace bitbyte::codegen {

/// A directory of objects by key. Several processes may share it: entries
/// appear whole, and a damaged one counts as missing.
class KernelCache {
public:
  /// An empty directory name: finds nothing and keeps nothing.
  explicit KernelCache(std::string directory);

  std::optional<std::string> find(llvm::StringRef key) const;
  /// An entry that cannot be written is no error: it is made again next time.
  void insert(llvm::StringRef key, llvm::StringRef object) const;

private:
  std::string directory;
};

} // namespace bitbyte::codegen
