//===- AttentionCases.cpp - Rows of attention and rope --------------------===//

#include "test/ops/OpCase.h"

#include <cmath>

namespace bitbyte::bb::ops {

namespace {

/// y at [b, i, h, e], one query at a time.
Element attention(bool causal, double scale = 0) {
  return [=](const Inputs &in, const Index &at, unsigned) {
    const Array &q = in["q"], &k = in["k"], &v = in["v"];
    int64_t b = at[0], i = at[1], h = at[2];
    int64_t g = h / (q.dim(2) / k.dim(2));
    auto sizeOr = [&](const char *name) {
      return in.sizes.count(name) ? in.size(name) : 0;
    };
    int64_t window = sizeOr("W"), block = sizeOr("K");
    double sum = 0, total = 0;
    for (int64_t j = 0; j < k.dim(1); ++j) {
      if ((causal && j > i) || (window && j + window <= i) ||
          (block && j / block != i / block))
        continue;
      double score = 0;
      for (int64_t d = 0; d < q.dim(3); ++d)
        score += q.at(b, i, h, d) * k.at(b, j, g, d);
      double p =
          std::exp(score * (scale != 0 ? scale : std::pow(q.dim(3), -0.5)));
      total += p, sum += p * v.at(b, j, g, at[3]);
    }
    return sum / total;
  };
}

} // namespace

std::vector<OpCase> attentionCases() {
  std::vector<OpCase> cases;
  struct Form {
    const char *clauses, *sizes;
    bool causal;
    double scale = 0;
  };
  for (Form form :
       {Form{"causal", "B=2 T=13 H=4 G=2 D=8 E=8", true},
        Form{"causal", "B=1 T=1 H=1 G=1 D=16 E=16", true},
        Form{"causal window W", "B=1 T=37 H=3 G=1 D=16 E=16 W=5", true},
        Form{"causal block K", "B=1 T=24 H=2 G=2 D=16 E=16 K=8", true},
        Form{"causal scale 0.5", "B=2 T=9 H=2 G=1 D=8 E=8", true, 0.5},
        Form{"", "B=2 T=11 H=4 G=4 D=16 E=16", false}})
    cases.push_back(
        {.op = "attention",
         .signature = "%q: real[B, T, H, D], %k: real[B, T, G, D], %v: "
                      "real[B, T, G, E] -> real[B, T, H, E]",
         .body = "attention %q, %k, %v " + std::string(form.clauses),
         .sizes = {form.sizes},
         .element = attention(form.causal, form.scale)});

  // A complex number per pair, turned by the position.
  auto rope = [](bool pairs, bool inverse) {
    return [=](const Inputs &in, const Index &at, unsigned) {
      const Array &x = in["x"];
      int64_t half = x.dim(3) / 2, d = at[3];
      int64_t i = pairs ? d / 2 : d % half;
      bool second = pairs ? d % 2 : d >= half;
      double angle =
          double(at[1]) * std::exp(-std::log(1e4) * double(i) / double(half));
      if (inverse)
        angle = -angle;
      double a = x.at(at[0], at[1], at[2], pairs ? 2 * i : i),
             b = x.at(at[0], at[1], at[2], pairs ? 2 * i + 1 : i + half);
      double length = std::hypot(a, b), turn = std::atan2(b, a) + angle;
      return length * (second ? std::sin(turn) : std::cos(turn));
    };
  };
  for (bool pairs : {false, true})
    for (bool inverse : {false, true})
      cases.push_back(
          {.op = "rope",
           .signature = "%x: real[B, T, H, D] -> real[B, T, H, D]",
           .body = "rope %x theta 10000.0" +
                   std::string(pairs ? " pairs" : "") +
                   (inverse ? " inverse" : ""),
           .sizes = {"B=1 T=1 H=1 D=2", "B=2 T=7 H=3 D=6", "B=1 T=5 H=2 D=32"},
           .element = rope(pairs, inverse),
           .bf16 = true});
  return cases;
}

} // namespace bitbyte::bb::ops
