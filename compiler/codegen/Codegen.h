//===- Codegen.h - Tile kernels to machine code ---------------------------===//
#pragma once

#include "dialects/tile/TileOps.h"

#include <string>
#include <vector>

namespace bitbyte::codegen {

struct Options {
  /// "cpu-v3", "cpu-v4" or "cpu-v4bf16"; see KernelTarget.
  std::string target = "cpu-v3";
  /// Objects of earlier compilations; empty: none are kept. Made if missing.
  std::string cacheDirectory;
};

struct Kernel {
  /// Depends on the kernel's code alone: equal kernels share it.
  std::string symbol;
  /// What each worker must bring.
  int64_t scratchBytes = 0;
};

struct Library {
  std::vector<char> bytes;     ///< an ELF shared library that needs no other
  std::vector<Kernel> kernels; ///< one per kernel given, in order
};

/// The best CPU target of this machine; empty if it has no AVX2.
std::string hostTarget();

/// Compiles kernels on all threads of their context. The bytes depend on the
/// kernels and the target alone. Errors are reported as diagnostics.
llvm::FailureOr<Library> compile(llvm::ArrayRef<tile::KernelOp> kernels,
                                 const Options &options);

/// The assembly of each kernel, for people.
llvm::FailureOr<std::vector<std::string>>
emitAssembly(llvm::ArrayRef<tile::KernelOp> kernels, const Options &options);

} // namespace bitbyte::codegen
