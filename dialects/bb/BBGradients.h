//===- BBGradients.h - Short names for the ops of gradient rules ----------===//
//
// Private to BBGradients*.cpp. A rule reads like its formula:
//
//   LogicalResult TanhOp::differentiate(GradientBuilder &g) {
//     Rule r(g, *this);
//     r.add(getX(), r.mul(r.dy(), r.scale(r.square(getY()), -1, 1)));
//     return success();
//   }
//
//===----------------------------------------------------------------------===//
#pragma once

#include "dialects/bb/BBOps.h"

namespace bitbyte::bb {

inline GraphTensorType tensorOf(mlir::Value value) {
  return mlir::cast<GraphTensorType>(value.getType());
}

/// Makes the ops of one rule, all at the location of the op it differentiates.
class Rule {
public:
  Rule(GradientBuilder &builder, mlir::Operation *op)
      : g(builder), op(op), loc(op->getLoc()) {}
  Rule(GradientBuilder &builder, mlir::Location loc)
      : g(builder), op(nullptr), loc(loc) {}

  /// The gradient of the op's result; null for a result that the loss does not
  /// depend on, which only ops with several results can have.
  mlir::Value dy(unsigned result = 0) const {
    return g.of(op->getResult(result));
  }
  bool wanted(mlir::Value operand) const {
    return operand && g.wanted(operand);
  }
  void add(mlir::Value operand, mlir::Value gradient) {
    g.add(loc, operand, gradient);
  }

  mlir::Value neg(mlir::Value x) { return NegOp::create(g, loc, x); }
  mlir::Value abs(mlir::Value x) { return AbsOp::create(g, loc, x); }
  mlir::Value square(mlir::Value x) { return SquareOp::create(g, loc, x); }
  mlir::Value rsqrt(mlir::Value x) { return RsqrtOp::create(g, loc, x); }
  mlir::Value sigmoid(mlir::Value x) { return SigmoidOp::create(g, loc, x); }
  mlir::Value tanh(mlir::Value x) { return TanhOp::create(g, loc, x); }
  mlir::Value sum(mlir::Value a, mlir::Value b) {
    return AddOp::create(g, loc, a, b);
  }
  mlir::Value sub(mlir::Value a, mlir::Value b) {
    return SubOp::create(g, loc, a, b);
  }
  mlir::Value mul(mlir::Value a, mlir::Value b) {
    return MulOp::create(g, loc, a, b);
  }
  mlir::Value div(mlir::Value a, mlir::Value b) {
    return DivOp::create(g, loc, a, b);
  }
  mlir::Value lt(mlir::Value a, mlir::Value b) {
    return LtOp::create(g, loc, a, b);
  }
  mlir::Value eq(mlir::Value a, mlir::Value b) {
    return EqOp::create(g, loc, a, b);
  }
  mlir::Value select(mlir::Value c, mlir::Value a, mlir::Value b) {
    return SelectOp::create(g, loc, c, a, b);
  }
  /// by * x + plus.
  mlir::Value scale(mlir::Value x, double by, double plus = 0);
  mlir::Value scale(mlir::Value x, mlir::Attribute by, mlir::Attribute plus);
  /// A scalar of the element type of `like`.
  mlir::Value number(double value, mlir::Value like);
  mlir::Value zeros(GraphTensorType type);
  mlir::Value cast(mlir::Value x, mlir::Type element);
  /// Widens to f32: statistics and sums over tokens are never kept in 16 bits.
  mlir::Value f32(mlir::Value x) { return cast(x, g.getF32Type()); }
  /// `axes` count from the front, or from the back if negative.
  mlir::Value reduce(mlir::Value x, llvm::StringRef by,
                     llvm::ArrayRef<int64_t> axes, bool keep);
  mlir::Value reshape(mlir::Value x, llvm::ArrayRef<DimAttr> shape);
  mlir::Value broadcast(mlir::Value x, llvm::ArrayRef<DimAttr> shape);
  /// Items `from` to `from + size` of an axis.
  mlir::Value slice(mlir::Value x, int64_t axis, DimAttr from, DimAttr size);
  /// Zeros before and after the items of an axis.
  mlir::Value pad(mlir::Value x, int64_t axis, DimAttr before, DimAttr after);
  mlir::Value einsum(mlir::Value a, mlir::Value b, const llvm::Twine &as,
                     mlir::Type into);

  DimAttr whole(int64_t value) const {
    return DimAttr::get(g.getContext(), value);
  }
  /// Dims as the clause of an op.
  mlir::ArrayAttr dims(llvm::ArrayRef<DimAttr> shape) const;

  GradientBuilder &g;
  mlir::Operation *op;
  mlir::Location loc;
};

} // namespace bitbyte::bb

#define GRADIENT(Op)                                                           \
  llvm::LogicalResult bitbyte::bb::Op::differentiate(GradientBuilder &g)
/// Nothing flows back: the result is no float, or constant almost everywhere.
#define NO_GRADIENT(Op)                                                        \
  GRADIENT(Op) { return llvm::success(); }
/// There is a gradient, and no rule for it: zero would be wrong.
#define REFUSED_GRADIENT(Op)                                                   \
  GRADIENT(Op) {                                                               \
    return emitOpError(                                                        \
        "cannot be differentiated: no rule says how its result "               \
        "changes with its operands");                                          \
  }
