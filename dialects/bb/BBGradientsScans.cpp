//===- BBGradientsScans.cpp - Gradients of convolution and scans ----------===//
//
// A scan's gradient runs backwards from states that forward saves before each
// chunk; within a chunk it computes the states again, so that no tensor of
// [B, T, D, N] is ever made.
//
//===----------------------------------------------------------------------===//
#include "dialects/bb/BBGradients.h"

using namespace mlir;
using namespace bitbyte::bb;

/// y[t] = bias + sum over taps k of w[k] x[t - (K-1) + k]:
/// dx[t] = sum of w[k] dy[t + (K-1) - k],
/// dw[k] = sum of dy[t] x[t - (K-1) + k].
/// With silu, y = silu(s[t]) and dy counts times silu'(s[t]): s is computed
/// again.
GRADIENT(ConvOp) {
  if (getFrom())
    return emitOpError("cannot be differentiated with 'from'");
  Rule r(g, *this);
  auto grad = ConvGradOp::create(g, getLoc(), getX(), getW(), r.dy(),
                                 getSilu() ? getBias() : Value(), getSilu());
  r.add(getX(), grad.getDx());
  r.add(getW(), grad.getDw());
  if (getBias())
    r.add(getBias(), grad.getDb());
  return success();
}
REFUSED_GRADIENT(ConvGradOp)

template <typename Scan, typename Gradients>
static LogicalResult addScanGradients(Rule &r, Scan scan, Gradients of) {
  r.add(scan.getX(), of.getDx());
  r.add(scan.getDt(), of.getDdt());
  r.add(scan.getA(), of.getDa());
  r.add(scan.getB(), of.getDb());
  r.add(scan.getC(), of.getDc());
  return success();
}

/// Items between saved states: the chunk's states and decays of a few state
/// rows stay in the first cache.
static constexpr int64_t kItemsPerState = 32;

/// The forward op is replaced by one that also saves states. Backwards from the
/// end, with gh the gradient of the state, a_t = exp(dt_t A):
///   gh += dy_t C_t,  X = gh a_t h_(t-1),
///   dC_t = dy_t h_t,  dB_t = gh dt_t x_t,  dA += X dt_t,
///   ddt_t = sum over n of X A + gh B_t x_t,  dx_t = dt_t sum of gh B_t,
///   gh <- gh a_t.
/// Behind a gate dy is that of y times silu(gate), and dgate has to know c h:
/// the op walks forward through a chunk once more anyway.
GRADIENT(SelectiveScanOp) {
  if (getFrom())
    return emitOpError("cannot be differentiated with 'from'");
  if (getStates() && g.of(getStates()))
    return emitOpError("cannot be differentiated through the states that it "
                       "saves");
  Rule r(g, *this);
  Value dy = r.dy();
  SelectiveScanOp saving = *this;
  if (!getSave()) {
    OpBuilder b(*this);
    saving = SelectiveScanOp::create(b, getLoc(), getX(), getDt(), getA(),
                                     getB(), getC(), getSkip(), getGate(),
                                     /*from=*/Value(), r.whole(kItemsPerState));
    getY().replaceAllUsesWith(saving.getY());
  }
  auto grad = SelectiveScanGradOp::create(
      g, getLoc(), getX(), getDt(), getA(), getB(), getC(), saving.getStates(),
      dy, getSkip(), getGate(), *saving.getSave());
  if (getSkip())
    r.add(getSkip(), grad.getDskip());
  if (getGate())
    r.add(getGate(), grad.getDgate());
  return addScanGradients(r, *this, grad);
}
REFUSED_GRADIENT(SelectiveScanGradOp)

/// As for selective_scan, in products over chunks: see the schedule.
GRADIENT(SsdOp) {
  if (getFrom())
    return emitOpError("cannot be differentiated with 'from'");
  if (getStates() && g.of(getStates()))
    return emitOpError("cannot be differentiated through the states that it "
                       "saves");
  Rule r(g, *this);
  Value dy = r.dy();
  SsdOp saving = *this;
  if (!getSave()) {
    OpBuilder b(*this);
    saving = SsdOp::create(b, getLoc(), getX(), getDt(), getA(), getB(), getC(),
                           Value(), getChunkAttr(), /*save=*/true);
    getY().replaceAllUsesWith(saving.getY());
  }
  auto grad = SsdGradOp::create(g, getLoc(), getX(), getDt(), getA(), getB(),
                                getC(), saving.getStates(), dy, getChunkAttr());
  return addScanGradients(r, *this, grad);
}
REFUSED_GRADIENT(SsdGradOp)
