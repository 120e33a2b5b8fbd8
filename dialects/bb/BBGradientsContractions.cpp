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
  if (getLseOut() && g.of(getLseOut()))
    return emitOpError("cannot be differentiated through 'lse'");
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
REFUSED_GRADIENT(AttentionGradOp)

/// A rotation: its transpose turns the other way.
GRADIENT(RopeOp) {
  Rule r(g, *this);
  r.add(getX(), RopeOp::create(g, getLoc(), r.dy(), getAt(), getTheta(),
                               getPairs(), !getInverse()));
  return success();
}
