//===- Device.h - What runs kernels ---------------------------------------===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/core/Memory.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bitbyte {

/// A block of a device's memory, aligned to 64 bytes; freed with its owner.
struct DeviceMemory {
  std::shared_ptr<void> owner;
  std::byte *data = nullptr; ///< In the device's address space.
  uint64_t bytes = 0;
};

/// A piece of code, and the kernels that are called in it.
struct CodeModule {
  std::string_view format; ///< "elf", "ptx", "cubin"
  std::span<const std::byte> code;
};
struct CodeKernel {
  std::string name, symbol;
  uint32_t module = 0;
  uint64_t programs = 0;
  uint64_t scratchBytes = 0; ///< For each worker, or block of a GPU.
  uint64_t work =
      0; ///< Flops plus bytes moved, 0 if unknown: how long it takes.
  uint32_t threads = 0; ///< Of a GPU's block; 0 on a CPU.
};

/// Calls that a device noted, to do them again as one.
class Recording {
public:
  virtual ~Recording() = default;
};

/// What a device can do at best; 0 where that is not known.
struct DeviceLimits {
  double flops = 0;     ///< Per second; a multiply-add counts as two.
  double bandwidth = 0; ///< Bytes read and written per second.
  std::string source;   ///< Where the figures come from, for people.
};

/// Not thread-safe. Work is done in the order of the calls; `finish` waits for
/// it. What programs do was checked when the artifact was opened.
class Device {
public:
  virtual ~Device() = default;

  /// "2 threads"; what a log says beside the target.
  virtual std::string describe() const = 0;
  /// The targets that this machine runs, best first.
  virtual std::vector<std::string> targets() const = 0;
  virtual MemoryRoom room() const = 0;

  /// Zeroed. NoDevice if there is too little memory.
  virtual Result<DeviceMemory> allocate(uint64_t bytes) = 0;
  /// Read-only memory with these bytes, which live as long as the artifact.
  virtual Result<DeviceMemory> constants(std::span<const std::byte> bytes) = 0;

  /// Makes the kernels callable. BadInput if the machine code is not sound or
  /// lacks a symbol; `path` is for messages.
  virtual Result<void> load(std::span<const CodeModule> modules,
                            std::span<const CodeKernel> kernels,
                            const std::string &path) = 0;
  /// Says how many bytes the buffers of the next launch have. A device that
  /// checks holds the kernel to it.
  virtual void limitBuffers(std::span<const uint64_t> bytes) {}
  /// Runs a loaded kernel, by index, over its whole grid.
  virtual Result<void> launch(uint32_t kernel, std::span<void *const> buffers,
                              std::span<const int64_t> scalars) = 0;

  virtual Result<void> upload(std::byte *target,
                              std::span<const std::byte> source) = 0;
  virtual Result<void> download(std::span<std::byte> target,
                                const std::byte *source) = 0;
  virtual Result<void> copy(std::byte *target, const std::byte *source,
                            uint64_t bytes) = 0;
  virtual Result<void> zero(std::byte *target, uint64_t bytes) = 0;

  virtual Result<void> finish() = 0;

  //===-- Recording -------------------------------------------------------===//
  // A device to which each call costs time may note a sequence of calls once
  // and do it as one from then on. On others `records` is false, and the rest
  // is never called.

  virtual bool records() const { return false; }
  /// From here to `endRecording`, `launch`, `copy` and `zero` are noted and not
  /// done, and so are `upload` and `download`, whose host side must be
  /// `hostMemory`: it is read and written at each replay. `what` is for
  /// messages. Nothing else may be called meanwhile.
  virtual Result<void> beginRecording(const std::string &what) { return {}; }
  /// To be called after `beginRecording` whatever failed between them.
  virtual Result<std::shared_ptr<const Recording>> endRecording() { return {}; }
  /// Starts the recorded work; `finish` waits for it.
  virtual Result<void> replay(const Recording &recording) { return {}; }
  /// Memory of the host that the device reaches by itself.
  virtual Result<DeviceMemory> hostMemory(uint64_t bytes) {
    return DeviceMemory{};
  }

  //===-- Measuring -------------------------------------------------------===//

  /// Notes, under a number counted from 0, when all work so far is done.
  virtual Result<void> mark(size_t number);
  /// Between two marks; after `finish`.
  virtual Result<double> secondsBetween(size_t from, size_t to);
  /// At best, for code of this target and compute type ("f32", "bf16").
  virtual Result<DeviceLimits> limits(std::string_view target,
                                      std::string_view computeType) {
    return DeviceLimits{};
  }

private:
  std::vector<double> marks; ///< Seconds of a monotonic clock.
};

} // namespace bitbyte
