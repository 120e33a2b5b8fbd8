// Slices along the last axis that attention, convolutions, scans and products read
// in place.
// RUN: bb-opt %s --split-input-file --bb-fuse | FileCheck %s
// RUN: bb-opt %s --split-input-file --bb-fuse --bb-tile=target=cpu-v4 | FileCheck %s --check-prefix=TILE
// RUN: bb-opt %s --split-input-file --bb-fuse --bb-tile=target=cuda | FileCheck %s --check-prefix=TILE
// RUN: bb-opt %s --split-input-file --bb-fuse --bb-tile=target=cuda --bb-plan -o /dev/null
// RUN: bb-opt %s --split-input-file --bb-fuse --bb-tile=target=cpu-v3 --bb-plan -o /dev/null

// The convolution sees its half of the projection, and so does its gradient. The
// gate is read by the map of its region. Kernels take the whole tensor and begin
// behind its start.
bb.model @conv() {
  program @p(%u: f32[2, 16, 32], %w_in: f32[128, 32], %w: f32[64, 4]) -> f32[2, 16, 64], f32[64, 4] {
    %xz = linear %u, %w_in
    %z, %x = split %xz into [64, 64]
    %y = conv %x, %w silu
    %gate = silu %z
    %o = mul %y, %gate
    %dx, %dw, %db = conv_grad %x, %w, %o silu
    return %o, %dw
  }
}
// CHECK-LABEL: bb.model @conv
// CHECK: %[[XZ:.*]] = fused {{.*}} writes (f32[2, 16, 128]
// CHECK-NOT: fused
// CHECK: %[[X:.*]] = slice %[[XZ]] axis 2 from 64 size 64
// CHECK-NOT: fused
// CHECK: %[[Y:.*]] = conv %[[X]], %w silu
// CHECK: fused {{.*}} reads (%[[Y]] at (a, b, c), %[[XZ]] at (a, b, c))
// CHECK: conv_grad %[[X]]
// TILE: tile.kernel @conv_0(%arg0: !tile.buf<2x16x64xf32, global, #tile.strided<[2048, 128, 1], at 64>>
// TILE: tile.kernel @conv_grad_0(%arg0: !tile.buf<2x16x64xf32, global, #tile.strided<[2048, 128, 1], at 64>>
// TILE: bb.model @conv
// TILE: %[[XZ:.*]] = tile.dispatch {{.*}} -> !bb.tensor<f32[2, 16, 128]>
// TILE-NOT: slice
// TILE: tile.dispatch @conv_0(%[[XZ]], %w)

// -----

// B and C lie behind each other in the rows of one projection, and so does what
// another product reads. Decays are no view: their two axes turn.
bb.model @scan() {
  program @p(%u: f32[2, 16, 32], %w_p: f32[24, 32], %w_dt: f32[32, 8], %as: f32[32, 16])
      -> f32[2, 16, 32] {
    %p = linear %u, %w_p
    %b, %r, %c = split %p into [8, 8, 8]
    %dt = linear %r, %w_dt
    %a0, %a = split %as into [8, 8]
    %y = selective_scan %u, %dt, %a, %b, %c
    return %y
  }
}
// CHECK-LABEL: bb.model @scan
// CHECK: %[[P:.*]] = fused {{.*}} writes (f32[2, 16, 24]
// CHECK-DAG: %[[B:.*]] = slice %[[P]] axis 2 from 0 size 8
// CHECK-DAG: %[[C:.*]] = slice %[[P]] axis 2 from 16 size 8
// CHECK-DAG: fused {{.*}} reads (%[[P]] at (a, b, (k + 8)), %w_dt
// CHECK-DAG: %[[A:.*]] = fused {{.*}} reads (%as at (a, (b + 8)))
// CHECK: selective_scan %u, {{.*}}, %[[A]], %[[B]], %[[C]]
// TILE: !tile.buf<32x8xf32, global, #tile.strided<[24, 1], at 8>>
// TILE: tile.kernel @selective_scan_0(
// TILE-SAME: !tile.buf<2x16x8xf32, global, #tile.strided<[384, 24, 1]>>
// TILE-SAME: !tile.buf<2x16x8xf32, global, #tile.strided<[384, 24, 1], at 16>>

// -----

// A reshape that divides the axis is still a view.
bb.model @heads() {
  program @p(%u: bf16[2, 16, 32], %w: bf16[96, 32], %dt: f32[2, 16, 4], %a: f32[4]) -> bf16[2, 16, 4, 16] {
    %p = linear %u, %w
    %x0, %b0, %c0 = split %p into [64, 16, 16]
    %x = reshape %x0 to [2, 16, 4, 16]
    %b = reshape %b0 to [2, 16, 1, 16]
    %c = reshape %c0 to [2, 16, 1, 16]
    %y = ssd %x, %dt, %a, %b, %c chunk 16
    return %y
  }
}
// CHECK-LABEL: bb.model @heads
// CHECK-COUNT-1: fused
// CHECK-NOT: fused
// CHECK: slice {{.*}} from 80 size 16
// CHECK-NOT: fused
// CHECK: ssd
// TILE: bb.model @heads
// TILE-NOT: slice
// TILE-NOT: reshape

// -----

// Heads of one projection's rows; nothing is copied for attention or its gradient.
bb.model @attention() {
  program @p(%u: bf16[2, 64, 64], %w: bf16[192, 64], %dy: bf16[2, 64, 2, 32])
      -> bf16[2, 64, 2, 32], bf16[2, 64, 2, 32] {
    %qkv = linear %u, %w
    %q0, %k0, %v0 = split %qkv into [64, 64, 64]
    %q = reshape %q0 to [2, 64, 2, 32]
    %k = reshape %k0 to [2, 64, 2, 32]
    %v = reshape %v0 to [2, 64, 2, 32]
    %y, %lse = attention %q, %k, %v causal lse
    %dq, %dk, %dv = attention_grad %q, %k, %v, %y, %lse, %dy causal
    return %y, %dk
  }
}
// CHECK-LABEL: bb.model @attention
// CHECK: %[[QKV:.*]] = fused
// CHECK-NOT: fused
// CHECK: attention_grad
// TILE: !tile.buf<2x64x2x32xbf16, global, #tile.strided<[12288, 192, 32, 1], at 128>>
// TILE: bb.model @attention
// TILE: %[[QKV:.*]] = tile.dispatch @matmul
// TILE: tile.dispatch @attention_0(%[[QKV]], %[[QKV]], %[[QKV]])

// -----

// So do sums over rows, but not a product's epilogue, whose accesses are plain.
bb.model @sums() {
  program @p(%x: f32[64, 96], %a: f32[64, 32], %w: f32[32, 32]) -> f32[32], f32[64, 32] {
    %x0, %x1, %x2 = split %x into [32, 32, 32]
    %s = mul %x1, %a
    %d = reduce %s by sum axes [0]
    %p = linear %a, %w
    %y = add %p, %x2
    return %d, %y
  }
}
// CHECK-LABEL: bb.model @sums
// CHECK-DAG: fused {{.*}} reads (%x at (r, (a + 32)), %a at (r, a))
// CHECK-DAG: %[[X2:.*]] = fused {{.*}} reads (%x at (a, (b + 64)))
// CHECK-DAG: fused {{.*}} reads ({{.*}}%[[X2]] at (a, b)

// -----

// Copied are: what the program returns; rows that 16-byte accesses would not fit;
// and parts of what need not lie in memory whole.
bb.model @copies() {
  program @p(%u: f32[2, 16, 64], %r: f32[2, 16, 65], %w: f32[32, 4])
      -> f32[2, 16, 32], f32[2, 16, 32], f32[2, 16, 32], f32[2, 16, 32] {
    %u0, %u1 = split %u into [32, 32]
    %y0 = conv %u1, %w
    %r0, %r1 = split %r into [32, 33]
    %y1 = conv %r0, %w
    %e = exp %u
    %e0, %e1 = split %e into [32, 32]
    %y2 = conv %e1, %w
    return %y0, %u1, %y1, %y2
  }
}
// CHECK-LABEL: bb.model @copies
// CHECK-NOT: slice
// CHECK: %[[U1:.*]] = fused {{.*}} reads (%u at (a, b, (c + 32)))
// CHECK: conv %[[U1]]
// CHECK: fused {{.*}} reads (%r at (a, b, c))
// CHECK: fused dims [a = 2, b = 16, c = 32] reads (%u at (a, b, (c + 32)))
// CHECK: math.exp
// CHECK-NOT: slice
// CHECK: return
// What is copied counts as traffic, not what it is a part of.
// TILE: tile.kernel @elementwise_0({{.*}} traffic = 8192
