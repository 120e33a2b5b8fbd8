//===- Families.h - The files of loops, private to the interpreter --------===//
#pragma once

#include "compiler/interpreter/Interpreter.h"

namespace bitbyte::bb {

void addElementwise(Loops &loops);
void addQuantized(Loops &loops);
void addRows(Loops &loops);
void addContractions(Loops &loops);
void addAttention(Loops &loops);
void addFused(Loops &loops);
void addGather(Loops &loops);
void addScans(Loops &loops);
void addScanGradients(Loops &loops);
void addViews(Loops &loops);

/// Registers `body(op, frame)` for one op class.
template <typename OpTy, llvm::LogicalResult (*body)(OpTy, Frame &)>
void add(Loops &loops) {
  loops[OpTy::getOperationName()] = [](mlir::Operation *op, Frame &frame) {
    return body(llvm::cast<OpTy>(op), frame);
  };
}

/// A number of a clause; 0 where an optional clause is absent.
double number(mlir::Attribute attribute);
/// A whole number of a clause; `absent` where it is missing.
int64_t whole(DimAttr dim, int64_t absent = 0);
llvm::SmallVector<int64_t> wholes(mlir::ArrayAttr dims);

/// 1 / (1 + exp(-x)).
double sigmoid(double x);

/// Index of an axis that may count from the end.
inline int64_t axisOf(int64_t axis, int64_t rank) {
  return axis < 0 ? axis + rank : axis;
}

/// The position of a decode step: `at` is i32[] or i32[1].
inline int64_t positionOf(const Array *at) {
  return at ? static_cast<int64_t>((*at)[0]) : 0;
}

} // namespace bitbyte::bb
