// Attention in blocks: the ring is one block, and a chunk never straddles two.
// RUN: bb-opt %s --bb-instantiate="decode=true" --bb-incrementalize | FileCheck %s
bb.model @m(batch B = 2, stream T = 96, d = 16) {
  program @logits(%bytes: u8[B, T]) -> [B, T, 256] {
    %w = param "w" [256, d] init ones
    %e = embed %bytes, %w
    %q = reshape %e to [B, T, 1, d]
    %a = attention %q, %q, %q causal block 24
    %h = reshape %a to [B, T, d]
    %z = linear %h, %w
    return %z
  }
}
// CHECK: state @cache.a.k f32[1, 24, 1, 16] cache
// CHECK: program @prefill(%position: i32[], %byte: u8[1, 24]) -> f32[1, 256] as "logits"
// CHECK: attention {{.*}} causal block 24 at %position
