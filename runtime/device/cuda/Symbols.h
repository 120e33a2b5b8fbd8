//===- Symbols.h - What is used of the CUDA driver ------------------------===//
//
// The one place that knows the driver's interface: its types and numbers, as
// far as they are used, and the table of its functions. Written after the
// driver API reference of CUDA 12.0, the oldest that will do; the test
// `CudaHeader` compares all of it with cuda.h where that is installed.
//
//===----------------------------------------------------------------------===//
#pragma once

#include <cstddef>
#include <cstdint>

struct CUctx_st;
struct CUmod_st;
struct CUfunc_st;
struct CUstream_st;
struct CUevent_st;
struct CUgraph_st;
struct CUgraphExec_st;

namespace bitbyte::cuda {

using Device = int;                 ///< CUdevice: an ordinal.
using Address = unsigned long long; ///< CUdeviceptr
using Context = CUctx_st *;
using Module = CUmod_st *;
using Function = CUfunc_st *;
using Stream = CUstream_st *;
using Event = CUevent_st *;
using Graph = CUgraph_st *;
using GraphExec = CUgraphExec_st *;

/// CUresult: the numbers that are told apart.
enum class Status : int {
  success = 0,
  invalidValue = 1,
  outOfMemory = 2,
  notInitialized = 3,
  stubLibrary = 34,
  deviceUnavailable = 46,
  noDevice = 100,
  invalidDevice = 101,
  invalidImage = 200,
  noBinaryForGpu = 209,
  eccUncorrectable = 214,
  invalidPtx = 218,
  nvlinkUncorrectable = 220,
  jitCompilerNotFound = 221,
  unsupportedPtxVersion = 222,
  jitCompilationDisabled = 223,
  operatingSystem = 304,
  notFound = 500,
  notReady = 600,
  illegalAddress = 700,
  launchOutOfResources = 701,
  launchTimeout = 702,
  assertFailed = 710,
  hardwareStackError = 714,
  illegalInstruction = 715,
  misalignedAddress = 716,
  invalidAddressSpace = 717,
  invalidPc = 718,
  launchFailed = 719,
  systemNotReady = 802,
  systemDriverMismatch = 803,
  compatNotSupported = 804,
  unknown = 999,
};

/// CUdevice_attribute
enum class DeviceAttribute : int {
  clockRate = 13, ///< kHz
  multiprocessorCount = 16,
  memoryClockRate = 36,      ///< kHz
  globalMemoryBusWidth = 37, ///< bits
  computeCapabilityMajor = 75,
  computeCapabilityMinor = 76,
  maxSharedMemoryPerBlockOptin = 97, ///< bytes
};

/// CUfunction_attribute
enum class FunctionAttribute : int {
  maxThreadsPerBlock = 0,
  sharedSizeBytes = 1, ///< Static.
  maxDynamicSharedSizeBytes = 8,
};

/// CUjit_option
enum class JitOption : int {
  errorLogBuffer = 5,
  errorLogBufferSizeBytes = 6,
};

inline constexpr unsigned streamNonBlocking = 1;
inline constexpr unsigned eventDefault = 0;
inline constexpr unsigned eventDisableTiming = 2;
inline constexpr int captureThreadLocal = 1; ///< CUstreamCaptureMode

/// The oldest driver that will do, as cuDriverGetVersion counts: the kernels
/// are PTX 8.0, which came with CUDA 12.0.
inline constexpr int neededVersion = 12000;
/// The kernels are written for sm_80 and later.
inline constexpr int neededMajor = 8;

// X(symbol in the library, parameters). All return CUresult. The names carry
// the version of the interface: cuda.h hides it behind macros.
//
// The first rows work without cuInit.
#define BB_CUDA_SYMBOLS(X)                                                     \
  X(cuGetErrorName, (Status, const char **))                                   \
  X(cuGetErrorString, (Status, const char **))                                 \
  X(cuDriverGetVersion, (int *))                                               \
  X(cuInit, (unsigned))                                                        \
  X(cuDeviceGetCount, (int *))                                                 \
  X(cuDeviceGet, (Device *, int))                                              \
  X(cuDeviceGetName, (char *, int, Device))                                    \
  X(cuDeviceGetAttribute, (int *, DeviceAttribute, Device))                    \
  X(cuDeviceTotalMem_v2, (size_t *, Device))                                   \
  X(cuDevicePrimaryCtxRetain, (Context *, Device))                             \
  X(cuDevicePrimaryCtxRelease_v2, (Device))                                    \
  X(cuCtxSetCurrent, (Context))                                                \
  X(cuMemGetInfo_v2, (size_t *, size_t *))                                     \
  X(cuMemAlloc_v2, (Address *, size_t))                                        \
  X(cuMemFree_v2, (Address))                                                   \
  X(cuMemHostAlloc, (void **, size_t, unsigned))                               \
  X(cuMemFreeHost, (void *))                                                   \
  X(cuMemcpyHtoDAsync_v2, (Address, const void *, size_t, Stream))             \
  X(cuMemcpyDtoHAsync_v2, (void *, Address, size_t, Stream))                   \
  X(cuMemcpyDtoDAsync_v2, (Address, Address, size_t, Stream))                  \
  X(cuMemsetD8Async, (Address, unsigned char, size_t, Stream))                 \
  X(cuStreamCreate, (Stream *, unsigned))                                      \
  X(cuStreamDestroy_v2, (Stream))                                              \
  X(cuStreamQuery, (Stream))                                                   \
  X(cuStreamBeginCapture_v2, (Stream, int))                                    \
  X(cuStreamEndCapture, (Stream, Graph *))                                     \
  X(cuGraphInstantiateWithFlags, (GraphExec *, Graph, unsigned long long))     \
  X(cuGraphLaunch, (GraphExec, Stream))                                        \
  X(cuGraphExecDestroy, (GraphExec))                                           \
  X(cuGraphDestroy, (Graph))                                                   \
  X(cuEventCreate, (Event *, unsigned))                                        \
  X(cuEventDestroy_v2, (Event))                                                \
  X(cuEventRecord, (Event, Stream))                                            \
  X(cuEventQuery, (Event))                                                     \
  X(cuEventElapsedTime, (float *, Event, Event))                               \
  X(cuModuleLoadDataEx,                                                        \
    (Module *, const void *, unsigned, JitOption *, void **))                  \
  X(cuModuleUnload, (Module))                                                  \
  X(cuModuleGetFunction, (Function *, Module, const char *))                   \
  X(cuFuncGetAttribute, (int *, FunctionAttribute, Function))                  \
  X(cuFuncSetAttribute, (Function, FunctionAttribute, int))                    \
  X(cuLaunchKernel, (Function, unsigned, unsigned, unsigned, unsigned,         \
                     unsigned, unsigned, unsigned, Stream, void **, void **))

} // namespace bitbyte::cuda
