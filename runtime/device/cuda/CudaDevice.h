//===- CudaDevice.h - Kernels on an NVIDIA GPU ----------------------------===//
#pragma once

#include "runtime/device/cuda/Code.h"

#include <array>
#include <chrono>
#include <functional>

namespace bitbyte {

struct CudaOptions {
  /// A wait that lasts longer is given up: a kernel hangs. Seconds.
  double patience = 120;
};

/// The first GPU that the driver shows (CUDA_VISIBLE_DEVICES chooses), sm_80 or
/// later, through the driver's interface alone. All work goes through one
/// stream; only `finish`, `download`, and an `upload` that overtakes the GPU
/// wait for it. A failure of a kernel shows at one of these, and names it if it
/// was the only one under way.
class CudaDevice final : public Device {
public:
  /// NoDevice, in one sentence: no driver, too old a driver, no or too old a
  /// GPU.
  static Result<std::unique_ptr<CudaDevice>>
  create(const CudaOptions &options = {});

  std::string describe() const override;
  std::vector<std::string> targets() const override { return {"cuda"}; }
  MemoryRoom room() const override;
  Result<DeviceMemory> allocate(uint64_t bytes) override;
  Result<DeviceMemory> constants(std::span<const std::byte> bytes) override;
  Result<void> load(std::span<const CodeModule> modules,
                    std::span<const CodeKernel> kernels,
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
  Result<void> finish() override;

  bool records() const override { return true; }
  Result<void> beginRecording(const std::string &what) override;
  Result<std::shared_ptr<const Recording>> endRecording() override;
  Result<void> replay(const Recording &recording) override;
  Result<DeviceMemory> hostMemory(uint64_t bytes) override;

  Result<void> mark(size_t number) override;
  Result<double> secondsBetween(size_t from, size_t to) override;
  Result<DeviceLimits> limits(std::string_view target,
                              std::string_view computeType) override;

private:
  explicit CudaDevice(const CudaOptions &options) : options(options) {}

  const cuda::Driver &api() const { return session->api(); }
  Result<cuda::Event> makeEvent(unsigned flags,
                                std::vector<cuda::Owned<cuda::Event>> &owners);
  /// Asks until the driver says something else than "not ready".
  Result<void> wait(const std::function<cuda::Status()> &query);
  /// What a failure that shows now may come from, for messages.
  std::string underWay() const;
  Result<double> copySeconds(std::byte *target, const std::byte *source,
                             uint64_t bytes);

  /// Pinned memory between the caller's and the GPU's.
  struct Slot {
    std::byte *data = nullptr;
    cuda::Event done = nullptr; ///< Its last transfer.
    bool busy = false;
  };
  Result<void> settle(Slot &slot);

  CudaOptions options;
  std::shared_ptr<cuda::Session> session;
  DeviceMemory staging;
  std::array<Slot, 2> slots;
  std::vector<cuda::Owned<cuda::Event>> slotEvents, marks;
  cuda::LoadedCode code;

  bool recording = false;
  std::string recordingWhat;
  /// What was started since the stream was last seen empty: kernels, the newest
  /// of them, and the replays.
  uint64_t launched = 0;
  std::array<uint32_t, 4> newest{};
  std::string replayed;

  std::vector<uint64_t> values; ///< Of one launch; kept to allocate nothing.
  std::vector<void *> pointers;
};

/// What `bb-run doctor` tells of the driver and each of its GPUs.
struct CudaReport {
  struct Gpu {
    std::string name, trouble; ///< `trouble` is empty if it can be used.
    int arch = 0;
    uint64_t bytes = 0;
  };
  std::string version; ///< Of CUDA, that the driver is for.
  std::vector<Gpu> gpus;
};
/// The error says in one sentence why no GPU can be used.
Result<CudaReport> cudaReport();

} // namespace bitbyte
