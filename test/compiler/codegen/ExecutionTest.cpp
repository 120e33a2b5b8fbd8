//===- ExecutionTest.cpp - Kernels run, and give what they should ---------===//
#include "test/compiler/codegen/Harness.h"

#include <cmath>
#include <gmock/gmock.h>

using namespace bitbyte::codegen;

namespace {

/// Layouts of AVX2 that the kernels below share.
const std::string layouts = R"(
#row = #tile.dist<reg [2 d0:8], lane [8 d0:1]>
#one = #tile.dist<reg [], lane [8 rep]>
#acc = #tile.dist<reg [2 d1:8, 6 d0:1], lane [8 d1:1]>
#columns = #tile.dist<reg [2 d0:8], lane [8 d0:1]>
!row = !tile.reg<16xf32, #row>
!irow = !tile.reg<16xi32, #row>
!one = !tile.reg<f32, #one>
!acc = !tile.reg<6x16xf32, #acc>
)";

/// A kernel over n elements in chunks of 16: loads `from`, applies `body` to
/// %a, stores `to`. The last chunk is cut.
std::string elementwise(int n, const std::string &body,
                        const std::string &from = "f32",
                        const std::string &to = "f32") {
  std::string programs = std::to_string((n + 15) / 16);
  std::string in = "!tile.buf<" + std::to_string(n) + "x" + from + ", global>";
  std::string out = "!tile.buf<" + std::to_string(n) + "x" + to + ", global>";
  return layouts + "tile.kernel @k(%x: " + in + ", %y: " + out +
         ") attributes {programs = " + programs + R"( : i64} {
  %p = tile.program_id
  %c16 = arith.constant 16 : index
  %n = arith.constant )" +
         std::to_string(n) + R"( : index
  %at = arith.muli %p, %c16 : index
  %left = arith.subi %n, %at : index
  %v = tile.load %x[%at] bounds [%left] : )" +
         in + R"( -> !row
  %w = tile.map (%v) : (!row) -> !row {
  ^bb0(%a: f32):
    %zero = arith.constant 0.0 : f32
)" + body +
         R"(
    tile.yield %r : f32
  }
  tile.store %w, %y[%at] bounds [%left] : !row -> )" +
         out + R"(
  tile.return
})";
}

TEST(Execution, ElementwiseTouchesNothingBeyondItsBounds) {
  for (int n : {1, 7, 16, 17, 100}) {
    Loaded kernels(elementwise(n, "%r = arith.addf %a, %a : f32"));
    std::vector<float> x = noise(n + 16), y(n + 16, 42);
    kernels.run("k", {x.data(), y.data()});
    for (int i = 0; i < n; ++i)
      EXPECT_EQ(y[i], x[i] + x[i]) << i;
    for (int i = n; i < n + 16; ++i)
      EXPECT_EQ(y[i], 42) << i << " of " << n;
  }
}

TEST(Execution, Bf16IsRoundedToNearestEven) {
  constexpr int n = 1003;
  Loaded kernels(elementwise(n, "%r = arith.addf %a, %a : f32", "f32", "bf16"));
  std::vector<float> x = noise(n);
  x[0] = std::numeric_limits<float>::infinity();
  x[1] = 0x1.008p0f; // a tie
  x[2] = 0x1.018p0f; // another, to the other side
  x[3] = std::numeric_limits<float>::quiet_NaN();
  x[4] = std::bit_cast<float>(0x7f800001u); // a NaN whose payload is low
  std::vector<uint16_t> y(n + 8, 0xabcd);
  kernels.run("k", {x.data(), y.data()});
  for (int i = 0; i < n; ++i) {
    if (std::isnan(x[i]))
      EXPECT_TRUE(std::isnan(fromBf16(y[i]))) << i;
    else
      EXPECT_EQ(y[i], toBf16(x[i] + x[i])) << i;
  }
  for (int i = n; i < n + 8; ++i)
    EXPECT_EQ(y[i], 0xabcd);
}

// How many elements exist is known when the code is made: masks are constants.
TEST(Execution, FewSmallElementsLeaveTheirNeighboursAlone) {
  for (const char *target : {"cpu-v3", "cpu-v4", "cpu-v4bf16"})
    for (int count : {1, 2, 3, 15, 16}) {
      if (!canRun(target))
        continue;
      std::string dist = target == std::string("cpu-v3")
                             ? "reg [2 d0:8], lane [8 d0:1]"
                             : "reg [], lane [16 d0:1]";
      Loaded kernels("!row = !tile.reg<16xf32, #tile.dist<" + dist + R"(>>
tile.kernel @k(%x: !tile.buf<40xf32, global>, %y: !tile.buf<40xbf16, global>)
    attributes {programs = 1 : i64} {
  %at = arith.constant 3 : index
  %count = arith.constant )" +
                         std::to_string(count) + R"( : index
  %v = tile.load %x[%at] bounds [%count] : !tile.buf<40xf32, global> -> !row
  tile.store %v, %y[%at] bounds [%count] : !row -> !tile.buf<40xbf16, global>
  tile.return
})",
                     target);
      std::vector<float> x = noise(40);
      std::vector<uint16_t> y(40, 0xabcd);
      kernels.run("k", {x.data(), y.data()});
      for (int i = 0; i < 40; ++i)
        EXPECT_EQ(y[i], i >= 3 && i < 3 + count ? toBf16(x[i]) : 0xabcd)
            << target << ": element " << i << " of " << count;
    }
}

TEST(Execution, SmallTypesAreWidenedAndCut) {
  constexpr int n = 37;
  std::vector<float> y(n);
  {
    Loaded kernels(elementwise(n, "%r = arith.addf %a, %a : f32", "bf16"));
    std::vector<uint16_t> x(n);
    for (int i = 0; i < n; ++i)
      x[i] = toBf16(i * 0.3f - 4);
    kernels.run("k", {x.data(), y.data()});
    for (int i = 0; i < n; ++i)
      EXPECT_EQ(y[i], 2 * fromBf16(x[i]));
  }
  Loaded kernels(layouts + R"(
tile.kernel @bytes(%x: !tile.buf<37xui8, global>, %s: !tile.buf<37xi8, global>,
                   %y: !tile.buf<37xi32, global>, %z: !tile.buf<37xi8, global>)
    attributes {programs = 3 : i64} {
  %p = tile.program_id
  %c16 = arith.constant 16 : index
  %n = arith.constant 37 : index
  %at = arith.muli %p, %c16 : index
  %left = arith.subi %n, %at : index
  %u = tile.load %x[%at] bounds [%left] : !tile.buf<37xui8, global> -> !irow
  %v = tile.load %s[%at] bounds [%left] : !tile.buf<37xi8, global> -> !irow
  %w = tile.map (%u, %v) : (!irow, !irow) -> !irow {
  ^bb0(%a: i32, %b: i32):
    %r = arith.addi %a, %b : i32
    tile.yield %r : i32
  }
  tile.store %w, %y[%at] bounds [%left] : !irow -> !tile.buf<37xi32, global>
  tile.store %w, %z[%at] bounds [%left] : !irow -> !tile.buf<37xi8, global>
  tile.return
})");
  std::vector<uint8_t> u(n);
  std::vector<int8_t> s(n), z(n);
  std::vector<int32_t> sum(n);
  for (int i = 0; i < n; ++i)
    u[i] = 7 * i, s[i] = -5 * i;
  kernels.run("bytes", {u.data(), s.data(), sum.data(), z.data()});
  for (int i = 0; i < n; ++i) {
    EXPECT_EQ(sum[i], u[i] + s[i]);
    EXPECT_EQ(z[i], static_cast<int8_t>(u[i] + s[i]));
  }
}

//===-- Mathematics -------------------------------------------------------===//

struct Function {
  const char *op;
  double (*reference)(double);
  float low, high;
  double ulps;
};

double rsqrtReference(double x) { return 1 / std::sqrt(x); }

class Mathematics : public testing::TestWithParam<Function> {};

TEST_P(Mathematics, IsWithinAFewUlp) {
  Function function = GetParam();
  constexpr int n = 100003;
  Loaded kernels(
      elementwise(n, std::string("%r = ") + function.op + " %a : f32"));
  std::vector<float> x(n), y(n);
  for (int i = 0; i < n; ++i)
    x[i] = function.low + (function.high - function.low) * i / (n - 1);
  kernels.run("k", {x.data(), y.data()});
  double worst = 0;
  float at = 0;
  for (int i = 0; i < n; ++i) {
    double wanted = function.reference(x[i]);
    float rounded = static_cast<float>(wanted);
    if (std::abs(rounded) < 1e-37 || std::isinf(rounded)) {
      EXPECT_NEAR(y[i], rounded, 1e-37) << function.op << " " << x[i];
      continue;
    }
    double ulp = std::abs(std::nextafter(rounded, INFINITY) - rounded);
    double error = std::abs(y[i] - wanted) / ulp;
    if (!(error <= worst))
      worst = error, at = x[i];
  }
  EXPECT_LE(worst, function.ulps) << function.op << " at " << at;
}

INSTANTIATE_TEST_SUITE_P(
    Functions, Mathematics,
    testing::Values(Function{"math.exp", std::exp, -86, 88.7f, 2},
                    Function{"math.exp2", std::exp2, -125, 127.9f, 2},
                    Function{"math.expm1", std::expm1, -20, 20, 3},
                    Function{"math.log", std::log, 1e-6f, 50, 2},
                    Function{"math.log", std::log, 0.5f, 2, 2},
                    Function{"math.log2", std::log2, 1e-6f, 50, 2},
                    Function{"math.log1p", std::log1p, -0.99f, 3, 3},
                    Function{"math.tanh", std::tanh, -11, 11, 2},
                    Function{"math.erf", std::erf, -5, 5, 2},
                    Function{"math.sqrt", std::sqrt, 0, 100, 0.51},
                    Function{"math.rsqrt", rsqrtReference, 1e-3f, 100, 1.5},
                    Function{"math.sin", std::sin, -1.5f, 1.5f, 2},
                    Function{"math.cos", std::cos, -1.5f, 1.5f, 2}));

TEST(Mathematics, Edges) {
  float infinity = std::numeric_limits<float>::infinity();
  auto at = [](const char *op, std::vector<float> x) {
    x.resize(16);
    std::vector<float> y(16);
    Loaded kernels(elementwise(16, std::string("%r = ") + op + " %a : f32"));
    kernels.run("k", {x.data(), y.data()});
    return y;
  };
  std::vector<float> y =
      at("math.exp", {-infinity, infinity, NAN, -1e30f, 1e30f, 0, -88});
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], infinity);
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_EQ(y[3], 0);
  EXPECT_EQ(y[4], infinity);
  EXPECT_EQ(y[5], 1);
  EXPECT_NEAR(y[6], 0, 2e-38);
  y = at("math.log", {0, -1, infinity, NAN, 1});
  EXPECT_EQ(y[0], -infinity);
  EXPECT_TRUE(std::isnan(y[1]));
  EXPECT_EQ(y[2], infinity);
  EXPECT_TRUE(std::isnan(y[3]));
  EXPECT_EQ(y[4], 0);
  y = at("math.tanh", {-infinity, infinity, NAN, -0.0f});
  EXPECT_EQ(y[0], -1);
  EXPECT_EQ(y[1], 1);
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_TRUE(std::signbit(y[3]));
  y = at("arith.maximumf %zero,", {-1, 1, NAN});
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], 1);
  EXPECT_TRUE(std::isnan(y[2]));
}

} // namespace
