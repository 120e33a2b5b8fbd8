//===- Math.h - Elementary functions of f32 -------------------------------===//
//
// Polynomials instead of library calls: a kernel links to nothing. Errors are
// about 2 ulp, 3 for powers on a GPU, which has an instruction for them.
// Subnormal inputs and results may be flushed to zero, as the kernels' MXCSR
// does anyhow. All take a scalar or a vector.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "passes/lower/Emit.h"

namespace bitbyte::tile {

mlir::Value emitExp(Emit &emit, mlir::Value x);
mlir::Value emitExp2(Emit &emit, mlir::Value x);
/// The same with the instructions of AVX-512 that split and scale: 16 lanes,
/// within 2 ulp, 1 at 0.
mlir::Value emitExp2Scaled(Emit &emit, mlir::Value x);
mlir::Value emitExpM1(Emit &emit, mlir::Value x);
mlir::Value emitLog(Emit &emit, mlir::Value x);
mlir::Value emitLog2(Emit &emit, mlir::Value x);
mlir::Value emitLog1p(Emit &emit, mlir::Value x);
mlir::Value emitTanh(Emit &emit, mlir::Value x);
mlir::Value emitErf(Emit &emit, mlir::Value x);
/// For x > 0; about 2 ulp of x^y times |y log2 x| / 32.
mlir::Value emitPow(Emit &emit, mlir::Value x, mlir::Value y);
/// For |x| below 1e5: beyond, the reduction of the argument loses digits.
mlir::Value emitSin(Emit &emit, mlir::Value x);
mlir::Value emitCos(Emit &emit, mlir::Value x);

} // namespace bitbyte::tile
