//===- AttentionCases.cpp - Rows of attention and rope --------------------===//

#include "test/ops/OpCase.h"

#include <cmath>

namespace bitbyte::bb::ops {

namespace {

/// The bias that T5 gives keys `ahead` of a query by so many places: half of
/// the buckets (of each side, where both are seen) are for one distance each,
/// the others for ever more of them, up to 128.
double bias(const Array &buckets, int64_t ahead, bool causal, int64_t head) {
  int64_t count = buckets.dim(0), first = 0;
  int64_t distance = causal ? std::max<int64_t>(-ahead, 0) : std::abs(ahead);
  if (!causal) {
    count /= 2;
    first = ahead > 0 ? count : 0;
  }
  int64_t exact = count / 2, bucket = distance;
  if (distance >= exact)
    bucket =
        std::min(count - 1, exact + int64_t(std::log(double(distance) / exact) /
                                            std::log(128.0 / exact) *
                                            double(count - exact)));
  return buckets.at(first + bucket, head);
}

/// y at [b, i, h, e], one query at a time; result 1 is lse at [b, h, i].
Element attention(bool causal, double scale = 0) {
  return [=](const Inputs &in, const Index &at, unsigned result) {
    const Array &q = in["q"], &k = in["k"], &v = in["v"];
    int64_t b = at[0], i = at[result ? 2 : 1], h = at[result ? 1 : 2];
    int64_t g = h / (q.dim(2) / k.dim(2));
    auto sizeOr = [&](const char *name) {
      return in.sizes.count(name) ? in.size(name) : 0;
    };
    int64_t window = sizeOr("W"), block = sizeOr("K"), slots = k.dim(1);
    double sum = 0, total = 0;
    for (int64_t j = 0; j < slots; ++j) {
      int64_t query = i, key = j;
      if (in.has("at")) { // slot j holds the newest position of its kind
        query += int64_t(in["at"][0]);
        int64_t last = int64_t(in["at"][0]) + q.dim(1) - 1;
        while (key + slots <= last)
          key += slots;
        if (key > last)
          continue;
      }
      if ((causal && key > query) || (window && key + window <= query) ||
          (block && key / block != query / block) ||
          (in.has("valid") && in["valid"].at(b, j) == 0))
        continue;
      double score = 0;
      for (int64_t d = 0; d < q.dim(3); ++d)
        score += q.at(b, i, h, d) * k.at(b, j, g, d);
      score *= scale != 0 ? scale : std::pow(q.dim(3), -0.5);
      if (in.has("buckets"))
        score += bias(in["buckets"], key - query, causal, h);
      double p = std::exp(score);
      total += p, sum += result ? 0 : p * v.at(b, j, g, at[3]);
    }
    return result ? std::log(total) : sum / total;
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
        Form{"block K", "B=1 T=24 H=2 G=1 D=16 E=16 K=8", false},
        Form{"causal scale 0.5", "B=2 T=9 H=2 G=1 D=8 E=8", true, 0.5},
        Form{"", "B=2 T=11 H=4 G=4 D=16 E=16", false}})
    cases.push_back(
        {.op = "attention",
         .signature = "%q: real[B, T, H, D], %k: real[B, T, G, D], %v: "
                      "real[B, T, G, E] -> real[B, T, H, E]",
         .body = "attention %q, %k, %v " + std::string(form.clauses),
         .sizes = {form.sizes},
         .element = attention(form.causal, form.scale),
         .bf16 = true});

  const std::string of = "%q: real[B, T, H, D], %k: real[B, S, G, D], "
                         "%v: real[B, S, G, E]",
                    y = " -> real[B, T, H, E]";
  const std::string decoding = "what generates does not learn",
                    once = "the loss is differentiated once",
                    refused = "no rule yet says where the bias and the mask go";
  cases.push_back({.op = "attention",
                   .signature = of + y + ", f32[B, H, T]",
                   .body = "%y, %lse = attention %q, %k, %v causal lse\n"
                           "return %y, %lse",
                   .sizes = {"B=2 T=13 S=13 H=4 G=2 D=8 E=8"},
                   .element = attention(true),
                   .bf16 = true,
                   .noGradient = "lse is for the gradient rule alone"});
  // Rings: half full, full, and turned over; one row, and several.
  for (const char *clauses : {"causal", "causal window W", "causal block K"})
    for (const char *sizes :
         {"B=1 T=1 S=16 H=4 G=2 D=8 E=8 A=5 Z=6 W=4 K=16",
          "B=2 T=4 S=12 H=2 G=2 D=16 E=16 A=8 Z=9 W=9 K=12",
          "B=1 T=1 S=8 H=4 G=1 D=32 E=32 A=21 Z=22 W=8 K=8"}) {
      std::string text = sizes;
      auto drop = [&](const char *name, const char *word) {
        if (std::string(clauses).find(word) == std::string::npos)
          text = text.substr(0, text.find(name)) +
                 text.substr(std::min(text.size(),
                                      text.find(' ', text.find(name) + 1)));
      };
      drop(" W=", "window");
      drop(" K=", "block");
      cases.push_back(
          {.op = "attention",
           .signature = of + ", %at: i32[] in A..Z" + y,
           .body = "attention %q, %k, %v " + std::string(clauses) + " at %at",
           .sizes = {text},
           .element = attention(true),
           .bf16 = true,
           .noGradient = decoding});
    }
  for (bool causal : {false, true}) {
    std::string clause = causal ? " causal" : "";
    cases.push_back({.op = "attention",
                     .signature = of + ", %valid: i1[B, S]" + y,
                     .body = "attention %q, %k, %v" + clause + " valid %valid",
                     .sizes = {"B=2 T=9 S=9 H=2 G=1 D=8 E=8"},
                     .element = attention(causal),
                     .noGradient = refused,
                     .noKernel = "padding masks have no schedule"});
    cases.push_back(
        {.op = "attention",
         .signature = of + ", %buckets: real[N, H]" + y,
         .body = "attention %q, %k, %v" + clause + " buckets %buckets",
         .sizes = {"B=1 T=40 S=40 H=2 G=1 D=4 E=4 N=8",
                   "B=1 T=3 S=3 H=2 G=2 D=4 E=4 N=32"},
         .element = attention(causal),
         .noGradient = refused,
         .noKernel = "biases by distance have no schedule"});
  }
  for (const char *clauses : {"causal", "causal window W", "causal block K"})
    cases.push_back(
        {.op = "attention_grad",
         .signature = of + ", %dy: real[B, T, H, E] -> real[B, T, H, D], "
                           "real[B, S, G, D], real[B, S, G, E]",
         .body = "%y, %lse = attention %q, %k, %v " + std::string(clauses) +
                 " lse\n%dq, %dk, %dv = attention_grad %q, %k, %v, %y, %lse, "
                 "%dy " +
                 clauses + "\nreturn %dq, %dk, %dv",
         .sizes = {std::string("B=1 T=6 S=6 H=2 G=1 D=4 E=4") +
                   (std::string(clauses).find("window") != std::string::npos
                        ? " W=3"
                    : std::string(clauses).find("block") != std::string::npos
                        ? " K=3"
                        : "")},
         .element = slopeOf(attention(true), {"q", "k", "v"}),
         .bf16 = true,
         .noGradient = once,
         .formula = 1e-8});

  // Heads of parts of one projection's rows, read where they lie.
  cases.push_back(
      {.op = "attention",
       .signature = "%qkv: real[B, T, 3*H*D] -> real[B, T, H, D]",
       .body = "%q0, %k0, %v0 = split %qkv into [H*D, H*D, H*D]\n"
               "%q = reshape %q0 to [B, T, H, D]\n"
               "%k = reshape %k0 to [B, T, H, D]\n"
               "%v = reshape %v0 to [B, T, H, D]\n"
               "%y = attention %q, %k, %v causal\nreturn %y",
       .sizes = {"B=2 T=5 H=3 D=5", "B=1 T=70 H=2 D=64", "B=2 T=37 H=2 D=8"},
       .element =
           [](const Inputs &in, const Index &at, unsigned result) {
             const Array &qkv = in["qkv"];
             Inputs cut = in;
             int64_t heads = in.size("H"), width = in.size("D");
             for (int64_t part : {0, 1, 2}) {
               Array x({qkv.dim(0), qkv.dim(1), heads, width});
               int64_t row = heads * width;
               for (int64_t i = 0; i < x.size(); ++i)
                 x[i] = qkv[(i / row * 3 + part) * row + i % row];
               cut.arrays[std::string(1, "qkv"[part])] = x;
             }
             return attention(true)(cut, at, result);
           },
       .bf16 = true});

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
