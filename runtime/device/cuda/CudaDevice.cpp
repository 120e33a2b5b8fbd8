#include "runtime/device/cuda/CudaDevice.h"

#include <algorithm>
#include <cstring>
#include <thread>

namespace bitbyte {

using cuda::address;
using cuda::Driver;
using cuda::Event;
using cuda::Session;
using cuda::Status;

static constexpr uint64_t slotBytes = uint64_t(4) << 20;

Result<std::unique_ptr<CudaDevice>>
CudaDevice::create(const CudaOptions &options) {
  std::unique_ptr<CudaDevice> device(new CudaDevice(options));
  BB_ASSIGN(device->session, Session::open());
  size_t count = device->slots.size();
  BB_ASSIGN(device->staging,
            Session::allocateHost(device->session, count * slotBytes));
  for (size_t i = 0; i < count; ++i) {
    device->slots[i].data = device->staging.data + i * slotBytes;
    BB_ASSIGN(device->slots[i].done,
              device->makeEvent(cuda::eventDisableTiming, device->slotEvents));
  }
  return device;
}

std::string CudaDevice::describe() const {
  return fmt::format("{}, sm_{}, driver for CUDA {}", session->facts().name,
                     session->facts().arch, cuda::versionText(api().version));
}

MemoryRoom CudaDevice::room() const {
  auto memory = session->freeAndTotal();
  if (!memory)
    return {0, memory.error().message};
  return {memory->first, fmt::format("'{}' ({} in all)", session->facts().name,
                                     formatBytes(memory->second))};
}

Result<Event> CudaDevice::makeEvent(unsigned flags,
                                    std::vector<cuda::Owned<Event>> &owners) {
  Event event = nullptr;
  BB_CUDA(api(), api().cuEventCreate(&event, flags), "no event can be made");
  owners.emplace_back(session, event, &Driver::cuEventDestroy_v2);
  return event;
}

//===----------------------------------------------------------------------===//
// Waiting, and whom to blame
//===----------------------------------------------------------------------===//

std::string CudaDevice::underWay() const {
  if (!replayed.empty())
    return fmt::format("the GPU, running {} (--device-sync finds the kernel)",
                       replayed);
  if (launched == 0)
    return "the GPU, moving data";
  if (launched == 1)
    return fmt::format("kernel '{}'", code.kernels[newest[0]].name);
  std::string list;
  for (uint64_t back = 1; back <= std::min<uint64_t>(launched, newest.size());
       ++back)
    list += fmt::format(
        "{}'{}'", back == 1 ? "" : ", ",
        code.kernels[newest[(launched - back) % newest.size()]].name);
  return fmt::format("one of {} kernels (--device-sync finds it), the last of "
                     "which are {}",
                     launched, list);
}

Result<void> CudaDevice::wait(const std::function<Status()> &query) {
  using namespace std::chrono;
  auto begin = steady_clock::now();
  while (true) {
    Status status = query();
    if (status == Status::success)
      return {};
    if (status != Status::notReady)
      return api().error(status, underWay());
    double waited = duration<double>(steady_clock::now() - begin).count();
    if (waited > options.patience) {
      session->abandon();
      return fail(ErrorKind::Failed,
                  "{}: not done after {:.1f} s, given up as hanging (--device-"
                  "patience sets the limit)",
                  underWay(), waited);
    }
    // A step of generation takes less than it takes to fall asleep.
    if (waited > 2e-3)
      std::this_thread::sleep_for(microseconds(50));
  }
}

Result<void> CudaDevice::finish() {
  BB_TRY(wait([&] { return api().cuStreamQuery(session->stream()); }));
  launched = 0;
  replayed.clear();
  return {};
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

Result<void> CudaDevice::load(std::span<const CodeModule> modules,
                              std::span<const CodeKernel> kernels,
                              const std::string &path) {
  BB_ASSIGN(code, cuda::loadCode(session, modules, kernels, path));
  return {};
}

Result<void> CudaDevice::launch(uint32_t index, std::span<void *const> buffers,
                                std::span<const int64_t> scalars) {
  const cuda::LoadedKernel &kernel = code.kernels[index];
  if (kernel.programs == 0)
    return {};
  size_t count = buffers.size() + scalars.size();
  if (kernel.parameters && *kernel.parameters != count)
    return fail(ErrorKind::BadInput,
                "kernel '{}' takes {} parameters, and is given {} buffers and "
                "{} numbers",
                kernel.name, *kernel.parameters, buffers.size(),
                scalars.size());
  // The driver takes a pointer to the value of each parameter.
  values.resize(count);
  pointers.resize(count);
  for (size_t i = 0; i < buffers.size(); ++i)
    values[i] = address(buffers[i]);
  for (size_t i = 0; i < scalars.size(); ++i)
    values[buffers.size() + i] = uint64_t(scalars[i]);
  for (size_t i = 0; i < count; ++i)
    pointers[i] = &values[i];
  if (!recording)
    newest[launched++ % newest.size()] = index;
  Status status = api().cuLaunchKernel(
      kernel.function, kernel.programs, 1, 1, kernel.threads, 1, 1,
      kernel.scratchBytes, session->stream(), pointers.data(), nullptr);
  if (status == Status::success)
    return {};
  // It may be the failure of an earlier one that shows here.
  return api().error(
      status, launched > 1
                  ? underWay()
                  : fmt::format("kernel '{}' ({} blocks of {} threads, "
                                "{} of shared memory)",
                                kernel.name, kernel.programs, kernel.threads,
                                formatBytes(kernel.scratchBytes)));
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Result<DeviceMemory> CudaDevice::allocate(uint64_t bytes) {
  BB_ASSIGN(DeviceMemory memory, Session::allocate(session, bytes));
  if (bytes)
    BB_TRY(zero(memory.data, bytes));
  return memory;
}

Result<DeviceMemory> CudaDevice::constants(std::span<const std::byte> bytes) {
  BB_ASSIGN(DeviceMemory memory, Session::allocate(session, bytes.size()));
  BB_TRY(upload(memory.data, bytes));
  BB_TRY(finish());
  return memory;
}

Result<DeviceMemory> CudaDevice::hostMemory(uint64_t bytes) {
  return Session::allocateHost(session, bytes);
}

Result<void> CudaDevice::settle(Slot &slot) {
  if (!slot.busy)
    return {};
  BB_TRY(wait([&] { return api().cuEventQuery(slot.done); }));
  slot.busy = false;
  return {};
}

Result<void> CudaDevice::upload(std::byte *target,
                                std::span<const std::byte> source) {
  cuda::Stream stream = session->stream();
  if (recording) {
    BB_CUDA(api(),
            api().cuMemcpyHtoDAsync_v2(address(target), source.data(),
                                       source.size(), stream),
            underWay());
    return {};
  }
  for (size_t turn = 0; !source.empty(); ++turn) {
    Slot &slot = slots[turn % slots.size()];
    BB_TRY(settle(slot));
    size_t bytes = std::min<size_t>(source.size(), slotBytes);
    std::memcpy(slot.data, source.data(), bytes);
    BB_CUDA(
        api(),
        api().cuMemcpyHtoDAsync_v2(address(target), slot.data, bytes, stream),
        underWay());
    BB_CUDA(api(), api().cuEventRecord(slot.done, stream), underWay());
    slot.busy = true;
    target += bytes;
    source = source.subspan(bytes);
  }
  return {};
}

Result<void> CudaDevice::download(std::span<std::byte> target,
                                  const std::byte *source) {
  cuda::Stream stream = session->stream();
  if (recording) {
    BB_CUDA(api(),
            api().cuMemcpyDtoHAsync_v2(target.data(), address(source),
                                       target.size(), stream),
            underWay());
    return {};
  }
  // One piece moves to pinned memory while the one before it moves on.
  struct Piece {
    Slot *slot = nullptr;
    std::span<std::byte> target;
  } before;
  auto moveOn = [&]() -> Result<void> {
    if (!before.slot)
      return {};
    BB_TRY(settle(*before.slot));
    std::memcpy(before.target.data(), before.slot->data, before.target.size());
    return {};
  };
  for (size_t turn = 0; !target.empty(); ++turn) {
    Slot &slot = slots[turn % slots.size()];
    BB_TRY(settle(slot));
    size_t bytes = std::min<size_t>(target.size(), slotBytes);
    BB_CUDA(
        api(),
        api().cuMemcpyDtoHAsync_v2(slot.data, address(source), bytes, stream),
        underWay());
    BB_CUDA(api(), api().cuEventRecord(slot.done, stream), underWay());
    slot.busy = true;
    BB_TRY(moveOn());
    before = {&slot, target.first(bytes)};
    source += bytes;
    target = target.subspan(bytes);
  }
  return moveOn();
}

Result<void> CudaDevice::copy(std::byte *target, const std::byte *source,
                              uint64_t bytes) {
  if (bytes)
    BB_CUDA(api(),
            api().cuMemcpyDtoDAsync_v2(address(target), address(source), bytes,
                                       session->stream()),
            underWay());
  return {};
}

Result<void> CudaDevice::zero(std::byte *target, uint64_t bytes) {
  if (bytes)
    BB_CUDA(api(),
            api().cuMemsetD8Async(address(target), 0, bytes, session->stream()),
            underWay());
  return {};
}

//===----------------------------------------------------------------------===//
// Recording
//===----------------------------------------------------------------------===//

namespace {

struct CudaRecording final : Recording {
  cuda::Owned<cuda::GraphExec> graph;
  std::string what;
};

} // namespace

Result<void> CudaDevice::beginRecording(const std::string &what) {
  BB_CUDA(api(),
          api().cuStreamBeginCapture_v2(session->stream(),
                                        cuda::captureThreadLocal),
          fmt::format("{} cannot be recorded", what));
  recording = true;
  recordingWhat = what;
  return {};
}

Result<std::shared_ptr<const Recording>> CudaDevice::endRecording() {
  std::string what = fmt::format("{} cannot be recorded", recordingWhat);
  recording = false;
  cuda::Graph captured = nullptr;
  BB_CUDA(api(), api().cuStreamEndCapture(session->stream(), &captured), what);
  cuda::Owned<cuda::Graph> graph(session, captured, &Driver::cuGraphDestroy);
  cuda::GraphExec executable = nullptr;
  BB_CUDA(api(), api().cuGraphInstantiateWithFlags(&executable, graph.get(), 0),
          what);
  auto result = std::make_shared<CudaRecording>();
  result->graph = {session, executable, &Driver::cuGraphExecDestroy};
  result->what = std::move(recordingWhat);
  return result;
}

Result<void> CudaDevice::replay(const Recording &recording) {
  auto &graph = static_cast<const CudaRecording &>(recording);
  replayed = graph.what;
  BB_CUDA(api(), api().cuGraphLaunch(graph.graph.get(), session->stream()),
          underWay());
  return {};
}

//===----------------------------------------------------------------------===//
// Measuring
//===----------------------------------------------------------------------===//

Result<void> CudaDevice::mark(size_t number) {
  while (marks.size() <= number)
    BB_TRY(makeEvent(cuda::eventDefault, marks));
  BB_CUDA(api(), api().cuEventRecord(marks[number].get(), session->stream()),
          underWay());
  return {};
}

Result<double> CudaDevice::secondsBetween(size_t from, size_t to) {
  float milliseconds = 0;
  BB_CUDA(api(),
          api().cuEventElapsedTime(&milliseconds, marks[from].get(),
                                   marks[to].get()),
          "the GPU's time cannot be taken");
  return double(milliseconds) / 1e3;
}

/// Dense multiply-adds of bf16 with sums in f32, counted as two, per processor
/// and clock; 0 for architectures that came later. From NVIDIA's white papers
/// of each architecture.
static double tensorFlopsPerClock(int arch) {
  switch (arch) {
  case 80:
    return 2048; // A100: 312 Tflop/s
  case 86:
  case 87:
  case 89:
    return 512; // RTX 3090: 71; RTX 4090: 165. An L4 or L40 has twice as much.
  case 90:
    return 4096; // H100 SXM: 989
  case 100:
  case 103:
    return 8192; // B200: 2250
  case 120:
  case 121:
    return 512; // RTX 5090: 209
  default:
    return 0;
  }
}

Result<double> CudaDevice::copySeconds(std::byte *target,
                                       const std::byte *source,
                                       uint64_t bytes) {
  double best = 0;
  for (int round = 0; round < 6; ++round) {
    BB_TRY(mark(0));
    BB_TRY(copy(target, source, bytes));
    BB_TRY(mark(1));
    BB_TRY(finish());
    BB_ASSIGN(double seconds, secondsBetween(0, 1));
    if (round > 0) // the first one warms up
      best = round == 1 ? seconds : std::min(best, seconds);
  }
  return best;
}

Result<DeviceLimits> CudaDevice::limits(std::string_view,
                                        std::string_view computeType) {
  const cuda::Facts &facts = session->facts();
  double perClock = tensorFlopsPerClock(facts.arch);
  if (computeType != "bf16")
    perClock /= 2; // tf32
  if (computeType == "f32")
    perClock /= 3; // three products of tf32 make one of f32
  DeviceLimits limits;
  limits.flops = perClock * facts.processors * facts.hertz;

  BB_ASSIGN(auto memory, session->freeAndTotal());
  uint64_t bytes = std::min<uint64_t>(memory.first / 4, uint64_t(1) << 30);
  bytes -= bytes % 256;
  BB_ASSIGN(DeviceMemory source, allocate(bytes));
  BB_ASSIGN(DeviceMemory target, allocate(bytes));
  BB_ASSIGN(double seconds, copySeconds(target.data, source.data, bytes));
  limits.bandwidth = seconds > 0 ? 2.0 * double(bytes) / seconds : 0;
  limits.source =
      fmt::format("tensor cores by the data sheet ({} processors at {:.2f} "
                  "GHz), memory copying {}, measured",
                  facts.processors, facts.hertz / 1e9, formatBytes(bytes));
  return limits;
}

//===----------------------------------------------------------------------===//
// Doctor
//===----------------------------------------------------------------------===//

Result<CudaReport> cudaReport() {
  BB_ASSIGN(auto driver, Driver::open());
  const Driver &api = *driver;
  CudaReport report;
  report.version = cuda::versionText(api.version);
  int count = 0;
  BB_CUDA(api, api.cuDeviceGetCount(&count), "the GPUs cannot be counted");
  for (int i = 0; i < count; ++i) {
    cuda::Device device = 0;
    BB_CUDA(api, api.cuDeviceGet(&device, i),
            fmt::format("GPU {} cannot be opened", i));
    CudaReport::Gpu gpu;
    auto facts = cuda::readFacts(api, device);
    if (facts) {
      gpu.name = facts->name;
      gpu.arch = facts->arch;
      gpu.bytes = facts->bytes;
    } else {
      gpu.trouble = facts.error().message;
    }
    report.gpus.push_back(std::move(gpu));
  }
  if (report.gpus.empty())
    return api.error(Status::noDevice, "there is no GPU to use");
  return report;
}

} // namespace bitbyte
