#include "runtime/engine/Engine.h"

#include "runtime/device/cpu/CpuDevice.h"
#include "runtime/device/cpu/Machine.h"
#include "runtime/device/cuda/CudaDevice.h"
#include "runtime/device/emu/EmuDevice.h"
#include "runtime/engine/KernelRecorder.h"
#include "runtime/engine/Sequence.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

namespace bitbyte {

namespace {

constexpr size_t spaceCount = 6;
constexpr std::string_view spaceNames[spaceCount] = {
    "arena",          "constants",     "parameters",
    "training state", "derived state", "caches"};

class ProgramEngine final : public Engine {
public:
  ProgramEngine(std::shared_ptr<const Artifact> artifact,
                const Variant &variant, std::unique_ptr<Device> device,
                bool sync, std::optional<KernelRecorder> recorder)
      : theArtifact(std::move(artifact)), theVariant(variant),
        device(std::move(device)), recorder(std::move(recorder)), sync(sync) {}

  Result<void> load() {
    std::vector<CodeModule> modules;
    for (const Module &module : theVariant.modules)
      modules.push_back({module.format, module.code});
    std::vector<CodeKernel> kernels;
    for (const Kernel &kernel : theVariant.kernels)
      kernels.push_back({kernel.name, kernel.symbol, kernel.module,
                         kernel.programs, kernel.scratchBytes,
                         kernel.flops + kernel.trafficBytes, kernel.threads});
    BB_TRY(device->load(modules, kernels, theArtifact->path));
    BB_ASSIGN(memory[size_t(Space::constant)],
              device->constants(theVariant.constants));
    return {};
  }

  const Artifact &artifact() const override { return *theArtifact; }
  const Variant &variant() const override { return theVariant; }
  std::string describe() const override {
    return fmt::format("{}, {}", theVariant.target, device->describe());
  }

  Result<void> reserve(std::span<const Program *const> programs) override;
  Result<void> run(const Program &program, std::span<const InputBytes> inputs,
                   std::span<const OutputBytes> outputs) override {
    const Run one[] = {{&program, inputs, outputs}};
    return runAll(one, {});
  }
  Result<void> runAll(std::span<const Run> runs,
                      const std::function<Result<void>()> &meanwhile) override;
  Result<void> stage(std::span<const Run> runs) override;
  Result<void> readState(std::string_view name,
                         std::span<std::byte> out) override;
  Result<void> writeState(std::string_view name,
                          std::span<const std::byte> in) override;
  Result<void> zeroStates(StateKind kind) override;
  Result<void> prepare() override;
  Result<void> launchAlone(uint32_t kernel,
                           std::span<const LaunchBuffer> buffers,
                           std::span<const int64_t> scalars,
                           std::span<std::byte> bytes) override;

  void collectStepTimes(bool collect) override { collecting = collect; }
  std::span<const double> stepSeconds() const override { return seconds; }
  Result<DeviceLimits> limits() override {
    return device->limits(theVariant.target, theArtifact->computeType);
  }
  uint64_t allocatedBytes() const override;

private:
  /// Bytes that each space needs at least.
  using Needs = std::array<uint64_t, spaceCount>;

  Result<void> allocate(const Needs &needs, std::string_view what);
  uint64_t spaceBytes(Space space) const;
  Result<const State *> findState(std::string_view name, uint64_t bytes);
  std::byte *at(const Buffer &buffer) const {
    return memory[size_t(buffer.space)].data + buffer.offset;
  }
  Result<void> check(const Run &run);
  Result<void> runStep(const Step &step);
  Result<void> runSteps(const Program &program, bool wait);
  Result<void> runPlainly(std::span<const Run> runs, bool wait,
                          const std::function<Result<void>()> &meanwhile);

  std::shared_ptr<const Artifact> theArtifact;
  const Variant &theVariant;
  std::unique_ptr<Device> device;
  std::optional<KernelRecorder> recorder;
  std::array<DeviceMemory, spaceCount> memory;
  /// Programs whose memory is there; spaces only grow.
  std::set<const Program *> reserved;
  std::vector<void *> pointers; ///< Of one dispatch; kept to allocate nothing.
  std::vector<Sequence> sequences; ///< That ran once, on a device that records.
  std::vector<uint64_t> sizes;     ///< Of the buffers of `pointers`.
  bool sync = false, collecting = false;
  size_t marks = 0; ///< Taken while collecting.
  std::vector<double> seconds;
};

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

uint64_t ProgramEngine::spaceBytes(Space space) const {
  switch (space) {
  case Space::arena:
    return 0; // by program
  case Space::constant:
    return theVariant.constants.size();
  case Space::parameters:
    return theVariant.parametersBytes;
  case Space::training:
    return theVariant.trainingBytes;
  case Space::derived:
    return theVariant.derivedBytes;
  case Space::cache:
    return theVariant.cacheBytes;
  }
  return 0;
}

/// Calls `visit` with every buffer of a program.
template <typename Visit>
void visitBuffers(const Program &program, Visit visit) {
  for (const Tensor &tensor : program.inputs)
    visit(tensor.buffer);
  for (const Tensor &tensor : program.outputs)
    visit(tensor.buffer);
  for (const Step &step : program.steps) {
    if (auto *dispatch = std::get_if<Dispatch>(&step)) {
      for (const Buffer &buffer : dispatch->buffers)
        visit(buffer);
    } else if (auto *copy = std::get_if<Copy>(&step)) {
      visit(copy->source);
      visit(copy->target);
    } else {
      visit(std::get<Zero>(step).target);
    }
  }
}

Result<void> ProgramEngine::allocate(const Needs &needs,
                                     std::string_view what) {
  uint64_t missing = 0;
  std::string list;
  for (size_t space = 0; space < spaceCount; ++space)
    if (needs[space] > memory[space].bytes) {
      missing += needs[space];
      list += fmt::format("{}{} {}", list.empty() ? "" : ", ",
                          spaceNames[space], formatBytes(needs[space]));
    }
  if (missing == 0)
    return {};
  // The arena holds nothing between programs: it makes room for a larger one.
  DeviceMemory &arena = memory[size_t(Space::arena)];
  if (needs[size_t(Space::arena)] > arena.bytes)
    arena = {};
  MemoryRoom room = device->room();
  if (missing > room.bytes)
    return fail(ErrorKind::NoDevice,
                "{}: {} needs {} more memory ({}), but {} allows {}: take a "
                "smaller batch "
                "or model, or compile with --memory-budget",
                theArtifact->path, what, formatBytes(missing), list, room.limit,
                formatBytes(room.bytes));
  for (Sequence &sequence : sequences)
    sequence.forget();
  for (size_t space = 0; space < spaceCount; ++space)
    if (needs[space] > memory[space].bytes) {
      BB_ASSIGN(memory[space], device->allocate(needs[space]));
    }
  return {};
}

Result<void> ProgramEngine::reserve(std::span<const Program *const> programs) {
  Needs needs{};
  std::string names;
  for (const Program *program : programs) {
    names += fmt::format("{}'{}'", names.empty() ? "" : ", ", program->name);
    visitBuffers(*program, [&](const Buffer &buffer) {
      needs[size_t(buffer.space)] = spaceBytes(buffer.space);
    });
  }
  uint64_t &arena = needs[size_t(Space::arena)];
  for (const Program *program : programs)
    arena = std::max(arena, program->arenaBytes);
  BB_TRY(allocate(needs, fmt::format("running {}", names)));
  reserved.insert(programs.begin(), programs.end());
  return {};
}

uint64_t ProgramEngine::allocatedBytes() const {
  uint64_t sum = 0;
  for (size_t space = 0; space < spaceCount; ++space)
    if (Space(space) != Space::constant) // in the file
      sum += memory[space].bytes;
  return sum;
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

/// The tensor of a program that bytes are given for, at its exact size.
Result<const Tensor *> match(const Program &program,
                             std::span<const Tensor> tensors,
                             std::string_view kind, std::string_view name,
                             uint64_t bytes) {
  auto found =
      std::find_if(tensors.begin(), tensors.end(),
                   [&](const Tensor &tensor) { return tensor.name == name; });
  if (found == tensors.end())
    return fail(ErrorKind::BadInput, "program '{}' has no {} '{}'",
                program.name, kind, name);
  if (found->buffer.bytes != bytes)
    return fail(ErrorKind::BadInput,
                "{} '{}' of program '{}' has {} bytes, not {}", kind, name,
                program.name, found->buffer.bytes, bytes);
  return &*found;
}

Result<void> ProgramEngine::runStep(const Step &step) {
  if (auto *dispatch = std::get_if<Dispatch>(&step)) {
    pointers.clear();
    sizes.clear();
    for (const Buffer &buffer : dispatch->buffers) {
      pointers.push_back(at(buffer));
      sizes.push_back(buffer.bytes);
    }
    if (recorder) {
      const Kernel &kernel = theVariant.kernels[dispatch->kernel];
      BB_ASSIGN(bool wanted, recorder->wants(kernel));
      if (wanted)
        return recorder->launch(*device, dispatch->kernel, kernel, pointers,
                                sizes, dispatch->scalars);
    }
    device->limitBuffers(sizes);
    return device->launch(dispatch->kernel, pointers, dispatch->scalars);
  }
  if (auto *copy = std::get_if<Copy>(&step))
    return device->copy(at(copy->target), at(copy->source), copy->source.bytes);
  const Buffer &target = std::get<Zero>(step).target;
  return device->zero(at(target), target.bytes);
}

/// Reserves the program's memory, and refuses inputs and outputs that are not
/// its own.
Result<void> ProgramEngine::check(const Run &run) {
  const Program &program = *run.program;
  if (!reserved.contains(&program)) {
    const Program *programs[] = {&program};
    BB_TRY(reserve(programs));
  }
  for (const Tensor &tensor : program.inputs) {
    auto given = [&](const InputBytes &input) {
      return input.name == tensor.name;
    };
    if (auto count = std::count_if(run.inputs.begin(), run.inputs.end(), given);
        count != 1)
      return fail(ErrorKind::BadInput, "input '{}' of program '{}' is {}",
                  tensor.name, program.name,
                  count == 0 ? "missing" : "given twice");
  }
  for (const OutputBytes &output : run.outputs)
    BB_TRY(match(program, program.outputs, "output", output.name,
                 output.bytes.size()));
  for (const InputBytes &input : run.inputs)
    BB_TRY(match(program, program.inputs, "input", input.name,
                 input.bytes.size()));
  return {};
}

Result<void> ProgramEngine::runSteps(const Program &program, bool wait) {
  if (collecting)
    BB_TRY(device->mark(marks++));
  for (const Step &step : program.steps) {
    BB_TRY(runStep(step));
    if (collecting)
      BB_TRY(device->mark(marks++));
    if (wait)
      BB_TRY(device->finish());
  }
  return {};
}

Result<void>
ProgramEngine::runPlainly(std::span<const Run> runs, bool wait,
                          const std::function<Result<void>()> &meanwhile) {
  seconds.clear();
  for (const Run &run : runs) {
    marks = 0;
    for (const InputBytes &input : run.inputs)
      BB_TRY(device->upload(at(run.program->input(input.name)->buffer),
                            input.bytes));
    BB_TRY(runSteps(*run.program, wait));
    for (const OutputBytes &output : run.outputs)
      BB_TRY(device->download(output.bytes,
                              at(run.program->output(output.name)->buffer)));
    if (collecting) {
      BB_TRY(device->finish());
      for (size_t i = 1; i < marks; ++i) {
        BB_ASSIGN(double time, device->secondsBetween(i - 1, i));
        seconds.push_back(time);
      }
    }
  }
  Result<void> done = meanwhile ? meanwhile() : Result<void>();
  BB_TRY(device->finish());
  if (recorder)
    BB_TRY(recorder->save());
  return done;
}

Result<void>
ProgramEngine::runAll(std::span<const Run> runs,
                      const std::function<Result<void>()> &meanwhile) {
  for (const Run &run : runs)
    BB_TRY(check(run));
  if (!device->records() || sync || collecting)
    return runPlainly(runs, sync, meanwhile);
  auto sequence =
      std::find_if(sequences.begin(), sequences.end(),
                   [&](const Sequence &each) { return each.fits(runs); });
  if (sequence == sequences.end()) {
    // Step by step at first, so that a kernel that always fails is named.
    sequences.emplace_back(runs);
    return runPlainly(runs, /*wait=*/true, meanwhile);
  }
  seconds.clear();
  if (!sequence->recorded())
    BB_TRY(sequence->record(
        *device, {[this](const Buffer &buffer) { return at(buffer); },
                  [this](const Program &program) {
                    return runSteps(program, /*wait=*/false);
                  }}));
  return sequence->replay(*device, runs, meanwhile);
}

Result<void> ProgramEngine::stage(std::span<const Run> runs) {
  for (const Run &run : runs)
    for (const InputBytes &input : run.inputs)
      BB_TRY(match(*run.program, run.program->inputs, "input", input.name,
                   input.bytes.size()));
  for (Sequence &sequence : sequences)
    if (sequence.fits(runs))
      sequence.stage(runs);
  return {};
}

Result<void> ProgramEngine::prepare() {
  if (const Program *program = theVariant.program("prepare"))
    return run(*program, {}, {});
  return {};
}

Result<void> ProgramEngine::launchAlone(uint32_t kernel,
                                        std::span<const LaunchBuffer> buffers,
                                        std::span<const int64_t> scalars,
                                        std::span<std::byte> bytes) {
  BB_ASSIGN(DeviceMemory own, device->allocate(bytes.size()));
  pointers.clear();
  sizes.clear();
  for (const LaunchBuffer &buffer : buffers) {
    pointers.push_back(own.data + buffer.offset);
    sizes.push_back(buffer.bytes);
  }
  BB_TRY(device->upload(own.data, bytes));
  device->limitBuffers(sizes);
  BB_TRY(device->launch(kernel, pointers, scalars));
  BB_TRY(device->download(bytes, own.data));
  return device->finish();
}

//===----------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------===//

/// The state of this name, in allocated memory.
Result<const State *> ProgramEngine::findState(std::string_view name,
                                               uint64_t bytes) {
  const State *state = theArtifact->state(name);
  for (const State &derived : theVariant.derived)
    if (derived.name == name)
      state = &derived;
  if (!state)
    return fail(ErrorKind::BadInput, "{}: there is no state '{}'",
                theArtifact->path, name);
  if (state->buffer.bytes != bytes)
    return fail(ErrorKind::BadInput, "{}: state '{}' has {} bytes, not {}",
                theArtifact->path, name, state->buffer.bytes, bytes);
  Needs needs{};
  needs[size_t(state->buffer.space)] = spaceBytes(state->buffer.space);
  BB_TRY(allocate(needs, fmt::format("state '{}'", name)));
  return state;
}

Result<void> ProgramEngine::readState(std::string_view name,
                                      std::span<std::byte> out) {
  BB_ASSIGN(const State *state, findState(name, out.size()));
  BB_TRY(device->download(out, at(state->buffer)));
  return device->finish();
}

Result<void> ProgramEngine::writeState(std::string_view name,
                                       std::span<const std::byte> in) {
  BB_ASSIGN(const State *state, findState(name, in.size()));
  BB_TRY(device->upload(at(state->buffer), in));
  return device->finish();
}

Result<void> ProgramEngine::zeroStates(StateKind kind) {
  for (std::span<const State> states :
       {std::span<const State>(theArtifact->states),
        std::span(theVariant.derived)})
    for (const State &state : states)
      // What is not allocated yet will be zero; a slice is zeroed with its
      // whole.
      if (state.kind == kind && state.sliceOf < 0 &&
          memory[size_t(state.buffer.space)].data)
        BB_TRY(device->zero(at(state.buffer), state.buffer.bytes));
  return device->finish();
}

//===----------------------------------------------------------------------===//
// Choosing device and variant
//===----------------------------------------------------------------------===//

bool hasVariant(const Artifact &artifact, std::string_view target) {
  return std::any_of(
      artifact.variants.begin(), artifact.variants.end(),
      [&](const Variant &variant) { return variant.target == target; });
}

/// `why` tells, where it matters, why another device was not taken.
Result<std::unique_ptr<Device>> openDevice(const Artifact &artifact,
                                           const EngineOptions &options,
                                           std::string &why) {
  bool any = options.device == "auto";
  if (options.device == "cuda" || (any && hasVariant(artifact, "cuda"))) {
    auto device = CudaDevice::create({.patience = options.patience});
    if (device)
      return std::unique_ptr<Device>(std::move(*device));
    if (!any)
      return fail(device.error().kind, "{}", device.error().message);
    why = fmt::format("; for cuda, {}", device.error().message);
  }
  if (any || options.device == "cpu") {
    BB_ASSIGN(std::unique_ptr<Device> device,
              CpuDevice::create(options.threads));
    return device;
  }
  if (options.device == "emu") {
    BB_ASSIGN(auto device,
              EmuDevice::create(options.emuSchedule, options.emuChecks));
    if (!options.emuMutants.empty())
      BB_TRY(device->mutateInto(options.emuMutants));
    return std::unique_ptr<Device>(std::move(device));
  }
  return fail(ErrorKind::Usage, "device '{}' is none of auto, cpu, cuda, emu",
              options.device);
}

} // namespace

Result<std::unique_ptr<Engine>>
Engine::create(std::shared_ptr<const Artifact> artifact,
               const EngineOptions &options) {
  std::string why;
  BB_ASSIGN(std::unique_ptr<Device> device,
            openDevice(*artifact, options, why));
  std::optional<KernelRecorder> recorder;
  if (!options.recordKernels.empty()) {
    BB_ASSIGN(recorder, KernelRecorder::create(options.recordKernels));
  }
  std::vector<std::string> targets = device->targets();
  for (const std::string &target : targets)
    for (const Variant &variant : artifact->variants)
      if (variant.target == target) {
        auto engine = std::make_unique<ProgramEngine>(
            artifact, variant, std::move(device), options.sync,
            std::move(recorder));
        BB_TRY(engine->load());
        return engine;
      }
  std::string has;
  for (const Variant &variant : artifact->variants)
    has += fmt::format("{}{}", has.empty() ? "" : ", ", variant.target);
  return fail(ErrorKind::NoDevice,
              "{}: has code for {}, but this machine ({}) runs {}: compile the "
              "model with "
              "bbc --targets {}{}",
              artifact->path, has,
              targets.front() == "cuda" ? device->describe() : cpuName(),
              fmt::join(targets, ", "), targets.front(), why);
}

} // namespace bitbyte
