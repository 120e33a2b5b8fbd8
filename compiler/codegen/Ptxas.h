//===- Ptxas.h - NVIDIA's assembler, where there is one -------------------===//
#pragma once

#include "llvm/Support/Error.h"

#include <optional>
#include <string>

namespace bitbyte::codegen {

/// The path of `ptxas`: on PATH, in CUDA_HOME/bin, or in /usr/local/cuda/bin.
std::optional<std::string> findPtxas();

/// What a kernel takes on a machine.
struct Resources {
  std::string arch;       ///< "sm_80"
  int64_t registers = 0;  ///< of a thread
  int64_t spillBytes = 0; ///< stores and loads
  int64_t stackBytes = 0;
  int64_t sharedBytes = 0; ///< static ones: scratch is dynamic
};

/// A module in machine code, and what ptxas said on the way.
struct Assembled {
  std::string cubin, messages;
};

/// Assembles PTX for a machine ("sm_80").
llvm::Expected<Assembled> assemble(const std::string &ptxas,
                                   llvm::StringRef ptx, llvm::StringRef arch);

/// What the messages say of one kernel.
Resources resourcesOf(llvm::StringRef messages, llvm::StringRef symbol,
                      llvm::StringRef arch);

} // namespace bitbyte::codegen
