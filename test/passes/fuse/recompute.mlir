// What is computed again stays apart from the first time, down to the dispatches.
// RUN: bb-opt %s --bb-fuse | FileCheck %s
// RUN: bb-opt %s --bb-fuse | bb-opt --bb-tile | FileCheck %s --check-prefix=TILE
bb.model @m() {
  state @w f32[32, 32] parameter init normal(0.02) group "decay" saved
  state @g f32[32] parameter init ones group "no_decay" saved
  program @p(%x: f32[64, 32], %dy: f32[64, 32]) -> f32[64, 32], f32[64, 32] {
    %w = read @w f32[32, 32]
    %g = read @g f32[32]
    %n = rms_norm %x, %g eps 1.0e-5
    %a = linear %n, %w
    %s = silu %a
    %y = linear %s, %w
    %n2 = rms_norm %x, %g eps 1.0e-5 recompute
    %a2 = linear %n2, %w recompute
    %s2 = silu %a2 recompute
    %dx = mul %s2, %dy
    return %y, %dx
  }
}
// CHECK: %[[N:.*]] = fused {{.*}} reads (%x {{.*}}) writes ({{.*}}) {
// CHECK: %[[S:.*]] = fused {{.*}} reads (%[[N]] {{.*}}) {
// CHECK: %[[Y:.*]] = fused {{.*}} reads (%[[S]] {{.*}}) {
// CHECK: %[[N2:.*]] = fused {{.*}} reads (%x {{.*}}) recompute {
// CHECK: %[[S2:.*]] = fused {{.*}} reads (%[[N2]] {{.*}}) recompute {
// CHECK: %[[DX:.*]] = fused {{.*}}%[[S2]]
// CHECK: return %[[Y]], %[[DX]]

// TILE: %[[X:.*]] = tile.dispatch @rowwise_0(%x
// TILE: %[[X2:.*]] = tile.dispatch @rowwise_0(%x{{.*}} {recompute}
// TILE: tile.dispatch @matmul_0(%[[X2]]{{.*}} {recompute}
