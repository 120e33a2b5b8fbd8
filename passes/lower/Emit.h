//===- Emit.h - Writes LLVM ops on scalars and vectors alike --------------===//
#pragma once

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

namespace bitbyte::tile {

/// The vector of `lanes` of `scalar`; `scalar` itself for 0 lanes.
mlir::Type vectorOf(mlir::Type scalar, int64_t lanes);
/// The lanes of a type; 0 for a scalar.
int64_t lanesOf(mlir::Type type);

/// Short names for the LLVM ops that the lowering writes. Constants take the
/// shape of a `like` type. Float ops may be contracted to fma.
class Emit {
public:
  /// `gpu`: indices have 32 bits, and functions are those of NVPTX.
  Emit(mlir::OpBuilder builder, mlir::Location loc, bool gpu = false)
      : builder(builder), loc(loc), gpu(gpu) {}

  mlir::Type f32(int64_t lanes = 0) {
    return vectorOf(builder.getF32Type(), lanes);
  }
  mlir::Type integer(unsigned bits, int64_t lanes = 0) {
    return vectorOf(builder.getIntegerType(bits), lanes);
  }
  mlir::Type pointer(unsigned space = 0) {
    return mlir::LLVM::LLVMPointerType::get(builder.getContext(), space);
  }
  mlir::Type indexType() { return integer(gpu ? 32 : 64); }

  mlir::Value index(int64_t value) { return constant(indexType(), value); }
  mlir::Value i64(int64_t value) { return constant(integer(64), value); }
  /// Of integers: `value` in every lane.
  mlir::Value constant(mlir::Type like, int64_t value);
  /// Of floats.
  mlir::Value constant(mlir::Type like, double value);
  mlir::Value constant(mlir::Type like, int value) {
    return constant(like, static_cast<int64_t>(value));
  }
  mlir::Value zero(mlir::Type type);
  /// One i32 or i1 per lane.
  mlir::Value lanes(llvm::ArrayRef<int32_t> values);
  mlir::Value mask(llvm::ArrayRef<bool> values);
  mlir::Value splat(mlir::Value scalar, int64_t lanes);
  mlir::Value extract(mlir::Value vector, int64_t lane);
  mlir::Value insert(mlir::Value vector, mlir::Value scalar, int64_t lane);
  mlir::Value shuffle(mlir::Value a, mlir::Value b,
                      llvm::ArrayRef<int32_t> lanes);

  mlir::Value fadd(mlir::Value a, mlir::Value b);
  mlir::Value fsub(mlir::Value a, mlir::Value b);
  mlir::Value fmul(mlir::Value a, mlir::Value b);
  mlir::Value fdiv(mlir::Value a, mlir::Value b);
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value c);
  mlir::Value fabs(mlir::Value a);
  mlir::Value sqrt(mlir::Value a);
  mlir::Value roundEven(mlir::Value a);
  mlir::Value copySign(mlir::Value magnitude, mlir::Value sign);
  /// One instruction each; where either is NaN the result is `b`, or NaN on a
  /// GPU.
  mlir::Value fmax(mlir::Value a, mlir::Value b);
  mlir::Value fmin(mlir::Value a, mlir::Value b);
  mlir::Value fcmp(mlir::LLVM::FCmpPredicate predicate, mlir::Value a,
                   mlir::Value b);
  mlir::Value icmp(mlir::LLVM::ICmpPredicate predicate, mlir::Value a,
                   mlir::Value b);
  mlir::Value select(mlir::Value condition, mlir::Value a, mlir::Value b);

  /// Integers. Null stands for 0 in `add` and `mul` by a number.
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, int64_t factor);
  mlir::Value bitAnd(mlir::Value a, mlir::Value b);
  mlir::Value bitOr(mlir::Value a, mlir::Value b);
  mlir::Value shiftLeft(mlir::Value a, int64_t bits);
  mlir::Value shiftRight(mlir::Value a, int64_t bits);

  mlir::Value bitcast(mlir::Type type, mlir::Value value);
  mlir::Value zext(mlir::Type type, mlir::Value value);
  mlir::Value sext(mlir::Type type, mlir::Value value);
  mlir::Value trunc(mlir::Type type, mlir::Value value);
  mlir::Value toSigned(mlir::Type type, mlir::Value value);
  mlir::Value fromSigned(mlir::Type type, mlir::Value value);

  /// `pointer` moved by `dynamic` (may be null) plus `fixed` elements of
  /// `bytes` bytes.
  mlir::Value move(mlir::Value pointer, mlir::Value dynamic, int64_t fixed,
                   int64_t bytes);
  mlir::Value load(mlir::Type type, mlir::Value pointer, int64_t alignment);
  void store(mlir::Value value, mlir::Value pointer, int64_t alignment);
  /// The result of an intrinsic of LLVM; null if `result` is.
  mlir::Value intrinsic(llvm::StringRef name, mlir::Type result,
                        mlir::ValueRange operands);

  mlir::OpBuilder builder;
  mlir::Location loc;
  bool gpu;
};

/// f32 from a bf16's bits, and bits rounded to nearest even.
mlir::Value widenBf16(Emit &emit, mlir::Value bits);
mlir::Value roundToBf16(Emit &emit, mlir::Value value, bool hardware);
/// The same for f16.
mlir::Value widenF16(Emit &emit, mlir::Value bits);
mlir::Value roundToF16(Emit &emit, mlir::Value value);

} // namespace bitbyte::tile
