#include "runtime/device/cuda/Session.h"

namespace bitbyte::cuda {

Result<Facts> readFacts(const Driver &driver, Device device) {
  Facts facts;
  char name[256] = {};
  BB_CUDA(driver, driver.cuDeviceGetName(name, sizeof(name) - 1, device),
          "the GPU's name cannot be read");
  facts.name = name;
  size_t bytes = 0;
  BB_CUDA(driver, driver.cuDeviceTotalMem_v2(&bytes, device),
          fmt::format("the memory of '{}' cannot be read", facts.name));
  facts.bytes = bytes;

  int major = 0, minor = 0, shared = 0, clock = 0, memoryClock = 0, width = 0;
  std::pair<DeviceAttribute, int *> attributes[] = {
      {DeviceAttribute::computeCapabilityMajor, &major},
      {DeviceAttribute::computeCapabilityMinor, &minor},
      {DeviceAttribute::multiprocessorCount, &facts.processors},
      {DeviceAttribute::maxSharedMemoryPerBlockOptin, &shared},
      {DeviceAttribute::clockRate, &clock},
      {DeviceAttribute::memoryClockRate, &memoryClock},
      {DeviceAttribute::globalMemoryBusWidth, &width},
  };
  for (auto [attribute, value] : attributes)
    BB_CUDA(driver, driver.cuDeviceGetAttribute(value, attribute, device),
            fmt::format("attribute {} of '{}' cannot be read", int(attribute),
                        facts.name));
  facts.arch = 10 * major + minor;
  facts.sharedBytes = uint64_t(shared);
  facts.hertz = 1e3 * clock;
  facts.busBytes = 2e3 * memoryClock * (width / 8.0); // two words per clock
  if (major < neededMajor)
    return fail(ErrorKind::NoDevice,
                "the GPU '{}' has compute capability {}.{}, needed is {}.0 or "
                "newer",
                facts.name, major, minor, neededMajor);
  return facts;
}

Result<std::shared_ptr<Session>> Session::open() {
  std::shared_ptr<Session> session(new Session);
  BB_ASSIGN(session->driver, Driver::open());
  const Driver &api = *session->driver;
  int count = 0;
  BB_CUDA(api, api.cuDeviceGetCount(&count), "the GPUs cannot be counted");
  if (count == 0)
    return api.error(Status::noDevice, "there is no GPU to use");
  BB_CUDA(api, api.cuDeviceGet(&session->device, 0), "GPU 0 cannot be opened");
  BB_ASSIGN(session->theFacts, readFacts(api, session->device));
  std::string what =
      fmt::format("the GPU '{}' cannot be used", session->theFacts.name);
  BB_CUDA(api, api.cuDevicePrimaryCtxRetain(&session->context, session->device),
          what);
  BB_CUDA(api, api.cuCtxSetCurrent(session->context), what);
  BB_CUDA(api, api.cuStreamCreate(&session->theStream, streamNonBlocking),
          what);
  return session;
}

Session::~Session() {
  if (lost || !context)
    return;
  if (theStream)
    driver->cuStreamDestroy_v2(theStream);
  driver->cuCtxSetCurrent(nullptr);
  driver->cuDevicePrimaryCtxRelease_v2(device);
}

Result<std::pair<uint64_t, uint64_t>> Session::freeAndTotal() const {
  size_t free = 0, total = 0;
  BB_CUDA(api(), api().cuMemGetInfo_v2(&free, &total),
          fmt::format("the free memory of '{}' cannot be read", facts().name));
  return std::pair<uint64_t, uint64_t>(free, total);
}

Result<DeviceMemory> Session::allocate(std::shared_ptr<Session> session,
                                       uint64_t bytes) {
  if (bytes == 0)
    return DeviceMemory{};
  const Driver &api = session->api();
  Address address = 0;
  Status status = api.cuMemAlloc_v2(&address, bytes);
  if (status == Status::outOfMemory) {
    std::string room;
    if (auto memory = session->freeAndTotal())
      room = fmt::format(": {} of {} are free", formatBytes(memory->first),
                         formatBytes(memory->second));
    return fail(ErrorKind::NoDevice, "cannot allocate {} on '{}'{} ({})",
                formatBytes(bytes), session->facts().name, room,
                api.name(status));
  }
  BB_CUDA(api, status,
          fmt::format("cannot allocate {} on '{}'", formatBytes(bytes),
                      session->facts().name));
  auto *data = reinterpret_cast<std::byte *>(address);
  return DeviceMemory{std::shared_ptr<void>(data,
                                            [session](void *memory) {
                                              if (!session->abandoned())
                                                session->api().cuMemFree_v2(
                                                    cuda::address(memory));
                                            }),
                      data, bytes};
}

Result<DeviceMemory> Session::allocateHost(std::shared_ptr<Session> session,
                                           uint64_t bytes) {
  if (bytes == 0)
    return DeviceMemory{};
  const Driver &api = session->api();
  void *memory = nullptr;
  BB_CUDA(api, api.cuMemHostAlloc(&memory, bytes, 0),
          fmt::format("cannot lock {} of this machine's memory",
                      formatBytes(bytes)));
  return DeviceMemory{std::shared_ptr<void>(memory,
                                            [session](void *memory) {
                                              if (!session->abandoned())
                                                session->api().cuMemFreeHost(
                                                    memory);
                                            }),
                      static_cast<std::byte *>(memory), bytes};
}

} // namespace bitbyte::cuda
