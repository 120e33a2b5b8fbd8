//===- ToX86.h - The phase `lower`: tile kernels to LLVM for CPUs ---------===//
#pragma once

#include "dialects/tile/KernelTarget.h"
#include "dialects/tile/TileOps.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace bitbyte::tile {

/// Makes the function of a CPU kernel, before the kernel, under `name`:
///
///   void name(void *const *buffers, const int64_t *scalars, void *scratch,
///             int64_t begin, int64_t end)
///
/// It runs programs `begin` to `end`. Its attribute `tile.scratch_bytes` says
/// how much scratch a worker needs. Null after an error was reported.
mlir::LLVM::LLVMFuncOp lowerKernel(KernelOp kernel, llvm::StringRef name,
                                   const KernelTarget &target);

} // namespace bitbyte::tile
