//===- BBGradients.cpp - Gradients of element-wise ops --------------------===//
//
// Each rule is in bb ops only. `dy` is the gradient of the result.
//
//===----------------------------------------------------------------------===//
#include "dialects/bb/BBGradients.h"

using namespace mlir;
using namespace bitbyte::bb;

//===----------------------------------------------------------------------===//
// GradientBuilder
//===----------------------------------------------------------------------===//

/// Whether a value is a parameter seen through casts and views alone.
static bool isParameterView(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (isa<ReadOp>(op))
      return true;
    if (!isa<CastOp, ReshapeOp, TransposeOp, SliceOp>(op))
      return false;
    value = op->getOperand(0);
  }
  return false;
}

Type GradientBuilder::elementOf(Value value) {
  return isParameterView(value) ? getF32Type() : tensorOf(value).getElement();
}

void GradientBuilder::add(Location loc, Value value, Value gradient) {
  if (!wanted(value))
    return;
  GraphTensorType have = tensorOf(gradient), want = tensorOf(value);
  // What broadcasting had stretched is summed again: the missing leading axes
  // and the literal 1s. In f32, because such sums run over all tokens.
  SmallVector<int64_t> missing, ones;
  int64_t lead = have.getRank() - want.getRank();
  for (int64_t i = 0; i < have.getRank(); ++i) {
    if (i < lead)
      missing.push_back(i);
    else if (want.dim(i - lead).isWhole(1) && !have.dim(i).isWhole(1))
      ones.push_back(i);
  }
  Rule r(*this, loc);
  if (!ones.empty())
    gradient = r.reduce(r.f32(gradient), "sum", ones, /*keep=*/true);
  if (!missing.empty())
    gradient = r.reduce(r.f32(gradient), "sum", missing, /*keep=*/false);
  gradient = r.cast(gradient, elementOf(value));
  Value &sum = sums[value];
  sum = sum ? r.sum(sum, gradient) : gradient;
}

//===----------------------------------------------------------------------===//
// Rule
//===----------------------------------------------------------------------===//

Value Rule::scale(Value x, double by, double plus) {
  return scale(x, g.getF64FloatAttr(by),
               plus == 0 ? Attribute() : g.getF64FloatAttr(plus));
}
Value Rule::scale(Value x, Attribute by, Attribute plus) {
  return ScaleOp::create(g, loc, x, by, plus);
}
Value Rule::number(double value, Value like) {
  return FillOp::create(g, loc, g.getF64FloatAttr(value),
                        tensorOf(like).getElement(), dims({}));
}
Value Rule::zeros(GraphTensorType type) {
  return FillOp::create(g, loc, g.getF64FloatAttr(0), type.getElement(),
                        dims(type.getShape()));
}
Value Rule::cast(Value x, Type element) {
  if (tensorOf(x).getElement() == element)
    return x;
  return CastOp::create(g, loc, x, element);
}
Value Rule::reduce(Value x, StringRef by, ArrayRef<int64_t> axes, bool keep) {
  SmallVector<DimAttr> fromFront;
  for (int64_t axis : axes)
    fromFront.push_back(whole(axis < 0 ? axis + tensorOf(x).getRank() : axis));
  return ReduceOp::create(g, loc, x, by, dims(fromFront), keep);
}
Value Rule::reshape(Value x, ArrayRef<DimAttr> shape) {
  if (tensorOf(x).getShape() == shape)
    return x;
  return ReshapeOp::create(g, loc, x, dims(shape));
}
Value Rule::broadcast(Value x, ArrayRef<DimAttr> shape) {
  if (tensorOf(x).getShape() == shape)
    return x;
  return BroadcastOp::create(g, loc, x, dims(shape));
}
Value Rule::slice(Value x, int64_t axis, DimAttr from, DimAttr size) {
  return SliceOp::create(g, loc, x, whole(axis), from, size);
}
Value Rule::pad(Value x, int64_t axis, DimAttr before, DimAttr after) {
  return PadOp::create(g, loc, x, whole(axis), before, after);
}
Value Rule::einsum(Value a, Value b, const Twine &as, Type into) {
  TypeAttr clause =
      into == tensorOf(a).getElement() ? TypeAttr() : TypeAttr::get(into);
  return EinsumOp::create(g, loc, a, b, as.str(), clause);
}
ArrayAttr Rule::dims(ArrayRef<DimAttr> shape) const {
  return g.getArrayAttr(SmallVector<Attribute>(shape.begin(), shape.end()));
}

//===----------------------------------------------------------------------===//
// One operand
//===----------------------------------------------------------------------===//

/// A rule for the one operand `x` of an op with result `y`.
#define UNARY_GRADIENT(Op, expression)                                         \
  GRADIENT(Op) {                                                               \
    Rule r(g, *this);                                                          \
    Value x = getX(), y = getY(), dy = r.dy();                                 \
    (void)x, (void)y;                                                          \
    r.add(x, expression);                                                      \
    return success();                                                          \
  }

UNARY_GRADIENT(NegOp, r.neg(dy))
UNARY_GRADIENT(ExpOp, r.mul(dy, y))
UNARY_GRADIENT(LogOp, r.div(dy, x))
UNARY_GRADIENT(SqrtOp, r.div(r.scale(dy, 0.5), y))
UNARY_GRADIENT(RsqrtOp, r.mul(r.scale(dy, -0.5), r.mul(y, r.square(y))))
UNARY_GRADIENT(SquareOp, r.mul(r.scale(dy, 2), x))
UNARY_GRADIENT(SigmoidOp, r.mul(dy, r.mul(y, r.scale(y, -1, 1))))
UNARY_GRADIENT(TanhOp, r.mul(dy, r.scale(r.square(y), -1, 1)))
UNARY_GRADIENT(SoftplusOp, r.mul(dy, r.sigmoid(x)))
UNARY_GRADIENT(CastOp, r.cast(dy, tensorOf(x).getElement()))
UNARY_GRADIENT(ScaleOp, r.scale(dy, getBy(), Attribute()))
/// Straight through: as if nothing had been rounded.
UNARY_GRADIENT(FakeQuantOp, dy)

/// 0 where x is 0.
GRADIENT(AbsOp) {
  Rule r(g, *this);
  Value x = getX(), dy = r.dy(), zero = r.number(0, x), none = r.number(0, dy);
  Value falling = r.select(r.lt(x, zero), r.neg(dy), none);
  r.add(x, r.select(r.lt(zero, x), dy, falling));
  return success();
}
GRADIENT(ReluOp) {
  Rule r(g, *this);
  Value x = getX(), dy = r.dy();
  r.add(x, r.select(r.lt(r.number(0, x), x), dy, r.number(0, dy)));
  return success();
}

/// y = x s, s = sigmoid(x):  dx = dy s (1 + x (1 - s)).
GRADIENT(SiluOp) {
  Rule r(g, *this);
  Value s = r.sigmoid(getX());
  Value slope = r.scale(r.mul(getX(), r.scale(s, -1, 1)), 1, 1);
  r.add(getX(), r.mul(r.dy(), r.mul(s, slope)));
  return success();
}

/// y = x/2 (1 + t), t = tanh(u), u = c (x + 0.044715 x^3), c = sqrt(2/pi):
/// dx = dy/2 (1 + t + x (1 - t^2) c (1 + 3 * 0.044715 x^2)).
GRADIENT(GeluOp) {
  constexpr double c = 0.79788456080286535588, cubic = 0.044715;
  Rule r(g, *this);
  Value x = getX(), xx = r.square(x);
  Value t = r.tanh(r.mul(x, r.scale(xx, c * cubic, c)));
  Value du = r.scale(xx, 3 * c * cubic, c);
  Value bend = r.mul(r.mul(x, r.scale(r.square(t), -1, 1)), du);
  r.add(x, r.mul(r.dy(), r.sum(r.scale(t, 0.5, 0.5), r.scale(bend, 0.5))));
  return success();
}

//===----------------------------------------------------------------------===//
// Two and three operands
//===----------------------------------------------------------------------===//

GRADIENT(AddOp) {
  Rule r(g, *this);
  r.add(getA(), r.dy());
  r.add(getB(), r.dy());
  return success();
}
GRADIENT(SubOp) {
  Rule r(g, *this);
  r.add(getA(), r.dy());
  if (r.wanted(getB()))
    r.add(getB(), r.neg(r.dy()));
  return success();
}
GRADIENT(MulOp) {
  Rule r(g, *this);
  if (r.wanted(getA()))
    r.add(getA(), r.mul(r.dy(), getB()));
  if (r.wanted(getB()))
    r.add(getB(), r.mul(r.dy(), getA()));
  return success();
}
/// y = a / b:  da = dy / b,  db = -y da.
GRADIENT(DivOp) {
  Rule r(g, *this);
  Value da = r.div(r.dy(), getB());
  r.add(getA(), da);
  if (r.wanted(getB()))
    r.add(getB(), r.neg(r.mul(getY(), da)));
  return success();
}
/// y = a - q b with a whole q, which is (a - y) / b.
GRADIENT(RemOp) {
  Rule r(g, *this);
  r.add(getA(), r.dy());
  if (r.wanted(getB())) {
    Value q = r.div(r.sub(getA(), getY()), getB());
    r.add(getB(), r.neg(r.mul(r.dy(), q)));
  }
  return success();
}
GRADIENT(SelectOp) {
  Rule r(g, *this);
  Value dy = r.dy(), none = r.number(0, dy);
  if (r.wanted(getA()))
    r.add(getA(), r.select(getC(), dy, none));
  if (r.wanted(getB()))
    r.add(getB(), r.select(getC(), none, dy));
  return success();
}

/// The operand that was taken gets dy; at a tie, the first.
static LogicalResult differentiateExtremum(Rule r, Value a, Value b,
                                           Value second) {
  Value dy = r.dy(), none = r.number(0, dy);
  if (r.wanted(a))
    r.add(a, r.select(second, none, dy));
  if (r.wanted(b))
    r.add(b, r.select(second, dy, none));
  return success();
}
GRADIENT(MinOp) {
  Rule r(g, *this);
  return differentiateExtremum(r, getA(), getB(), r.lt(getB(), getA()));
}
GRADIENT(MaxOp) {
  Rule r(g, *this);
  return differentiateExtremum(r, getA(), getB(), r.lt(getA(), getB()));
}

/// The mask is a function of the element's place: it is computed again.
GRADIENT(DropoutOp) {
  Rule r(g, *this);
  r.add(getX(), DropoutOp::create(g, getLoc(), r.dy(), getSeed(), getCounter(),
                                  getP(), getStreamAttr()));
  return success();
}

//===----------------------------------------------------------------------===//
// None
//===----------------------------------------------------------------------===//

NO_GRADIENT(RoundOp)
NO_GRADIENT(StopGradientOp)
NO_GRADIENT(IsFiniteOp)
NO_GRADIENT(LtOp)
NO_GRADIENT(LeOp)
NO_GRADIENT(EqOp)
NO_GRADIENT(FillOp)
NO_GRADIENT(QuantizeOp)
NO_GRADIENT(DequantizeOp)
