//===- MemoryTest.cpp - Atomics, ldmatrix, cp.async and its groups --------===//
#include "test/runtime/emu/Bench.h"

#include <algorithm>

using namespace bitbyte;

namespace {

using U = uint32_t;

/// All lanes update one word of shared memory, which starts as `start`; every
/// lane returns what it found, and the word at the end.
Result<std::vector<uint32_t>> updated(const std::string &action, uint32_t start,
                                      const std::vector<uint32_t> &input) {
  return runBody(fmt::format("setp.eq.s32 %p1, %r0, 0; mov.b32 %r9, {}; @%p1 "
                             "st.shared.b32 [sm], %r9; bar.sync 0; {} bar.sync "
                             "0; ld.shared.b32 %r21, [sm];",
                             start, action),
                 input);
}

TEST(EmuAtomics, OfIntegers) {
  auto input = numbers();
  auto check = [&](const std::string &action, uint32_t start, auto &&step) {
    auto output = updated(action + " %r20, [sm], %r1;", start, input);
    ASSERT_TRUE(output) << output.error().message;
    uint32_t value = start;
    for (size_t i = 0; i < 32; ++i) { // lanes act in order here
      EXPECT_EQ((*output)[4 * i], value) << action << " " << i;
      value = step(value, input[4 * i]);
    }
    EXPECT_EQ((*output)[1], value) << action;
  };
  check("atom.shared.add.u32", 5, [](U a, U b) { return a + b; });
  check("atom.shared.min.s32", 5,
        [](U a, U b) { return U(std::min(int32_t(a), int32_t(b))); });
  check("atom.shared.max.u32", 5, [](U a, U b) { return std::max(a, b); });
  check("atom.shared.and.b32", ~U(0), [](U a, U b) { return a & b; });
  check("atom.shared.or.b32", 0, [](U a, U b) { return a | b; });
  check("atom.shared.xor.b32", 5, [](U a, U b) { return a ^ b; });
  check("atom.shared.exch.b32", 5, [](U, U b) { return b; });
  for (U &word : input)
    word = word % 7 + 1;
  check("atom.shared.inc.u32", 3, [](U a, U b) { return a >= b ? 0 : a + 1; });
  check("atom.shared.dec.u32", 3,
        [](U a, U b) { return a == 0 || a > b ? b : a - 1; });
}

TEST(EmuAtomics, CompareAndSwap) {
  // Each lane's expectation is what the lane before it leaves: a chain.
  auto output =
      updated("add.s32 %r10, %r0, 1; atom.shared.cas.b32 %r20, [sm], %r0, "
              "%r10;",
              0, numbers());
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ((*output)[1], 32u);
  EXPECT_EQ((*output)[4 * 31], 31u);
  auto unequal = updated("atom.shared.cas.b32 %r20, [sm], 9, 1;", 3, numbers());
  ASSERT_TRUE(unequal) << unequal.error().message;
  EXPECT_EQ((*unequal)[1], 3u);
}

TEST(EmuAtomics, OfFloats) {
  std::vector<uint32_t> ones(128, u(0.5f));
  auto output = updated("red.shared.add.f32 [sm], %r1;", u(1), ones);
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(f((*output)[1]), 17.f);
  // Halves: 32 times 0.5 and 0.25 from 1 and 2.
  std::fill(ones.begin(), ones.end(), 0x38003400);
  output = updated("red.shared.add.noftz.f16x2 [sm], %r1;", 0x3c004000, ones);
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ((*output)[1], 0x4c404900u); // 17 and 10
  // bf16 keeps eight bits: from 256 on adding 0.5 changes nothing.
  std::fill(ones.begin(), ones.end(), 0x3f003f00);
  output = updated("red.shared.add.noftz.bf16x2 [sm], %r1;", 0x3f804380, ones);
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ((*output)[1], 0x41884380u); // 17 and 256
  // A double in global memory: there is one of lane 0, the output's.
  output = runBody("mov.f64 %d7, 0d3FE0000000000000; bar.warp.sync -1; "
                   "red.global.add.f64 [%d2+8], %d7; bar.warp.sync -1; "
                   "setp.ne.s32 %p1, %r0, 0; @%p1 bra SKIP; ld.global.v2.b32 "
                   "{%r22,%r23}, [%d2+8]; SKIP: mov.b32 %r20, 0;",
                   numbers());
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(std::bit_cast<double>((*output)[2] | uint64_t((*output)[3]) << 32),
            16.0);
}

/// Shared memory holds halfword i at 2 i, for 512 of them: row r of matrix q is
/// halfwords 64 q + 8 r on. `form` is ".x4", ".x2.trans"…
std::vector<uint32_t> matrices(const std::string &form, int count) {
  const char *results[] = {"{%r20}", "{%r20,%r21}", "",
                           "{%r20,%r21,%r22,%r23}"};
  auto output = runBody(
      fmt::format("shl.b32 %r5, %r0, 4; mov.b32 %r9, sm; add.s32 %r9, %r9, "
                  "%r5; shl.b32 %r6, %r0, 3; shl.b32 %r7, %r6, 16; or.b32 %r6, "
                  "%r6, %r7; add.s32 %r10, %r6, 0x10000; add.s32 %r11, %r6, "
                  "0x30002; add.s32 %r12, %r6, 0x50004; add.s32 %r13, %r6, "
                  "0x70006; st.shared.v4.b32 [%r9], {{%r10,%r11,%r12,%r13}}; "
                  "bar.sync 0; ldmatrix.sync.aligned.m8n8{}.shared.b16 {}, "
                  "[%r9];",
                  form, results[count - 1]),
      numbers());
  if (output)
    return *output;
  ADD_FAILURE() << output.error().message;
  return std::vector<uint32_t>(128);
}

TEST(EmuInstructions, LoadMatrix) {
  for (int count : {1, 2, 4}) {
    auto plain = matrices(fmt::format(".x{}", count), count);
    auto transposed = matrices(fmt::format(".x{}.trans", count), count);
    for (int lane = 0; lane < 32; ++lane)
      for (int q = 0; q < 4; ++q) {
        auto at = [&](int row, int column) {
          return q < count ? U(64 * q + 8 * row + column) : 0;
        };
        int r = lane / 4, c = lane % 4 * 2;
        EXPECT_EQ(plain[size_t(4 * lane + q)], at(r, c) | at(r, c + 1) << 16)
            << count << " lane " << lane << " matrix " << q;
        EXPECT_EQ(transposed[size_t(4 * lane + q)], at(c, r) | at(c + 1, r)
                                                                   << 16)
            << count << " lane " << lane << " matrix " << q;
      }
  }
}

TEST(EmuInstructions, StoreMatrixUndoesLoadMatrix) {
  expectEqual("shl.b32 %r5, %r0, 4; mov.b32 %r9, sm; add.s32 %r9, %r9, %r5; "
              "stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%r9], "
              "{%r1,%r2}; bar.sync 0; "
              "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%r20,%r21}, "
              "[%r9];",
              [](U a, U, U) { return a; });
}

TEST(EmuInstructions, SaturatingMultiplyOfMatrices) {
  // Each sum gains 32 * 127 * 127 = 516128.
  std::vector<uint32_t> input(128, 0x7f7f7f7f);
  for (const char *saturation : {"", ".satfinite"}) {
    auto output =
        runBody(fmt::format("mov.b32 %r5, 0x7fffff00; "
                            "mma.sync.aligned.m16n8k32.row.col{}.s32.s8.s8.s32 "
                            "{{%r20,%r21,%r22,%r23}}, {{%r1,%r1,%r1,%r1}}, "
                            "{{%r1,%r1}}, {{%r5,%r5,%r5,%r5}};",
                            saturation),
                input);
    ASSERT_TRUE(output) << output.error().message;
    EXPECT_EQ((*output)[0], *saturation ? 0x7fffffffu : 0x7fffff00u + 516128u);
  }
}

/// Lane i copies word 4 i of the input to word i of shared memory.
const char *copy = "mul.wide.u32 %d7, %r0, 16; add.s64 %d7, %d7, %d1; shl.b32 "
                   "%r5, %r0, 2; mov.b32 %r9, sm; add.s32 %r9, %r9, %r5; "
                   "cp.async.ca.shared.global [%r9], [%d7], 4; ";

TEST(EmuCopies, GroupsBelongToThreads) {
  // The lower half commits a group that the upper half has not: for the upper
  // `wait_group 1` leaves its only group open, for the lower it does not.
  std::string body =
      copy + std::string("cp.async.commit_group; setp.lt.u32 %p1, %r0, 16; "
                         "@!%p1 bra A; cp.async.commit_group; A: "
                         "cp.async.wait_group 1; ");
  emu::Options lazy;
  lazy.schedule = emu::Schedule::Lazy;
  std::string lower = "@%p1 ld.shared.b32 %r20, [%r9]; cp.async.wait_all;";
  for (emu::Options options : {emu::Options(), lazy}) {
    auto output = runBody(body + lower, numbers(), options);
    ASSERT_TRUE(output) << output.error().message;
    EXPECT_EQ((*output)[4 * 15], numbers()[4 * 15]);
    EXPECT_EQ((*output)[4 * 16], 0u);
    expectFinding(body + "@!%p1 ld.shared.b32 %r20, [%r9]; cp.async.wait_all;",
                  "asynchronous copy that was not waited for", options);
    expectFinding(body, "leftover", options);
  }
}

TEST(EmuCopies, ZeroFill) {
  // Lane i takes i % 5 bytes of its 4: the rest becomes zero.
  std::string body = copy;
  body.replace(body.find(", 4; "), 5, ", 4, %r6; ");
  body = "rem.u32 %r6, %r0, 5; " + body +
         "cp.async.wait_all; ld.shared.b32 %r20, [%r9];";
  auto output = runBody(body, numbers());
  ASSERT_TRUE(output) << output.error().message;
  for (size_t i = 0; i < 32; ++i)
    EXPECT_EQ((*output)[4 * i],
              numbers()[4 * i] & U((uint64_t(1) << 8 * (i % 5)) - 1));
}

} // namespace
