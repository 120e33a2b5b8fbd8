//===- Codegen.h - Tile kernels to machine code ---------------------------===//
#pragma once

#include "compiler/codegen/Ptxas.h"
#include "dialects/tile/TileOps.h"

#include <string>
#include <vector>

namespace bitbyte::codegen {

struct Options {
  /// "cpu-v3", "cpu-v4", "cpu-v4bf16" or "cuda"; see KernelTarget.
  std::string target = "cpu-v3";
  /// Objects of earlier compilations; empty: none are kept. Made if missing.
  std::string cacheDirectory;
  /// Machines ("sm_80") that PTX is assembled for as well; may be none.
  std::vector<std::string> gpuArchs = {"sm_80", "sm_90"};
  /// Whether it is an error if one of them cannot be had.
  bool mustAssemble = false;
};

struct Kernel {
  /// Depends on the kernel's code alone: equal kernels share it.
  std::string symbol;
  /// What each worker must bring; a block's shared memory on a GPU.
  int64_t scratchBytes = 0;
  /// Of a block on a GPU; 0 on a CPU.
  int64_t threads = 0;
  /// By machine, where ptxas is present.
  std::vector<Resources> resources;
};

struct Library {
  std::string format = "elf"; ///< or "ptx"
  std::vector<char> bytes;    ///< a shared library that needs no other, or text
  std::vector<Kernel> kernels;     ///< one per kernel given, in order
  std::vector<std::string> cubins; ///< PTX assembled for `gpuArchs`, where
                                   ///< ptxas is present
};

/// The best CPU target of this machine; empty if it has no AVX2.
std::string hostTarget();

/// Compiles kernels on all threads of their context. The bytes depend on the
/// kernels and the target alone. Errors are reported as diagnostics.
llvm::FailureOr<Library> compile(llvm::ArrayRef<tile::KernelOp> kernels,
                                 const Options &options);

/// A kernel on its way down, for people.
struct Texts {
  std::string llvm;     ///< LLVM IR as it goes to the back end
  std::string assembly; ///< of the CPU, or PTX
};
llvm::FailureOr<std::vector<Texts>>
emitTexts(llvm::ArrayRef<tile::KernelOp> kernels, const Options &options);

} // namespace bitbyte::codegen
