//===- Assemble.h - From a planned module to the tables of a variant ------===//
#pragma once

#include "compiler/artifact/ArtifactWriter.h"

#include "mlir/IR/BuiltinOps.h"

namespace bitbyte::bb {

/// A kernel's name and what the plan does not know about it.
struct CompiledKernel {
  std::string name;   ///< The symbol of its tile.kernel.
  std::string symbol; ///< In its module of machine code.
  std::string hash;   ///< Of tile program and target.
  uint32_t module = 0;
  uint64_t scratchBytes = 0; ///< Per worker, or per block of a GPU.
  uint32_t threads = 0;      ///< Of a GPU's block; 0 on a CPU.
};

struct AssembledVariant {
  std::unique_ptr<fb::VariantT> tables;
  std::string constants; ///< The segment of space `constant`.
  std::vector<std::unique_ptr<fb::StateT>>
      states; ///< Those that all variants share.
};

/// Copies a module of plan and tile.kernel ops into tables, field by field.
/// Kernels are numbered in the order of `kernels`.
AssembledVariant assembleVariant(mlir::ModuleOp module, llvm::StringRef target,
                                 llvm::ArrayRef<CompiledKernel> kernels);

} // namespace bitbyte::bb
