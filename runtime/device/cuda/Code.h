//===- Code.h - PTX and cubins become functions ---------------------------===//
#pragma once

#include "runtime/device/cuda/Session.h"

#include <optional>

namespace bitbyte::cuda {

/// A kernel that can be launched.
struct LoadedKernel {
  std::string name;
  Function function = nullptr;
  unsigned programs = 0, threads = 0, scratchBytes = 0;
  /// What it takes, if its PTX says so.
  std::optional<size_t> parameters;
};

struct LoadedCode {
  std::vector<Owned<Module>> modules;
  std::vector<LoadedKernel> kernels; ///< In the order given.
};

/// Loads the modules that the kernels use. A cubin stands in for the nearest
/// PTX module before it, if it is for this very architecture and the driver
/// knows its form; else the driver compiles the PTX. BadInput: the code is not
/// sound, with what the driver's compiler says. NoDevice: it is sound, but this
/// GPU or driver cannot run it.
Result<LoadedCode> loadCode(std::shared_ptr<Session> session,
                            std::span<const CodeModule> modules,
                            std::span<const CodeKernel> kernels,
                            const std::string &path);

/// The architecture of a cubin: 90 for sm_90. Nothing if it is none.
std::optional<int> cubinArch(std::span<const std::byte> code);

/// How many parameters the PTX declares for an entry. Nothing if it has none of
/// this name.
std::optional<size_t> countParameters(std::string_view ptx,
                                      std::string_view entry);

/// What follows ".version" in PTX: "8.0"; empty if there is none.
std::string_view ptxVersion(std::string_view ptx);

} // namespace bitbyte::cuda
