//===- Engine.h - Runs the programs of one artifact on one device ---------===//
#pragma once

#include "runtime/artifact/Artifact.h"
#include "runtime/device/Device.h"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitbyte {

/// What an input is fed from; `bytes` is borrowed for the call.
struct InputBytes {
  std::string_view name;
  std::span<const std::byte> bytes;
  bool staged = false; ///< `Engine::stage` was given the same bytes before.
};
struct OutputBytes {
  std::string_view name;
  std::span<std::byte> bytes;
};

/// One program to run, with what it is fed and what is wanted of it.
struct Run {
  const Program *program = nullptr;
  std::span<const InputBytes> inputs;
  std::span<const OutputBytes> outputs;
};

/// A buffer of a launch, inside memory that was made for it.
struct LaunchBuffer {
  uint64_t offset = 0, bytes = 0;
};

struct EngineOptions {
  std::string device = "auto"; ///< auto, cpu, cuda, emu
  int threads = 0;             ///< 0: what affinity and CPU quota allow
  /// Wait after each step of a program, so that a failure names its kernel.
  bool sync = false;
  double patience = 120; ///< Seconds until a kernel of a GPU counts as hanging.
  std::string emuSchedule = "eager"; ///< See EmuDevice::create.
  std::string emuChecks = "shared";
  /// A file for EmuDevice::mutateInto, if not empty.
  std::string emuMutants = "";
  /// A file for a KernelRecorder, if not empty.
  std::string recordKernels = "";
};

/// Owns the spaces of one artifact (parameters, training state, derived state,
/// caches, one arena for all programs) and walks programs over them. Spaces are
/// allocated when the first program or state that touches them is used. Not
/// thread-safe; each call returns when its work is done.
class Engine {
public:
  /// Picks the best variant that the machine can run. NoDevice, with what the
  /// artifact has, what the machine has, and the bbc call that would help.
  static Result<std::unique_ptr<Engine>>
  create(std::shared_ptr<const Artifact> artifact,
         const EngineOptions &options = {});
  virtual ~Engine() = default;

  virtual const Artifact &artifact() const = 0;
  virtual const Variant &variant() const = 0;
  /// "cpu-v3, 2 threads"; for logs and `config.toml`.
  virtual std::string describe() const = 0;

  const Program *program(std::string_view name) const {
    return variant().program(name);
  }

  /// Allocates all that these programs touch, so that nothing is allocated in a
  /// loop of them. NoDevice, with the figures, if there is too little memory.
  virtual Result<void> reserve(std::span<const Program *const> programs) = 0;

  /// Runs one program. Every input must be given, at its exact size; outputs
  /// that are not asked for are not copied out. BadInput names what is missing.
  virtual Result<void> run(const Program &program,
                           std::span<const InputBytes> inputs,
                           std::span<const OutputBytes> outputs) = 0;

  /// Runs programs one after the other and waits once, at the end. A GPU does
  /// them as one launch from the second time on. `meanwhile` is called while
  /// they run, where they run elsewhere; its failure is handed on after them.
  virtual Result<void>
  runAll(std::span<const Run> runs,
         const std::function<Result<void>()> &meanwhile = {}) {
    for (const Run &each : runs)
      BB_TRY(run(*each.program, each.inputs, each.outputs));
    return meanwhile ? meanwhile() : Result<void>();
  }

  /// Copies inputs of the next `runAll` of these programs to where the device
  /// will read them, while it works on this one: to be called from `meanwhile`.
  /// Inputs may be missing. They are given to that `runAll` again, marked as
  /// staged, and are copied there if they could not be here.
  virtual Result<void> stage(std::span<const Run> runs) { return {}; }

  /// Copies a state (a flat one or a slice, common or derived) out or in.
  virtual Result<void> readState(std::string_view name,
                                 std::span<std::byte> out) = 0;
  virtual Result<void> writeState(std::string_view name,
                                  std::span<const std::byte> in) = 0;
  /// Zeroes all states of a kind: fresh moments, an empty KV cache.
  virtual Result<void> zeroStates(StateKind kind) = 0;

  /// Runs `prepare` (derived states follow the parameters). Call after
  /// parameters were written; a no-op where the artifact has none.
  virtual Result<void> prepare() = 0;

  /// Runs one kernel, by its number in the variant, in memory of its own, which
  /// holds `memory` before it and leaves there what the kernel makes of it.
  virtual Result<void> launchAlone(uint32_t kernel,
                                   std::span<const LaunchBuffer> buffers,
                                   std::span<const int64_t> scalars,
                                   std::span<std::byte> memory) = 0;

  /// Seconds of the last `run`, by a monotonic clock, and per step of it when
  /// `collect` was asked for: what `bb-run bench` prints.
  virtual void collectStepTimes(bool collect) = 0;
  virtual std::span<const double> stepSeconds() const = 0;

  /// What the device can do at best.
  virtual Result<DeviceLimits> limits() { return DeviceLimits{}; }

  /// Bytes allocated now, by space: the figures of the memory report.
  virtual uint64_t allocatedBytes() const = 0;
};

} // namespace bitbyte
