//===- Reference.h - What a fused region means, in float64 ----------------===//
#pragma once

#include "dialects/bb/BBOps.h"

#include <vector>

namespace bitbyte::bb {

/// A tensor's elements, row-major.
using Elements = std::vector<double>;

int64_t elementCount(mlir::Value v);
/// The nearest number that `element` can hold.
double rounded(double v, mlir::Type element);
/// The value of every result, point by point, from the operands.
std::vector<Elements> evaluate(FusedOp op,
                               const std::vector<Elements> &operands);

/// Attention and its row sums.
std::vector<Elements> evaluate(AttentionOp op,
                               const std::vector<Elements> &operands);
/// dq, dk, dv.
std::vector<Elements> evaluate(AttentionGradOp op,
                               const std::vector<Elements> &operands);

/// y, and the states before each chunk or behind all.
std::vector<Elements> evaluate(SelectiveScanOp op,
                               const std::vector<Elements> &operands);
/// dx, ddt, da, db, dc; the operand of states is not looked at.
std::vector<Elements> evaluate(SelectiveScanGradOp op,
                               const std::vector<Elements> &operands);

} // namespace bitbyte::bb
