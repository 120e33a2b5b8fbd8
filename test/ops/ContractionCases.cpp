//===- ContractionCases.cpp - Rows of matmul-like ops ---------------------===//

#include "test/ops/OpCase.h"

namespace bitbyte::bb::ops {

namespace {

/// x [.., I] times w [O, I], plus a bias.
double linear(const Inputs &in, const Index &at, unsigned) {
  const Array &x = in["x"];
  int64_t row = 0, o = at.back();
  for (size_t axis = 0; axis + 1 < at.size(); ++axis)
    row = row * x.shape[axis] + at[axis];
  double sum = in.has("bias") ? in["bias"].at(o) : 0;
  for (int64_t i = 0; i < in.size("I"); ++i)
    sum += in["w"].at(o, i) * x[row * in.size("I") + i];
  return sum;
}

/// A sum over every letter that the result does not name, by recursion.
Element einsum(std::string a, std::string b, std::string y) {
  return [=](const Inputs &in, const Index &at, unsigned) {
    std::map<char, int64_t> place, extent;
    for (auto [letters, name] : {std::pair(a, "a"), std::pair(b, "b")})
      for (size_t axis = 0; axis < letters.size(); ++axis)
        extent[letters[axis]] = in[name].shape[axis];
    for (size_t axis = 0; axis < y.size(); ++axis)
      place[y[axis]] = at[axis];
    std::string summed;
    for (auto [letter, size] : extent)
      if (y.find(letter) == std::string::npos)
        summed.push_back(letter);
    auto read = [&](const std::string &letters, const Array &x) {
      int64_t offset = 0;
      for (size_t axis = 0; axis < letters.size(); ++axis)
        offset = offset * x.shape[axis] + place[letters[axis]];
      return x[offset];
    };
    std::function<double(size_t)> sum = [&](size_t i) {
      if (i == summed.size())
        return read(a, in["a"]) * read(b, in["b"]);
      double total = 0;
      for (int64_t k = 0; k < extent[summed[i]]; ++k) {
        place[summed[i]] = k;
        total += sum(i + 1);
      }
      return total;
    };
    return sum(0);
  };
}

} // namespace

std::vector<OpCase> contractionCases() {
  std::vector<OpCase> cases;
  for (bool bias : {false, true})
    cases.push_back(
        {.op = "linear",
         .signature = std::string("%x: real[B, T, I], %w: real[O, I]") +
                      (bias ? ", %bias: real[O]" : "") + " -> real[B, T, O]",
         .body = std::string("linear %x, %w") + (bias ? ", %bias" : ""),
         .sizes = {"B=1 T=1 I=1 O=1", "B=2 T=3 I=37 O=5", "B=1 T=13 I=70 O=33",
                   "B=2 T=8 I=16 O=32"},
         .element = linear,
         .bf16 = true});
  cases.push_back({.op = "linear",
                   .signature = "%x: real[I], %w: real[O, I] -> real[O]",
                   .body = "linear %x, %w",
                   .sizes = {"I=1 O=3", "I=19 O=21"},
                   .element = linear});
  cases.push_back({.op = "linear",
                   .signature = "%x: real[T, I], %w: real[O, I] -> real[T, O]",
                   .body = "linear %x, %w",
                   .sizes = {"T=7 I=3 O=1", "T=65 I=17 O=49",
                             "T=25 I=102 O=112", "T=18 I=64 O=130"},
                   .element = linear});

  // Parts of rows, read where they lie: whole 16 bytes, and not.
  cases.push_back(
      {.op = "linear",
       .signature = "%x3: real[T, 3*I], %w2: real[O, 2*I] -> real[T, O]",
       .body = "%x0, %x1, %x2 = split %x3 into [I, I, I]\n"
               "%w0, %w1 = split %w2 into [I, I]\n"
               "%y = linear %x1, %w1\nreturn %y",
       .sizes = {"T=65 I=17 O=49", "T=7 I=8 O=1", "T=70 I=8 O=32",
                 "T=33 I=24 O=130"},
       .element =
           [](const Inputs &in, const Index &at, unsigned) {
             double sum = 0;
             int64_t depth = in.size("I");
             for (int64_t i = 0; i < depth; ++i)
               sum += in["x3"].at(at[0], depth + i) *
                      in["w2"].at(at[1], depth + i);
             return sum;
           },
       .bf16 = true});

  struct Form {
    const char *a, *b, *y;        ///< Letters.
    const char *from, *with, *to; ///< Shapes.
  };
  for (Form form :
       {Form{"ab", "bc", "ac", "[P, Q]", "[Q, R]", "[P, R]"},
        Form{"ab", "cb", "ac", "[P, Q]", "[R, Q]", "[P, R]"},
        Form{"ba", "bc", "ac", "[Q, P]", "[Q, R]", "[P, R]"},
        Form{"abo", "oi", "abi", "[S, P, Q]", "[Q, R]", "[S, P, R]"},
        Form{"abo", "abi", "oi", "[S, P, Q]", "[S, P, R]", "[Q, R]"},
        Form{"sab", "sbc", "sac", "[S, P, Q]", "[S, Q, R]", "[S, P, R]"},
        Form{"bthd", "bshd", "bhts", "[2, P, S, Q]", "[2, R, S, Q]",
             "[2, S, P, R]"},
        Form{"ab", "b", "a", "[P, Q]", "[Q]", "[P]"},
        Form{"abc", "cd", "ad", "[P, S, Q]", "[Q, R]", "[P, R]"},
        Form{"a", "b", "ab", "[P]", "[R]", "[P, R]"}})
    cases.push_back(
        {.op = "einsum",
         .signature = "%a: real" + std::string(form.from) + ", %b: real" +
                      form.with + " -> real" + form.to,
         .body = "einsum %a, %b as \"" + std::string(form.a) + "," + form.b +
                 "->" + form.y + "\"",
         .sizes = {"P=1 Q=1 R=1 S=1", "P=7 Q=13 R=5 S=3", "P=17 Q=33 R=35 S=2"},
         .element = einsum(form.a, form.b, form.y),
         .bf16 = true});
  cases.push_back({.op = "einsum",
                   .signature = "%a: real[P, Q], %b: real[Q, R] -> f32[P, R]",
                   .body = "einsum %a, %b as \"ab,bc->ac\" into f32",
                   .sizes = {"P=9 Q=33 R=18"},
                   .element = einsum("ab", "bc", "ac"),
                   .bf16 = true});
  return cases;
}

} // namespace bitbyte::bb::ops
