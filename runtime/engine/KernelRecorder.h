//===- KernelRecorder.h - Keeps the first launch of each kernel -----------===//
#pragma once

#include "runtime/device/Device.h"
#include "runtime/engine/KernelCorpus.h"

namespace bitbyte {

class KernelRecorder {
public:
  /// Goes on with the corpus at `path`, if there is one.
  static Result<KernelRecorder> create(const std::string &path);

  Result<bool> wants(const Kernel &kernel) const;
  /// Launches the kernel, of this number on the device, and keeps what its
  /// buffers, at these places of the device, held before and after. Launches it
  /// a second time to learn what it does not read.
  Result<void> launch(Device &device, uint32_t number, const Kernel &kernel,
                      std::span<void *const> buffers,
                      std::span<const uint64_t> bytes,
                      std::span<const int64_t> scalars);
  /// Writes the file if there is anything new.
  Result<void> save();

private:
  std::string path;
  KernelCorpus corpus;
  bool isNew = false;
};

} // namespace bitbyte
