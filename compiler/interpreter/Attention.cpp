//===- Attention.cpp - Loops of attention and rope ------------------------===//

#include "compiler/interpreter/Families.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace bitbyte::bb;

namespace {

/// Which keys a query sees, and how they score.
struct Masking {
  bool causal = false;
  int64_t window = 0, block = 0; ///< 0: none
  double scale = 1;
  const Array *valid = nullptr; ///< [B, Tk]: 0 hides a key
  /// Decode: keys lie in rings, and this is the position of the first query.
  const Array *at = nullptr;
  int64_t queries = 0, keys = 0;

  template <typename OpTy>
  static Masking of(OpTy op, const Array &q, const Array &k) {
    Masking masking;
    masking.causal = op.getCausal();
    masking.window = whole(op.getWindowAttr());
    masking.block = whole(op.getBlockAttr());
    masking.scale = op.getScaleAttr() ? number(op.getScaleAttr())
                                      : 1 / std::sqrt(double(q.dim(3)));
    masking.queries = q.dim(1);
    masking.keys = k.dim(1);
    return masking;
  }

  int64_t queryAt(int64_t i) const { return positionOf(at) + i; }
  int64_t keyAt(int64_t j) const {
    if (!at)
      return j;
    // The ring holds, in slot j, the newest position that is j modulo its
    // size, up to the last query of this step.
    int64_t newest = positionOf(at) + queries - 1;
    return newest - ((newest - j) % keys + keys) % keys;
  }

  /// Whether query row `i` of sequence `b` sees key row `j`.
  bool sees(int64_t b, int64_t i, int64_t j) const {
    int64_t query = queryAt(i), key = keyAt(j);
    if (key < 0)
      return false;
    if (valid && (*valid)[b * keys + j] == 0)
      return false;
    if (causal && key > query)
      return false;
    if (window && key <= query - window)
      return false;
    return !block || key / block == query / block;
  }
};

/// Row-major [B, T, heads, width] seen from one sequence and head.
struct Head {
  const Array &array;
  int64_t b, h;
  double operator()(int64_t t, int64_t i) const {
    return array[((b * array.dim(1) + t) * array.dim(2) + h) * array.dim(3) +
                 i];
  }
};

/// One position of one head: softmax weights over the keys, and their log sum.
struct Weights {
  std::vector<double> p; ///< [Tk]
  double lse;            ///< log of the sum of exp(score)
};

} // namespace

static Weights weigh(const Masking &masking, const Head &q, const Head &k,
                     int64_t i, const std::vector<double> &bias) {
  int64_t keys = masking.keys, width = q.array.dim(3);
  Weights out{std::vector<double>(keys), 0};
  double top = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t j = 0; j < keys; ++j) {
    double score = -std::numeric_limits<double>::infinity();
    if (masking.sees(q.b, i, j)) {
      score = 0;
      for (int64_t d = 0; d < width; ++d)
        score += q(i, d) * k(j, d);
      score = score * masking.scale + (bias.empty() ? 0 : bias[j]);
    }
    out.p[j] = score;
    top = std::fmax(top, score);
  }
  for (double &p : out.p)
    sum += p = std::isinf(p) ? 0 : std::exp(p - top);
  for (double &p : out.p)
    p = sum > 0 ? p / sum : 0;
  out.lse = top + std::log(sum);
  return out;
}

/// The bucket of T5 of a key `ahead` of its query by so many places. Causal:
/// the first half of n buckets is for the distances 0 to n/2 - 1, and the
/// others divide those from there to 128 in equal ratios. Else keys before the
/// query (and at it) have one half of the buckets, those behind it the other,
/// each divided in this way.
static int64_t bucketOf(int64_t ahead, bool causal, int64_t buckets) {
  constexpr double farthest = 128;
  int64_t distance = causal ? std::max<int64_t>(-ahead, 0) : std::abs(ahead);
  int64_t side = causal ? buckets : buckets / 2, exact = side / 2;
  int64_t start = !causal && ahead > 0 ? side : 0;
  if (distance < exact)
    return start + distance;
  double share = std::log(double(distance) / double(exact)) /
                 std::log(farthest / double(exact));
  auto further = static_cast<int64_t>(share * double(side - exact));
  return start + std::min(side - 1, exact + further);
}

/// What is added to the scores of query row `i` in head `h`, by key; empty if
/// there are no buckets [n, H].
static std::vector<double> biases(const Masking &masking, const Array *buckets,
                                  int64_t h, int64_t i) {
  std::vector<double> bias;
  for (int64_t j = 0; buckets && j < masking.keys; ++j)
    bias.push_back(buckets->at(bucketOf(masking.keyAt(j) - masking.queryAt(i),
                                        masking.causal, buckets->dim(0)),
                               h));
  return bias;
}

/// q [B, Tq, H, D], k [B, Tk, G, D], v [B, Tk, G, E] -> y [B, Tq, H, E]; head h
/// reads group h * G / H. `lse` is [B, H, Tq].
static LogicalResult attention(AttentionOp op, Frame &frame) {
  const Array &q = frame[op.getQ()], &k = frame[op.getK()],
              &v = frame[op.getV()];
  Masking masking = Masking::of(op, q, k);
  masking.valid = frame.find(op.getValid());
  masking.at = frame.find(op.getAt());
  int64_t heads = q.dim(2), groups = k.dim(2), width = v.dim(3);
  Array y(shapeOf(op.getY()));
  Array lse({q.dim(0), heads, q.dim(1)});
  for (int64_t b = 0; b < q.dim(0); ++b)
    for (int64_t h = 0; h < heads; ++h) {
      int64_t group = h * groups / heads;
      Head value{v, b, group};
      for (int64_t i = 0; i < q.dim(1); ++i) {
        Weights weights =
            weigh(masking, {q, b, h}, {k, b, group}, i,
                  biases(masking, frame.find(op.getBuckets()), h, i));
        lse.at(b, h, i) = weights.lse;
        for (int64_t j = 0; j < k.dim(1); ++j)
          for (int64_t e = 0; e < width; ++e)
            y.at(b, i, h, e) += weights.p[j] * value(j, e);
      }
    }
  frame.set(op.getY(), std::move(y));
  if (op.getLseOut())
    frame.set(op.getLseOut(), std::move(lse));
  return success();
}

/// ds = p (dy v - sum(dy y)) scale; dq = ds k, dk = ds^T q, dv = p^T dy.
/// Written from q, k and v alone: what `y` and `lse` hold is not trusted.
static LogicalResult attentionGrad(AttentionGradOp op, Frame &frame) {
  const Array &q = frame[op.getQ()], &k = frame[op.getK()],
              &v = frame[op.getV()], &dy = frame[op.getDy()];
  Masking masking = Masking::of(op, q, k);
  int64_t heads = q.dim(2), groups = k.dim(2), width = q.dim(3);
  Array dq(q.shape), dk(k.shape), dv(v.shape);
  for (int64_t b = 0; b < q.dim(0); ++b)
    for (int64_t h = 0; h < heads; ++h) {
      int64_t group = h * groups / heads;
      Head query{q, b, h}, key{k, b, group}, value{v, b, group},
          gradient{dy, b, h};
      for (int64_t i = 0; i < q.dim(1); ++i) {
        Weights weights = weigh(masking, query, key, i, {});
        std::vector<double> dp(k.dim(1));
        double mean = 0;
        for (int64_t j = 0; j < k.dim(1); ++j) {
          for (int64_t e = 0; e < v.dim(3); ++e) {
            dp[j] += gradient(i, e) * value(j, e);
            dv.at(b, j, group, e) += weights.p[j] * gradient(i, e);
          }
          mean += weights.p[j] * dp[j];
        }
        for (int64_t j = 0; j < k.dim(1); ++j) {
          double ds = weights.p[j] * (dp[j] - mean) * masking.scale;
          for (int64_t d = 0; d < width; ++d) {
            dq.at(b, i, h, d) += ds * key(j, d);
            dk.at(b, j, group, d) += ds * query(i, d);
          }
        }
      }
    }
  frame.set(op.getDq(), std::move(dq));
  frame.set(op.getDk(), std::move(dk));
  frame.set(op.getDv(), std::move(dv));
  return success();
}

/// Turns pairs of elements of x [B, T, heads, D] by t * theta^(-2i/D): elements
/// i and i + D/2, or 2i and 2i + 1 with `pairs`.
static LogicalResult rope(RopeOp op, Frame &frame) {
  const Array &x = frame[op.getX()];
  int64_t first = positionOf(frame.find(op.getAt()));
  int64_t width = x.dim(3), half = width / 2;
  double theta = number(op.getTheta());
  Array y(x.shape);
  for (int64_t b = 0; b < x.dim(0); ++b)
    for (int64_t t = 0; t < x.dim(1); ++t)
      for (int64_t h = 0; h < x.dim(2); ++h)
        for (int64_t i = 0; i < half; ++i) {
          int64_t left = op.getPairs() ? 2 * i : i;
          int64_t right = op.getPairs() ? 2 * i + 1 : i + half;
          double angle = double(first + t) * std::pow(theta, -2.0 * i / width);
          double c = std::cos(angle), s = std::sin(angle);
          if (op.getInverse())
            s = -s;
          double l = x.at(b, t, h, left), r = x.at(b, t, h, right);
          y.at(b, t, h, left) = l * c - r * s;
          y.at(b, t, h, right) = r * c + l * s;
        }
  frame.set(op.getY(), std::move(y));
  return success();
}

void bitbyte::bb::addAttention(Loops &loops) {
  add<AttentionOp, attention>(loops);
  add<AttentionGradOp, attentionGrad>(loops);
  add<RopeOp, rope>(loops);
}
