// Convolution on a CPU.
// RUN: bb-opt %s --bb-tile=target=cpu-v4 | FileCheck %s
// RUN: bb-opt %s --bb-tile=target=cuda | FileCheck %s --check-prefix=GPU

// Whole rows, 64 items to a program; the gradient's programs add to sums of
// their own, which another kernel adds in order.
bb.model @conv() {
  program @p(%x: f32[2, 130, 100], %w: f32[100, 4], %dy: f32[2, 130, 100])
      -> f32[2, 130, 100], f32[2, 130, 100], f32[100, 4] {
    %y = conv %x, %w
    %dx, %dw, %db = conv_grad %x, %w, %dy
    return %y, %dx, %dw
  }
}
// CHECK-LABEL: tile.kernel @conv_0
// CHECK-SAME: programs = 6
// CHECK-LABEL: tile.kernel @conv_grad_0
// CHECK-SAME: !tile.buf<6x100x4xf32, global>
// CHECK-SAME: programs = 6
// CHECK-LABEL: tile.kernel @sum_parts_0

// With silu the gradient takes the bias and computes the sums again: one more
// row of four taps, and silu's slope, of what it reads anyway.
bb.model @silu() {
  program @p(%x: bf16[2, 128, 256], %w: bf16[256, 4], %bias: bf16[256], %dy: bf16[2, 128, 256])
      -> bf16[2, 128, 256], bf16[2, 128, 256] {
    %y = conv %x, %w, %bias silu
    %dx, %dw, %db = conv_grad %x, %w, %dy, %bias silu
    return %y, %dx
  }
}
// CHECK-LABEL: tile.kernel @conv_1
// CHECK: math.exp2
// CHECK: tile.return
// CHECK-LABEL: tile.kernel @conv_grad_1
// CHECK-SAME: %[[BIAS:[a-z0-9]+]]: !tile.buf<256xbf16, global>
// CHECK: math.exp2
// CHECK: tile.return
// CHECK: tile.dispatch @conv_grad_1(%x, %w, %dy, %bias)
// Four neighbours to a lane, not eight: two warps to the row instead of one.
// GPU: tile.kernel @conv_1
// GPU-SAME: warps = 1
// GPU: tile.kernel @conv_grad_1
// GPU-SAME: warps = 2
