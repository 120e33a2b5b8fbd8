//===- EmuDevice.h - PTX kernels on an emulator ---------------------------===//
#pragma once

#include "runtime/device/Device.h"
#include "runtime/device/emu/Executor.h"

#include <fstream>
#include <set>

namespace bitbyte {

/// Runs the kernels that are made for CUDA devices, block after block on one
/// thread, and checks what they do: `launch` fails with the findings. Every
/// call is done when it returns.
class EmuDevice final : public Device {
public:
  /// `schedule`: eager, lazy, random or random:SEED. `checks`: off, shared (the
  /// default: all but races on global memory) or all. NoDevice below x86-64-v3.
  static Result<std::unique_ptr<EmuDevice>>
  create(const std::string &schedule = "eager",
         const std::string &checks = "shared");

  /// From now on each kernel's first launch also runs without each of its
  /// synchronising instructions in turn, on some of its blocks, from the same
  /// memory; which deletions are noticed goes to `path`, a line of JSON each.
  Result<void> mutateInto(const std::string &path);

  std::string describe() const override;
  std::vector<std::string> targets() const override { return {"cuda"}; }
  MemoryRoom room() const override { return memoryRoom(); }
  Result<DeviceMemory> allocate(uint64_t bytes) override;
  Result<DeviceMemory> constants(std::span<const std::byte> bytes) override;
  Result<void> load(std::span<const CodeModule> modules,
                    std::span<const CodeKernel> kernels,
                    const std::string &path) override;
  void limitBuffers(std::span<const uint64_t> bytes) override;
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

  /// Warp instructions of all launches.
  uint64_t instructions() const { return executed; }

private:
  struct Loaded {
    const emu::Kernel *kernel = nullptr;
    std::string name;
    uint64_t programs = 0;
    uint32_t threads = 0, sharedBytes = 0;
  };
  struct Region {
    std::weak_ptr<void> owner; ///< Never expires for constants.
    const std::byte *data;
    uint64_t bytes;
    bool readOnly;
  };

  /// What this launch may touch.
  emu::AddressSpace memoryOf(std::span<void *const> buffers);

  /// Mutates the kernel of a launch that is about to run.
  Result<void> mutate(const Loaded &loaded, const emu::Grid &grid,
                      const emu::AddressSpace &memory);

  emu::Options options;
  std::string optionText;
  std::ofstream mutants; ///< Open if kernels are mutated.
  std::set<const emu::Kernel *> mutated;
  std::vector<std::unique_ptr<emu::Module>> modules;
  std::vector<Loaded> kernels;
  std::vector<Region> regions;
  std::vector<uint64_t> limits; ///< Of the next launch's buffers.
  uint64_t launches = 0, executed = 0;
};

/// Reads "eager", "lazy", "random" or "random:SEED". Usage if it is none.
Result<void> readSchedule(const std::string &text, emu::Options &options);

} // namespace bitbyte
