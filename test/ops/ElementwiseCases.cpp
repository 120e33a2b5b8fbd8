//===- ElementwiseCases.cpp - Rows of ops on single elements --------------===//

#include "test/ops/OpCase.h"

#include <Random123/philox.h>
#include <cmath>

namespace bitbyte::bb::ops {

namespace {

using Cases = std::vector<OpCase>;

const std::vector<std::string> sizes = {"B=1 T=1 D=1", "B=2 T=3 D=37",
                                        "B=3 T=5 D=16"};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

void unary(Cases &cases, const std::string &op, double (*f)(double),
           const std::string &range = "-3..3",
           const std::string &noGradient = "") {
  cases.push_back(
      {.op = op,
       .signature = "%x: real[B, T, D] in " + range + " -> real[B, T, D]",
       .body = op + " %x",
       .sizes = sizes,
       .element = [f](const Inputs &in, const Index &at,
                      unsigned) { return f(in.aligned("x", at)); },
       .bf16 = true,
       .noGradient = noGradient});
}

/// An op of two operands: of one shape, broadcast either way, and with f32
/// beside the compute type.
void binary(Cases &cases, const std::string &op, double (*f)(double, double),
            const std::string &range = "-2..2",
            const std::string &rangeB = "-2..2") {
  auto element = [f](const Inputs &in, const Index &at, unsigned) {
    return f(in.aligned("a", at), in.aligned("b", at));
  };
  auto row = [&](const std::string &a, const std::string &b,
                 const std::string &y) {
    cases.push_back({.op = op,
                     .signature = "%a: " + a + " in " + range + ", %b: " + b +
                                  " in " + rangeB + " -> " + y,
                     .body = op + " %a, %b",
                     .sizes = sizes,
                     .element = element,
                     .bf16 = true});
  };
  row("real[B, T, D]", "real[B, T, D]", "real[B, T, D]");
  row("real[B, T, D]", "real[D]", "real[B, T, D]");
  row("real[T, 1]", "real[B, 1, D]", "real[B, T, D]");
  row("f32[]", "real[T, D]", "f32[T, D]");
}

void integers(Cases &cases, const std::string &op, double (*f)(double, double),
              const std::string &range = "-9..9") {
  cases.push_back({.op = op,
                   .signature = "%a: i32[T, D] in " + range +
                                ", %b: i32[D] in " + range + " -> i32[T, D]",
                   .body = op + " %a, %b",
                   .sizes = {"T=3 D=37"},
                   .element =
                       [f](const Inputs &in, const Index &at, unsigned) {
                         return f(in.aligned("a", at), in.aligned("b", at));
                       },
                   .noGradient = "whole numbers"});
}

void comparison(Cases &cases, const std::string &op,
                double (*f)(double, double)) {
  for (const char *type : {"real", "i32", "u8"})
    cases.push_back({.op = op,
                     .signature = "%a: " + std::string(type) +
                                  "[B, T, D], %b: " + type +
                                  "[T, 1] -> i1[B, T, D]",
                     .body = op + " %a, %b",
                     .sizes = sizes,
                     .element =
                         [f](const Inputs &in, const Index &at, unsigned) {
                           return f(in.aligned("a", at), in.aligned("b", at));
                         },
                     .noGradient = "the result is a truth value"});
}

/// By Random123's own generator: p 0.3, stream 2.
double dropped(const Inputs &in, const Index &at, unsigned) {
  const Array &x = in["x"];
  uint32_t place = 0;
  for (auto [axis, i] : llvm::enumerate(at))
    place = place * uint32_t(x.shape[axis]) + uint32_t(i);
  auto word = [&](const char *name) { return uint32_t(int64_t(in[name][0])); };
  r123::Philox4x32 generator;
  auto bits = generator({{place, 2, word("counter"), 0}}, {{word("seed"), 0}});
  return bits[0] < 0.3 * 0x1p32 ? 0 : in.aligned("x", at) / (1 - 0.3);
}

} // namespace

std::vector<OpCase> elementwiseCases() {
  Cases cases;
  unary(cases, "neg", [](double x) { return 0 - x; });
  unary(cases, "exp", [](double x) { return std::pow(M_E, x); });
  unary(cases, "square", [](double x) { return std::pow(x, 2); });
  unary(
      cases, "sigmoid", [](double x) { return 0.5 + 0.5 * std::tanh(x / 2); },
      "-9..9");
  unary(cases, "tanh", [](double x) { return 2 * sigmoid(2 * x) - 1; });
  unary(
      cases, "silu", [](double x) { return x / (1 + std::exp(-x)); }, "-9..9");
  unary(cases, "gelu", [](double x) {
    return x * sigmoid(2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
  });
  unary(cases, "relu", [](double x) { return (x + std::fabs(x)) / 2; });
  unary(
      cases, "softplus", [](double x) { return std::log(1 + std::exp(x)); },
      "-20..20");
  unary(cases, "sqrt", [](double x) { return std::pow(x, 0.5); }, "0.1..5");
  unary(cases, "rsqrt", [](double x) { return std::pow(x, -0.5); }, "0.1..5");
  unary(
      cases, "log", [](double x) { return std::log2(x) / M_LOG2E; }, "0.1..5");
  unary(cases, "abs", [](double x) { return std::max(x, -x); });
  unary(
      cases, "round", [](double x) { return x - std::remainder(x, 1); },
      "-9..9", "constant almost everywhere");
  unary(
      cases, "stop_gradient", [](double x) { return x; }, "-3..3",
      "its purpose");

  binary(cases, "add", [](double a, double b) { return a + b; });
  binary(cases, "sub", [](double a, double b) { return a + -b; });
  binary(cases, "mul", [](double a, double b) { return a * b; });
  binary(
      cases, "div", [](double a, double b) { return a * (1 / b); }, "-2..2",
      "0.3..2");
  binary(cases, "min", [](double a, double b) { return a < b ? a : b; });
  binary(cases, "max", [](double a, double b) { return a < b ? b : a; });
  binary(
      cases, "rem",
      [](double a, double b) { return a - b * std::trunc(a / b); }, "-5..5",
      "0.7..2");
  integers(cases, "add", [](double a, double b) { return a + b; });
  integers(cases, "sub", [](double a, double b) { return a - b; });
  integers(cases, "mul", [](double a, double b) { return a * b; });
  integers(
      cases, "div", [](double a, double b) { return std::trunc(a / b); },
      "1..99");
  integers(cases, "min", [](double a, double b) { return a < b ? a : b; });
  integers(cases, "max", [](double a, double b) { return a < b ? b : a; });
  integers(
      cases, "rem", [](double a, double b) { return std::fmod(a, b); },
      "1..99");
  comparison(cases, "lt", [](double a, double b) { return double(a < b); });
  comparison(cases, "le", [](double a, double b) { return double(a <= b); });
  comparison(cases, "eq", [](double a, double b) { return double(a == b); });

  cases.push_back(
      {.op = "is_finite",
       .signature = "%x: real[B, T] -> i1[B, T]",
       .body = "is_finite %x",
       .sizes = {"B=3 T=37"},
       .element = [](const Inputs &, const Index &, unsigned) { return 1.0; },
       .noGradient = "the result is a truth value"});
  cases.push_back(
      {.op = "is_finite",
       .signature = "%x: f32[T], %y: f32[T] -> i1[T]",
       .body = "%n = square %y\n%m = neg %n\n%l = sqrt %m\n"
               "%r = is_finite %l\nreturn %r",
       .sizes = {"T=37"},
       .element = [](const Inputs &, const Index &, unsigned) { return 0.0; },
       .noGradient = "the result is a truth value"});

  auto select = [](const Inputs &in, const Index &at, unsigned) {
    return in.aligned(in.aligned("c", at) != 0 ? "a" : "b", at);
  };
  for (const char *signature :
       {"%c: i1[B, T, D], %a: real[B, T, D], %b: real[B, T, D] -> "
        "real[B, T, D]",
        "%c: i1[T, 1], %a: real[B, 1, D], %b: real[D] -> real[B, T, D]",
        "%c: i1[B, T, D], %a: real[], %b: real[D] -> real[B, T, D]"})
    cases.push_back({.op = "select",
                     .signature = signature,
                     .body = "select %c, %a, %b",
                     .sizes = sizes,
                     .element = select,
                     .bf16 = true});
  cases.push_back({.op = "scale",
                   .signature = "%x: real[B, T, D] -> real[B, T, D]",
                   .body = "scale %x by 1/sqrt(D) plus 0.25",
                   .sizes = sizes,
                   .element =
                       [](const Inputs &in, const Index &at, unsigned) {
                         return in.aligned("x", at) /
                                    std::sqrt(double(in.size("D"))) +
                                0.25;
                       },
                   .bf16 = true});
  cases.push_back({.op = "scale",
                   .signature = "%x: real[T] -> real[T]",
                   .body = "scale %x by -2",
                   .sizes = {"T=9"},
                   .element = [](const Inputs &in, const Index &at, unsigned) {
                     return -2 * in.aligned("x", at);
                   }});

  auto same = [](const Inputs &in, const Index &at, unsigned) {
    return in.aligned("x", at);
  };
  auto isFloat = [](const std::string &type) {
    return type == "f32" || type == "bf16";
  };
  auto cast = [&](const std::string &from, const std::string &range,
                  const std::string &to, Element element,
                  const std::string &noGradient) {
    cases.push_back({.op = "cast",
                     .signature = "%x: " + from + "[T, D] in " + range +
                                  " -> " + to + "[T, D]",
                     .body = "cast %x to " + to,
                     .sizes = {"T=1 D=1", "T=3 D=37"},
                     .element = element,
                     .noGradient = noGradient,
                     .straightThrough = isFloat(from) && isFloat(to)});
  };
  cast("f32", "-3..3", "bf16", same, "the number is rounded before the loss");
  cast("bf16", "-3..3", "f32", same, "the parameter itself is rounded");
  cast("u8", "0..256", "f32", same, "whole numbers");
  cast("i32", "-999..999", "f32", same, "whole numbers");
  cast("i1", "0..2", "i32", same, "whole numbers");
  cast("u8", "0..256", "i32", same, "whole numbers");
  auto isNotZero = [](const Inputs &in, const Index &at, unsigned) {
    return double(in.aligned("x", at) != 0);
  };
  cast("i32", "-1..2", "i1", isNotZero, "the result is a truth value");
  cast("f32", "-3..3", "i1", isNotZero, "the result is a truth value");
  cast(
      "f32", "-9..9", "i32",
      [](const Inputs &in, const Index &at, unsigned) {
        return std::trunc(in.aligned("x", at));
      },
      "whole numbers");

  for (const char *type : {"real", "i32"})
    cases.push_back(
        {.op = "fill",
         .signature = " -> " + std::string(type) + "[T, D]",
         .body = "fill value -3 to " + std::string(type) + " of [T, D]",
         .sizes = {"T=3 D=37"},
         .element = [](const Inputs &, const Index &,
                       unsigned) { return -3.0; },
         .bf16 = type == std::string("real"),
         .noGradient = "there is no input"});
  cases.push_back(
      {.op = "constant",
       .signature = "%x: f32[2, 3] -> f32[2, 3]",
       .body = "%c = constant \"weights\" dense<[[1.0, 2.0, 3.0], [4.0, 5.0, "
               "6.5]]> : tensor<2x3xf32>\n%y = mul %x, %c\nreturn %y",
       .sizes = {""},
       .element = [](const Inputs &in, const Index &at, unsigned) {
         int64_t place = at[0] * 3 + at[1];
         return (place == 5 ? 6.5 : double(place + 1)) * in.aligned("x", at);
       }});
  // A block's largest number becomes the largest code, and all others the
  // nearest multiple of its share.
  struct Encoding {
    const char *name;
    double codes;
    int64_t block; ///< 0: a row, -1: all
  };
  for (Encoding to : {Encoding{"int8/row", 127, 0}, Encoding{"int4/4", 7, 4},
                      Encoding{"ternary/tensor", 1, -1}}) {
    auto coded = [to](const Inputs &in, const Index &at, unsigned) {
      const Array &x = in["x"];
      int64_t place = at[0] * x.dim(1) + at[1];
      int64_t size = to.block > 0 ? to.block : to.block ? x.size() : x.dim(1);
      double largest = 0;
      for (int64_t i = place / size * size, end = i + size; i < end; ++i)
        largest = std::max(largest, std::fabs(x[i]));
      double code = x[place] / (largest / to.codes);
      return (code - std::remainder(code, 1)) * (largest / to.codes);
    };
    const char *why = "no target has kernels for encodings";
    cases.push_back({.op = "fake_quant",
                     .signature = "%x: real[T, D] -> real[T, D]",
                     .body = "fake_quant %x to " + std::string(to.name),
                     .sizes = {"T=1 D=4", "T=3 D=20"},
                     .element = coded,
                     .bf16 = true,
                     .noGradient = "it passes straight through",
                     .straightThrough = true,
                     .noKernel = why});
    for (const char *op : {"quantize", "dequantize"})
      cases.push_back({.op = op,
                       .signature = "%x: f32[T, D] -> f32[T, D]",
                       .body = "%q = quantize %x to " + std::string(to.name) +
                               "\n%y = dequantize %q to f32\nreturn %y",
                       .sizes = {"T=1 D=4", "T=3 D=20"},
                       .element = coded,
                       .noGradient = "codes are constant almost everywhere",
                       .noKernel = why});
  }
  cases.push_back({.op = "dropout",
                   .signature = "%x: real[B, T, D] -> real[B, T, D]",
                   .body = "dropout %x p 0.1",
                   .sizes = sizes,
                   .element = same});
  cases.push_back(
      {.op = "dropout",
       .signature = "%x: real[B, T, D], %seed: i32[] in -9..9, %counter: i32[] "
                    "in 0..99 -> real[B, T, D]",
       .body = "dropout %x p 0.3 stream 2 seed %seed counter %counter",
       .sizes = sizes,
       .element = dropped,
       .bf16 = true});
  return cases;
}

} // namespace bitbyte::bb::ops
