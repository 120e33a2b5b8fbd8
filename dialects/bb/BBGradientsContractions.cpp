//===- BBGradientsContractions.cpp - Gradients of matmul-like ops ---------===//
//
// A gradient of a parameter leaves its contraction in f32 (`elementOf`): it is
// a sum over all tokens, and is added to an f32 state.
//
//===----------------------------------------------------------------------===//
#include "dialects/bb/BBGradients.h"

using namespace mlir;
using namespace bitbyte::bb;

/// y = x w^T + bias:  dx = dy w,  dw = dy^T x,  dbias = sum of dy.
GRADIENT(LinearOp) {
  Rule r(g, *this);
  std::string lead =
      StringRef("abcdefgh").take_front(tensorOf(getX()).getRank() - 1).str();
  Value dy = r.dy();
  if (r.wanted(getX()))
    r.add(getX(), r.einsum(dy, getW(), lead + "o,oi->" + lead + "i",
                           g.elementOf(getX())));
  if (r.wanted(getW()))
    r.add(getW(), r.einsum(dy, getX(), lead + "o," + lead + "i->oi",
                           g.elementOf(getW())));
  if (Value bias = getBias())
    r.add(bias, dy);
  return success();
}

/// One operand of an einsum, with the letters `to`: the same product with the
/// result's letters in the operand's place. A letter that only this operand has
/// was summed: the gradient is the same all along it.
static void differentiateOperand(Rule &r, Value operand, StringRef to,
                                 Value partner, StringRef other,
                                 StringRef out) {
  if (!r.wanted(operand))
    return;
  GraphTensorType type = tensorOf(operand);
  std::string reached;
  SmallVector<DimAttr> kept;
  for (auto [letter, dim] : llvm::zip(to, type.getShape())) {
    bool varies = out.contains(letter) || other.contains(letter);
    if (varies)
      reached.push_back(letter);
    kept.push_back(varies ? dim : r.whole(1));
  }
  Value gradient = r.einsum(r.dy(), partner, out + "," + other + "->" + reached,
                            r.g.elementOf(operand));
  r.add(operand, r.broadcast(r.reshape(gradient, kept), type.getShape()));
}

GRADIENT(EinsumOp) {
  Rule r(g, *this);
  auto [operands, out] = getAs().split("->");
  auto [a, b] = operands.split(",");
  differentiateOperand(r, getA(), a, getB(), b, out);
  differentiateOperand(r, getB(), b, getA(), a, out);
  return success();
}

/// The forward op is replaced by one that also keeps its row sums, from which
/// the backward op computes the probabilities again.
GRADIENT(AttentionOp) {
  if (getBuckets() || getValid() || getAt())
    return emitOpError("cannot be differentiated with 'buckets', 'valid' or "
                       "'at'");
  Rule r(g, *this);
  Value dy = r.dy();
  AttentionOp saving = *this;
  if (!getLse()) {
    OpBuilder b(*this);
    saving = AttentionOp::create(b, getLoc(), getQ(), getK(), getV(), Value(),
                                 Value(), Value(), getCausal(), getWindowAttr(),
                                 getBlockAttr(), getScaleAttr(), /*lse=*/true);
    getY().replaceAllUsesWith(saving.getY());
  }
  auto grad = AttentionGradOp::create(
      g, getLoc(), getQ(), getK(), getV(), saving.getY(), saving.getLseOut(),
      dy, getCausal(), getWindowAttr(), getBlockAttr(), getScaleAttr());
  r.add(getQ(), grad.getDq());
  r.add(getK(), grad.getDk());
  r.add(getV(), grad.getDv());
  return success();
}
NO_GRADIENT(AttentionGradOp)

/// A rotation: its transpose turns the other way.
GRADIENT(RopeOp) {
  Rule r(g, *this);
  r.add(getX(), RopeOp::create(g, getLoc(), r.dy(), getAt(), getTheta(),
                               getPairs(), !getInverse()));
  return success();
}

/// y[t] = bias + sum over taps k of w[k] x[t - (K-1) + k]:
/// dx[t] = sum of w[k] dy[t + (K-1) - k],  dw[k] = sum of dy[t] x[t - (K-1) +
/// k].
GRADIENT(ConvOp) {
  if (getFrom())
    return emitOpError("cannot be differentiated with 'from'");
  Rule r(g, *this);
  GraphTensorType type = tensorOf(getX()), weight = tensorOf(getW());
  Value x = r.f32(getX()), w = r.f32(getW()), dy = r.f32(r.dy());
  DimAttr channels = type.dim(-1), none = r.whole(0);
  int64_t length = *type.dim(1).constant(), taps = *weight.dim(1).constant();
  SmallVector<Value> dw;
  for (int64_t k = 0; k < taps; ++k) {
    int64_t back = taps - 1 - k;
    if (back >= length) { // this tap never meets a row
      dw.push_back(r.zeros(GraphTensorType::get(
          getContext(), {channels, r.whole(1)}, g.getF32Type())));
      continue;
    }
    // Rows of x and dy that meet at this tap, [B, T - back, D].
    Value early = r.slice(x, 1, none, r.whole(length - back));
    Value late = r.slice(dy, 1, r.whole(back), r.whole(length - back));
    if (r.wanted(getX())) {
      Value tap = r.reshape(r.slice(w, 1, r.whole(k), r.whole(1)), channels);
      r.add(getX(), r.pad(r.mul(late, tap), 1, none, r.whole(back)));
    }
    if (r.wanted(getW()))
      dw.push_back(r.reshape(r.reduce(r.mul(early, late), "sum", {0, 1}, false),
                             {channels, r.whole(1)}));
  }
  if (r.wanted(getW()))
    r.add(getW(), ConcatOp::create(g, getLoc(), dw));
  if (r.wanted(getBias()))
    r.add(getBias(), dy);
  return success();
}

/// Needs an op of its own: the states of the scan run backwards.
GRADIENT(SelectiveScanOp) {
  return emitOpError("cannot be differentiated: it has no backward scan");
}
