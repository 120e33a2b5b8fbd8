//===- BBGradientsRows.cpp - Gradients of norms, softmax and sums ---------===//
//
// Written so that phase fuse makes one row-wise kernel of the gradient to x and
// one column sum of the gradient to a gain or bias: the statistics are the same
// ops that the forward op decomposes into, and everything is f32 between the
// reads of x and dy and the last cast.
//
//===----------------------------------------------------------------------===//
#include "dialects/bb/BBChecks.h"
#include "dialects/bb/BBGradients.h"

using namespace mlir;
using namespace bitbyte::bb;

/// y = x r gain, r = 1 / sqrt(mean(x^2) + eps), z = x r, dz = dy gain:
/// dx = r (dz - z mean(dz z)),  dgain = sum of dy z over the rows.
GRADIENT(RmsNormOp) {
  if (failed(checkGroups(*this)))
    return failure();
  Rule r(g, *this);
  GraphTensorType type = tensorOf(getX());
  // With groups, a row is one group: [.., d] is seen as [.., groups, d/groups].
  SmallVector<DimAttr> rows(type.getShape()), gainRows;
  gainRows.push_back(rows.back());
  if (DimAttr groups = getGroupsAttr()) {
    rows.back() = groups;
    rows.push_back(type.dim(-1) / groups);
    gainRows = {groups, rows.back()};
  }
  Value x = r.reshape(r.f32(getX()), rows);
  Value dy = r.reshape(r.f32(r.dy()), rows);
  Value gain = r.reshape(r.f32(getG()), gainRows);

  Value mean = r.reduce(r.square(x), "mean", {-1}, /*keep=*/true);
  Value rate = r.rsqrt(r.scale(mean, g.getF64FloatAttr(1), getEps()));
  Value z = r.mul(x, rate);
  if (r.wanted(getX())) {
    Value dz = r.mul(dy, gain);
    Value along = r.reduce(r.mul(dz, z), "mean", {-1}, /*keep=*/true);
    Value dx = r.mul(rate, r.sub(dz, r.mul(z, along)));
    r.add(getX(), r.reshape(dx, type.getShape()));
  }
  if (r.wanted(getG()))
    r.add(getG(), r.reshape(r.mul(dy, z), type.getShape()));
  return success();
}

/// y = z gain + bias, z = (x - mean) r, r = 1 / sqrt(var + eps), dz = dy gain:
/// dx = r (dz - mean(dz) - z mean(dz z)).
GRADIENT(LayerNormOp) {
  Rule r(g, *this);
  Value x = r.f32(getX()), dy = r.f32(r.dy());
  Value mean = r.reduce(x, "mean", {-1}, /*keep=*/true);
  Value centred = r.sub(x, mean);
  Value variance = r.reduce(r.square(centred), "mean", {-1}, /*keep=*/true);
  Value rate = r.rsqrt(r.scale(variance, g.getF64FloatAttr(1), getEps()));
  Value z = r.mul(centred, rate);
  if (r.wanted(getX())) {
    Value dz = r.mul(dy, r.f32(getG()));
    Value along = r.reduce(r.mul(dz, z), "mean", {-1}, /*keep=*/true);
    Value level = r.reduce(dz, "mean", {-1}, /*keep=*/true);
    Value rest = r.sub(r.sub(dz, level), r.mul(z, along));
    r.add(getX(), r.mul(rate, rest));
  }
  if (r.wanted(getG()))
    r.add(getG(), r.mul(dy, z));
  if (r.wanted(getB()))
    r.add(getB(), dy);
  return success();
}

/// dx = y (dy - sum(dy y)).
GRADIENT(SoftmaxOp) {
  Rule r(g, *this);
  Value y = r.f32(getY()), dy = r.f32(r.dy());
  Value along = r.reduce(r.mul(dy, y), "sum", {-1}, /*keep=*/true);
  r.add(getX(), r.mul(y, r.sub(dy, along)));
  return success();
}

/// dlogits = (softmax(logits) - one_hot(target)) dnats.
GRADIENT(CrossEntropyOp) {
  Rule r(g, *this);
  GraphTensorType logits = tensorOf(getLogits());
  Value p = SoftmaxOp::create(g, getLoc(), r.f32(getLogits()));
  Value hit = OneHotOp::create(g, getLoc(), getTarget(), logits.dim(-1));
  SmallVector<DimAttr> column(logits.getShape());
  column.back() = r.whole(1);
  r.add(getLogits(), r.mul(r.sub(p, hit), r.reshape(r.dy(), column)));
  return success();
}

/// Sums and means spread dy over what they reduced; an extremum gives it to
/// the elements that equal it, in equal parts.
GRADIENT(ReduceOp) {
  Rule r(g, *this);
  GraphTensorType type = tensorOf(getX());
  StringRef by = getBy();
  SmallVector<DimAttr> kept(type.getShape());
  SmallVector<int64_t> axes;
  double count = 1;
  for (Attribute attr : getAxes()) {
    int64_t axis = *cast<DimAttr>(attr).constant();
    axes.push_back(axis < 0 ? axis + type.getRank() : axis);
    count *= *type.dim(axis).constant();
    kept[axes.back()] = r.whole(1);
  }
  Value dy = r.reshape(r.dy(), kept);
  if (by == "sum" || by == "mean") {
    if (by == "mean")
      dy = r.scale(dy, 1 / count);
    r.add(getX(), r.broadcast(dy, type.getShape()));
    return success();
  }
  Value x = getX(), size = by == "absmax" ? r.abs(x) : x;
  Value one = r.number(1, dy), none = r.number(0, dy);
  Value hit = r.select(r.eq(size, r.reshape(getY(), kept)), one, none);
  Value share = r.div(dy, r.reduce(hit, "sum", axes, /*keep=*/true));
  if (by == "absmax") // the slope of |x|
    hit = r.select(r.lt(x, r.number(0, x)), r.neg(hit), hit);
  r.add(getX(), r.mul(hit, share));
  return success();
}
