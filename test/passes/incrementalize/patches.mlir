// A model of two rates: four step programs, which hand rows to each other.
// RUN: bb-opt %s --bb-instantiate="decode=true" --bb-incrementalize | FileCheck %s
bb.model @m(batch B = 2, stream T = 8, context = 16, P = 4, d = 16) {
  program @logits(%bytes: u8[B, T]) -> [B, T, 256] {
    %w = param "w" [256, d] init ones
    %first = param "first" [P*d] init zeros
    %start = param "start" [d] init zeros
    %e = embed %bytes, %w
    %p = patch %e by P
    %s = shift %p, %first
    %q = reshape %s to [B, T/P, 1, P*d]
    %a = attention %q, %q, %q causal
    %g = reshape %a to [B, T/P, P*d]
    %u = unpatch %g by P
    %b = shift %e, %start period P
    %h = add %u, %b
    %z = linear %h, %w
    return %z
  }
}
// A patch leaves what the global model reads before the next one begins.
// CHECK: state @cache.p.patch f32[1, 4, 16] cache
// CHECK: state @cache.s.last f32[1, 1, 64] cache
// CHECK: state @cache.a.k f32[1, 4, 1, 64] cache
// CHECK: state @cache.u.unpatch f32[1, 1, 64] cache
// CHECK: state @cache.b.last f32[1, 1, 16] cache
// CHECK-NOT: prefill

// CHECK: program @after.1(%position: i32[], %byte: u8[1, 1]) {
// CHECK: %[[E:.*]] = embed %byte
// CHECK: %[[RING:.*]] = append {{.*}}, %[[E]], %position
// CHECK: write @cache.p.patch, %[[RING]]
// CHECK: write @cache.b.last, %[[E]]

// CHECK: program @after.4(%position: i32[]) {
// CHECK: patch {{.*}} by 4
// CHECK: write @cache.s.last

// CHECK: program @before.4(%position: i32[]) {
// CHECK: at_start {{.*}}, {{.*}}, %position
// CHECK: attention {{.*}} causal at %position
// CHECK: write @cache.u.unpatch

// CHECK: program @before.1(%position: i32[]) -> f32[1, 256] as "logits" {
// CHECK: unpatch {{.*}} by 4
// CHECK: pick {{.*}}, %position
// CHECK: at_start {{.*}}, {{.*}}, %position period 4
