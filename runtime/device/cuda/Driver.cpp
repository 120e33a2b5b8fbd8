#include "runtime/device/cuda/Driver.h"

#include <cstdlib>
#include <dlfcn.h>

namespace bitbyte::cuda {

std::string versionText(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string Driver::name(Status status) const {
  const char *text = nullptr;
  if (cuGetErrorName(status, &text) == Status::success && text)
    return text;
  return fmt::format("CUDA error {}", int(status));
}

std::string Driver::explain(Status status) const {
  switch (status) {
  case Status::outOfMemory:
    return "the GPU's memory is full";
  case Status::stubLibrary:
    return "the library that was found is the toolkit's stub and no driver: "
           "take its folder out of LD_LIBRARY_PATH";
  case Status::deviceUnavailable:
    return "the GPU is busy or reserved for another process";
  case Status::noDevice:
    return "the driver sees no GPU (CUDA_VISIBLE_DEVICES can hide one)";
  case Status::noBinaryForGpu:
    return "there is no code for this GPU";
  case Status::eccUncorrectable:
    return "the GPU's memory has an error that cannot be corrected: reset the "
           "GPU, and replace it if that happens again";
  case Status::nvlinkUncorrectable:
    return "the link between the GPUs has an error that cannot be corrected";
  case Status::invalidPtx:
    return "the driver's compiler refuses the PTX";
  case Status::unsupportedPtxVersion:
    return "the driver is too old for this PTX";
  case Status::jitCompilerNotFound:
    return "the driver was installed without its PTX compiler "
           "(libnvidia-ptxjitcompiler)";
  case Status::jitCompilationDisabled:
    return "the driver's PTX compiler is switched off (CUDA_DISABLE_PTX_JIT)";
  case Status::illegalAddress:
    return "a kernel touched memory that is not allocated";
  case Status::launchOutOfResources:
    return "a block needs more registers or threads than the GPU has";
  case Status::launchTimeout:
    return "the system's time limit for kernels ran out, as on a GPU that "
           "drives a display";
  case Status::assertFailed:
    return "an assertion in a kernel failed";
  case Status::hardwareStackError:
    return "a kernel's stack overflowed";
  case Status::illegalInstruction:
    return "a kernel met an illegal instruction";
  case Status::misalignedAddress:
    return "a kernel touched a misaligned address";
  case Status::invalidAddressSpace:
    return "a kernel used an address of another address space";
  case Status::invalidPc:
    return "a kernel jumped outside its code";
  case Status::launchFailed:
    return "a kernel failed";
  case Status::systemNotReady:
    return "the GPUs are not set up yet: start nvidia-fabricmanager";
  case Status::systemDriverMismatch:
    return "the driver's library and its kernel module differ in version: "
           "restart the machine";
  case Status::compatNotSupported:
    return "the compatibility library in use does not support this GPU";
  default:
    break;
  }
  const char *text = nullptr;
  if (cuGetErrorString(status, &text) == Status::success && text)
    return text;
  return "the driver has no words for it";
}

/// What the caller can do: use another device, or report a bug.
static ErrorKind kindOf(Status status) {
  switch (status) {
  case Status::outOfMemory:
  case Status::notInitialized:
  case Status::stubLibrary:
  case Status::deviceUnavailable:
  case Status::noDevice:
  case Status::invalidDevice:
  case Status::noBinaryForGpu:
  case Status::eccUncorrectable:
  case Status::nvlinkUncorrectable:
  case Status::jitCompilerNotFound:
  case Status::unsupportedPtxVersion:
  case Status::jitCompilationDisabled:
  case Status::operatingSystem:
  case Status::systemNotReady:
  case Status::systemDriverMismatch:
  case Status::compatNotSupported:
    return ErrorKind::NoDevice;
  case Status::invalidImage:
  case Status::invalidPtx:
    return ErrorKind::BadInput;
  default:
    return ErrorKind::Failed;
  }
}

tl::unexpected<Error> Driver::error(Status status,
                                    std::string_view what) const {
  return fail(kindOf(status), "{}: {} ({})", what, explain(status),
              name(status));
}

/// The function of this name, or an error.
static Result<void *> find(void *library, const char *symbol,
                           const std::string &path) {
  if (void *address = dlsym(library, symbol))
    return address;
  return fail(ErrorKind::NoDevice,
              "{}: lacks '{}', so it is no NVIDIA driver for CUDA {} or newer",
              path, symbol, versionText(neededVersion));
}

static Result<std::shared_ptr<const Driver>> load(const std::string &path) {
  // Never closed: the driver keeps threads of its own.
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return fail(ErrorKind::NoDevice,
                "there is no NVIDIA driver on this machine: {}", dlerror());
  auto driver = std::make_shared<Driver>();
  // An old driver lacks symbols; its version says more than the first of them.
  BB_ASSIGN(void *getVersion, find(library, "cuDriverGetVersion", path));
  if (reinterpret_cast<decltype(driver->cuDriverGetVersion)>(getVersion)(
          &driver->version) != Status::success)
    return fail(ErrorKind::NoDevice,
                "{}: the NVIDIA driver does not tell its version", path);
  if (driver->version < neededVersion)
    return fail(ErrorKind::NoDevice,
                "the NVIDIA driver is too old: it is for CUDA {}, needed is "
                "one for {} or newer (525.60 or newer)",
                versionText(driver->version), versionText(neededVersion));
#define BB_FIND(symbol, parameters)                                            \
  {                                                                            \
    BB_ASSIGN(void *address, find(library, #symbol, path));                    \
    driver->symbol = reinterpret_cast<decltype(driver->symbol)>(address);      \
  }
  BB_CUDA_SYMBOLS(BB_FIND)
#undef BB_FIND
  return driver;
}

Result<std::shared_ptr<const Driver>> Driver::open() {
  const char *given = std::getenv("BB_CUDA_DRIVER");
  std::string path = given && *given ? given : "libcuda.so.1";
  BB_ASSIGN(std::shared_ptr<const Driver> driver, load(path));
  BB_CUDA(*driver, driver->cuInit(0), "the NVIDIA driver does not start");
  return driver;
}

} // namespace bitbyte::cuda
