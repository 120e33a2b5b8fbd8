//===- MatmulTest.cpp - Products: right at odd sizes, in every form -----===//
#include "test/compiler/codegen/Harness.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>

using namespace bitbyte::codegen;

namespace {

const std::string layouts = R"(
#acc = #tile.dist<reg [2 d1:8, 6 d0:1], lane [8 d1:1]>
#columns = #tile.dist<reg [2 d0:8], lane [8 d0:1]>
!acc = !tile.reg<6x16xf32, #acc>
)";

TEST(Matmul, MultipliesPanelsRowsAndTransposes) {
  // K of 21 is neither a multiple of the unrolling nor short.
  constexpr int k = 21;
  Loaded kernels(layouts + R"(
!rows = !tile.buf<6x21xf32, global>
!b = !tile.buf<21x16xf32, global>
!c = !tile.buf<6x16xf32, global>
!panel = !tile.buf<6x21xf32, scratch, #tile.panel<3>>
tile.kernel @rows(%a: !rows, %b: !b, %c: !c) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %d = tile.load %c[%c0, %c0] : !c -> !acc
  %e = tile.mma %a, %b, %d : !rows, !b, !acc -> !acc
  tile.store %e, %c[%c0, %c0] : !acc -> !c
  tile.return
}
tile.kernel @turned(%a: !tile.buf<21x6xf32, global>, %b: !b, %c: !c) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %d = tile.load %c[%c0, %c0] : !c -> !acc
  %e = tile.mma %a trans, %b, %d : !tile.buf<21x6xf32, global>, !b, !acc -> !acc
  tile.store %e, %c[%c0, %c0] : !acc -> !c
  tile.return
}
tile.kernel @panel(%a: !rows, %b: !b, %c: !c) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c6 = arith.constant 6 : index
  %k = arith.constant 21 : index
  %c3 = arith.constant 3 : index
  %p = tile.alloc : !panel
  scf.for %i = %c0 to %c6 step %c1 {
    scf.for %j = %c0 to %k step %c3 {
      %t = tile.load %a[%i, %j] bounds [%c3] : !rows -> !tile.reg<8xf32, #tile.dist<reg [], lane [8 d0:1]>>
      tile.store %t, %p[%i, %j] bounds [%c3] : !tile.reg<8xf32, #tile.dist<reg [], lane [8 d0:1]>> -> !panel
    }
  }
  %d = tile.load %c[%c0, %c0] : !c -> !acc
  %e = tile.mma %p, %b, %d : !panel, !b, !acc -> !acc
  tile.store %e, %c[%c0, %c0] : !acc -> !c
  tile.return
})");
  std::vector<float> a = noise(6 * k), b = noise(k * 16, 2);
  std::vector<float> turned(6 * k);
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < k; ++j)
      turned[j * 6 + i] = a[i * k + j];
  for (std::string name : {"rows", "turned", "panel"}) {
    std::vector<float> c = noise(96, 3), before = c;
    kernels.run(name, {name == "turned" ? turned.data() : a.data(), b.data(),
                       c.data()});
    for (int i = 0; i < 6; ++i)
      for (int j = 0; j < 16; ++j) {
        double sum = before[i * 16 + j];
        for (int q = 0; q < k; ++q)
          sum += static_cast<double>(a[i * k + q]) * b[q * 16 + j];
        EXPECT_NEAR(c[i * 16 + j], sum, 2e-6) << name;
      }
  }
}

TEST(Matmul, WidensBf16) {
  constexpr int k = 18;
  Loaded kernels(layouts + R"(
!a = !tile.buf<6x18xbf16, global>
!b = !tile.buf<18x16xbf16, global>
!c = !tile.buf<6x16xf32, global>
tile.kernel @k(%a: !a, %b: !b, %c: !c) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %z = arith.constant 0.0 : f32
  %d = tile.splat %z : f32 -> !acc
  %e = tile.mma %a, %b, %d : !a, !b, !acc -> !acc
  tile.store %e, %c[%c0, %c0] : !acc -> !c
  tile.return
})");
  std::vector<float> x = noise(6 * k), y = noise(k * 16, 2), c(96);
  std::vector<uint16_t> a(6 * k), b(k * 16);
  std::transform(x.begin(), x.end(), a.begin(), toBf16);
  std::transform(y.begin(), y.end(), b.begin(), toBf16);
  kernels.run("k", {a.data(), b.data(), c.data()});
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 16; ++j) {
      double sum = 0;
      for (int q = 0; q < k; ++q)
        sum += static_cast<double>(fromBf16(a[i * k + q])) *
               fromBf16(b[q * 16 + j]);
      EXPECT_NEAR(c[i * 16 + j], sum, 2e-6);
    }
}

TEST(Matmul, WidensBytes) {
  constexpr int k = 33;
  Loaded kernels(layouts + R"(
!a = !tile.buf<6x33xui8, global>
!b = !tile.buf<33x16xi8, global>
!c = !tile.buf<6x16xf32, global>
tile.kernel @k(%a: !a, %b: !b, %c: !c) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %z = arith.constant 0.0 : f32
  %d = tile.splat %z : f32 -> !acc
  %e = tile.mma %a, %b, %d : !a, !b, !acc -> !acc
  tile.store %e, %c[%c0, %c0] : !acc -> !c
  tile.return
})");
  std::vector<uint8_t> a(6 * k);
  std::vector<int8_t> b(k * 16);
  std::vector<float> c(96);
  for (int i = 0; i < 6 * k; ++i)
    a[i] = i * 37;
  for (int i = 0; i < k * 16; ++i)
    b[i] = i * 29;
  kernels.run("k", {a.data(), b.data(), c.data()});
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 16; ++j) {
      int sum = 0;
      for (int q = 0; q < k; ++q)
        sum += a[i * k + q] * b[q * 16 + j];
      EXPECT_EQ(c[i * 16 + j], sum);
    }
}

} // namespace
