//===- ScheduleTest.cpp - Kernels against the meaning of their regions ----===//
#include "test/passes/tile/Check.h"

#include <gtest/gtest.h>

namespace {

std::string number(int64_t n) { return std::to_string(n); }

TEST(Schedules, ElementWise) {
  for (int64_t n : {1, 7, 8, 33, 130}) {
    std::string t = "f32[3, " + number(n) + "]";
    check("program @p(%x: " + t + ", %y: f32[" + number(n) +
          "], %s: f32[]) -> " + t + ", " + t +
          " { %a = mul %x, %y\n %b = silu %a\n %c = mul %b, %s\n"
          " %d = softplus %x\n %e = div %d, %s\n return %c, %e }");
  }
  // Small steps keep their digits.
  check("program @p(%x: f32[40]) -> f32[40] { %a = scale %x by 1.0 plus -12.0\n"
        " %b = softplus %a\n %c = log %b\n return %c }",
        1e-6);
}

TEST(Schedules, ComparisonsAndIntegers) {
  check("program @p(%x: f32[37], %i: i32[37], %u: u8[37], %c: i1[37]) -> "
        "f32[37], i32[37], f32[37], i32[37] { %a = lt %x, %x\n %f = is_finite "
        "%x\n"
        " %b = select %c, %x, %x\n %j = add %i, %i\n %k = cast %u to f32\n"
        " %l = eq %i, %j\n %z = cast %l to i32\n return %b, %j, %k, %z }");
}

TEST(Schedules, Bf16IsRoundedAtStores) {
  check("program @p(%x: bf16[5, 40], %g: f32[40]) -> bf16[5, 40] {"
        " %y = rms_norm %x, %g eps 1.0e-5\n return %y }",
        5e-3);
}

TEST(Schedules, Norms) {
  for (int64_t n : {1, 5, 8, 36, 64, 100}) {
    std::string t = "f32[2, 9, " + number(n) + "]",
                g = "f32[" + number(n) + "]";
    check("program @p(%x: " + t + ", %g: " + g + ", %b: " + g + ") -> " + t +
          ", " + t +
          " { %y = rms_norm %x, %g eps 1.0e-5\n"
          " %z = layer_norm %x, %g, %b eps 1.0e-5\n return %y, %z }");
  }
}

TEST(Schedules, SoftmaxAndLoss) {
  for (int64_t n : {5, 8, 40, 256}) {
    std::string t = "f32[2, 11, " + number(n) + "]";
    check("program @p(%x: " + t + ", %next: u8[2, 11]) -> f32[2, 11], " + t +
          " { %y = cross_entropy %x, %next\n %z = softmax %x\n"
          " %h = one_hot %next of " +
          number(n) +
          "\n %d = sub %z, %h\n"
          " return %y, %d }");
  }
}

// Loss and gradient behind the head's product, whose rows a program has whole.
TEST(Schedules, HeadAndLoss) {
  for (int64_t n : {16, 40, 64, 100, 256})
    for (int64_t rows : {9, 33, 100})
      for (std::string type : {"f32", "bf16"}) {
        std::string r = number(rows), v = number(n);
        check("program @p(%h: " + type + "[2, " + r + ", 32], %w: " + type +
                  "[" + v + ", 32], %next: u8[2, " + r +
                  "], %weight: f32[]) -> f32[2, " + r + "], " + type + "[2, " +
                  r + ", " + v +
                  "] { %z = linear %h, %w\n %y = cross_entropy %z, %next\n"
                  " %s = softmax %z\n %o = one_hot %next of " +
                  v +
                  "\n %d = sub %s, %o\n %e = mul %d, %weight\n"
                  " %g = cast %e to " +
                  type + "\n return %y, %g }",
              type == "f32" ? 1e-5 : 2e-2);
      }
  // Whatever else sums over a row: a norm, with operands of rows and columns.
  check("program @p(%x: f32[70, 36], %w: f32[48, 36], %r: f32[70, 48],"
        " %g: f32[48]) -> f32[70, 48] { %y = linear %x, %w\n"
        " %h = add %y, %r\n %n = rms_norm %h, %g eps 1.0e-5\n return %n }");
}

TEST(Schedules, ColumnSums) {
  for (int64_t n : {1, 6, 8, 45, 200}) {
    std::string t = "f32[7, 60, " + number(n) + "]",
                g = "f32[" + number(n) + "]";
    check("program @p(%x: " + t + ", %y: " + t + ", %old: " + g + ") -> " + g +
          ", " + g +
          " { %a = mul %x, %y\n %b = reduce %a by sum axes [0, 1]\n"
          " %c = add %b, %old\n %d = reduce %x by mean axes [0, 1]\n return "
          "%c, %d }");
  }
}

TEST(Schedules, WholeSums) {
  check("program @p(%x: f32[60, 256], %w: f32[]) -> f32[] { %a = square %x\n"
        " %b = reduce %a by sum axes [1]\n %c = reduce %b by sum axes [0]\n"
        " %d = sqrt %c\n %e = mul %d, %w\n return %e }");
  check(
      "program @p(%x: f32[3, 5]) -> f32[] { %b = reduce %x by sum axes [0, 1]\n"
      " return %b }");
  check("program @p(%x: f32[90]) -> f32[] { %b = reduce %x by max axes [0]\n"
        " return %b }");
}

TEST(Schedules, OneRegionOfSeveralResults) {
  // An optimizer step, all in place.
  for (int64_t n : {5, 64, 1000}) {
    std::string t = "f32[" + number(n) + "]";
    check("program @p(%p: " + t + ", %g: " + t + ", %m: " + t +
          ", %lr: f32[])"
          " -> " +
          t + ", " + t + ", " + t +
          " { %c = mul %g, %lr\n"
          " %m1 = add %m, %c\n %e = tanh %m1\n %p1 = sub %p, %e\n"
          " %z = mul %g, %p1\n return %m1, %p1, %z }");
  }
  // A row's statistic lies where an operand of the same form was.
  check("program @p(%x: f32[9, 40], %s: f32[9, 1]) -> f32[9, 40], f32[9, 1] {"
        " %y = mul %x, %s\n %q = square %y\n"
        " %r = reduce %q by mean axes [1] keep\n return %y, %r }");
  // Two epilogues of one product.
  check("program @p(%dy: f32[32, 24], %w: f32[24, 48], %g: f32[32, 48],"
        " %u: f32[32, 48]) -> f32[32, 48], f32[32, 48] {"
        " %d = einsum %dy, %w as \"ao,oi->ai\"\n %s = silu %g\n"
        " %du = mul %d, %s\n %e = mul %d, %u\n %h = sigmoid %g\n"
        " %dg = mul %e, %h\n return %du, %dg }");
}

TEST(Schedules, Rotary) {
  for (const char *form : {"", " pairs", " inverse"})
    for (int64_t d : {4, 16, 24})
      check("program @p(%x: f32[2, 6, 3, " + number(d) + "]) -> f32[2, 6, 3, " +
            number(d) + "] { %y = rope %x theta 10000.0" + form +
            "\n return %y }");
}

TEST(Schedules, Gather) {
  for (int64_t n : {3, 8, 50})
    check("program @p(%ids: u8[4, 9], %t: f32[6, " + number(n) +
          "], %p: f32[9, " + number(n) + "]) -> f32[4, 9, " + number(n) +
          "] { %x = embed %ids, %t\n"
          " %i = positions of 9\n %q = embed %i, %p\n %y = add %x, %q\n return "
          "%y }");
}

TEST(Schedules, Views) {
  check("program @p(%x: f32[5, 9, 12]) -> f32[12, 9, 5], f32[5, 3, 12], "
        "f32[5, 9, 4], f32[5, 9, 8] {"
        " %a = transpose %x by [2, 1, 0]\n %b = slice %x axis 1 from 4 size 3\n"
        " %c, %d = split %x into [4, 8]\n return %a, %b, %c, %d }");
  check("program @p(%x: f32[2, 5, 7], %y: f32[2, 5, 4], %f: f32[7]) -> "
        "f32[2, 5, 11], f32[2, 8, 7], f32[2, 5, 7], f32[3, 2, 5, 7] {"
        " %a = concat %x, %y\n %b = pad %x axis 1 before 1 after 2\n"
        " %c = shift %x, %f\n %d = broadcast %x to [3, 2, 5, 7]\n"
        " return %a, %b, %c, %d }");
  // Tiles inside a part, across the edges of parts, and beside them.
  check("program @p(%x: f32[3, 64], %y: f32[3, 20], %z: f32[3, 70]) -> "
        "f32[3, 154] { %a = concat %x, %y, %z\n %b = silu %a\n return %b }");
}

TEST(Schedules, Products) {
  for (auto [m, n, k] : {std::array<int64_t, 3>{1, 40, 33},
                         {6, 16, 8},
                         {13, 21, 19},
                         {30, 40, 12},
                         {4, 5, 3},
                         {5, 10, 8}}) {
    std::string x = "f32[1, " + number(m) + ", " + number(k) + "]",
                w = "f32[" + number(n) + ", " + number(k) + "]",
                y = "f32[1, " + number(m) + ", " + number(n) + "]";
    check("program @p(%x: " + x + ", %w: " + w + ", %r: " + y + ", %dy: " + y +
          ") -> " + y + ", " + x + ", " + w +
          " { %a = linear %x, %w\n %b = silu %a\n %c = add %b, %r\n"
          " %dx = einsum %dy, %w as \"abo,oi->abi\"\n"
          " %dw = einsum %dy, %x as \"abo,abi->oi\"\n"
          " %old = add %dw, %w\n return %c, %dx, %old }");
  }
}

TEST(Schedules, ProductsAndAttentionInBf16) {
  check("program @p(%x: bf16[2, 9, 24], %w: bf16[40, 24], %dy: bf16[2, 9, 40]) "
        "-> bf16[2, 9, 40], bf16[2, 9, 24], f32[40, 24] {"
        " %y = linear %x, %w\n %s = gelu %y\n"
        " %dx = einsum %dy, %w as \"abo,oi->abi\"\n"
        " %dw = einsum %dy, %x as \"abo,abi->oi\" into f32\n"
        " return %s, %dx, %dw }",
        8e-3);
  // Enough columns for a program to widen its rows first.
  check("program @p(%x: bf16[1, 13, 37], %w: bf16[2056, 37]) -> "
        "bf16[1, 13, 2056] { %y = linear %x, %w\n return %y }",
        8e-3);
  check("program @p(%q: bf16[1, 20, 2, 16], %k: bf16[1, 20, 2, 16],"
        " %v: bf16[1, 20, 2, 16], %dy: bf16[1, 20, 2, 16]) -> "
        "bf16[1, 20, 2, 16], bf16[1, 20, 2, 16], bf16[1, 20, 2, 16] {"
        " %y, %l = attention %q, %k, %v causal lse\n"
        " %dq, %dk, %dv = attention_grad %q, %k, %v, %y, %l, %dy causal\n"
        " return %dq, %dk, %dv }",
        3e-2);
}

TEST(Schedules, Attention) {
  for (auto [form, t] : {std::pair(" causal", 1),
                         {" causal", 5},
                         {" causal", 29},
                         {"", 29},
                         {" causal window 5", 29},
                         {" causal block 4", 29}}) {
    std::string q = "f32[2, " + number(t) + ", 4, 12]",
                kv = "f32[2, " + number(t) + ", 2, 12]";
    check("program @p(%q: " + q + ", %k: " + kv + ", %v: " + kv +
          ", %dy: " + q + ") -> " + q + ", " + q + ", " + kv + ", " + kv +
          " { %y, %l = attention %q, %k, %v" + form +
          " lse\n"
          " %dq, %dk, %dv = attention_grad %q, %k, %v, %y, %l, %dy" +
          form + "\n return %y, %dq, %dk, %dv }");
  }
}

TEST(Schedules, AttentionOverARing) {
  // The test's integers are below 5: the ring of 4 has gone round, that of 20
  // has empty slots.
  for (int64_t slots : {4, 20})
    for (const char *form : {" causal", " causal window 3"})
      check("program @p(%q: f32[1, 2, 4, 16], %k: f32[1, " + number(slots) +
            ", 2, 16], %v: f32[1, " + number(slots) +
            ", 2, 16], %at: i32[]) -> "
            "f32[1, 2, 4, 16] { %y = attention %q, %k, %v" +
            form + " at %at\n return %y }");
}

// Two columns at once, an odd number of them with a part of one; a last chunk
// cut short. Steps of `reach` e take exponents beyond those of f32, and rates
// of both signs grow as well as decay.
TEST(Schedules, SelectiveScan) {
  for (auto [t, d, n, reach] : {std::tuple(1, 8, 4, 0.1),
                                {37, 16, 16, 0.1},
                                {40, 35, 6, 0.1},
                                {37, 16, 16, 300.0}}) {
    std::string x = "f32[2, " + number(t) + ", " + number(d) + "]",
                a = "f32[" + number(d) + ", " + number(n) + "]",
                b = "f32[2, " + number(t) + ", " + number(n) + "]";
    std::string rate = reach > 1 ? "%a1 = exp %a0\n %a = neg %a1\n"
                                 : "%a = scale %a0 by 1.0\n";
    check("program @p(%x: " + x + ", %dt0: " + x + ", %a0: " + a +
          ", %b: " + b + ", %c: " + b + ", %dy: " + x + ") -> " + x + ", " + x +
          ", " + x + ", " + a + ", " + b + ", " + b +
          " { %dt1 = exp %dt0\n %dt = scale %dt1 by " + std::to_string(reach) +
          "\n " + rate +
          " %y, %s = selective_scan %x, %dt, %a, %b, %c save 32\n"
          " %dx, %ddt, %da, %db, %dc = selective_scan_grad %x, %dt, %a, %b, "
          "%c, %s, %dy save 32\n return %y, %dx, %ddt, %da, %db, %dc }");
  }
}

} // namespace
