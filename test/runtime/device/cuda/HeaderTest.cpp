// What Symbols.h says of the driver, against the toolkit's cuda.h. Compiled
// only where that is installed.
#include "runtime/device/cuda/Symbols.h"

#include <cuda.h>
#include <gtest/gtest.h>
#include <type_traits>

namespace bitbyte::cuda {

/// Pointers are told apart from numbers, and numbers by their size.
template <typename A, typename B>
constexpr bool sameShape =
    sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B>;
template <typename F, typename G>
struct Compare : std::false_type {};
template <typename... A, typename... B>
  requires(sizeof...(A) == sizeof...(B))
struct Compare<Status(A...), CUresult(B...)>
    : std::bool_constant<(sameShape<A, B> && ...)> {};

#define BB_COMPARE(symbol, parameters)                                         \
  static_assert(Compare<Status parameters, decltype(::symbol)>::value,         \
                #symbol " has other parameters in cuda.h");
BB_CUDA_SYMBOLS(BB_COMPARE)

#define BB_EQUAL(ours, theirs)                                                 \
  static_assert(int(ours) == int(theirs), #theirs " differs in cuda.h")
BB_EQUAL(Status::success, CUDA_SUCCESS);
BB_EQUAL(Status::invalidValue, CUDA_ERROR_INVALID_VALUE);
BB_EQUAL(Status::outOfMemory, CUDA_ERROR_OUT_OF_MEMORY);
BB_EQUAL(Status::notInitialized, CUDA_ERROR_NOT_INITIALIZED);
BB_EQUAL(Status::stubLibrary, CUDA_ERROR_STUB_LIBRARY);
BB_EQUAL(Status::deviceUnavailable, CUDA_ERROR_DEVICE_UNAVAILABLE);
BB_EQUAL(Status::noDevice, CUDA_ERROR_NO_DEVICE);
BB_EQUAL(Status::invalidDevice, CUDA_ERROR_INVALID_DEVICE);
BB_EQUAL(Status::invalidImage, CUDA_ERROR_INVALID_IMAGE);
BB_EQUAL(Status::noBinaryForGpu, CUDA_ERROR_NO_BINARY_FOR_GPU);
BB_EQUAL(Status::eccUncorrectable, CUDA_ERROR_ECC_UNCORRECTABLE);
BB_EQUAL(Status::invalidPtx, CUDA_ERROR_INVALID_PTX);
BB_EQUAL(Status::nvlinkUncorrectable, CUDA_ERROR_NVLINK_UNCORRECTABLE);
BB_EQUAL(Status::jitCompilerNotFound, CUDA_ERROR_JIT_COMPILER_NOT_FOUND);
BB_EQUAL(Status::unsupportedPtxVersion, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
BB_EQUAL(Status::jitCompilationDisabled, CUDA_ERROR_JIT_COMPILATION_DISABLED);
BB_EQUAL(Status::operatingSystem, CUDA_ERROR_OPERATING_SYSTEM);
BB_EQUAL(Status::notFound, CUDA_ERROR_NOT_FOUND);
BB_EQUAL(Status::notReady, CUDA_ERROR_NOT_READY);
BB_EQUAL(Status::illegalAddress, CUDA_ERROR_ILLEGAL_ADDRESS);
BB_EQUAL(Status::launchOutOfResources, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
BB_EQUAL(Status::launchTimeout, CUDA_ERROR_LAUNCH_TIMEOUT);
BB_EQUAL(Status::assertFailed, CUDA_ERROR_ASSERT);
BB_EQUAL(Status::hardwareStackError, CUDA_ERROR_HARDWARE_STACK_ERROR);
BB_EQUAL(Status::illegalInstruction, CUDA_ERROR_ILLEGAL_INSTRUCTION);
BB_EQUAL(Status::misalignedAddress, CUDA_ERROR_MISALIGNED_ADDRESS);
BB_EQUAL(Status::invalidAddressSpace, CUDA_ERROR_INVALID_ADDRESS_SPACE);
BB_EQUAL(Status::invalidPc, CUDA_ERROR_INVALID_PC);
BB_EQUAL(Status::launchFailed, CUDA_ERROR_LAUNCH_FAILED);
BB_EQUAL(Status::systemNotReady, CUDA_ERROR_SYSTEM_NOT_READY);
BB_EQUAL(Status::systemDriverMismatch, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
BB_EQUAL(Status::compatNotSupported, CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE);
BB_EQUAL(Status::unknown, CUDA_ERROR_UNKNOWN);
BB_EQUAL(DeviceAttribute::clockRate, CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
BB_EQUAL(DeviceAttribute::multiprocessorCount,
         CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
BB_EQUAL(DeviceAttribute::memoryClockRate,
         CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
BB_EQUAL(DeviceAttribute::globalMemoryBusWidth,
         CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
BB_EQUAL(DeviceAttribute::computeCapabilityMajor,
         CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
BB_EQUAL(DeviceAttribute::computeCapabilityMinor,
         CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
BB_EQUAL(DeviceAttribute::maxSharedMemoryPerBlockOptin,
         CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
BB_EQUAL(FunctionAttribute::maxThreadsPerBlock,
         CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
BB_EQUAL(FunctionAttribute::sharedSizeBytes,
         CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
BB_EQUAL(FunctionAttribute::maxDynamicSharedSizeBytes,
         CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
BB_EQUAL(JitOption::errorLogBuffer, CU_JIT_ERROR_LOG_BUFFER);
BB_EQUAL(JitOption::errorLogBufferSizeBytes,
         CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
BB_EQUAL(streamNonBlocking, CU_STREAM_NON_BLOCKING);
BB_EQUAL(eventDefault, CU_EVENT_DEFAULT);
BB_EQUAL(eventDisableTiming, CU_EVENT_DISABLE_TIMING);
BB_EQUAL(captureThreadLocal, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);

TEST(CudaHeader, IsWhatSymbolsSay) {
  // The comparison is done when this compiles; here, that the header is new
  // enough to know all of it.
  EXPECT_GE(CUDA_VERSION, neededVersion);
}

} // namespace bitbyte::cuda
