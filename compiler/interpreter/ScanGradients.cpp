//===- ScanGradients.cpp - Loops of the gradients of scans ----------------===//
//
// Backwards through time with all states at hand: they are computed again from
// the operands, and what forward saved is not trusted.
//
//===----------------------------------------------------------------------===//

#include "compiler/interpreter/Families.h"

#include <cmath>

using namespace mlir;
using namespace bitbyte::bb;

/// dx[t] = sum of w[k] dy[t + (K-1) - k], dw[k] = sum of dy[t] x[t - (K-1) +
/// k], db = sum of dy. With silu, dy counts times its slope at the sums.
static LogicalResult convGrad(ConvGradOp op, Frame &frame) {
  const Array &x = frame[op.getX()], &w = frame[op.getW()],
              &dy = frame[op.getDy()];
  const Array *bias = frame.find(op.getBias());
  int64_t length = x.dim(1), width = x.dim(2), taps = w.dim(1);
  auto gradientAt = [&](int64_t b, int64_t t, int64_t d) {
    if (!op.getSilu())
      return dy.at(b, t, d);
    double sum = bias ? (*bias)[d] : 0;
    for (int64_t k = std::max<int64_t>(0, taps - 1 - t); k < taps; ++k)
      sum += w.at(d, k) * x.at(b, t - (taps - 1) + k, d);
    double s = sigmoid(sum);
    return dy.at(b, t, d) * s * (1 + sum * (1 - s));
  };
  Array dx(x.shape), dw(w.shape), db({width});
  for (int64_t b = 0; b < x.dim(0); ++b)
    for (int64_t t = 0; t < length; ++t)
      for (int64_t d = 0; d < width; ++d) {
        double gradient = gradientAt(b, t, d);
        db[d] += gradient;
        for (int64_t k = 0; k < taps; ++k) {
          int64_t from = t - (taps - 1) + k;
          if (from < 0)
            continue;
          dx.at(b, from, d) += w.at(d, k) * gradient;
          dw.at(d, k) += x.at(b, from, d) * gradient;
        }
      }
  frame.set(op.getDx(), std::move(dx));
  frame.set(op.getDw(), std::move(dw));
  frame.set(op.getDb(), std::move(db));
  return success();
}

namespace {
/// One number of state along time: h_t = decay_t h_(t-1) + input_t. From the
/// gradients of the h_t, as they come in, those of decay and input.
struct Recurrence {
  std::vector<double> decay, state; ///< [T], [T + 1]: state[t] is before t
  Recurrence(int64_t length) : decay(length), state(length + 1) {}
  void step(int64_t t, double decayed, double input) {
    decay[t] = decayed;
    state[t + 1] = decayed * state[t] + input;
  }
};
} // namespace

/// h = exp(dt a) h + dt b x, y = (sum of c h + skip x) silu(gate): see
/// SelectiveScanOp's rule.
static LogicalResult selectiveScanGrad(SelectiveScanGradOp op, Frame &frame) {
  const Array &x = frame[op.getX()], &dt = frame[op.getDt()],
              &a = frame[op.getA()], &b = frame[op.getB()],
              &c = frame[op.getC()];
  const Array *skip = frame.find(op.getSkip()),
              *gate = frame.find(op.getGate());
  int64_t length = x.dim(1), width = x.dim(2), states = a.dim(1);
  Array dx(x.shape), ddt(dt.shape), da(a.shape), db(b.shape), dc(c.shape);
  // Gradients of the sum that the gate multiplies, and of silu(gate) but for
  // that sum, which `dgate` collects.
  Array dy = frame[op.getDy()], ofSilu = dy, dgate(x.shape), dskip({width});
  for (int64_t i = 0; i < dy.size(); ++i) {
    if (gate) {
      double z = (*gate)[i], s = sigmoid(z);
      ofSilu[i] = dy[i] * s * (1 + z * (1 - s));
      dy[i] *= z * s;
    }
    if (skip) {
      dskip[i % width] += dy[i] * x[i];
      dx[i] = dy[i] * (*skip)[i % width];
      dgate[i] = (*skip)[i % width] * x[i];
    }
  }
  for (int64_t n = 0; n < x.dim(0); ++n)
    for (int64_t d = 0; d < width; ++d)
      for (int64_t s = 0; s < states; ++s) {
        Recurrence h(length);
        for (int64_t t = 0; t < length; ++t)
          h.step(t, std::exp(dt.at(n, t, d) * a.at(d, s)),
                 dt.at(n, t, d) * b.at(n, t, s) * x.at(n, t, d));
        double gradient = 0; // of the state after item t
        for (int64_t t = length; t-- > 0;) {
          gradient += dy.at(n, t, d) * c.at(n, t, s);
          dc.at(n, t, s) += dy.at(n, t, d) * h.state[t + 1];
          dgate.at(n, t, d) += c.at(n, t, s) * h.state[t + 1];
          double ofRate = gradient * h.decay[t] * h.state[t]; // of dt a
          da.at(d, s) += ofRate * dt.at(n, t, d);
          ddt.at(n, t, d) +=
              ofRate * a.at(d, s) + gradient * b.at(n, t, s) * x.at(n, t, d);
          db.at(n, t, s) += gradient * dt.at(n, t, d) * x.at(n, t, d);
          dx.at(n, t, d) += gradient * dt.at(n, t, d) * b.at(n, t, s);
          gradient *= h.decay[t];
        }
      }
  frame.set(op.getDx(), std::move(dx));
  frame.set(op.getDdt(), std::move(ddt));
  frame.set(op.getDa(), std::move(da));
  frame.set(op.getDb(), std::move(db));
  frame.set(op.getDc(), std::move(dc));
  if (skip)
    frame.set(op.getDskip(), std::move(dskip));
  if (gate) {
    for (int64_t i = 0; i < dgate.size(); ++i)
      dgate[i] *= ofSilu[i];
    frame.set(op.getDgate(), std::move(dgate));
  }
  return success();
}

/// The same with one decay for a head, and groups of heads that share b and c.
static LogicalResult ssdGrad(SsdGradOp op, Frame &frame) {
  const Array &x = frame[op.getX()], &dt = frame[op.getDt()],
              &a = frame[op.getA()], &b = frame[op.getB()],
              &c = frame[op.getC()], &dy = frame[op.getDy()];
  int64_t length = x.dim(1), heads = x.dim(2), width = x.dim(3),
          groups = b.dim(2), states = b.dim(3);
  Array dx(x.shape), ddt(dt.shape), da(a.shape), db(b.shape), dc(c.shape);
  for (int64_t n = 0; n < x.dim(0); ++n)
    for (int64_t head = 0; head < heads; ++head)
      for (int64_t p = 0; p < width; ++p)
        for (int64_t s = 0; s < states; ++s) {
          int64_t g = head * groups / heads;
          Recurrence h(length);
          for (int64_t t = 0; t < length; ++t)
            h.step(t, std::exp(dt.at(n, t, head) * a[head]),
                   dt.at(n, t, head) * b.at(n, t, g, s) * x.at(n, t, head, p));
          double gradient = 0;
          for (int64_t t = length; t-- > 0;) {
            double step = dt.at(n, t, head), out = dy.at(n, t, head, p);
            gradient += out * c.at(n, t, g, s);
            dc.at(n, t, g, s) += out * h.state[t + 1];
            double ofRate = gradient * h.decay[t] * h.state[t];
            da[head] += ofRate * step;
            ddt.at(n, t, head) += ofRate * a[head] + gradient *
                                                         b.at(n, t, g, s) *
                                                         x.at(n, t, head, p);
            db.at(n, t, g, s) += gradient * step * x.at(n, t, head, p);
            dx.at(n, t, head, p) += gradient * step * b.at(n, t, g, s);
            gradient *= h.decay[t];
          }
        }
  frame.set(op.getDx(), std::move(dx));
  frame.set(op.getDdt(), std::move(ddt));
  frame.set(op.getDa(), std::move(da));
  frame.set(op.getDb(), std::move(db));
  frame.set(op.getDc(), std::move(dc));
  return success();
}

void bitbyte::bb::addScanGradients(Loops &loops) {
  add<ConvGradOp, convGrad>(loops);
  add<SelectiveScanGradOp, selectiveScanGrad>(loops);
  add<SsdGradOp, ssdGrad>(loops);
}
