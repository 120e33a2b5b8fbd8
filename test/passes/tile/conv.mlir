// Convolution on a CPU.
// RUN: bb-opt %s --bb-tile=target=cpu-v4 | FileCheck %s

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
