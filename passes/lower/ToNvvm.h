//===- ToNvvm.h - The phase `lower`: tile kernels to LLVM for GPUs --------===//
#pragma once

#include "dialects/tile/KernelTarget.h"
#include "dialects/tile/TileOps.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace bitbyte::tile {

/// Makes the function of a GPU kernel, before the kernel, under `name`:
///
///   .entry name(.param .u64 .ptr .global buffer, ...)
///
/// A block runs the program of its number. Attributes: `tile.scratch_bytes`,
/// the dynamic shared memory of a block, which the function calls `scratch`,
/// and `tile.threads`, its threads. Null after an error was reported.
mlir::LLVM::LLVMFuncOp lowerGpuKernel(KernelOp kernel, llvm::StringRef name,
                                      const KernelTarget &target);

} // namespace bitbyte::tile
