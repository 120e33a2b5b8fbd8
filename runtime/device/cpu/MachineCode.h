//===- MachineCode.h - A shared library out of memory ---------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <memory>
#include <span>
#include <string>

namespace bitbyte {

/// A loaded ELF shared library that was never a file. Stays loaded while the
/// object lives.
class MachineCode {
public:
  /// BadInput if it is no library for this processor; `path` is for messages.
  static Result<std::unique_ptr<MachineCode>>
  load(std::span<const std::byte> elf, const std::string &path);
  ~MachineCode();
  MachineCode(const MachineCode &) = delete;
  MachineCode &operator=(const MachineCode &) = delete;

  /// Null if there is none.
  void *symbol(const std::string &name) const;

private:
  MachineCode() = default;
  void *handle = nullptr;
  /// Kept open: the loader takes libraries with equal names ("/proc/self/fd/5")
  /// for the same.
  int descriptor = -1;
};

} // namespace bitbyte
