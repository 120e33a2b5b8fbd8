#include "test/runtime/device/cuda/StubDriver.h"

#include "runtime/device/cuda/Symbols.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <sstream>
#include <vector>

using namespace bitbyte::cuda;
using bitbyte::test::StubPlan;
using bitbyte::test::StubState;

extern "C" {
using Kernel = void(void *const *, const int64_t *, void *, int64_t, int64_t);
Kernel toy_score, toy_micro, toy_update, toy_prepare, toy_number, toy_constant,
    toy_logits;
}

namespace {

struct Entry {
  const char *name;
  Kernel *run;
  size_t buffers, scalars;
};
constexpr Entry entries[] = {
    {"toy_score", toy_score, 4, 0},    {"toy_micro", toy_micro, 6, 1},
    {"toy_update", toy_update, 16, 0}, {"toy_prepare", toy_prepare, 2, 0},
    {"toy_number", toy_number, 1, 1},  {"toy_constant", toy_constant, 2, 0},
    {"toy_logits", toy_logits, 2, 0},  {"toy_denormal", nullptr, 2, 0},
};

using Work = std::function<void()>;

/// Anything that a handle stands for.
struct Object {
  enum Kind { stream, event, module, graph, exec, deviceMemory, hostMemory };
  Kind kind;
  uint64_t bytes = 0;    ///< Of memory.
  std::string text = {}; ///< Of a module.
  std::vector<Work> work = {};
};

/// BB_STUB, for whole processes.
StubPlan readPlan() {
  StubPlan plan;
  const char *text = getenv("BB_STUB");
  std::istringstream words(text ? text : "");
  for (std::string word; words >> word;) {
    size_t at = word.find('=');
    std::string name = word.substr(0, at), value = word.substr(at + 1);
    if (name == "version")
      plan.version = atoi(value.c_str());
    if (name == "devices")
      plan.devices = atoi(value.c_str());
    if (name == "arch")
      plan.arch = atoi(value.c_str());
    if (name == "memory")
      plan.memory = strtoull(value.c_str(), nullptr, 10);
    if (name == "failAt")
      plan.failAt = atoll(value.c_str());
    if (name == "failIn")
      plan.failIn = value;
    if (name == "code")
      plan.code = atoi(value.c_str());
    if (name == "hangsAt")
      plan.hangsAt = atoll(value.c_str());
  }
  return plan;
}

StubPlan plan = readPlan();
StubState state;
std::map<uintptr_t, Object> objects;
int contexts = 0;
Status dead = Status::success; ///< What every call gives from now on.
std::vector<Work> *capture = nullptr;
std::vector<Work> captured;

void reset() {
  for (auto &[handle, object] : objects)
    free(reinterpret_cast<void *>(handle));
  objects.clear();
  capture = nullptr;
  captured.clear();
  dead = Status::success;
}

Status misuse(const std::string &what) {
  if (state.misuse.empty())
    state.misuse = what;
  return Status::invalidValue;
}

bool ruinsContext(Status status) {
  int code = int(status);
  return status == Status::eccUncorrectable || code == 700 || code == 702 ||
         code == 710 || (code >= 714 && code <= 719);
}

/// Whether this call fails, and how. `captures`: may be called meanwhile.
Status enter(const char *function, bool captures = false) {
  if (dead != Status::success)
    return dead;
  bool counts = plan.failIn.empty() || plan.failIn == function;
  if (counts && state.calls++ == plan.failAt) {
    state.failed = function;
    if (ruinsContext(Status(plan.code)))
      dead = Status(plan.code);
    return Status(plan.code);
  }
  if (capture && !captures)
    return misuse(std::string(function) + " during a capture");
  return Status::success;
}
#define ENTER(...)                                                             \
  if (Status status = enter(__func__ __VA_OPT__(, ) __VA_ARGS__);              \
      status != Status::success)                                               \
  return status

template <typename Handle>
uintptr_t key(Handle handle) {
  return (uintptr_t)handle;
}

template <typename Handle>
Status make(Handle *handle, Object object) {
  // Memory is aligned as the driver's is, and not zero.
  void *memory = nullptr;
  uint64_t bytes = std::max<uint64_t>(object.bytes, 1);
  if (posix_memalign(&memory, 256, bytes) != 0)
    return Status::outOfMemory;
  std::memset(memory, 0xcd, std::min<uint64_t>(bytes, 1 << 16));
  objects[key(memory)] = std::move(object);
  *handle = (Handle)memory;
  state.alive = int64_t(objects.size()) + contexts;
  return Status::success;
}

Object *find(uintptr_t handle, Object::Kind kind) {
  auto found = objects.find(handle);
  if (found == objects.end() || found->second.kind != kind) {
    misuse("a handle that is none, of kind " + std::to_string(kind));
    return nullptr;
  }
  return &found->second;
}

/// Destroying works even when it is made to fail: a driver that fails here has
/// lost the object too.
template <typename Handle>
Status destroy(const char *function, Handle handle, Object::Kind kind) {
  Status status = enter(function);
  if (!find(key(handle), kind))
    return Status::invalidValue;
  objects.erase(key(handle));
  free((void *)handle);
  state.alive = int64_t(objects.size()) + contexts;
  return status;
}

/// Whether these bytes lie in one block of this kind.
bool inside(uintptr_t begin, uint64_t bytes, Object::Kind kind) {
  auto after = objects.upper_bound(begin);
  if (after == objects.begin())
    return false;
  auto &[start, object] = *std::prev(after);
  return object.kind == kind && begin + bytes <= start + object.bytes;
}

Status transfer(uintptr_t target, Object::Kind targetKind, uintptr_t source,
                Object::Kind sourceKind, size_t bytes, Stream stream) {
  if (!find(key(stream), Object::stream))
    return Status::invalidValue;
  if (!inside(target, bytes, targetKind) || !inside(source, bytes, sourceKind))
    return misuse("a copy out of range, or of memory that is not pinned");
  Work work = [=] { std::memcpy((void *)target, (void *)source, bytes); };
  capture ? capture->push_back(work) : work();
  return Status::success;
}

uint64_t usedBytes() {
  uint64_t bytes = 0;
  for (auto &[handle, object] : objects)
    if (object.kind == Object::deviceMemory)
      bytes += object.bytes;
  return bytes;
}

bool declares(const std::string &ptx, const std::string &name) {
  return ptx.find(".entry " + name + "(") != std::string::npos;
}

} // namespace

extern "C" {

void bbStubReset(const StubPlan &next) {
  reset();
  contexts = 0;
  plan = next;
  state = {};
}
const StubState *bbStubState() { return &state; }

Status cuGetErrorName(Status status, const char **text) {
  static const std::map<int, const char *> names = {
      {2, "CUDA_ERROR_OUT_OF_MEMORY"},
      {100, "CUDA_ERROR_NO_DEVICE"},
      {218, "CUDA_ERROR_INVALID_PTX"},
      {700, "CUDA_ERROR_ILLEGAL_ADDRESS"}};
  auto found = names.find(int(status));
  *text = found == names.end() ? nullptr : found->second;
  return *text ? Status::success : Status::invalidValue;
}
Status cuGetErrorString(Status status, const char **text) {
  *text = int(status) == 999 ? "unknown error" : nullptr;
  return *text ? Status::success : Status::invalidValue;
}

Status cuDriverGetVersion(int *version) {
  ENTER();
  *version = plan.version;
  return Status::success;
}
Status cuInit(unsigned) {
  ENTER();
  return plan.devices ? Status::success : Status::noDevice;
}
Status cuDeviceGetCount(int *count) {
  ENTER();
  *count = plan.devices;
  return Status::success;
}
Status cuDeviceGet(Device *device, int ordinal) {
  ENTER();
  *device = ordinal;
  return ordinal < plan.devices ? Status::success : Status::invalidDevice;
}
Status cuDeviceGetName(char *name, int length, Device) {
  ENTER();
  strncpy(name, "Stub GPU", size_t(length));
  return Status::success;
}
Status cuDeviceGetAttribute(int *value, DeviceAttribute attribute, Device) {
  ENTER();
  static const std::map<int, int> values = {
      {13, 1'500'000}, {16, 132}, {36, 2'000'000}, {37, 5120}, {97, 232'448}};
  if (int(attribute) == 75)
    *value = plan.arch / 10;
  else if (int(attribute) == 76)
    *value = plan.arch % 10;
  else
    *value = values.at(int(attribute));
  return Status::success;
}
Status cuDeviceTotalMem_v2(size_t *bytes, Device) {
  ENTER();
  *bytes = plan.memory;
  return Status::success;
}

Status cuDevicePrimaryCtxRetain(Context *context, Device) {
  ENTER();
  ++contexts;
  *context = (Context)&contexts;
  state.alive = int64_t(objects.size()) + contexts;
  return Status::success;
}
Status cuDevicePrimaryCtxRelease_v2(Device) {
  Status status = enter(__func__);
  if (contexts == 0)
    return misuse("a context released twice");
  if (--contexts == 0 && !objects.empty() && dead == Status::success)
    misuse("objects outlive their context");
  if (contexts == 0)
    reset();
  state.alive = int64_t(objects.size()) + contexts;
  return status;
}
Status cuCtxSetCurrent(Context context) {
  ENTER();
  if (context && !contexts)
    return misuse("no context");
  return Status::success;
}

Status cuMemGetInfo_v2(size_t *free, size_t *total) {
  ENTER();
  *total = plan.memory;
  *free = plan.memory - std::min(plan.memory, usedBytes());
  return Status::success;
}
Status cuMemAlloc_v2(Address *address, size_t bytes) {
  ENTER();
  ++state.allocations;
  if (bytes > plan.memory - usedBytes())
    return Status::outOfMemory;
  return make(address, {Object::deviceMemory, bytes});
}
Status cuMemFree_v2(Address address) {
  return destroy(__func__, address, Object::deviceMemory);
}
Status cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
  ENTER();
  ++state.allocations;
  return make(memory, {Object::hostMemory, bytes});
}
Status cuMemFreeHost(void *memory) {
  return destroy(__func__, memory, Object::hostMemory);
}

Status cuMemcpyHtoDAsync_v2(Address target, const void *source, size_t bytes,
                            Stream stream) {
  ENTER(true);
  return transfer(target, Object::deviceMemory, key(source), Object::hostMemory,
                  bytes, stream);
}
Status cuMemcpyDtoHAsync_v2(void *target, Address source, size_t bytes,
                            Stream stream) {
  ENTER(true);
  return transfer(key(target), Object::hostMemory, source, Object::deviceMemory,
                  bytes, stream);
}
Status cuMemcpyDtoDAsync_v2(Address target, Address source, size_t bytes,
                            Stream stream) {
  ENTER(true);
  return transfer(target, Object::deviceMemory, source, Object::deviceMemory,
                  bytes, stream);
}
Status cuMemsetD8Async(Address target, unsigned char value, size_t bytes,
                       Stream stream) {
  ENTER(true);
  if (!find(key(stream), Object::stream) ||
      !inside(target, bytes, Object::deviceMemory))
    return misuse("memory set out of range");
  Work work = [=] { std::memset((void *)target, value, bytes); };
  capture ? capture->push_back(work) : work();
  return Status::success;
}

Status cuStreamCreate(Stream *stream, unsigned) {
  ENTER();
  return make(stream, {Object::stream});
}
Status cuStreamDestroy_v2(Stream stream) {
  return destroy(__func__, stream, Object::stream);
}
Status cuStreamQuery(Stream stream) {
  ENTER();
  ++state.waits;
  if (!find(key(stream), Object::stream))
    return Status::invalidValue;
  return plan.hangsAt >= 0 && state.launches >= plan.hangsAt ? Status::notReady
                                                             : Status::success;
}
Status cuStreamBeginCapture_v2(Stream stream, int) {
  ENTER();
  if (!find(key(stream), Object::stream))
    return Status::invalidValue;
  captured.clear();
  capture = &captured;
  return Status::success;
}
Status cuStreamEndCapture(Stream, Graph *graph) {
  bool began = capture != nullptr;
  capture = nullptr;
  ENTER();
  if (!began)
    return misuse("the end of no capture");
  Status status = make(graph, {Object::graph});
  find(key(*graph), Object::graph)->work = std::move(captured);
  return status;
}
Status cuGraphInstantiateWithFlags(GraphExec *exec, Graph graph,
                                   unsigned long long) {
  ENTER();
  Object *from = find(key(graph), Object::graph);
  if (!from)
    return Status::invalidValue;
  return make(exec, {Object::exec, 0, "", from->work});
}
Status cuGraphLaunch(GraphExec exec, Stream stream) {
  ENTER();
  Object *graph = find(key(exec), Object::exec);
  if (!graph || !find(key(stream), Object::stream))
    return Status::invalidValue;
  ++state.graphs;
  for (const Work &work : graph->work)
    work();
  return Status::success;
}
Status cuGraphExecDestroy(GraphExec exec) {
  return destroy(__func__, exec, Object::exec);
}
Status cuGraphDestroy(Graph graph) {
  return destroy(__func__, graph, Object::graph);
}

Status cuEventCreate(Event *event, unsigned) {
  ENTER();
  return make(event, {Object::event});
}
Status cuEventDestroy_v2(Event event) {
  return destroy(__func__, event, Object::event);
}
Status cuEventRecord(Event event, Stream stream) {
  ENTER();
  return find(key(event), Object::event) && find(key(stream), Object::stream)
             ? Status::success
             : Status::invalidValue;
}
Status cuEventQuery(Event event) {
  ENTER();
  ++state.waits;
  return find(key(event), Object::event) ? Status::success
                                         : Status::invalidValue;
}
Status cuEventElapsedTime(float *milliseconds, Event begin, Event end) {
  ENTER();
  *milliseconds = 1;
  return find(key(begin), Object::event) && find(key(end), Object::event)
             ? Status::success
             : Status::invalidValue;
}

Status cuModuleLoadDataEx(Module *module, const void *image, unsigned count,
                          JitOption *options, void **values) {
  ENTER();
  auto *text = static_cast<const char *>(image);
  bool cubin = std::memcmp(text,
                           "\x7f"
                           "ELF",
                           4) == 0;
  if (cubin && plan.oldCubins)
    return Status::noBinaryForGpu;
  if (cubin) // The test's cubins are a header and the PTX.
    return make(module, {Object::module, 0, text + 64});
  if (strncmp(text, ".version", 8) == 0)
    return make(module, {Object::module, 0, text});
  for (unsigned i = 0; i + 1 < count; ++i)
    if (options[i] == JitOption::errorLogBuffer)
      snprintf(
          static_cast<char *>(values[i]), size_t(values[i + 1]),
          "ptxas application ptx input, line 1; fatal   : Missing .version "
          "directive\n");
  return Status::invalidPtx;
}
Status cuModuleUnload(Module module) {
  return destroy(__func__, module, Object::module);
}
Status cuModuleGetFunction(Function *function, Module module,
                           const char *name) {
  ENTER();
  Object *object = find(key(module), Object::module);
  if (!object)
    return Status::invalidValue;
  for (const Entry &entry : entries)
    if (strcmp(entry.name, name) == 0 && declares(object->text, name)) {
      *function = (Function)&entry;
      return Status::success;
    }
  return Status::notFound;
}
Status cuFuncGetAttribute(int *value, FunctionAttribute attribute, Function) {
  ENTER();
  *value = attribute == FunctionAttribute::maxThreadsPerBlock ? 512 : 0;
  return Status::success;
}
Status cuFuncSetAttribute(Function, FunctionAttribute, int) {
  ENTER();
  return Status::success;
}
Status cuLaunchKernel(Function function, unsigned x, unsigned y, unsigned z,
                      unsigned threads, unsigned, unsigned, unsigned shared,
                      Stream stream, void **parameters, void **) {
  ENTER(true);
  auto *entry = (const Entry *)function;
  if (x == 0 || y != 1 || z != 1 || threads == 0 ||
      !find(key(stream), Object::stream))
    return misuse("a launch of nothing");
  std::vector<void *> buffers;
  std::vector<int64_t> scalars;
  for (size_t i = 0; i < entry->buffers + entry->scalars; ++i) {
    int64_t value;
    std::memcpy(&value, parameters[i], sizeof(value));
    if (i >= entry->buffers)
      scalars.push_back(value);
    else if (inside(uintptr_t(value), 1, Object::deviceMemory))
      buffers.push_back((void *)value);
    else
      return misuse("a kernel's pointer is no device memory");
  }
  state.launches += capture == nullptr;
  Work work = [=] {
    std::vector<int64_t> scratch(shared / 8 + 1);
    if (entry->run)
      entry->run(buffers.data(), scalars.data(), scratch.data(), 0, x);
  };
  capture ? capture->push_back(work) : work();
  return Status::success;
}

} // extern "C"
