// An op whose sequence is not the stream does the same at every moment: it keeps
// no state and knows no position.
// RUN: bb-opt %s --bb-instantiate="decode=true" --bb-incrementalize | FileCheck %s
// CHECK-NOT: cache
// CHECK-LABEL: program @after.1(
// CHECK: positions of 4
// CHECK-NOT: at %position
// CHECK: rope {{.*}} theta 10000
// CHECK-NOT: at %position
// CHECK: attention {{.*}} causal
// CHECK-NOT: at %position
// CHECK: shift
// CHECK: return
bb.model @m(batch B = 2, stream T = 8, h = 4, d = 16) {
  program @logits(%bytes: u8[B, T]) -> [B, T, 256] {
    %w = param "w" [256, h*d] init ones
    %place = param "place" [h, d] init ones
    %first = param "first" [1, d] init ones
    %e = embed %bytes, %w
    %x = reshape %e to [B, T, h, d]
    %p = positions of h
    %pe = embed %p, %place
    %y = add %x, %pe
    // The heads become the sequence, the stream the heads.
    %t = transpose %y by [0, 2, 1, 3]
    %r = rope %t theta 1.0e4
    %a = attention %r, %r, %t causal
    %first_t = broadcast %first to [T, d]
    %s = shift %a, %first_t
    %u = transpose %s by [0, 2, 1, 3]
    %o = reshape %u to [B, T, h*d]
    %z = linear %o, %w
    return %z
  }
}
