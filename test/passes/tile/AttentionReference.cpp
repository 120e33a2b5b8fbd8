//===- AttentionReference.cpp - Attention in float64, score by score ------===//
#include "test/passes/tile/Reference.h"

#include <cmath>

using namespace mlir;

namespace bitbyte::bb {

namespace {
struct Sizes {
  int64_t batch, queries, heads, width, keys, groups, valueWidth;
  bool causal;
  int64_t window, block, position; ///< position -1: keys lie where they are
  double scale;

  Sizes(Value q, Value v, bool causal, std::optional<DimAttr> window,
        std::optional<DimAttr> block, std::optional<Attribute> scale,
        int64_t position = -1)
      : batch(size(q, 0)), queries(size(q, 1)), heads(size(q, 2)),
        width(size(q, 3)), keys(size(v, 1)), groups(size(v, 2)),
        valueWidth(size(v, 3)), causal(causal),
        window(window ? *window->constant() : 0),
        block(block ? *block->constant() : 0), position(position),
        scale(scale ? *bb::evaluate(*scale) : 1 / std::sqrt(double(width))) {}
  static int64_t size(Value v, int64_t axis) {
    return *cast<GraphTensorType>(v.getType()).dim(axis).constant();
  }
  int64_t q(int64_t b, int64_t t, int64_t h) const {
    return ((b * queries + t) * heads + h) * width;
  }
  int64_t k(int64_t b, int64_t t, int64_t h) const {
    return ((b * keys + t) * groups + h / (heads / groups)) * width;
  }
  int64_t v(int64_t b, int64_t t, int64_t h) const {
    return ((b * keys + t) * groups + h / (heads / groups)) * valueWidth;
  }
  int64_t y(int64_t b, int64_t t, int64_t h) const {
    return ((b * queries + t) * heads + h) * valueWidth;
  }
  bool sees(int64_t query, int64_t slot) const {
    int64_t key = slot;
    if (position >= 0) { // the newest position of this slot
      key = position + queries - 1;
      while (key >= 0 && key % keys != slot)
        --key;
      query += position;
    }
    return key >= 0 && !(causal && key > query) &&
           !(window > 0 && key <= query - window) &&
           !(block > 0 && key / block != query / block);
  }
  /// Probabilities of one query's keys, and the logarithm of their sum.
  Elements weights(const Elements &qs, const Elements &ks, int64_t b, int64_t t,
                   int64_t h, double &lse) const {
    Elements p(keys, 0.0);
    double sum = 0;
    for (int64_t j = 0; j < keys; ++j) {
      double s = 0;
      for (int64_t d = 0; d < width; ++d)
        s += qs[q(b, t, h) + d] * ks[k(b, j, h) + d];
      if (sees(t, j))
        sum += p[j] = std::exp(s * scale);
    }
    for (double &e : p)
      e /= sum;
    lse = std::log(sum);
    return p;
  }
};
} // namespace

std::vector<Elements> evaluate(AttentionOp op,
                               const std::vector<Elements> &operands) {
  Sizes s(op.getQ(), op.getV(), op.getCausal(), op.getWindow(), op.getBlock(),
          op.getScale(),
          op.getAt() ? static_cast<int64_t>(operands.back()[0]) : -1);
  Elements y(s.batch * s.queries * s.heads * s.valueWidth, 0.0),
      lse(s.batch * s.heads * s.queries);
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t h = 0; h < s.heads; ++h)
      for (int64_t t = 0; t < s.queries; ++t) {
        Elements p = s.weights(operands[0], operands[1], b, t, h,
                               lse[(b * s.heads + h) * s.queries + t]);
        for (int64_t j = 0; j < s.keys; ++j)
          for (int64_t e = 0; e < s.valueWidth; ++e)
            y[s.y(b, t, h) + e] += p[j] * operands[2][s.v(b, j, h) + e];
      }
  return op.getLse() ? std::vector<Elements>{y, lse} : std::vector<Elements>{y};
}

std::vector<Elements> evaluate(AttentionGradOp op,
                               const std::vector<Elements> &operands) {
  Sizes s(op.getQ(), op.getV(), op.getCausal(), op.getWindow(), op.getBlock(),
          op.getScale());
  const Elements &q = operands[0], &k = operands[1], &v = operands[2],
                 &dy = operands[5];
  Elements dq(q.size(), 0.0), dk(k.size(), 0.0), dv(v.size(), 0.0);
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t h = 0; h < s.heads; ++h)
      for (int64_t t = 0; t < s.queries; ++t) {
        double lse, delta = 0;
        Elements p = s.weights(q, k, b, t, h, lse), dp(s.keys, 0.0);
        for (int64_t j = 0; j < s.keys; ++j) {
          for (int64_t e = 0; e < s.valueWidth; ++e) {
            dp[j] += dy[s.y(b, t, h) + e] * v[s.v(b, j, h) + e];
            dv[s.v(b, j, h) + e] += p[j] * dy[s.y(b, t, h) + e];
          }
          delta += p[j] * dp[j];
        }
        for (int64_t j = 0; j < s.keys; ++j)
          for (int64_t d = 0; d < s.width; ++d) {
            double ds = p[j] * (dp[j] - delta) * s.scale;
            dq[s.q(b, t, h) + d] += ds * k[s.k(b, j, h) + d];
            dk[s.k(b, j, h) + d] += ds * q[s.q(b, t, h) + d];
          }
      }
  return {dq, dk, dv};
}

} // namespace bitbyte::bb
