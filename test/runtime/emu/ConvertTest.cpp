//===- ConvertTest.cpp - Small floats and doubles against known values ----===//
#include "test/runtime/emu/Bench.h"

using namespace bitbyte;

namespace {

/// What one lane makes of one word.
uint32_t one(const std::string &body, uint32_t a, uint32_t b = 0,
             uint32_t c = 0) {
  std::vector<uint32_t> input(128);
  input[0] = a, input[1] = b, input[2] = c;
  auto output = runBody(body, input);
  if (!output) {
    ADD_FAILURE() << output.error().message;
    return 0xdeadbeef;
  }
  return (*output)[0];
}

constexpr float infinity = std::numeric_limits<float>::infinity();
const uint32_t nan = 0x7fc00000;

struct Known {
  float value;
  uint32_t bits;
};

/// To a 16-bit register, which a mov widens.
void expectSmall(const std::string &form, std::initializer_list<Known> table) {
  for (Known known : table)
    EXPECT_EQ(one(form + " %h1, %r1; mov.b32 %r20, {%h1, 0};", u(known.value)),
              known.bits)
        << form << " of " << known.value;
}

TEST(EmuConversions, HalfAndBrain) {
  // IEEE binary16: 1 is 0x3c00, the largest 65504, the least 2^-24.
  expectSmall("cvt.rn.f16.f32", {{1, 0x3c00},
                                 {-2, 0xc000},
                                 {65504, 0x7bff},
                                 {65519, 0x7bff},
                                 {65520, 0x7c00},
                                 {0x1p-24f, 0x0001},
                                 {0x1p-25f, 0x0000},
                                 {0x1.8p-25f, 0x0001},
                                 {0x1.002p0f, 0x3c00},
                                 {0x1.006p0f, 0x3c02},
                                 {-infinity, 0xfc00},
                                 {f(nan), 0x7fff}});
  expectSmall("cvt.rz.f16.f32", {{0x1.006p0f, 0x3c01}, {-0x1.006p0f, 0xbc01}});
  expectSmall(
      "cvt.rn.satfinite.f16.f32",
      {{1e9f, 0x7bff}, {-infinity, 0xfbff}, {f(nan), 0x7fff}, {65504, 0x7bff}});
  expectSmall("cvt.rn.relu.f16.f32", {{-3, 0}, {3, 0x4200}, {f(nan), 0x7fff}});
  expectSmall("cvt.rn.bf16.f32", {{1, 0x3f80},
                                  {0x1.01p0f, 0x3f80},
                                  {0x1.03p0f, 0x3f82},
                                  {0x1.feffp127f, 0x7f7f},
                                  {0x1.ffp127f, 0x7f80},
                                  {f(nan), 0x7fff}});
  expectSmall("cvt.rz.bf16.f32", {{0x1.03p0f, 0x3f81}, {-0x1.03p0f, 0xbf81}});
  expectSmall("cvt.rn.satfinite.bf16.f32",
              {{0x1.ffp127f, 0x7f7f}, {-infinity, 0xff7f}, {f(nan), 0x7fff}});
  // The first source is the high half.
  EXPECT_EQ(one("cvt.rn.f16x2.f32 %r20, %r1, %r2;", u(1), u(-2)), 0x3c00c000u);
  EXPECT_EQ(one("cvt.rn.satfinite.f16x2.f32 %r20, %r1, %r2;", u(1e9f), u(1)),
            0x7bff3c00u);
  EXPECT_EQ(one("cvt.rn.relu.bf16x2.f32 %r20, %r1, %r2;", u(-1), u(1)),
            0x00003f80u);
  EXPECT_EQ(one("cvt.u16.u32 %h1, %r1; cvt.f32.f16 %r20, %h1;", 0x0001),
            u(0x1p-24f));
}

TEST(EmuConversions, EightBitFloats) {
  // The OCP specification: e4m3 ends at 448 = 0x7e and has one NaN, its least
  // number is 2^-9; e5m2 ends at 57344 = 0x7b and is a half without its low
  // byte.
  auto pack = [](const char *type, float high, float low) {
    return one(std::string("cvt.rn.satfinite.") + type +
                   "x2.f32 %h1, %r1, %r2; mov.b32 %r20, {%h1, 0};",
               u(high), u(low));
  };
  EXPECT_EQ(pack("e4m3", 1, 448), 0x387eu);
  EXPECT_EQ(pack("e4m3", 1e9f, -infinity), 0x7efeu);
  EXPECT_EQ(pack("e4m3", 0x1p-9f, 0x1p-10f), 0x0100u);
  EXPECT_EQ(pack("e4m3", 0x1.8p-9f, -1.5f), 0x02bcu);
  EXPECT_EQ(pack("e4m3", f(nan), 0.875f), 0x7f36u);
  EXPECT_EQ(pack("e5m2", 1, 57344), 0x3c7bu);
  EXPECT_EQ(pack("e5m2", -1e9f, 0x1p-16f), 0xfb01u);
  EXPECT_EQ(pack("e5m2", 1.125f, 1.375f), 0x3c3eu); // ties to even
  auto unpack = [](const char *type, uint32_t pair) {
    return one(std::string("cvt.u16.u32 %h1, %r1; cvt.rn.f16x2.") + type +
                   "x2 %r20, %h1;",
               pair);
  };
  EXPECT_EQ(unpack("e4m3", 0x387e), 0x3c005f00u); // 1 and 448
  EXPECT_EQ(unpack("e4m3", 0x0108), 0x18002400u); // 2^-9 and 2^-6
  EXPECT_EQ(unpack("e5m2", 0xbc7b), 0xbc007b00u);
  // All 256 values survive the way to halves and back.
  for (const char *type : {"e4m3", "e5m2"})
    for (uint32_t bits = 0; bits < 256; ++bits) {
      uint32_t half = unpack(type, bits) & 0xffff;
      bool finite = type[1] == '4' ? (bits & 127) != 127 : (bits & 127) < 124;
      if (finite)
        EXPECT_EQ(one(std::string("cvt.rn.satfinite.") + type +
                          "x2.f16x2 %h1, %r1; mov.b32 %r20, {%h1, 0};",
                      half) &
                      255,
                  bits)
            << type;
    }
}

TEST(EmuConversions, TensorFloat) {
  // 10 bits behind the point: 1 + 2^-11 lies between two.
  EXPECT_EQ(f(one("cvt.rna.tf32.f32 %r20, %r1;", u(0x1.002p0f))), 0x1.004p0f);
  EXPECT_EQ(f(one("cvt.rn.tf32.f32 %r20, %r1;", u(0x1.002p0f))), 1.f);
  EXPECT_EQ(f(one("cvt.rz.tf32.f32 %r20, %r1;", u(-0x1.0038p0f))), -1.f);
  EXPECT_EQ(f(one("cvt.rna.tf32.f32 %r20, %r1;", u(0x1.fffffep127f))),
            infinity);
  EXPECT_EQ(f(one("cvt.rna.satfinite.tf32.f32 %r20, %r1;", u(0x1.fffffep127f))),
            0x1.ffcp127f);
  EXPECT_EQ(f(one("cvt.rn.satfinite.tf32.f32 %r20, %r1;", u(-infinity))),
            -0x1.ffcp127f);
  EXPECT_EQ(f(one("cvt.rn.relu.tf32.f32 %r20, %r1;", u(-1))), 0.f);
  EXPECT_EQ(one("cvt.rna.tf32.f32 %r20, %r1;", nan), 0x7fffffffu);
}

TEST(EmuConversions, Integers) {
  EXPECT_EQ(
      one("cvt.sat.u8.s32 %h1, %r1; cvt.u32.u16 %r20, %h1;", uint32_t(-5)), 0u);
  EXPECT_EQ(one("cvt.sat.s8.s32 %h1, %r1; cvt.s32.s16 %r20, %h1;", 300), 127u);
  EXPECT_EQ(one("cvt.rzi.s32.f32 %r20, %r1;", u(-3.9f)), uint32_t(-3));
  EXPECT_EQ(one("cvt.rmi.s32.f32 %r20, %r1;", u(-3.1f)), uint32_t(-4));
  EXPECT_EQ(one("cvt.rpi.s32.f32 %r20, %r1;", u(3.1f)), 4u);
  EXPECT_EQ(one("cvt.rzi.s32.f32 %r20, %r1;", u(1e20f)), 0x7fffffffu);
  EXPECT_EQ(one("cvt.rzi.u32.f32 %r20, %r1;", u(-1)), 0u);
  EXPECT_EQ(one("cvt.rzi.s32.f32 %r20, %r1;", nan), 0u);
  EXPECT_EQ(one("cvt.rn.f32.u32 %r20, %r1;", 0xffffffff), u(0x1p32f));
  EXPECT_EQ(one("cvt.rz.f32.u32 %r20, %r1;", 0xffffffff), u(0x1.fffffep31f));
}

/// Doubles come and go as two words.
double pairOf(const std::string &operation, double a, double b, double c = 0) {
  std::vector<uint32_t> input(128);
  uint64_t x = std::bit_cast<uint64_t>(a), y = std::bit_cast<uint64_t>(b);
  input[0] = uint32_t(x), input[1] = uint32_t(x >> 32);
  input[2] = uint32_t(y), input[3] = uint32_t(y >> 32);
  auto output =
      runBody(fmt::format("mov.b64 %d7, {{%r1, %r2}}; mov.b64 %d8, {{%r3, "
                          "%r4}}; mov.f64 %d9, 0d{:016X}; {} mov.b64 {{%r20, "
                          "%r21}}, %d10;",
                          std::bit_cast<uint64_t>(c), operation),
              input);
  if (!output) {
    ADD_FAILURE() << output.error().message;
    return 0;
  }
  return std::bit_cast<double>((*output)[0] | uint64_t((*output)[1]) << 32);
}

TEST(EmuInstructions, Doubles) {
  EXPECT_EQ(pairOf("add.f64 %d10, %d7, %d8;", 0.1, 0.2), 0.30000000000000004);
  EXPECT_EQ(pairOf("sub.f64 %d10, %d7, %d8;", 1, 0x1p-53),
            0x1.fffffffffffffp-1);
  EXPECT_EQ(pairOf("mul.f64 %d10, %d7, %d8;", 3, 0x1p-1074), 0x1.8p-1073);
  EXPECT_EQ(pairOf("fma.rn.f64 %d10, %d7, %d8, %d9;", 0x1.0000001p0,
                   0x1.0000001p0, -0x1.0000002p0),
            0x1p-56);
  EXPECT_EQ(pairOf("div.rn.f64 %d10, %d7, %d8;", 1, 3), 1.0 / 3);
  EXPECT_EQ(pairOf("sqrt.rn.f64 %d10, %d7;", 2, 0), 1.4142135623730951);
  EXPECT_EQ(pairOf("max.f64 %d10, %d7, %d8;", -1, -2), -1);
  EXPECT_EQ(pairOf("neg.f64 %d7, %d7; abs.f64 %d10, %d7;", 7, 0), 7);
  EXPECT_EQ(
      one("mov.f64 %d7, 0d3FB999999999999A; cvt.rn.f32.f64 %r20, %d7;", 0),
      u(0.1f));
}

TEST(EmuInstructions, Halves) {
  // 2049 is no half: 2048 + 1 rounds to even, and so does the sum in a half.
  EXPECT_EQ(one("add.f16x2 %r20, %r1, %r2;", 0x68003c00, 0x3c003c00),
            0x68004000u);
  EXPECT_EQ(one("mul.f16x2 %r20, %r1, %r2;", 0x42004200, 0x3555c200),
            0x3c00c880u); // 3 * 0.3333, 3 * -3
  // One rounding: 3 * 0.33325 + 2^-11 is 1.00024, above half a step.
  EXPECT_EQ(one("fma.rn.f16x2 %r20, %r1, %r2, %r3;", 0x42003c00, 0x35553c00,
                0x10003c00),
            0x3c004000u);
  EXPECT_EQ(one("fma.rn.bf16x2 %r20, %r1, %r2, %r3;", 0x3f804000, 0x40404000,
                0x3f803f80),
            0x408040a0u); // 1 * 3 + 1, 2 * 2 + 1
  EXPECT_EQ(one("max.f16x2 %r20, %r1, %r2;", 0xbc003c00, 0x7e003800),
            0xbc003c00u); // a NaN loses
  EXPECT_EQ(one("cvt.u16.u32 %h1, %r1; cvt.u16.u32 %h2, %r2; sub.f16 %h3, %h1, "
                "%h2; mov.b32 %r20, {%h3, 0};",
                0x3c00, 0x4000),
            0xbc00u);
  EXPECT_EQ(one("neg.f16x2 %r20, %r1;", 0x3c00bc00), 0xbc003c00u);
}

} // namespace
