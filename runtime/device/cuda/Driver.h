//===- Driver.h - The CUDA driver, loaded when it is wanted ---------------===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/device/cuda/Symbols.h"

#include <memory>
#include <string>

namespace bitbyte::cuda {

/// The functions of libcuda.so.1. Nothing else of CUDA is needed, neither to
/// build nor to run.
struct Driver {
  /// Loads the library and initialises it, once in a process. NoDevice: there
  /// is none, it is too old (with both versions), or it does not start.
  ///
  /// For tests only: BB_CUDA_DRIVER names a library that takes its place.
  static Result<std::shared_ptr<const Driver>> open();

#define BB_DECLARE(symbol, parameters) Status(*symbol) parameters = nullptr;
  BB_CUDA_SYMBOLS(BB_DECLARE)
#undef BB_DECLARE

  int version = 0; ///< Of CUDA, at most: 12040 is 12.4.

  /// "CUDA_ERROR_NO_DEVICE"
  std::string name(Status status) const;
  /// What happened, in a few words that say what to do where that is known.
  std::string explain(Status status) const;
  /// "WHAT: explanation (CUDA_ERROR_...)", with the exit code that fits.
  tl::unexpected<Error> error(Status status, std::string_view what) const;
};

/// "12.4"
std::string versionText(int version);

/// Hands a failure of the driver on: BB_CUDA(driver, driver.cuInit(0), "...").
#define BB_CUDA(driver, call, what)                                            \
  do {                                                                         \
    if (auto bbStatus = (call); bbStatus != ::bitbyte::cuda::Status::success)  \
      return (driver).error(bbStatus, what);                                   \
  } while (false)

} // namespace bitbyte::cuda
