//===- Scans.cpp - Loops of ops that carry state along the stream ---------===//

#include "compiler/interpreter/Families.h"

#include <cmath>

using namespace mlir;
using namespace bitbyte::bb;

/// Causal depthwise convolution: x [B, T, D], w [D, K], before x lie the K - 1
/// rows of `from`, or zeros. The tail is the last K - 1 rows of the two.
static LogicalResult conv(ConvOp op, Frame &frame) {
  const Array &x = frame[op.getX()], &w = frame[op.getW()];
  const Array *bias = frame.find(op.getBias()),
              *from = frame.find(op.getFrom());
  int64_t length = x.dim(1), width = x.dim(2), taps = w.dim(1);
  auto row = [&](int64_t b, int64_t t, int64_t d) {
    if (t >= 0)
      return x.at(b, t, d);
    return from ? from->at(b, t + taps - 1, d) : 0.0;
  };
  Array y(x.shape);
  for (int64_t b = 0; b < x.dim(0); ++b)
    for (int64_t t = 0; t < length; ++t)
      for (int64_t d = 0; d < width; ++d) {
        double sum = bias ? (*bias)[d] : 0;
        for (int64_t k = 0; k < taps; ++k)
          sum += w.at(d, k) * row(b, t - (taps - 1) + k, d);
        y.at(b, t, d) = op.getSilu() ? sum * sigmoid(sum) : sum;
      }
  if (op.getTail()) {
    Array tail(shapeOf(op.getTail()));
    for (int64_t b = 0; b < x.dim(0); ++b)
      for (int64_t i = 0; i < taps - 1; ++i)
        for (int64_t d = 0; d < width; ++d)
          tail.at(b, i, d) = row(b, length - (taps - 1) + i, d);
    frame.set(op.getTail(), std::move(tail));
  }
  frame.set(op.getY(), std::move(y));
  return success();
}

/// h = exp(dt a) h + dt b x;  y = (sum over the state of h c + skip x)
/// silu(gate). x, dt, gate [B, T, D]; a [D, N]; b, c [B, T, N]; skip [D]; h [B,
/// N, D] starts as `from`, or zero. `save` keeps h before every so many items.
static LogicalResult selectiveScan(SelectiveScanOp op, Frame &frame) {
  const Array &x = frame[op.getX()], &dt = frame[op.getDt()],
              &a = frame[op.getA()], &b = frame[op.getB()],
              &c = frame[op.getC()];
  const Array *from = frame.find(op.getFrom()),
              *skip = frame.find(op.getSkip()),
              *gate = frame.find(op.getGate());
  int64_t width = x.dim(2), states = a.dim(1);
  Array h = from ? *from : Array({x.dim(0), states, width});
  int64_t save = whole(op.getSaveAttr());
  Array saved = save ? Array(shapeOf(op.getStates())) : Array();
  Array y(x.shape);
  for (int64_t n = 0; n < x.dim(0); ++n)
    for (int64_t t = 0; t < x.dim(1); ++t) {
      if (save && t % save == 0)
        for (int64_t s = 0; s < states; ++s)
          for (int64_t d = 0; d < width; ++d)
            saved.at(n, t / save, s, d) = h.at(n, s, d);
      for (int64_t d = 0; d < width; ++d) {
        double sum = skip ? (*skip)[d] * x.at(n, t, d) : 0;
        for (int64_t s = 0; s < states; ++s) {
          double step = dt.at(n, t, d);
          double &state = h.at(n, s, d);
          state = std::exp(step * a.at(d, s)) * state +
                  step * b.at(n, t, s) * x.at(n, t, d);
          sum += state * c.at(n, t, s);
        }
        double z = gate ? gate->at(n, t, d) : 0;
        y.at(n, t, d) = gate ? sum * z * sigmoid(z) : sum;
      }
    }
  frame.set(op.getY(), std::move(y));
  if (op.getStates())
    frame.set(op.getStates(), save ? std::move(saved) : std::move(h));
  return success();
}

/// h = exp(dt a) h + dt b x^T, y = c h for each head. x [B, T, H, P]; dt
/// [B, T, H]; a [H]; b, c [B, T, G, N]; h [B, H, N, P] starts as `from`, or
/// zero. `save` keeps h before every chunk.
static LogicalResult ssd(SsdOp op, Frame &frame) {
  const Array &x = frame[op.getX()], &dt = frame[op.getDt()],
              &a = frame[op.getA()], &b = frame[op.getB()],
              &c = frame[op.getC()];
  const Array *from = frame.find(op.getFrom());
  int64_t length = x.dim(1), heads = x.dim(2), width = x.dim(3),
          groups = b.dim(2), states = b.dim(3), chunk = whole(op.getChunk());
  Array h = from ? *from : Array({x.dim(0), heads, states, width});
  Array saved = op.getSave() ? Array(shapeOf(op.getStates())) : Array();
  Array y(x.shape);
  for (int64_t n = 0; n < x.dim(0); ++n)
    for (int64_t t = 0; t < length; ++t)
      for (int64_t head = 0; head < heads; ++head)
        for (int64_t s = 0; s < states; ++s)
          for (int64_t p = 0; p < width; ++p) {
            int64_t g = head * groups / heads;
            double step = dt.at(n, t, head), &state = h.at(n, head, s, p);
            if (op.getSave() && t % chunk == 0)
              saved.at(n, t / chunk, head, s, p) = state;
            state = std::exp(step * a[head]) * state +
                    step * b.at(n, t, g, s) * x.at(n, t, head, p);
            y.at(n, t, head, p) += state * c.at(n, t, g, s);
          }
  frame.set(op.getY(), std::move(y));
  if (op.getStates())
    frame.set(op.getStates(), op.getSave() ? std::move(saved) : std::move(h));
  return success();
}

void bitbyte::bb::addScans(Loops &loops) {
  add<ConvOp, conv>(loops);
  add<SelectiveScanOp, selectiveScan>(loops);
  add<SsdOp, ssd>(loops);
}
