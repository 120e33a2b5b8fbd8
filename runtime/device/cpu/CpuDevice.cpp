#include "runtime/device/cpu/CpuDevice.h"

#include "runtime/device/cpu/CpuMemory.h"
#include "runtime/device/cpu/Machine.h"
#include "runtime/device/cpu/Peak.h"

#include <algorithm>
#include <cstring>

namespace bitbyte {

Result<std::unique_ptr<CpuDevice>> CpuDevice::create(int threads) {
  if (cpuTargets().empty())
    return fail(ErrorKind::NoDevice,
                "this processor ({}) is below x86-64-v3: it lacks AVX2 or FMA",
                cpuName());
  return std::unique_ptr<CpuDevice>(
      new CpuDevice(threads > 0 ? threads : availableThreads()));
}

std::string CpuDevice::describe() const {
  return fmt::format("{} thread{}", pool.threads(),
                     pool.threads() == 1 ? "" : "s");
}

std::vector<std::string> CpuDevice::targets() const { return cpuTargets(); }

Result<DeviceMemory> CpuDevice::allocate(uint64_t bytes) {
  return allocateMemory(bytes);
}

Result<DeviceMemory> CpuDevice::constants(std::span<const std::byte> bytes) {
  // Read where they are: in the mapped file, on a multiple of 64.
  return DeviceMemory{nullptr, const_cast<std::byte *>(bytes.data()),
                      bytes.size()};
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

Result<void> CpuDevice::load(std::span<const CodeModule> code,
                             std::span<const CodeKernel> entries,
                             const std::string &path) {
  for (const CodeModule &module : code) {
    if (module.format != "elf")
      return fail(ErrorKind::BadInput,
                  "{}: a CPU runs elf modules, this one is {}", path,
                  module.format);
    BB_ASSIGN(auto loaded, MachineCode::load(module.code, path));
    modules.push_back(std::move(loaded));
  }
  uint64_t scratchBytes = 0;
  for (const CodeKernel &kernel : entries) {
    Loaded loaded;
    loaded.function = reinterpret_cast<Function>(
        modules[kernel.module]->symbol(kernel.symbol));
    if (!loaded.function)
      return fail(ErrorKind::BadInput,
                  "{}: kernel '{}' has no symbol '{}' in its code", path,
                  kernel.name, kernel.symbol);
    loaded.programs = int64_t(kernel.programs);
    // At a slow core's 8 Gflop/s and 8 GB/s: under 8 microseconds.
    loaded.small = kernel.work > 0 && kernel.work < 64'000;
    kernels.push_back(loaded);
    scratchBytes = std::max(scratchBytes, kernel.scratchBytes);
  }
  for (int worker = 0; worker < pool.threads(); ++worker) {
    BB_ASSIGN(DeviceMemory memory, allocateMemory(scratchBytes));
    scratch.push_back(std::move(memory));
  }
  return {};
}

Result<void> CpuDevice::launch(uint32_t index, std::span<void *const> buffers,
                               std::span<const int64_t> scalars) {
  const Loaded &kernel = kernels[index];
  FlushDenormals flush;
  auto body = [&](int worker, int64_t begin, int64_t end) {
    kernel.function(buffers.data(), scalars.data(),
                    scratch[size_t(worker)].data, begin, end);
  };
  if (kernel.small)
    body(0, 0, kernel.programs);
  else
    pool.run(kernel.programs, body);
  return {};
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Blocks of this size are copied by one thread.
static constexpr uint64_t copyBlock = uint64_t(1) << 18;

/// Calls `body(begin, bytes)` on blocks of [0, bytes), by all threads.
template <typename Body>
static void inBlocks(ThreadPool &pool, uint64_t bytes, Body body) {
  pool.run(int64_t((bytes + copyBlock - 1) / copyBlock),
           [&](int, int64_t begin, int64_t end) {
             uint64_t first = uint64_t(begin) * copyBlock;
             body(first, std::min(uint64_t(end) * copyBlock, bytes) - first);
           });
}

Result<void> CpuDevice::copy(std::byte *target, const std::byte *source,
                             uint64_t bytes) {
  inBlocks(pool, bytes, [&](uint64_t begin, uint64_t count) {
    std::memcpy(target + begin, source + begin, count);
  });
  return {};
}

Result<void> CpuDevice::zero(std::byte *target, uint64_t bytes) {
  inBlocks(pool, bytes, [&](uint64_t begin, uint64_t count) {
    std::memset(target + begin, 0, count);
  });
  return {};
}

Result<void> CpuDevice::upload(std::byte *target,
                               std::span<const std::byte> source) {
  return copy(target, source.data(), source.size());
}

Result<void> CpuDevice::download(std::span<std::byte> target,
                                 const std::byte *source) {
  return copy(target.data(), source, target.size());
}

Result<DeviceLimits> CpuDevice::limits(std::string_view target,
                                       std::string_view computeType) {
  return DeviceLimits{
      peakFlops(pool, target, computeType == "bf16"), peakBandwidth(pool),
      "multiplying and adding in registers, updating memory in place, "
      "measured"};
}

} // namespace bitbyte
