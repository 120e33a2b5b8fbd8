// Gradients, in bb ops only, in the order of BBOps.td.
#include "dialects/bb/BBText.h"
using namespace mlir;
using namespace bitbyte::bb;
static GraphTensorType type(Value v) {
  return cast<GraphTensorType>(v.getType());
}
static Attribute num(double v, Builder &b) { return b.getF64FloatAttr(v); }
static ArrayAttr axes(Builder &b, ArrayRef<int64_t> a) {
  SmallVector<Attribute> l;
  for (int64_t i : a)
    l.push_back(DimAttr::get(b.getContext(), i));
  return b.getArrayAttr(l);
}
static Value mul(GradientBuilder &g, Location l, Value a, Value b) {
  return MulOp::create(g, l, a, b);
}
static Value scale(GradientBuilder &g, Location l, Value a, double by,
                   double plus = 0) {
  return ScaleOp::create(g, l, a, num(by, g),
                         plus ? num(plus, g) : Attribute());
}
static Value reduce(GradientBuilder &g, Location l, Value x, StringRef by,
                    ArrayRef<int64_t> a, bool keep) {
  return ReduceOp::create(g, l, x, by, axes(g, a), keep);
}

void GradientBuilder::add(Location loc, Value value, Value gradient) {
  if (!wanted(value))
    return;
  auto have = type(gradient), want = type(value);
  SmallVector<int64_t> lead;
  for (int64_t i = 0; i < have.getRank() - want.getRank(); ++i)
    lead.push_back(i);
  if (!lead.empty())
    gradient = reduce(*this, loc, gradient, "sum", lead, false);
  for (int64_t i = 0; i < want.getRank(); ++i)
    if (want.dim(i).isWhole(1) && !type(gradient).dim(i).isWhole(1))
      gradient = reduce(*this, loc, gradient, "sum", {i}, true);
  if (type(gradient).getElement() != want.getElement())
    gradient = CastOp::create(*this, loc, gradient, want.getElement());
  Value &sum = sums[value];
  sum = sum ? AddOp::create(*this, loc, sum, gradient).getResult() : gradient;
}
#define GRADIENT(Op) LogicalResult Op::differentiate(GradientBuilder &g)
#define NONE(Op)                                                               \
  GRADIENT(Op) { return success(); }
#define LATER(Op)                                                              \
  GRADIENT(Op) { return emitOpError("has no gradient"); }

GRADIENT(NegOp) {
  g.add(getLoc(), getX(), NegOp::create(g, getLoc(), g.of(getY())));
  return success();
}
GRADIENT(ExpOp) {
  g.add(getLoc(), getX(), mul(g, getLoc(), g.of(getY()), getY()));
  return success();
}
GRADIENT(SigmoidOp) {
  Value y = getY();
  g.add(getLoc(), getX(),
        mul(g, getLoc(), g.of(y),
            mul(g, getLoc(), y, scale(g, getLoc(), y, -1, 1))));
  return success();
}
GRADIENT(SiluOp) { // s (1 + x (1 - s))
  Value s = SigmoidOp::create(g, getLoc(), getX());
  Value t = scale(g, getLoc(),
                  mul(g, getLoc(), getX(), scale(g, getLoc(), s, -1, 1)), 1, 1);
  g.add(getLoc(), getX(),
        mul(g, getLoc(), g.of(getY()), mul(g, getLoc(), s, t)));
  return success();
}
GRADIENT(SoftplusOp) {
  g.add(getLoc(), getX(),
        mul(g, getLoc(), g.of(getY()), SigmoidOp::create(g, getLoc(), getX())));
  return success();
}
NONE(RoundOp)
NONE(StopGradientOp)
NONE(IsFiniteOp) LATER(MinOp) LATER(MaxOp) NONE(RemOp) NONE(LtOp) NONE(LeOp)
    NONE(EqOp) LATER(SelectOp) LATER(TransposeOp) LATER(BroadcastOp)
        LATER(SliceOp) LATER(PadOp) LATER(SquareOp) LATER(TanhOp) LATER(GeluOp)
            LATER(ReluOp) LATER(SqrtOp) LATER(RsqrtOp) LATER(LogOp) LATER(AbsOp)
                GRADIENT(AddOp) {
  g.add(getLoc(), getA(), g.of(getY()));
  g.add(getLoc(), getB(), g.of(getY()));
  return success();
}
GRADIENT(SubOp) {
  g.add(getLoc(), getA(), g.of(getY()));
  if (g.wanted(getB()))
    g.add(getLoc(), getB(), NegOp::create(g, getLoc(), g.of(getY())));
  return success();
}
GRADIENT(MulOp) {
  if (g.wanted(getA()))
    g.add(getLoc(), getA(), mul(g, getLoc(), g.of(getY()), getB()));
  if (g.wanted(getB()))
    g.add(getLoc(), getB(), mul(g, getLoc(), g.of(getY()), getA()));
  return success();
}
LATER(DivOp)
GRADIENT(ScaleOp) {
  g.add(getLoc(), getX(),
        ScaleOp::create(g, getLoc(), g.of(getY()), getBy(), Attribute()));
  return success();
}
GRADIENT(CastOp) {
  g.add(getLoc(), getX(),
        CastOp::create(g, getLoc(), g.of(getY()), type(getX()).getElement()));
  return success();
}
GRADIENT(FakeQuantOp) {
  g.add(getLoc(), getX(), g.of(getY()));
  return success();
} // straight through
NONE(QuantizeOp)
NONE(DequantizeOp)
NONE(FillOp) LATER(DropoutOp)
    GRADIENT(RmsNormOp) { // r (g dy - xr mean(g dy xr)), xr = x r
  Location l = getLoc();
  Value dy = g.of(getY());
  Value r = RsqrtOp::create(
      g, l,
      ScaleOp::create(
          g, l,
          reduce(g, l, SquareOp::create(g, l, getX()), "mean", {-1}, true),
          num(1, g), getEps()));
  Value xr = mul(g, l, getX(), r), gy = mul(g, l, dy, getG());
  if (g.wanted(getX())) {
    Value m = reduce(g, l, mul(g, l, gy, xr), "mean", {-1}, true);
    g.add(l, getX(), mul(g, l, r, SubOp::create(g, l, gy, mul(g, l, xr, m))));
  }
  if (g.wanted(getG()))
    g.add(l, getG(), mul(g, l, dy, xr));
  return success();
}
LATER(LayerNormOp)
GRADIENT(SoftmaxOp) {
  Location l = getLoc();
  Value dy = g.of(getY()), y = getY();
  Value s = reduce(g, l, mul(g, l, dy, y), "sum", {-1}, true);
  g.add(l, getX(), mul(g, l, y, SubOp::create(g, l, dy, s)));
  return success();
}
GRADIENT(CrossEntropyOp) {
  Location l = getLoc();
  auto z = type(getLogits());
  Value p = SoftmaxOp::create(
      g, l, CastOp::create(g, l, getLogits(), g.getF32Type()));
  Value e =
      SubOp::create(g, l, p, OneHotOp::create(g, l, getTarget(), z.dim(-1)));
  SmallVector<Attribute> to(z.getShape().begin(), z.getShape().end());
  to.back() = DimAttr::get(getContext(), 1);
  g.add(l, getLogits(),
        mul(g, l, e,
            ReshapeOp::create(g, l, g.of(getNats()), g.getArrayAttr(to))));
  return success();
}
GRADIENT(ReduceOp) { return emitOpError("has no gradient"); }
GRADIENT(LinearOp) {
  std::string lead =
      StringRef("abcdefgh").take_front(type(getX()).getRank() - 1).str();
  Value dy = g.of(getY());
  Location l = getLoc();
  if (g.wanted(getX()))
    g.add(l, getX(),
          EinsumOp::create(g, l, dy, getW(), lead + "o,oi->" + lead + "i",
                           TypeAttr()));
  if (g.wanted(getW()))
    g.add(l, getW(),
          EinsumOp::create(g, l, dy, getX(), lead + "o," + lead + "i->oi",
                           TypeAttr::get(g.getF32Type())));
  if (getBias())
    g.add(l, getBias(), dy);
  return success();
}
LATER(EinsumOp)
GRADIENT(AttentionOp) {
  Location l = getLoc();
  Value dy = g.of(getY()), y = getY(), lse;
  {
    OpBuilder::InsertionGuard guard(g);
    g.setInsertionPoint(*this); // the forward op now also keeps its row sums
    auto saving =
        AttentionOp::create(g, l, getQ(), getK(), getV(), getBuckets(),
                            getValid(), getAt(), getCausal(), getWindowAttr(),
                            getBlockAttr(), getScaleAttr(), /*lse=*/true);
    y.replaceAllUsesWith(saving.getY());
    y = saving.getY();
    lse = saving.getLseOut();
    g.sums[y] = dy;
    if (g.wanted(getY()))
      g.wanting.insert(y);
  }
  auto d = AttentionGradOp::create(g, l, getQ(), getK(), getV(), y, lse, dy,
                                   getCausal(), getWindowAttr(), getBlockAttr(),
                                   getScaleAttr());
  g.add(l, getQ(), d.getDq());
  g.add(l, getK(), d.getDk());
  g.add(l, getV(), d.getDv());
  return success();
}
NONE(AttentionGradOp)
GRADIENT(RopeOp) {
  g.add(getLoc(), getX(),
        RopeOp::create(g, getLoc(), g.of(getY()), Value(), getTheta(),
                       getPairs(), !getInverse()));
  return success();
}
LATER(ConvOp) LATER(SelectiveScanOp) GRADIENT(EmbedOp) {
  g.add(getLoc(), getTable(),
        ScatterAddOp::create(g, getLoc(), getIds(), g.of(getY()),
                             type(getTable()).dim(0)));
  return success();
}
NONE(AppendOp)
NONE(PickOp)
NONE(AtStartOp) NONE(ScatterAddOp) NONE(OneHotOp) NONE(PositionsOp)
    GRADIENT(ReshapeOp) {
  ArrayRef<DimAttr> s = type(getX()).getShape();
  SmallVector<Attribute> to(s.begin(), s.end());
  g.add(getLoc(), getX(),
        ReshapeOp::create(g, getLoc(), g.of(getY()), g.getArrayAttr(to)));
  return success();
}
LATER(SplitOp) LATER(ConcatOp) LATER(ShiftOp) GRADIENT(PatchOp) {
  g.add(getLoc(), getX(),
        UnpatchOp::create(g, getLoc(), g.of(getY()), getBy()));
  return success();
}
GRADIENT(UnpatchOp) {
  g.add(getLoc(), getX(), PatchOp::create(g, getLoc(), g.of(getY()), getBy()));
  return success();
}
