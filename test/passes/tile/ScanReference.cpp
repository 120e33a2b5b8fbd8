//===- ScanReference.cpp - Selective scan in float64, item by item --------===//
#include "test/passes/tile/Reference.h"

#include <cmath>

using namespace mlir;

namespace bitbyte::bb {

namespace {
struct Sizes {
  int64_t batch, length, channels, states; ///< B T D N

  Sizes(Value x, Value a)
      : batch(size(x, 0)), length(size(x, 1)), channels(size(x, 2)),
        states(size(a, 1)) {}
  static int64_t size(Value v, int64_t axis) {
    return *cast<GraphTensorType>(v.getType()).dim(axis).constant();
  }
  int64_t x(int64_t b, int64_t t, int64_t d) const {
    return (b * length + t) * channels + d;
  }
  int64_t b(int64_t b, int64_t t, int64_t n) const {
    return (b * length + t) * states + n;
  }
  /// Of a state of one channel in a tensor [.., N, D].
  int64_t state(int64_t at, int64_t n, int64_t d) const {
    return (at * states + n) * channels + d;
  }
};
} // namespace

std::vector<Elements> evaluate(SelectiveScanOp op,
                               const std::vector<Elements> &in) {
  Sizes s(op.getX(), op.getA());
  const Elements &x = in[0], &dt = in[1], &a = in[2], &b = in[3], &c = in[4];
  int64_t save = op.getSave() ? *op.getSave()->constant() : s.length;
  int64_t chunks = (s.length + save - 1) / save;
  Elements y(x.size()),
      kept(s.batch * (op.getFrom() ? 1 : chunks) * s.states * s.channels);
  for (int64_t i = 0; i < s.batch; ++i)
    for (int64_t d = 0; d < s.channels; ++d)
      for (int64_t n = 0; n < s.states; ++n) {
        double h = op.getFrom() ? in[5][s.state(i, n, d)] : 0;
        for (int64_t t = 0; t < s.length; ++t) {
          if (!op.getFrom() && t % save == 0)
            kept[s.state(i * chunks + t / save, n, d)] = h;
          double step = dt[s.x(i, t, d)];
          h = std::exp(step * a[d * s.states + n]) * h +
              step * b[s.b(i, t, n)] * x[s.x(i, t, d)];
          y[s.x(i, t, d)] += c[s.b(i, t, n)] * h;
        }
        if (op.getFrom())
          kept[s.state(i, n, d)] = h;
      }
  return {y, kept};
}

std::vector<Elements> evaluate(SelectiveScanGradOp op,
                               const std::vector<Elements> &in) {
  Sizes s(op.getX(), op.getA());
  const Elements &x = in[0], &dt = in[1], &a = in[2], &b = in[3], &c = in[4],
                 &dy = in[6];
  Elements dx(x.size()), ddt(x.size()), da(a.size()), db(b.size()),
      dc(b.size());
  for (int64_t i = 0; i < s.batch; ++i)
    for (int64_t d = 0; d < s.channels; ++d)
      for (int64_t n = 0; n < s.states; ++n) {
        double rate = a[d * s.states + n];
        std::vector<double> h{0}; // before each item
        for (int64_t t = 0; t < s.length; ++t)
          h.push_back(std::exp(dt[s.x(i, t, d)] * rate) * h.back() +
                      dt[s.x(i, t, d)] * b[s.b(i, t, n)] * x[s.x(i, t, d)]);
        double gh = 0;
        for (int64_t t = s.length; t-- > 0;) {
          int64_t at = s.x(i, t, d), row = s.b(i, t, n);
          double decay = std::exp(dt[at] * rate);
          gh += dy[at] * c[row];
          dc[row] += dy[at] * h[t + 1];
          db[row] += gh * dt[at] * x[at];
          dx[at] += gh * dt[at] * b[row];
          ddt[at] += gh * (b[row] * x[at] + rate * decay * h[t]);
          da[d * s.states + n] += gh * dt[at] * decay * h[t];
          gh *= decay;
        }
      }
  return {dx, ddt, da, db, dc};
}

} // namespace bitbyte::bb
