//===- StubDriver.h - A CUDA driver without a GPU -------------------------===//
//
// A library with the driver's functions. The GPU's memory is the machine's, and
// kernels are those of TestKernels.c, by name. It is strict where the driver is
// (handles, ranges, pinned memory, what may be called during a capture), and
// fails any call that a test chooses. A process takes it by BB_CUDA_DRIVER;
// BB_STUB sets the plan there: "version=11040 devices=0 failIn=cuLaunchKernel".
//
//===----------------------------------------------------------------------===//
#pragma once

#include <cstdint>
#include <string>

namespace bitbyte::test {

struct StubPlan {
  int version = 12040;
  int devices = 1;
  int arch = 90;
  uint64_t memory = uint64_t(1) << 30;
  /// The call to fail, counted from 0 (by name and words of errors are not
  /// counted); of this function alone, if one is named.
  int64_t failAt = -1;
  std::string failIn = {};
  int code = 0;
  /// From this launch on, counted from 1, the stream's work never ends.
  int64_t hangsAt = -1;
  /// Cubins are in a form that this driver does not know.
  bool oldCubins = false;
};

struct StubState {
  int64_t calls = 0;    ///< Since the reset.
  int64_t alive = 0;    ///< Objects not destroyed yet.
  int64_t launches = 0; ///< Of kernels, one by one.
  int64_t graphs = 0;   ///< Launched.
  int64_t allocations = 0, waits = 0;
  std::string failed; ///< The function that was made to fail.
  std::string misuse; ///< What a driver would not have let pass.
};

/// What the library offers beside the driver's functions.
using StubReset = void (*)(const StubPlan &plan); ///< "bbStubReset"
using StubRead = const StubState *(*)();          ///< "bbStubState"

} // namespace bitbyte::test
