// Which ops share a region, and what lies in memory between regions.
// RUN: bb-opt %s --split-input-file --bb-fuse | FileCheck %s

// A norm is one row-wise region; an activation is a product's epilogue.
bb.model @norm_linear() {
  state @w f32[48, 32] parameter init normal(0.02) group "decay" saved
  state @g f32[32] parameter init ones group "no_decay" saved
  program @p(%x: f32[4, 10, 32]) -> f32[4, 10, 48] {
    %g = read @g f32[32]
    %w = read @w f32[48, 32]
    %n = rms_norm %x, %g eps 1.0e-5
    %y = linear %n, %w
    %s = silu %y
    return %s
  }
}
// CHECK-LABEL: @norm_linear
// CHECK: %[[N:.*]] = fused dims [a = 4, b = 10, c = 32] reads (%x at (a, b, c), %{{.*}} at (c)) writes (f32[4, 10, 32] at (a, b, c))
// CHECK: bb.reduce_over add %{{.*}} over [d2]
// CHECK: math.rsqrt
// CHECK: %[[Y:.*]] = fused dims [a = 4, b = 10, c = 48, k = 32] reads (%[[N]] at (a, b, k), %{{.*}} at (c, k)) writes (f32[4, 10, 48] at (a, b, c))
// CHECK: bb.contract %{{.*}}, %{{.*}} over [d3]
// CHECK: math.exp
// CHECK-NOT: fused
// CHECK: return %[[Y]]

// -----

// A gradient's sum over rows takes the old gradient along.
bb.model @accumulate() {
  state @gradient f32[24] gradient init zeros
  program @p(%x: f32[40, 24]) {
    %y = reduce %x by sum axes [0]
    %old = read @gradient f32[24]
    %z = add %y, %old
    write @gradient, %z
    return
  }
}
// CHECK-LABEL: @accumulate
// CHECK: %[[OLD:.*]] = read @gradient
// CHECK: %[[Z:.*]] = fused dims [a = 24, r = 40] reads (%x at (r, a), %[[OLD]] at (a)) writes (f32[24] at (a))
// CHECK: %[[SUM:.*]] = bb.reduce_over add %{{.*}} over [d1]
// CHECK: arith.addf %[[SUM]]
// CHECK-NOT: fused
// CHECK: write @gradient, %[[Z]]

// -----

// Rotary positions read both halves of a pair and tables made here in double.
bb.model @rotary() {
  program @p(%q: f32[2, 8, 3, 16]) -> f32[2, 8, 3, 16] {
    %y = rope %q theta 10000.0
    return %y
  }
}
// CHECK-LABEL: @rotary
// CHECK-DAG: %[[SIN:.*]] = constant "rope_sin" dense<{{.*}}> : tensor<8x8xf32>
// CHECK-DAG: %[[COS:.*]] = constant "rope_cos" dense<{{.*}}> : tensor<8x8xf32>
// CHECK: fused dims [a = 2, b = 8, c = 3, s = 2, i = 8]
// CHECK-SAME: %q at (a, b, c, ((s * 8) + i)), %q at (a, b, c, ((((s * -1) + 1) * 8) + i))
// CHECK-SAME: %[[COS]] at (b, i), %[[SIN]] at (b, i)
// CHECK-SAME: writes (f32[2, 8, 3, 16] at (a, b, c, ((s * 8) + i)))

// -----

// A gather reads its table at computed indices; views are index arithmetic.
bb.model @gather() {
  state @table f32[256, 12] parameter init normal(0.02) group "decay" saved
  program @p(%bytes: u8[2, 5]) -> f32[4, 5, 2] {
    %t = read @table f32[256, 12]
    %x = embed %bytes, %t
    %y = transpose %x by [2, 1, 0]
    %z = slice %y axis 0 from 3 size 4
    return %z
  }
}
// CHECK-LABEL: @gather
// CHECK: %[[X:.*]] = fused dims [a = 2, b = 5, c = 12] reads (%bytes at (a, b), %{{.*}}) writes (f32[2, 5, 12] at (a, b, c))
// CHECK: bb.at %arg1[%arg0, %{{.*}}]
// CHECK: fused dims [a = 4, b = 5, c = 2] reads (%[[X]] at (c, b, (a + 3))) writes (f32[4, 5, 2] at (a, b, c))

// -----

// What is not trained drops nothing.
bb.model @dropout() {
  program @p(%x: f32[4, 8]) -> f32[4, 8] {
    %y = silu %x
    %d = dropout %y p 0.1
    return %d
  }
}
// CHECK-LABEL: @dropout
// CHECK: %[[Y:.*]] = fused
// CHECK-NOT: dropout
// CHECK: return %[[Y]]

// -----

// A patch renames what lies in memory; a slow row is picked from it, and the
// start of a stream takes its place.
bb.model @rates() {
  program @p(%x: f32[1, 8, 3], %first: f32[3], %at: i32[]) -> f32[1, 1, 3] {
    %p = patch %x by 4
    %u = unpatch %p by 4
    %r = pick %u, %at
    %y = at_start %first, %r, %at period 4
    return %y
  }
}
// CHECK-LABEL: @rates
// CHECK-NOT: patch
// CHECK: %[[P:.*]] = reshape %x to [1, 2, 12]
// CHECK: %[[U:.*]] = reshape %[[P]] to [1, 8, 3]
// CHECK: %[[Y:.*]] = fused dims [c = 3] reads (%at at (), %first at (c), %[[U]])
// CHECK: arith.remsi
// CHECK: bb.at %arg2[
// CHECK: arith.select
// CHECK-NOT: fused
// CHECK: return %[[Y]]
