//===- RowCases.cpp - Rows of norms, softmax, losses and sums -------------===//

#include "test/ops/OpCase.h"

#include <cmath>

namespace bitbyte::bb::ops {

namespace {

const std::vector<std::string> sizes = {"B=1 T=1 D=2", "B=2 T=3 D=37",
                                        "B=1 T=7 D=130", "B=3 T=5 D=16"};

/// The sum of f over the last axis of x [B, T, D].
template <typename F>
double along(const Inputs &in, const Index &at, F f, int64_t from, int64_t to) {
  double sum = 0;
  for (int64_t d = from; d < to; ++d)
    sum += f(in["x"].at(at[0], at[1], d));
  return sum;
}

/// 1 / root mean square of a part of a row, to a weight.
double rmsNorm(const Inputs &in, const Index &at, int64_t parts) {
  int64_t part = in.size("D") / parts, begin = at[2] / part * part;
  double square =
      along(in, at, [](double x) { return x * x; }, begin, begin + part);
  return in["x"].at(at[0], at[1], at[2]) * in["g"].at(at[2]) /
         std::sqrt(square / double(part) + 1e-5);
}

double layerNorm(const Inputs &in, const Index &at, unsigned) {
  auto width = double(in.size("D"));
  double sum = along(in, at, [](double x) { return x; }, 0, in.size("D"));
  double square =
      along(in, at, [](double x) { return x * x; }, 0, in.size("D"));
  double mean = sum / width, variance = square / width - mean * mean;
  return (in["x"].at(at[0], at[1], at[2]) - mean) / std::sqrt(variance + 1e-3) *
             in["g"].at(at[2]) +
         (in.has("b") ? in["b"].at(at[2]) : 0);
}

double softmax(const Inputs &in, const Index &at, unsigned) {
  double x = in["x"].at(at[0], at[1], at[2]);
  return 1 / along(
                 in, at, [x](double other) { return std::exp(other - x); }, 0,
                 in.size("D"));
}

double crossEntropy(const Inputs &in, const Index &at, unsigned) {
  double x = in["x"].at(at[0], at[1], int64_t(in["target"].at(at[0], at[1])));
  return std::log(along(
      in, at, [x](double other) { return std::exp(other - x); }, 0,
      in.size("D")));
}

/// Elements of x [B, T, D] that a result at `kept` stands for; -1: any.
Element reduction(const std::string &by, bool overB, bool overT, bool overD,
                  bool keep) {
  return [=](const Inputs &in, const Index &at, unsigned) {
    const Array &x = in["x"];
    size_t next = 0;
    Index low, high;
    const bool gone[] = {overB, overT, overD};
    for (auto [axis, over] : llvm::enumerate(gone)) {
      int64_t i = over ? 0 : at[next];
      next += !over || keep;
      low.push_back(i);
      high.push_back(over ? x.dim(int64_t(axis)) : i + 1);
    }
    double sum = 0, most = -INFINITY, size = 0, count = 0;
    for (int64_t b = low[0]; b < high[0]; ++b)
      for (int64_t t = low[1]; t < high[1]; ++t)
        for (int64_t d = low[2]; d < high[2]; ++d) {
          double one = x.at(b, t, d);
          sum += one, count += 1;
          most = std::max(most, one), size = std::max(size, std::fabs(one));
        }
    return by == "sum"    ? sum
           : by == "mean" ? sum / count
           : by == "max"  ? most
                          : size;
  };
}

} // namespace

std::vector<OpCase> rowCases() {
  std::vector<OpCase> cases;
  cases.push_back({.op = "rms_norm",
                   .signature = "%x: real[B, T, D], %g: f32[D] -> "
                                "real[B, T, D]",
                   .body = "rms_norm %x, %g eps 1.0e-5",
                   .sizes = sizes,
                   .element = [](const Inputs &in, const Index &at,
                                 unsigned) { return rmsNorm(in, at, 1); },
                   .bf16 = true});
  cases.push_back(
      {.op = "rms_norm",
       .signature = "%x: real[B, T, D], %g: f32[D] -> real[B, T, D]",
       .body = "rms_norm %x, %g eps 1.0e-5 groups G",
       .sizes = {"B=1 T=1 D=4 G=2", "B=2 T=3 D=35 G=5", "B=2 T=3 D=64 G=4",
                 "B=1 T=2 D=12 G=12", "B=2 T=2 D=18 G=1"},
       .element = [](const Inputs &in, const Index &at,
                     unsigned) { return rmsNorm(in, at, in.size("G")); },
       .bf16 = true});
  for (bool bias : {false, true})
    cases.push_back({.op = "layer_norm",
                     .signature = std::string("%x: real[B, T, D], %g: f32[D]") +
                                  (bias ? ", %b: f32[D]" : "") +
                                  " -> real[B, T, D]",
                     .body = std::string("layer_norm %x, %g") +
                             (bias ? ", %b" : "") + " eps 1.0e-3",
                     .sizes = sizes,
                     .element = layerNorm,
                     .bf16 = true});
  cases.push_back({.op = "softmax",
                   .signature = "%x: real[B, T, D] in -9..9 -> real[B, T, D]",
                   .body = "softmax %x",
                   .sizes = sizes,
                   .element = softmax,
                   .bf16 = true});
  cases.push_back({.op = "cross_entropy",
                   .signature = "%x: real[B, T, D] in -9..9, %target: u8[B, T] "
                                "in 0..D -> f32[B, T]",
                   .body = "cross_entropy %x, %target",
                   .sizes = {"B=1 T=1 D=2", "B=2 T=3 D=37", "B=1 T=4 D=256"},
                   .element = crossEntropy,
                   .bf16 = true,
                   .scale = 9});
  cases.push_back({.op = "cross_entropy",
                   .signature = "%x: real[B, T, D] in -9..9, %target: i32[B, "
                                "T] in 0..D -> f32[B, T]",
                   .body = "cross_entropy %x, %target bidirectional",
                   .sizes = {"B=2 T=3 D=300"},
                   .element = crossEntropy,
                   .scale = 9});

  struct Form {
    bool b, t, d, keep;
    const char *axes, *shape;
  };
  for (const char *by : {"sum", "mean", "max", "absmax"})
    for (Form form : {Form{false, false, true, false, "[-1]", "[B, T]"},
                      Form{false, false, true, true, "[2]", "[B, T, 1]"},
                      Form{true, true, false, false, "[0, 1]", "[D]"},
                      Form{false, true, false, true, "[1]", "[B, 1, D]"},
                      Form{true, false, false, false, "[0]", "[T, D]"},
                      Form{true, true, true, false, "[0, 1, 2]", "[]"}})
      cases.push_back(
          {.op = "reduce",
           .signature = "%x: real[B, T, D] -> real" + std::string(form.shape),
           .body = "reduce %x by " + std::string(by) + " axes " + form.axes +
                   (form.keep ? " keep" : ""),
           .sizes = {"B=1 T=1 D=1", "B=2 T=3 D=37", "B=3 T=70 D=5"},
           .element = reduction(by, form.b, form.t, form.d, form.keep),
           .bf16 = true});
  // Parts of rows, read where they lie.
  cases.push_back({.op = "reduce",
                   .signature = "%x2: real[T, 2*D] -> real[D]",
                   .body = "%x0, %x1 = split %x2 into [D, D]\n"
                           "%e = square %x1\n"
                           "%y = reduce %e by sum axes [0]\nreturn %y",
                   .sizes = {"T=7 D=5", "T=33 D=130", "T=65 D=24"},
                   .element =
                       [](const Inputs &in, const Index &at, unsigned) {
                         double sum = 0;
                         int64_t from = in.size("D") + at[0];
                         for (int64_t t = 0; t < in["x2"].dim(0); ++t)
                           sum += in["x2"].at(t, from) * in["x2"].at(t, from);
                         return sum;
                       },
                   .bf16 = true});
  return cases;
}

} // namespace bitbyte::bb::ops
