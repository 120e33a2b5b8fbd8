//===- RowsTest.cpp - Loops, reductions, gathers, layouts -----------------===//
#include "test/compiler/codegen/Harness.h"

#include <cmath>
#include <gmock/gmock.h>

using namespace bitbyte::codegen;

namespace {

const std::string layouts = R"(
#row = #tile.dist<reg [2 d0:8], lane [8 d0:1]>
#one = #tile.dist<reg [], lane [8 rep]>
#tile = #tile.dist<reg [2 d1:8, 6 d0:1], lane [8 d1:1]>
#rows = #tile.dist<reg [6 d0:1], lane [8 rep]>
!row = !tile.reg<16xf32, #row>
!irow = !tile.reg<16xi32, #row>
!one = !tile.reg<f32, #one>
!tile = !tile.reg<6x16xf32, #tile>
)";

TEST(Rows, RmsNormOfOddWidth) {
  // One program per row of 100; chunks of 16, the last one of 4.
  Loaded kernels(layouts + R"(
!x = !tile.buf<7x100xf32, global>
tile.kernel @norm(%x: !x, %g: !tile.buf<100xf32, global>, %y: !x)
    attributes {programs = 7 : i64} {
  %p = tile.program_id
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %n = arith.constant 100 : index
  %z = arith.constant 0.0 : f32
  %none = tile.splat %z : f32 -> !row
  %squares = scf.for %j = %c0 to %n step %c16 iter_args(%s = %none) -> (!row) {
    %left = arith.subi %n, %j : index
    %v = tile.load %x[%p, %j] bounds [%left] : !x -> !row
    %t = tile.map (%v, %s) : (!row, !row) -> !row {
    ^bb0(%a: f32, %b: f32):
      %q = arith.mulf %a, %a fastmath<contract> : f32
      %r = arith.addf %q, %b fastmath<contract> : f32
      tile.yield %r : f32
    }
    scf.yield %t : !row
  }
  %sum = tile.reduce add, %squares axis 0 : !row -> !one
  %inv = tile.map (%sum) : (!one) -> !one {
  ^bb0(%a: f32):
    %k = arith.constant 0.01 : f32
    %eps = arith.constant 1.0e-5 : f32
    %m = arith.mulf %a, %k : f32
    %e = arith.addf %m, %eps : f32
    %r = math.rsqrt %e : f32
    tile.yield %r : f32
  }
  %invs = tile.broadcast %inv axis 0 : !one -> !row
  scf.for %j = %c0 to %n step %c16 {
    %left = arith.subi %n, %j : index
    %v = tile.load %x[%p, %j] bounds [%left] : !x -> !row
    %w = tile.load %g[%j] bounds [%left] : !tile.buf<100xf32, global> -> !row
    %t = tile.map (%v, %w, %invs) : (!row, !row, !row) -> !row {
    ^bb0(%a: f32, %b: f32, %i: f32):
      %q = arith.mulf %a, %i : f32
      %r = arith.mulf %q, %b : f32
      tile.yield %r : f32
    }
    tile.store %t, %y[%p, %j] bounds [%left] : !row -> !x
  }
  tile.return
})");
  std::vector<float> x = noise(700), g = noise(100, 2), y(716, 42);
  kernels.run("norm", {x.data(), g.data(), y.data()});
  for (int i = 0; i < 7; ++i) {
    double sum = 0;
    for (int j = 0; j < 100; ++j)
      sum += static_cast<double>(x[i * 100 + j]) * x[i * 100 + j];
    for (int j = 0; j < 100; ++j)
      EXPECT_NEAR(y[i * 100 + j],
                  x[i * 100 + j] / std::sqrt(sum / 100 + 1e-5) * g[j], 1e-6);
  }
  EXPECT_EQ(y[700], 42);
}

TEST(Rows, SoftmaxWithinATile) {
  // Rows of 13 in a tile of 6 x 16; 8 rows, so the second tile has 2.
  Loaded kernels(layouts + R"(
!x = !tile.buf<8x13xf32, global>
tile.kernel @softmax(%x: !x, %y: !x) attributes {programs = 2 : i64} {
  %p = tile.program_id
  %c0 = arith.constant 0 : index
  %c6 = arith.constant 6 : index
  %c8 = arith.constant 8 : index
  %n = arith.constant 13 : index
  %n32 = arith.constant 13 : i32
  %i = arith.muli %p, %c6 : index
  %m = arith.subi %c8, %i : index
  %v = tile.load %x[%i, %c0] bounds [%m, %n] : !x -> !tile
  %j = tile.iota axis 1 : !tile.reg<6x16xi32, #tile>
  %s = tile.map (%v, %j) : (!tile, !tile.reg<6x16xi32, #tile>) -> !tile {
  ^bb0(%a: f32, %k: i32):
    %low = arith.constant 0xff800000 : f32
    %in = arith.cmpi slt, %k, %n32 : i32
    %o = arith.select %in, %a, %low : f32
    tile.yield %o : f32
  }
  %max = tile.reduce max, %s axis 1 : !tile -> !tile.reg<6xf32, #rows>
  %maxs = tile.broadcast %max axis 1 : !tile.reg<6xf32, #rows> -> !tile
  %e = tile.map (%s, %maxs) : (!tile, !tile) -> !tile {
  ^bb0(%a: f32, %b: f32):
    %d = arith.subf %a, %b : f32
    %r = math.exp %d : f32
    tile.yield %r : f32
  }
  %z = tile.reduce add, %e axis 1 : !tile -> !tile.reg<6xf32, #rows>
  %zs = tile.broadcast %z axis 1 : !tile.reg<6xf32, #rows> -> !tile
  %o = tile.map (%e, %zs) : (!tile, !tile) -> !tile {
  ^bb0(%a: f32, %b: f32):
    %r = arith.divf %a, %b : f32
    tile.yield %r : f32
  }
  tile.store %o, %y[%i, %c0] bounds [%m, %n] : !tile -> !x
  tile.return
})");
  std::vector<float> x = noise(8 * 13), y(8 * 13 + 16, 42);
  for (float &value : x)
    value *= 20;
  kernels.run("softmax", {x.data(), y.data()});
  for (int i = 0; i < 8; ++i) {
    double max = -INFINITY, sum = 0;
    for (int j = 0; j < 13; ++j)
      max = std::max<double>(max, x[i * 13 + j]);
    for (int j = 0; j < 13; ++j)
      sum += std::exp(x[i * 13 + j] - max);
    for (int j = 0; j < 13; ++j) {
      double wanted = std::exp(x[i * 13 + j] - max) / sum;
      EXPECT_NEAR(y[i * 13 + j], wanted, 2e-6 * wanted + 1e-9);
    }
  }
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(y[8 * 13 + i], 42);
}

TEST(Rows, ColumnSumsAndIntegers) {
  Loaded kernels(layouts + R"(
!x = !tile.buf<6x16xf32, global>
!c = !tile.reg<6x16xi32, #tile>
tile.kernel @columns(%x: !x, %y: !tile.buf<16xf32, global>, %m: !tile.buf<6xi32, global>)
    attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0, %c0] : !x -> !tile
  %s = tile.reduce add, %v axis 0 : !tile -> !row
  tile.store %s, %y[%c0] : !row -> !tile.buf<16xf32, global>
  %i = tile.iota axis 0 : !c
  %j = tile.iota axis 1 : !c
  %k = tile.map (%i, %j) : (!c, !c) -> !c {
  ^bb0(%a: i32, %b: i32):
    %r = arith.muli %a, %b : i32
    tile.yield %r : i32
  }
  %t = tile.reduce max, %k axis 1 : !c -> !tile.reg<6xi32, #rows>
  tile.store %t, %m[%c0] : !tile.reg<6xi32, #rows> -> !tile.buf<6xi32, global>
  tile.return
})");
  std::vector<float> x = noise(96), y(16);
  std::vector<int32_t> m(6);
  kernels.run("columns", {x.data(), y.data(), m.data()});
  for (int j = 0; j < 16; ++j) {
    double sum = 0;
    for (int i = 0; i < 6; ++i)
      sum += x[i * 16 + j];
    EXPECT_NEAR(y[j], sum, 1e-6);
  }
  EXPECT_THAT(m, testing::ElementsAre(0, 15, 30, 45, 60, 75));
}

TEST(Rows, GatherReadsOnlyWhatExists) {
  // y[i] = table[ids[i], i mod 5]; ids past the end are rubbish.
  Loaded kernels(layouts + R"(
!t = !tile.buf<9x5xbf16, global>
tile.kernel @pick(%t: !t, %ids: !tile.buf<16xi32, global>, %y: !tile.buf<11xf32, global>)
    attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %n = arith.constant 11 : index
  %rows = tile.load %ids[%c0] : !tile.buf<16xi32, global> -> !irow
  %i = tile.iota axis 0 : !irow
  %cols = tile.map (%i) : (!irow) -> !irow {
  ^bb0(%a: i32):
    %five = arith.constant 5 : i32
    %r = arith.remui %a, %five : i32
    tile.yield %r : i32
  }
  %v = tile.gather %t[%rows, %cols] bounds [%n] : !t, !irow, !irow -> !row
  tile.store %v, %y[%c0] bounds [%n] : !row -> !tile.buf<11xf32, global>
  tile.return
}
tile.kernel @scalars(%t: !t, %ids: !tile.buf<16xi32, global>, %y: !tile.buf<11xf32, global>)
    attributes {programs = 11 : i64} {
  %p = tile.program_id
  %id = tile.load_scalar %ids[%p] : !tile.buf<16xi32, global> -> i32
  %row = arith.index_cast %id : i32 to index
  %c5 = arith.constant 5 : index
  %col = arith.remui %p, %c5 : index
  %v = tile.load_scalar %t[%row, %col] : !t -> f32
  %c4 = arith.constant 4 : index
  %late = arith.cmpi sgt, %p, %c4 : index
  %w = scf.if %late -> (f32) {
    %u = arith.addf %v, %v : f32
    scf.yield %u : f32
  } else {
    scf.yield %v : f32
  }
  tile.store_scalar %w, %y[%p] : f32 -> !tile.buf<11xf32, global>
  tile.return
})");
  std::vector<uint16_t> table(45);
  for (int i = 0; i < 45; ++i)
    table[i] = toBf16(i * 1.5f);
  std::vector<int32_t> ids(16, 1 << 30);
  for (int i = 0; i < 11; ++i)
    ids[i] = i * 4 % 9;
  std::vector<float> y(16, 42);
  kernels.run("pick", {table.data(), ids.data(), y.data()});
  for (int i = 0; i < 11; ++i)
    EXPECT_EQ(y[i], fromBf16(table[ids[i] * 5 + i % 5]));
  EXPECT_EQ(y[11], 42);
  kernels.run("scalars", {table.data(), ids.data(), y.data()});
  for (int i = 0; i < 11; ++i)
    EXPECT_EQ(y[i], (i > 4 ? 2 : 1) * fromBf16(table[ids[i] * 5 + i % 5]));
}

TEST(Rows, TransposesInRegistersAndInMemory) {
  Loaded kernels(R"(
#tile = #tile.dist<reg [2 d1:8, 8 d0:1], lane [8 d1:1]>
#turned = #tile.dist<reg [16 d0:1], lane [8 d1:1]>
#down = #tile.dist<reg [16 d1:1], lane [8 d0:1]>
!x = !tile.buf<8x16xf32, global>
!y = !tile.buf<16x8xf32, global>
!p = !tile.buf<8x16xf32, global, #tile.panel<4>>
tile.kernel @turn(%x: !x, %y: !y, %z: !y, %p: !p, %q: !x) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0, %c0] : !x -> !tile.reg<8x16xf32, #tile>
  %t = tile.relayout %v permutation [1, 0] : !tile.reg<8x16xf32, #tile> -> !tile.reg<16x8xf32, #turned>
  tile.store %t, %y[%c0, %c0] : !tile.reg<16x8xf32, #turned> -> !y
  // The same through a load with lanes down the rows.
  %w = tile.load %x[%c0, %c0] : !x -> !tile.reg<8x16xf32, #down>
  %u = tile.relayout %w permutation [1, 0] : !tile.reg<8x16xf32, #down> -> !tile.reg<16x8xf32, #turned>
  tile.store %u, %z[%c0, %c0] : !tile.reg<16x8xf32, #turned> -> !y
  tile.store %v, %p[%c0, %c0] : !tile.reg<8x16xf32, #tile> -> !p
  %b = tile.load %p[%c0, %c0] : !p -> !tile.reg<8x16xf32, #tile>
  tile.store %b, %q[%c0, %c0] : !tile.reg<8x16xf32, #tile> -> !x
  tile.return
})");
  std::vector<float> x = noise(128), y(128), z(128), p(128), q(128);
  kernels.run("turn", {x.data(), y.data(), z.data(), p.data(), q.data()});
  for (int i = 0; i < 8; ++i)
    for (int j = 0; j < 16; ++j) {
      EXPECT_EQ(y[j * 8 + i], x[i * 16 + j]);
      EXPECT_EQ(z[j * 8 + i], x[i * 16 + j]);
      EXPECT_EQ(p[j / 4 * 32 + i * 4 + j % 4], x[i * 16 + j]);
      EXPECT_EQ(q[i * 16 + j], x[i * 16 + j]);
    }
}

TEST(Rows, EqualKernelsShareASymbolAndBytesAreReproducible) {
  std::string kernel = layouts + R"(
tile.kernel @a(%x: !tile.buf<16xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0] : !tile.buf<16xf32, global> -> !row
  tile.store %v, %x[%c0] : !row -> !tile.buf<16xf32, global>
  tile.return
})";
  Loaded first(kernel), second(kernel);
  EXPECT_EQ(first.bytes(), second.bytes());
}

TEST(Rows, EveryLevelCompiles) {
  for (std::string target : {"cpu-v4", "cpu-v4bf16"}) {
    Loaded kernels(R"(
#row = #tile.dist<reg [2 d0:16], lane [16 d0:1]>
!row = !tile.reg<32xf32, #row>
tile.kernel @k(%x: !tile.buf<90xbf16, global>, %y: !tile.buf<90xbf16, global>)
    attributes {programs = 3 : i64} {
  %p = tile.program_id
  %c32 = arith.constant 32 : index
  %n = arith.constant 90 : index
  %at = arith.muli %p, %c32 : index
  %left = arith.subi %n, %at : index
  %v = tile.load %x[%at] bounds [%left] : !tile.buf<90xbf16, global> -> !row
  %w = tile.map (%v) : (!row) -> !row {
  ^bb0(%a: f32):
    %r = math.tanh %a : f32
    tile.yield %r : f32
  }
  tile.store %w, %y[%at] bounds [%left] : !row -> !tile.buf<90xbf16, global>
  tile.return
})",
                   target);
    if (!canRun(target))
      continue;
    std::vector<uint16_t> x(90), y(91, 0xabcd);
    for (int i = 0; i < 90; ++i)
      x[i] = toBf16(i * 0.05f - 2);
    kernels.run("k", {x.data(), y.data()});
    for (int i = 0; i < 90; ++i)
      EXPECT_NEAR(fromBf16(y[i]), std::tanh(fromBf16(x[i])), 4e-3);
    EXPECT_EQ(y[90], 0xabcd);
  }
}

} // namespace
