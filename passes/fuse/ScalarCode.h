//===- ScalarCode.h - Float code of regions: every op may contract --------===//
#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace bitbyte::bb {

template <typename Op>
inline mlir::Value binary(mlir::OpBuilder &b, mlir::Location loc, mlir::Value x,
                          mlir::Value y) {
  if constexpr (std::is_constructible_v<mlir::arith::FastMathFlags> &&
                Op::template hasTrait<
                    mlir::arith::ArithFastMathInterface::Trait>())
    return Op::create(b, loc, x, y, mlir::arith::FastMathFlags::contract);
  else
    return Op::create(b, loc, x, y);
}
inline mlir::Value mulF(mlir::OpBuilder &b, mlir::Location l, mlir::Value x,
                        mlir::Value y) {
  return binary<mlir::arith::MulFOp>(b, l, x, y);
}
inline mlir::Value addF(mlir::OpBuilder &b, mlir::Location l, mlir::Value x,
                        mlir::Value y) {
  return binary<mlir::arith::AddFOp>(b, l, x, y);
}
inline mlir::Value subF(mlir::OpBuilder &b, mlir::Location l, mlir::Value x,
                        mlir::Value y) {
  return binary<mlir::arith::SubFOp>(b, l, x, y);
}
inline mlir::Value divF(mlir::OpBuilder &b, mlir::Location l, mlir::Value x,
                        mlir::Value y) {
  return binary<mlir::arith::DivFOp>(b, l, x, y);
}
template <typename Op>
inline mlir::Value unaryF(mlir::OpBuilder &b, mlir::Location l, mlir::Value x) {
  return Op::create(b, l, x, mlir::arith::FastMathFlags::contract);
}

} // namespace bitbyte::bb
