//===- EmuTest.cpp - Instructions against scalar references ---------------===//
#include "test/runtime/emu/Bench.h"

using namespace bitbyte;
using testing::HasSubstr;

namespace {

TEST(EmuInstructions, Integer) {
  using U = uint32_t;
  expectEqual("add.s32 %r20, %r1, %r2;", [](U a, U b, U) { return a + b; });
  expectEqual("mad.lo.s32 %r20, %r1, %r2, %r3;",
              [](U a, U b, U c) { return a * b + c; });
  expectEqual("mul.hi.u32 %r20, %r1, %r2;",
              [](U a, U b, U) { return U(uint64_t(a) * b >> 32); });
  expectEqual("mul.hi.s32 %r20, %r1, %r2;", [](U a, U b, U) {
    return U(int64_t(int32_t(a)) * int32_t(b) >> 32);
  });
  expectEqual("and.b32 %r2, %r2, 63; shl.b32 %r20, %r1, %r2;",
              [](U a, U b, U) { return (b & 63) < 32 ? a << (b & 31) : 0; });
  expectEqual("and.b32 %r2, %r2, 63; shr.s32 %r20, %r1, %r2;", [](U a, U b, U) {
    return U(int32_t(a) >> std::min(b & 63, 31u));
  });
  expectEqual("bfe.u32 %r20, %r1, 7, 9;",
              [](U a, U, U) { return a >> 7 & 511; });
  expectEqual("bfe.s32 %r20, %r1, 7, 9;",
              [](U a, U, U) { return U(int32_t(a << 16) >> 23); });
  expectEqual("lop3.b32 %r20, %r1, %r2, %r3, 0xe8;",
              [](U a, U b, U c) { return (a & b) | (a & c) | (b & c); });
  expectEqual("prmt.b32 %r20, %r1, %r2, 0x4107;", [](U a, U b, U) {
    return (b >> 24) | (a & 255) << 8 | (a & 0xff00) << 8 | (b & 255) << 24;
  });
  expectEqual("shf.l.wrap.b32 %r20, %r1, %r2, 5;",
              [](U a, U b, U) { return b << 5 | a >> 27; });
  expectEqual("popc.b32 %r20, %r1;",
              [](U a, U, U) { return U(std::popcount(a)); });
  expectEqual("rem.u32 %r20, %r1, 768;", [](U a, U, U) { return a % 768; });
  expectEqual("div.s32 %r20, %r1, -7;",
              [](U a, U, U) { return U(int32_t(a) / -7); });
  expectEqual("div.u32 %r20, %r1, 0;", [](U, U, U) { return ~U(0); });
  expectEqual("dp4a.s32.s32 %r20, %r1, %r2, %r3;", [](U a, U b, U c) {
    for (int k = 0; k < 32; k += 8)
      c += U(int(int8_t(a >> k)) * int(int8_t(b >> k)));
    return c;
  });
  expectEqual("cvt.s16.s8 %h1, %r1; cvt.s32.s16 %r20, %h1;",
              [](U a, U, U) { return U(int32_t(int8_t(a))); });
  expectEqual(
      "setp.lt.and.s32 %p1|%p2, %r1, %r2, -1; selp.b32 %r20, 1, 2, %p1;",
      [](U a, U b, U) { return int32_t(a) < int32_t(b) ? 1u : 2u; });
}

TEST(EmuInstructions, Float) {
  using U = uint32_t;
  expectEqual(
      "fma.rn.f32 %r20, %r1, %r2, %r3;",
      [](U a, U b, U c) { return u(std::fma(f(a), f(b), f(c))); }, floats());
  expectEqual(
      "mul.f32 %r1, %r1, %r2; add.f32 %r20, %r1, %r3;",
      [](U a, U b, U c) {
        volatile float product = f(a) * f(b);
        return u(product + f(c));
      },
      floats());
  expectEqual(
      "cvt.rn.bf16x2.f32 %r20, %r1, %r2;",
      [](U a, U b, U) {
        auto bf = [](U x) { return (x + 0x7fff + (x >> 16 & 1)) >> 16; };
        return bf(a) << 16 | bf(b);
      },
      floats());
  expectEqual(
      "cvt.rni.s32.f32 %r20, %r1;",
      [](U a, U, U) { return U(int32_t(std::rint(f(a)))); }, floats());
  expectEqual(
      "max.f32 %r20, %r1, 0fFFC00000;", [](U a, U, U) { return a; }, floats());
  // Subnormals stay unless the instruction flushes.
  expectEqual(
      "mul.f32 %r20, %r1, 0f3F000000;", [](U, U, U) { return 0x00200000u; },
      std::vector<uint32_t>(128, 0x00400000));
  expectEqual(
      "mul.ftz.f32 %r20, %r1, 0f3F000000;", [](U, U, U) { return 0u; },
      std::vector<uint32_t>(128, 0x00400000));
}

void expectClose(const std::string &name, float (*scalar)(float),
                 double relative) {
  std::vector<uint32_t> input(128);
  for (size_t i = 0; i < 128; ++i)
    input[i] = u(0.07f * float(i) + 0.01f);
  auto output = runBody(name + " %r20, %r1;", input);
  ASSERT_TRUE(output) << output.error().message;
  for (size_t i = 0; i < 32; ++i) {
    double want = scalar(f(input[4 * i]));
    EXPECT_NEAR(f((*output)[4 * i]), want, relative * std::abs(want) + 1e-7)
        << name << " of " << f(input[4 * i]);
  }
}

TEST(EmuInstructions, Approximations) {
  expectClose("ex2.approx.ftz.f32", [](float x) { return std::exp2(x); }, 4e-7);
  expectClose("lg2.approx.f32", [](float x) { return std::log2(x); }, 4e-7);
  expectClose("rcp.approx.f32", [](float x) { return 1 / x; }, 1e-7);
  expectClose(
      "rsqrt.approx.f32", [](float x) { return 1 / std::sqrt(x); }, 3e-7);
  expectClose("tanh.approx.f32", [](float x) { return std::tanh(x); }, 1e-6);
}

TEST(EmuInstructions, MultiplyOfMatrices) {
  // A is 16 x 16, B 16 x 8, of bf16: the fragments' maps are written out.
  std::vector<uint32_t> input(128);
  float a[16][16], b[16][8];
  emu::Dice dice{3};
  auto small = [&] { return float(int(dice.next() % 17) - 8); };
  auto bits = [](float x) { return std::bit_cast<uint32_t>(x) >> 16; };
  for (auto &row : a)
    for (float &x : row)
      x = small();
  for (auto &row : b)
    for (float &x : row)
      x = small();
  std::vector<uint32_t> output;
  for (int half = 0; half < 2; ++half) // rows 0-7 and 8-15 of A are the same
    for (int r = 0; r < 8; ++r)
      for (int k = 0; k < 16; ++k)
        a[8 + r][k] = a[r][k];
  for (int lane = 0; lane < 32; ++lane) {
    int g = lane / 4, t = lane % 4 * 2;
    input[4 * lane] = bits(a[g][t]) | bits(a[g][t + 1]) << 16;
    input[4 * lane + 1] = bits(a[g][t + 8]) | bits(a[g][t + 9]) << 16;
    input[4 * lane + 2] = bits(b[t][g]) | bits(b[t + 1][g]) << 16;
    input[4 * lane + 3] = bits(b[t + 8][g]) | bits(b[t + 9][g]) << 16;
  }
  auto result = runBody("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                        "{%r20,%r21,%r22,%r23}, {%r1,%r1,%r2,%r2}, {%r3,%r4}, "
                        "{%r20,%r21,%r22,%r23};",
                        input);
  ASSERT_TRUE(result) << result.error().message;
  for (int lane = 0; lane < 32; ++lane)
    for (int q = 0; q < 4; ++q) {
      int row = lane / 4 + 8 * (q / 2), column = lane % 4 * 2 + q % 2;
      float want = 0;
      for (int k = 0; k < 16; ++k)
        want += a[row][k] * b[k][column];
      EXPECT_EQ(f((*result)[4 * lane + q]), want) << lane << " " << q;
    }
}

TEST(EmuInstructions, Warp) {
  expectEqual("shfl.sync.bfly.b32 %r20, %r1, 0, 31, -1;",
              [](uint32_t a, uint32_t, uint32_t) { return a; });
  auto input = numbers();
  auto output = runBody("shfl.sync.up.b32 %r20|%p1, %r1, 1, 0, -1; selp.b32 "
                        "%r21, 1, 0, %p1; redux.sync.add.s32 %r22, %r1, -1;",
                        input);
  ASSERT_TRUE(output) << output.error().message;
  uint32_t sum = 0;
  for (size_t i = 0; i < 32; ++i)
    sum += input[4 * i];
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_EQ((*output)[4 * i], input[4 * (i ? i - 1 : 0)]);
    EXPECT_EQ((*output)[4 * i + 1], i ? 1u : 0u);
    EXPECT_EQ((*output)[4 * i + 2], sum);
  }
}

TEST(EmuInstructions, DivergentLanesMeetAgain) {
  expectEqual(
      "and.b32 %r5, %r0, 3; mov.b32 %r20, 0; LOOP: add.s32 %r20, %r20, "
      "%r1; setp.eq.s32 %p1, %r5, 0; @%p1 bra DONE; sub.s32 %r5, %r5, "
      "1; bra LOOP; DONE: shfl.sync.bfly.b32 %r6, %r20, 1, 31, -1; "
      "shfl.sync.bfly.b32 %r20, %r6, 1, 31, -1; and.b32 %r5, %r0, 3; "
      "add.s32 %r5, %r5, 1; div.u32 %r20, %r20, %r5;",
      [](uint32_t a, uint32_t, uint32_t) { return a; },
      std::vector<uint32_t>(128, 12));
}

TEST(EmuChecks, Findings) {
  expectFinding("ld.global.b32 %r20, [%d1+512];", "out of bounds");
  expectFinding("ld.global.b32 %r20, [%d1+2];", "misaligned");
  expectFinding("st.global.b32 [%d1], %r1;", "read-only");
  expectFinding("ld.shared.b32 %r20, [sm];", "uninitialised read");
  expectFinding("ld.shared.b32 %r20, [sm+4096];", "out of bounds");
  expectFinding("mov.b32 %r9, sm; shl.b32 %r5, %r0, 2; add.s32 %r9, %r9, %r5; "
                "st.shared.b32 [%r9], %r1; ld.shared.b32 %r20, [sm];",
                "race");
  expectFinding("setp.lt.u32 %p1, %r0, 16; @%p1 bra A; bar.sync 0; A: mov.b32 "
                "%r20, 0;",
                "divergent barrier");
  expectFinding("mul.wide.u32 %d7, %r0, 4; add.s64 %d7, %d7, %d1; shl.b32 "
                "%r5, %r0, 2; mov.b32 %r9, sm; add.s32 %r9, %r9, %r5; "
                "cp.async.ca.shared.global [%r9], [%d7], 4;",
                "leftover");
  emu::Options options;
  options.instructionLimit = 1000;
  auto output = runBody("X: bra X;", numbers(), options);
  ASSERT_FALSE(output);
  EXPECT_THAT(output.error().message, HasSubstr("hang"));
}

void expectError(const std::string &text, const std::string &message) {
  auto module = emu::Module::parse(text, "bad.ptx");
  ASSERT_FALSE(module) << text;
  EXPECT_EQ(module.error().kind, ErrorKind::BadInput);
  EXPECT_THAT(module.error().message, HasSubstr(message));
}

TEST(EmuParser, Errors) {
  expectError("", "bad.ptx:1: there is no .entry");
  expectError(
      kernelOf("frob.b32 %r1, %r2;"),
      "bad.ptx:9: instruction 'frob.b32' is not known; found 'frob.b32");
  expectError(kernelOf("add.frob.s32 %r1, %r2, %r3;"), "modifier '.frob'");
  expectError(kernelOf("add.s32 %r1, %r99, %r3;"), "'%r99' is not declared");
  expectError(kernelOf("add.s32 %r1, %d1, %r3;"), "has 64 bits, not 32");
  expectError(kernelOf("add.s32 %r1, %r2;"), "takes 3 operands, not 2");
  expectError(kernelOf("bra NOWHERE;"), "label 'NOWHERE' is missing");
  expectError(kernelOf("ld.global.b32 %r1, %d1;"), "no address in brackets");
  expectError(kernelOf("add.s32 %r1, %r2, %r3"), "found");
  std::string whole = kernelOf("add.s32 %r1, %r2, %r3;");
  for (size_t cut = 0; cut + 3 < whole.size(); cut += 5)
    EXPECT_FALSE(emu::Module::parse(whole.substr(0, cut), "cut.ptx"));
}

TEST(EmuDevice, RunsAKernelAndHoldsItToItsBuffers) {
  auto device = EmuDevice::create("random:3", "all");
  ASSERT_TRUE(device);
  std::string text =
      kernelOf("mul.wide.u32 %d4, %r0, 4; add.s64 %d5, %d1, %d4; "
               "add.s64 %d6, %d2, %d4; ld.global.b32 %r1, [%d5]; "
               "add.s32 %r1, %r1, 1; st.global.b32 [%d6], %r1;");
  CodeModule module{"ptx", std::as_bytes(std::span(text))};
  CodeKernel kernel;
  kernel.name = kernel.symbol = "k";
  kernel.programs = 1;
  kernel.threads = 32;
  ASSERT_TRUE((*device)->load({&module, 1}, {&kernel, 1}, "a.bba"));
  auto memory = (*device)->allocate(256);
  ASSERT_TRUE(memory);
  void *buffers[] = {memory->data, memory->data + 128};
  uint64_t whole[] = {128, 128}, less[] = {128, 124};
  (*device)->limitBuffers(whole);
  auto ran = (*device)->launch(0, buffers, {});
  ASSERT_TRUE(ran) << ran.error().message;
  uint32_t last = 0;
  std::memcpy(&last, memory->data + 252, 4);
  EXPECT_EQ(last, 1u);
  (*device)->limitBuffers(less);
  auto failed = (*device)->launch(0, buffers, {});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::Failed);
  EXPECT_THAT(failed.error().message, HasSubstr("out of bounds"));
}

} // namespace
