//===- CpuDevice.h - Kernels on the threads of this machine ---------------===//
#pragma once

#include "runtime/device/Device.h"
#include "runtime/device/cpu/MachineCode.h"
#include "runtime/device/cpu/ThreadPool.h"

namespace bitbyte {

/// Results do not depend on the number of threads. Every call is done when it
/// returns.
class CpuDevice final : public Device {
public:
  /// NoDevice below x86-64-v3. `threads` 0 takes all that are available.
  static Result<std::unique_ptr<CpuDevice>> create(int threads);

  std::string describe() const override;
  std::vector<std::string> targets() const override;
  MemoryRoom room() const override { return memoryRoom(); }
  Result<DeviceMemory> allocate(uint64_t bytes) override;
  Result<DeviceMemory> constants(std::span<const std::byte> bytes) override;
  Result<void> load(std::span<const CodeModule> code,
                    std::span<const CodeKernel> entries,
                    const std::string &path) override;
  Result<void> launch(uint32_t kernel, std::span<void *const> buffers,
                      std::span<const int64_t> scalars) override;
  Result<void> upload(std::byte *target,
                      std::span<const std::byte> source) override;
  Result<void> download(std::span<std::byte> target,
                        const std::byte *source) override;
  Result<void> copy(std::byte *target, const std::byte *source,
                    uint64_t bytes) override;
  Result<void> zero(std::byte *target, uint64_t bytes) override;
  Result<void> finish() override { return {}; }
  Result<DeviceLimits> limits(std::string_view target,
                              std::string_view computeType) override;

  ThreadPool &threadPool() { return pool; }

private:
  explicit CpuDevice(int threads) : pool(threads) {}

  using Function = void (*)(void *const *buffers, const int64_t *scalars,
                            void *scratch, int64_t begin, int64_t end);
  struct Loaded {
    Function function = nullptr;
    int64_t programs = 0;
    bool small = false; ///< Done sooner than other threads would wake up.
  };

  ThreadPool pool;
  std::vector<std::unique_ptr<MachineCode>> modules;
  std::vector<Loaded> kernels;
  std::vector<DeviceMemory> scratch; ///< By worker.
};

} // namespace bitbyte
