// RUN: bb-opt %s -o %t
// RUN: bb-opt %t | diff %t -
// RUN: FileCheck %s < %t

bb.model @m() {
  // CHECK: fused dims [b = 2, n = 12, k = 4] reads (%x at (b, k), %w at (n, k), %ids at (b), %table)
  // CHECK-SAME: writes (f32[2, 12] at (b, n), bf16[12, 2] at (n, b))
  // CHECK-NEXT: ^bb0(%arg0: f32, %arg1: f32, %arg2: i32, %arg3: !bb.tensor<f32[9, 12]>):
  // CHECK-NEXT: %[[C:.*]] = bb.contract %arg0, %arg1 over [d2]
  // CHECK-NEXT: %[[N:.*]] = bb.index d1
  // CHECK-NEXT: %[[E:.*]] = bb.at %arg3[%arg2, %[[N]]] : <f32[9, 12]> -> f32
  // CHECK-NEXT: %[[S:.*]] = arith.addf %[[C]], %[[E]] : f32
  // CHECK-NEXT: bb.emit %[[S]], %[[S]] : f32, f32
  program @p(%x: f32[2, 4], %w: f32[12, 4], %ids: u8[2], %table: f32[9, 12]) -> f32[2, 12], bf16[12, 2] {
    %y, %z = fused dims [b = 2, n = 12, k = 4]
        reads (%x at (b, k), %w at (n, k), %ids at (b), %table)
        writes (f32[2, 12] at (b, n), bf16[12, 2] at (n, b)) {
    ^bb0(%a: f32, %b: f32, %id: i32, %t: !bb.tensor<f32[9, 12]>):
      %c = bb.contract %a, %b over [d2]
      %n = bb.index d1
      %e = bb.at %t[%id, %n] : <f32[9, 12]> -> f32
      %s = arith.addf %c, %e : f32
      bb.emit %s, %s : f32, f32
    }
    return %y, %z
  }
}
