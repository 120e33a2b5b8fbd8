//===- GpuAttentionTest.cpp - Attention for GPUs, on the emulator ---------===//
//
// All checks of the emulator are on, and asynchronous copies are as late as
// they may be (or random).
//
//===----------------------------------------------------------------------===//
#include "test/passes/tile/Check.h"

#include <gtest/gtest.h>

namespace {

struct Case {
  int64_t batch, queries, keys, heads, groups, width, valueWidth;
  std::string clauses;
  std::string schedule = "lazy";
};

std::string tensor(const std::string &type, int64_t batch, int64_t rows,
                   int64_t heads, int64_t width) {
  std::string text = type + "[";
  for (int64_t n : {batch, rows, heads, width})
    text += std::to_string(n) + ", ";
  text.resize(text.size() - 2);
  return text + "]";
}

/// bf16: inputs are the same numbers for the reference; weights and the
/// gradient's factors are rounded on their way.
double toleranceOf(const std::string &type) {
  return type == "f32" ? 2e-5 : 1e-2;
}

void forward(const std::string &type, const Case &c) {
  std::string q = tensor(type, c.batch, c.queries, c.heads, c.width),
              k = tensor(type, c.batch, c.keys, c.groups, c.width),
              v = tensor(type, c.batch, c.keys, c.groups, c.valueWidth),
              y = tensor(type, c.batch, c.queries, c.heads, c.valueWidth),
              l = "f32[" + std::to_string(c.batch) + ", " +
                  std::to_string(c.heads) + ", " + std::to_string(c.queries) +
                  "]";
  int64_t dispatches =
      check("program @p(%q: " + q + ", %k: " + k + ", %v: " + v + ") -> " + y +
                ", " + l + " { %y, %l = attention %q, %k, %v " + c.clauses +
                " lse\n return %y, %l }",
            toleranceOf(type), "cuda", c.schedule);
  EXPECT_EQ(dispatches, 1);
}

void backward(const std::string &type, const Case &c, int64_t expected = 3) {
  std::string q = tensor(type, c.batch, c.queries, c.heads, c.width),
              k = tensor(type, c.batch, c.keys, c.groups, c.width),
              v = tensor(type, c.batch, c.keys, c.groups, c.valueWidth),
              y = tensor(type, c.batch, c.queries, c.heads, c.valueWidth);
  int64_t dispatches = check(
      "program @p(%q: " + q + ", %k: " + k + ", %v: " + v + ", %dy: " + y +
          ") -> " + q + ", " + k + ", " + v +
          " { %y, %l = attention %q, %k, %v " + c.clauses +
          " lse\n %dq, %dk, %dv = attention_grad %q, %k, %v, %y, %l, %dy " +
          c.clauses + "\n return %dq, %dk, %dv }",
      2 * toleranceOf(type), "cuda", c.schedule);
  EXPECT_EQ(dispatches, expected);
}

TEST(GpuAttention, Forward) {
  for (const Case &c :
       {Case{1, 2, 2, 1, 1, 16, 16, "causal"},
        {2, 17, 17, 4, 2, 16, 16, "causal"},
        {1, 70, 70, 2, 1, 24, 24, "causal", "random:1"},
        {1, 33, 200, 2, 2, 20, 40, ""},
        {1, 150, 150, 2, 1, 16, 16, "causal window 40", "random:2"},
        {1, 60, 150, 2, 1, 5, 5, "window 9"},
        {1, 100, 100, 1, 1, 16, 16, "causal block 20"}})
    forward("bf16", c);
  for (const Case &c : {Case{2, 17, 17, 4, 2, 16, 16, "causal"},
                        {1, 100, 100, 2, 1, 24, 12, "causal window 40"},
                        {1, 30, 90, 1, 1, 16, 16, "scale 3.0"}})
    forward("f32", c);
}

// Rows of 128 queries, of which a warp owns 32; queries that pass through
// scratch in every step.
TEST(GpuAttention, ForwardOfManyRows) {
  forward("bf16", {7, 130, 130, 8, 8, 16, 16, "causal"});
  forward("bf16", {1, 40, 40, 1, 1, 256, 256, "causal"});
}

// A ring that has gone round, and one with empty slots: the integers are below
// 5.
TEST(GpuAttention, ForwardOverARing) {
  for (int64_t slots : {4, 40})
    for (const std::string clauses : {" causal", " causal window 3"}) {
      std::string kv = tensor("f32", 1, slots, 2, 16),
                  q = tensor("f32", 1, 3, 4, 16);
      check("program @p(%q: " + q + ", %k: " + kv + ", %v: " + kv +
                ", %at: i32[]) -> " + q +
                " { %y = attention %q, %k, %v at %at" + clauses +
                "\n return %y }",
            2e-5, "cuda", "random:3");
    }
}

TEST(GpuAttention, Backward) {
  for (const Case &c :
       {Case{2, 17, 17, 4, 2, 16, 16, "causal"},
        {1, 150, 150, 2, 1, 24, 12, "causal window 40", "random:2"},
        {1, 70, 70, 2, 2, 16, 16, ""},
        {1, 70, 70, 1, 1, 128, 128, "causal block 20"}})
    backward("bf16", c);
  backward("f32", {1, 80, 80, 2, 1, 24, 12, "causal window 40"});
}

// dK and dV have a kernel each.
TEST(GpuAttention, BackwardOfWideHeads) {
  backward("bf16", {1, 20, 20, 1, 1, 130, 144, "causal"}, 4);
  backward("f32", {1, 20, 20, 1, 1, 72, 16, "causal"}, 4);
}

} // namespace
