//===- ScanCases.cpp - Rows of convolution and scans ----------------------===//
//
// A scan's formula is the sum that its recurrence stands for: what item j left
// of itself by item t. Gradients are differences of these formulas, or are
// collected item by item where there are many.
//
//===----------------------------------------------------------------------===//

#include "test/ops/OpCase.h"

#include <cmath>

namespace bitbyte::bb::ops {

namespace {

/// Row t of x, or of what came before it.
double rowOf(const Inputs &in, int64_t b, int64_t t, int64_t d) {
  if (t >= 0)
    return in["x"].at(b, t, d);
  return in.has("from") ? in["from"].at(b, t + in["from"].dim(1), d) : 0;
}
double convSum(const Inputs &in, const Index &at, unsigned result) {
  int64_t taps = in["w"].dim(1);
  if (result == 1) // the tail
    return rowOf(in, at[0], in["x"].dim(1) - (taps - 1) + at[1], at[2]);
  double sum = in.has("bias") ? in["bias"].at(at[2]) : 0;
  for (int64_t back = 0; back < taps; ++back)
    sum += in["w"].at(at[2], taps - 1 - back) *
           rowOf(in, at[0], at[1] - back, at[2]);
  return sum;
}

double convSilu(const Inputs &in, const Index &at, unsigned result) {
  double sum = convSum(in, at, result);
  return result == 1 ? sum : sum / (1 + std::exp(-sum));
}

/// The state h[s, d] before item `t`, from the items before it.
double scanState(const Inputs &in, int64_t n, int64_t t, int64_t s, int64_t d) {
  double sum = 0, decay = 1;
  for (int64_t j = t; j-- > 0;) {
    double dt = in["dt"].at(n, j, d);
    sum += decay * dt * in["b"].at(n, j, s) * in["x"].at(n, j, d);
    decay *= std::exp(dt * in["a"].at(d, s));
  }
  return sum + (in.has("from") ? decay * in["from"].at(n, s, d) : 0);
}
/// y of the states' sum.
double behindScan(const Inputs &in, const Index &at, double sum) {
  if (in.has("skip"))
    sum += in["skip"].at(at[2]) * in["x"].at(at[0], at[1], at[2]);
  if (!in.has("gate"))
    return sum;
  double z = in["gate"].at(at[0], at[1], at[2]);
  return sum * z / (1 + std::exp(-z));
}
double selectiveScan(const Inputs &in, const Index &at, unsigned result) {
  if (result == 1 && in.has("from")) // the state at the end
    return scanState(in, at[0], in["x"].dim(1), at[1], at[2]);
  if (result == 1)
    return scanState(in, at[0], at[1] * in.size("S"), at[2], at[3]);
  double y = 0;
  for (int64_t s = 0; s < in["a"].dim(1); ++s)
    y +=
        in["c"].at(at[0], at[1], s) * scanState(in, at[0], at[1] + 1, s, at[2]);
  return behindScan(in, at, y);
}
/// selective_scan_grad where items are too many for differences: item by item,
/// from the first and from the last.
double scanGradient(const Inputs &in, const Index &at, unsigned result) {
  const Array &x = in["x"], &dt = in["dt"], &a = in["a"], &b = in["b"],
              &c = in["c"], &dy = in["dy"];
  const Array *gate = in.has("gate") ? &in["gate"] : nullptr;
  int64_t length = x.dim(1), states = a.dim(1);
  // The gradient of the sum of states.
  auto open = [&](int64_t n, int64_t t, int64_t d) {
    double z = gate ? gate->at(n, t, d) : 0;
    return dy.at(n, t, d) * (gate ? z / (1 + std::exp(-z)) : 1);
  };
  // What a state of channel d of sequence n gives to the element of `item`, or
  // of all items.
  auto ofState = [&](int64_t n, int64_t d, int64_t item, int64_t s) {
    std::vector<double> h(length + 1), decay(length);
    for (int64_t t = 0; t < length; ++t) {
      decay[t] = std::exp(dt.at(n, t, d) * a.at(d, s));
      h[t + 1] =
          decay[t] * h[t] + dt.at(n, t, d) * b.at(n, t, s) * x.at(n, t, d);
    }
    if (result == 4)
      return open(n, item, d) * h[item + 1];
    double gh = 0, ofRate = 0;
    for (int64_t t = length; t-- > 0; gh *= decay[t]) {
      gh += open(n, t, d) * c.at(n, t, s);
      double moved = gh * decay[t] * h[t];
      ofRate += moved * dt.at(n, t, d);
      if (t == item && result == 0)
        return gh * dt.at(n, t, d) * b.at(n, t, s);
      if (t == item && result == 1)
        return moved * a.at(d, s) + gh * b.at(n, t, s) * x.at(n, t, d);
      if (t == item && result == 3)
        return gh * dt.at(n, t, d) * x.at(n, t, d);
    }
    return ofRate;
  };
  double sum = 0;
  if (result < 2) { // dx, ddt
    for (int64_t s = 0; s < states; ++s)
      sum += ofState(at[0], at[2], at[1], s);
    bool isSkipped = result == 0 && in.has("skip");
    return sum +
           (isSkipped ? in["skip"].at(at[2]) * open(at[0], at[1], at[2]) : 0);
  }
  if (result == 2) { // da
    for (int64_t n = 0; n < x.dim(0); ++n)
      sum += ofState(n, at[0], -1, at[1]);
    return sum;
  }
  if (result < 5) { // db, dc
    for (int64_t d = 0; d < x.dim(2); ++d)
      sum += ofState(at[0], d, at[1], at[2]);
    return sum;
  }
  if (result == 5 && in.has("skip")) {
    for (int64_t n = 0; n < x.dim(0); ++n)
      for (int64_t t = 0; t < length; ++t)
        sum += open(n, t, at[0]) * x.at(n, t, at[0]);
    return sum;
  }
  Inputs ungated = in; // dgate
  ungated.arrays.erase("gate");
  double z = gate->at(at[0], at[1], at[2]), part = 1 / (1 + std::exp(-z));
  return dy.at(at[0], at[1], at[2]) * part * (1 + z * (1 - part)) *
         selectiveScan(ungated, at, 0);
}

/// The state h[s, p] of a head before item `t`.
double ssdState(const Inputs &in, int64_t n, int64_t t, int64_t h, int64_t s,
                int64_t p) {
  int64_t g = h * in["b"].dim(2) / in["x"].dim(2);
  double sum = 0, decay = 1;
  for (int64_t j = t; j-- > 0;) {
    double dt = in["dt"].at(n, j, h);
    sum += decay * dt * in["b"].at(n, j, g, s) * in["x"].at(n, j, h, p);
    decay *= std::exp(dt * in["a"].at(h));
  }
  return sum + (in.has("from") ? decay * in["from"].at(n, h, s, p) : 0);
}
double ssd(const Inputs &in, const Index &at, unsigned result) {
  if (result == 1 && in.has("from"))
    return ssdState(in, at[0], in["x"].dim(1), at[1], at[2], at[3]);
  if (result == 1)
    return ssdState(in, at[0], at[1] * in.size("Q"), at[2], at[3], at[4]);
  int64_t g = at[2] * in["b"].dim(2) / in["x"].dim(2);
  double y = 0;
  for (int64_t s = 0; s < in["b"].dim(3); ++s)
    y += in["c"].at(at[0], at[1], g, s) *
         ssdState(in, at[0], at[1] + 1, at[2], s, at[3]);
  return y;
}

} // namespace

Element slopeOf(Element forward, std::vector<std::string> wanted) {
  return [=](const Inputs &in, const Index &at, unsigned result) {
    const Array &x = in[wanted[result]], &dy = in["dy"];
    int64_t place = 0;
    for (size_t axis = 0; axis < at.size(); ++axis)
      place = place * x.shape[axis] + at[axis];
    // Differences of two widths, of which the larger error is taken out.
    auto slope = [&](double h) {
      double sum = 0;
      for (double step : {h, -h}) {
        Inputs moved = in;
        moved.arrays[wanted[result]][place] += step;
        Index i(dy.shape.size(), 0);
        for (int64_t k = 0; k < dy.size(); ++k) {
          sum += (step > 0 ? 1 : -1) * dy[k] * forward(moved, i, 0);
          for (size_t axis = i.size(); axis-- > 0 && ++i[axis] == dy.dim(axis);)
            i[axis] = 0;
        }
      }
      return sum / (2 * h);
    };
    constexpr double h = 1e-3;
    return (4 * slope(h / 2) - slope(h)) / 3;
  };
}

namespace {
/// Part `index` of `count` equal ones of the last axis of an input.
struct Part {
  std::string name, of;
  int64_t index, count;
};

/// `whole` of parts of inputs.
Element ofParts(Element whole, std::vector<Part> parts) {
  return [=](const Inputs &in, const Index &at, unsigned result) {
    Inputs cut = in;
    for (const Part &part : parts) {
      const Array &from = in[part.of];
      Array to(from.shape);
      int64_t width = from.dim(-1) / part.count;
      to.shape.back() = width;
      to.data.clear();
      for (int64_t row = 0; row < from.rows(); ++row) {
        auto first =
            from.data.begin() + row * from.dim(-1) + part.index * width;
        to.data.insert(to.data.end(), first, first + width);
      }
      cut.arrays[part.name] = to;
    }
    return whole(cut, at, result);
  };
}

/// What is sliced is read where it lies.
void addViews(std::vector<OpCase> &cases) {
  cases.push_back(
      {.op = "conv",
       .signature = "%wide: real[B, T, 2*D], %w: real[D, K], %bias: real[D] -> "
                    "real[B, T, D]",
       .body = "%none, %x = split %wide into [D, D]\n"
               "%y = conv %x, %w, %bias silu\nreturn %y",
       .sizes = {"B=1 T=1 D=4 K=1", "B=2 T=37 D=24 K=4", "B=1 T=70 D=40 K=3"},
       .element = ofParts(convSilu, {{"x", "wide", 1, 2}}),
       .bf16 = true});
  for (bool silu : {false, true})
    cases.push_back(
        {.op = "conv_grad",
         .signature = "%wide: real[B, T, 3*D], %w: real[D, K] -> "
                      "real[B, T, D], f32[D, K]",
         .body = "%dy, %none, %x = split %wide into [D, D, D]\n"
                 "%dx, %dw, %db = conv_grad %x, %w, %dy" +
                 std::string(silu ? " silu" : "") + "\nreturn %dx, %dw",
         .sizes = {"B=2 T=3 D=4 K=2", "B=1 T=19 D=8 K=3"},
         .element = ofParts(slopeOf(silu ? convSilu : convSum, {"x", "w"}),
                            {{"dy", "wide", 0, 3}, {"x", "wide", 2, 3}}),
         .bf16 = true,
         .noGradient = "the loss is differentiated once",
         .formula = 1e-8});
  const std::string scan =
      "%xtz: real[B, T, 3*D] in 0.01..0.5, %a: f32[D, N] in -2..-0.1, %bc: "
      "real[B, T, 2*N]";
  const std::string cutScan = "%x, %dt, %z = split %xtz into [D, D, D]\n"
                              "%b, %c = split %bc into [N, N]\n";
  std::vector<Part> ofScan{{"x", "xtz", 0, 3},
                           {"dt", "xtz", 1, 3},
                           {"gate", "xtz", 2, 3},
                           {"b", "bc", 0, 2},
                           {"c", "bc", 1, 2}};
  cases.push_back({.op = "selective_scan",
                   .signature = scan + " -> real[B, T, D]",
                   .body = cutScan +
                           "%y = selective_scan %x, %dt, %a, %b, %c gate %z\n"
                           "return %y",
                   .sizes = {"B=1 T=1 D=8 N=8", "B=2 T=37 D=40 N=16",
                             "B=1 T=6 D=232 N=16", "B=1 T=300 D=8 N=8"},
                   .element = ofParts(selectiveScan, ofScan),
                   .bf16 = true});
  ofScan.push_back({"dy", "dy2", 1, 2});
  cases.push_back(
      {.op = "selective_scan_grad",
       .signature = scan + ", %dy2: real[B, T, 2*D] -> real[B, T, D], "
                           "real[B, T, D], f32[D, N], f32[B, T, N], "
                           "f32[B, T, N], real[B, T, D]",
       .body = cutScan +
               "%none, %dy = split %dy2 into [D, D]\n"
               "%y, %h = selective_scan %x, %dt, %a, %b, %c gate %z save S\n"
               "%dx, %ddt, %da, %db, %dc, %dz = selective_scan_grad %x, %dt, "
               "%a, %b, %c, %h, %dy gate %z save S\n"
               "return %dx, %ddt, %da, %db, %dc, %dz",
       .sizes = {"B=2 T=6 D=8 N=8 S=4", "B=1 T=258 D=8 N=8 S=32"},
       .element = ofParts(scanGradient, ofScan),
       .bf16 = true,
       .noGradient = "the loss is differentiated once"});
  // x and c of rows in which b and something else lie too.
  const std::string ssdOf = "%xc: real[B, T, 4*H*P], %dt: real[B, T, H] in "
                            "0.01..0.5, %a: f32[H] in -2..-0.1";
  const std::string ssdParts =
      "%x0, %none, %b0, %c0 = split %xc into [H*P, H*P, H*P, H*P]\n"
      "%x = reshape %x0 to [B, T, H, P]\n%b = reshape %b0 to [B, T, H, P]\n"
      "%c = reshape %c0 to [B, T, H, P]\n";
  Element heads = [](const Inputs &in, const Index &at, unsigned result) {
    Inputs split = in;
    for (const char *name : {"x", "b", "c"})
      split.arrays[name].shape = {in["dt"].dim(0), in["dt"].dim(1),
                                  in["dt"].dim(2),
                                  in[name].dim(-1) / in["dt"].dim(2)};
    return ssd(split, at, result);
  };
  cases.push_back(
      {.op = "ssd",
       .signature = ssdOf + " -> real[B, T, H, P]",
       .body = ssdParts + "%y = ssd %x, %dt, %a, %b, %c chunk Q\n"
                          "return %y",
       .sizes = {"B=2 T=9 H=4 P=4 Q=4", "B=1 T=37 H=2 P=16 Q=16",
                 "B=1 T=70 H=2 P=8 Q=32"},
       .element = ofParts(
           heads, {{"x", "xc", 0, 4}, {"b", "xc", 2, 4}, {"c", "xc", 3, 4}}),
       .bf16 = true});
}
} // namespace

std::vector<OpCase> scanCases() {
  std::vector<OpCase> cases;
  const std::string decoding = "what generates does not learn",
                    kept = "what it keeps is for the gradient rule alone",
                    once = "the loss is differentiated once";
  const std::string x = "%x: real[B, T, D], ", w = "%w: real[D, K]";
  for (bool bias : {false, true})
    for (bool silu : {false, true})
      cases.push_back(
          {.op = "conv",
           .signature =
               x + w + (bias ? ", %bias: real[D]" : "") + " -> real[B, T, D]",
           .body = "conv %x, %w" + std::string(bias ? ", %bias" : "") +
                   (silu ? " silu" : ""),
           .sizes = {"B=1 T=1 D=1 K=1", "B=2 T=2 D=5 K=4", "B=1 T=70 D=19 K=3",
                     "B=2 T=37 D=21 K=4"},
           .element = silu ? convSilu : convSum,
           .bf16 = true});
  for (bool silu : {false, true})
    cases.push_back({.op = "conv",
                     .signature = x + w +
                                  ", %from: real[B, K-1, D] -> real[B, T, D], "
                                  "real[B, K-1, D]",
                     .body = "%y, %tail = conv %x, %w from %from" +
                             std::string(silu ? " silu" : "") +
                             "\nreturn %y, %tail",
                     .sizes = {"B=1 T=1 D=1 K=2", "B=2 T=1 D=37 K=4",
                               "B=1 T=2 D=16 K=4", "B=2 T=9 D=21 K=3"},
                     .element = silu ? convSilu : convSum,
                     .bf16 = true,
                     .noGradient = decoding});
  cases.push_back(
      {.op = "conv_grad",
       .signature =
           x + w + ", %dy: real[B, T, D] -> real[B, T, D], f32[D, K], f32[D]",
       .body = "%dx, %dw, %db = conv_grad %x, %w, %dy\nreturn %dx, %dw, %db",
       .sizes = {"B=1 T=1 D=1 K=1", "B=2 T=2 D=3 K=4", "B=1 T=70 D=2 K=3",
                 "B=2 T=5 D=9 K=3"},
       .element =
           [](const Inputs &in, const Index &at, unsigned result) {
             if (result < 2)
               return slopeOf(convSum, {"x", "w"})(in, at, result);
             double sum = 0;
             const Array &dy = in["dy"];
             for (int64_t i = at[0]; i < dy.size(); i += dy.dim(-1))
               sum += dy[i];
             return sum;
           },
       .bf16 = true,
       .noGradient = once,
       .formula = 1e-8});
  // The sums are computed again: with taps that reach before the first item,
  // over programs of several items and from one to the next.
  for (bool bias : {false, true})
    cases.push_back(
        {.op = "conv_grad",
         .signature = x + w + ", %dy: real[B, T, D]" +
                      (bias ? ", %bias: real[D]" : "") +
                      " -> real[B, T, D], f32[D, K]" + (bias ? ", f32[D]" : ""),
         .body = "%dx, %dw, %db = conv_grad %x, %w, %dy" +
                 std::string(bias ? ", %bias" : "") + " silu\nreturn %dx, %dw" +
                 (bias ? ", %db" : ""),
         .sizes = {"B=1 T=1 D=1 K=1", "B=2 T=2 D=3 K=4", "B=1 T=70 D=2 K=3",
                   "B=2 T=5 D=9 K=3", "B=1 T=67 D=3 K=4"},
         .element = slopeOf(convSilu, {"x", "w", "bias"}),
         .bf16 = true,
         .noGradient = once,
         .formula = 1e-8});

  const std::string scan =
      "%x: real[B, T, D], %dt: real[B, T, D] in 0.01..0.5, %a: f32[D, N] in "
      "-2..-0.1, %b: real[B, T, N], %c: real[B, T, N]";
  cases.push_back({.op = "selective_scan",
                   .signature = scan + " -> real[B, T, D]",
                   .body = "selective_scan %x, %dt, %a, %b, %c",
                   .sizes = {"B=1 T=1 D=1 N=1", "B=2 T=5 D=3 N=4",
                             "B=1 T=70 D=9 N=2", "B=1 T=6 D=230 N=16",
                             "B=1 T=9 D=18 N=24", "B=2 T=37 D=21 N=16"},
                   .element = selectiveScan,
                   .bf16 = true});
  // Steps whose decays are 0, and steps of 0.
  cases.push_back(
      {.op = "selective_scan",
       .signature = "%x: real[B, T, D], %dt: real[B, T, D] in 0..200, %a: "
                    "f32[D, N] in -3..-0.001, %b: real[B, T, N], %c: real[B, "
                    "T, N] -> real[B, T, D]",
       .body = "selective_scan %x, %dt, %a, %b, %c",
       .sizes = {"B=1 T=20 D=21 N=16"},
       .element = selectiveScan});
  cases.push_back({.op = "selective_scan",
                   .signature = scan + ", %from: f32[B, N, D] -> "
                                       "real[B, T, D], f32[B, N, D]",
                   .body = "%y, %h = selective_scan %x, %dt, %a, %b, %c from "
                           "%from\nreturn %y, %h",
                   .sizes = {"B=1 T=1 D=37 N=16", "B=2 T=7 D=5 N=3"},
                   .element = selectiveScan,
                   .bf16 = true,
                   .noGradient = decoding});
  cases.push_back({.op = "selective_scan",
                   .signature = scan + " -> real[B, T, D], "
                                       "f32[B, ceildiv(T, S), N, D]",
                   .body = "%y, %h = selective_scan %x, %dt, %a, %b, %c save "
                           "S\nreturn %y, %h",
                   .sizes = {"B=1 T=1 D=1 N=1 S=4", "B=2 T=9 D=19 N=4 S=4"},
                   .element = selectiveScan,
                   .bf16 = true,
                   .noGradient = kept});
  const std::vector<std::string> ofScan{"x", "dt", "a", "b", "c"};
  for (bool skip : {false, true})
    for (bool gate : {false, true}) {
      std::string more, clauses, gradients = "%dx, %ddt, %da, %db, %dc",
                                 types = "real[B, T, D], real[B, T, D], f32[D, "
                                         "N], f32[B, T, N], f32[B, T, N]";
      std::vector<std::string> wanted = ofScan;
      if (skip) {
        more += ", %skip: f32[D]", clauses += " skip %skip";
        gradients += ", %dskip", types += ", f32[D]";
        wanted.push_back("skip");
      }
      if (gate) {
        more += ", %gate: real[B, T, D] in -4..4", clauses += " gate %gate";
        gradients += ", %dgate", types += ", real[B, T, D]";
        wanted.push_back("gate");
      }
      if (skip || gate) {
        cases.push_back({.op = "selective_scan",
                         .signature = scan + more + " -> real[B, T, D]",
                         .body = "selective_scan %x, %dt, %a, %b, %c" + clauses,
                         .sizes = {"B=1 T=1 D=1 N=1", "B=2 T=5 D=3 N=4",
                                   "B=1 T=9 D=64 N=16", "B=1 T=9 D=18 N=24",
                                   "B=2 T=37 D=21 N=16"},
                         .element = selectiveScan,
                         .bf16 = true});
        cases.push_back({.op = "selective_scan",
                         .signature = scan + more +
                                      ", %from: f32[B, N, D] -> "
                                      "real[B, T, D], f32[B, N, D]",
                         .body = "%y, %h = selective_scan %x, %dt, %a, %b, %c" +
                                 clauses + " from %from\nreturn %y, %h",
                         .sizes = {"B=1 T=1 D=37 N=16", "B=2 T=7 D=5 N=3"},
                         .element = selectiveScan,
                         .bf16 = true,
                         .noGradient = decoding});
      }
      OpCase gradient{
          .op = "selective_scan_grad",
          .signature = scan + more + ", %dy: real[B, T, D] -> " + types,
          .body = "%y, %h = selective_scan %x, %dt, %a, %b, %c" + clauses +
                  " save S\n" + gradients +
                  " = selective_scan_grad %x, %dt, %a, %b, %c, %h, %dy" +
                  clauses + " save S\nreturn " + gradients,
          .sizes = {"B=1 T=1 D=1 N=1 S=4", "B=2 T=6 D=3 N=2 S=4",
                    "B=1 T=1 D=290 N=1 S=1", "B=1 T=5 D=2 N=3 S=1"},
          .element = slopeOf(selectiveScan, wanted),
          .bf16 = true,
          .noGradient = once,
          .formula = 1e-8};
      cases.push_back(gradient);
      // So few channels that a GPU cuts time into parts: eight chunks or more.
      gradient.sizes = {"B=1 T=258 D=5 N=3 S=32", "B=1 T=270 D=3 N=16 S=32"};
      gradient.element = scanGradient;
      gradient.formula = 1e-12;
      if (skip == gate)
        cases.push_back(gradient);
    }
  for (bool both : {false, true})
    cases.push_back({.op = "selective_scan",
                     .signature = scan +
                                  (both ? ", %skip: f32[D], %gate: real[B, T, "
                                          "D] in -4..4"
                                        : "") +
                                  " -> real[B, T, D]",
                     .body = "selective_scan %x, %dt, %a, %b, %c" +
                             std::string(both ? " skip %skip gate %gate" : ""),
                     .sizes = {"B=1 T=258 D=5 N=3", "B=1 T=270 D=3 N=16"},
                     .element = selectiveScan});

  const std::string ssdOf =
      "%x: real[B, T, H, P], %dt: real[B, T, H] in 0.01..0.5, %a: f32[H] in "
      "-2..-0.1, %b: real[B, T, G, N], %c: real[B, T, G, N]";
  cases.push_back(
      {.op = "ssd",
       .signature = ssdOf + " -> real[B, T, H, P]",
       .body = "ssd %x, %dt, %a, %b, %c chunk Q",
       .sizes = {"B=1 T=1 H=1 P=1 G=1 N=1 Q=4", "B=2 T=9 H=4 P=5 G=2 N=3 Q=4",
                 "B=1 T=37 H=3 P=9 G=1 N=16 Q=16"},
       .element = ssd,
       .bf16 = true});
  cases.push_back(
      {.op = "ssd",
       .signature = ssdOf + ", %from: f32[B, H, N, P] -> "
                            "real[B, T, H, P], f32[B, H, N, P]",
       .body = "%y, %h = ssd %x, %dt, %a, %b, %c chunk Q from "
               "%from\nreturn %y, %h",
       .sizes = {"B=1 T=1 H=2 P=8 G=1 N=16 Q=8", "B=2 T=7 H=2 P=5 G=2 N=3 Q=4"},
       .element = ssd,
       .bf16 = true,
       .noGradient = decoding});
  cases.push_back({.op = "ssd",
                   .signature = ssdOf + " -> real[B, T, H, P], "
                                        "f32[B, ceildiv(T, Q), H, N, P]",
                   .body = "%y, %h = ssd %x, %dt, %a, %b, %c chunk Q save\n"
                           "return %y, %h",
                   .sizes = {"B=2 T=9 H=2 P=5 G=1 N=3 Q=4"},
                   .element = ssd,
                   .bf16 = true,
                   .noGradient = kept});
  cases.push_back(
      {.op = "ssd_grad",
       .signature = ssdOf + ", %dy: real[B, T, H, P] -> real[B, T, H, P], "
                            "f32[B, T, H], f32[H], f32[B, T, G, N], f32[B, T, "
                            "G, N]",
       .body = "%y, %h = ssd %x, %dt, %a, %b, %c chunk Q save\n"
               "%dx, %ddt, %da, %db, %dc = ssd_grad %x, %dt, %a, %b, %c, %h, "
               "%dy chunk Q\nreturn %dx, %ddt, %da, %db, %dc",
       .sizes = {"B=1 T=1 H=1 P=1 G=1 N=1 Q=4", "B=1 T=6 H=2 P=3 G=1 N=2 Q=4"},
       .element = slopeOf(ssd, ofScan),
       .bf16 = true,
       .noGradient = once,
       .formula = 1e-8,
       // dA is what is left of rows less columns of [T, T], diagonal included.
       .scale = 0.1});
  addViews(cases);
  return cases;
}

} // namespace bitbyte::bb::ops
