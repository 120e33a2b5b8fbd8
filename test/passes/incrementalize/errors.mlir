// RUN: bb-opt %s --bb-instantiate="decode=true" --bb-incrementalize --split-input-file --verify-diagnostics

// Each position needs the whole sequence.
bb.model @all(batch B = 2, stream T = 8, d = 16) {
  program @logits(%bytes: u8[B, T]) -> [B, T, 256] {
    %w = param "w" [256, d] init ones
    %e = embed %bytes, %w
    %q = reshape %e to [B, T, 1, d]
    // expected-error @below {{'bb.attention' op looks at the whole sequence, so that its result cannot be made byte by byte}}
    %a = attention %q, %q, %q
    %h = reshape %a to [B, T, d]
    %z = linear %h, %w
    return %z
  }
}

// -----

// A sum over time, which no step can see.
bb.model @mean(batch B = 2, stream T = 8, d = 16) {
  program @logits(%bytes: u8[B, T]) -> [B, T, 256] {
    %w = param "w" [256, d] init ones
    %e = embed %bytes, %w
    // expected-error @below {{'bb.reduce' op looks at the whole sequence}}
    %m = reduce %e by mean axes [1] keep
    %h = sub %e, %m
    %z = linear %h, %w
    return %z
  }
}

// -----

// Read after the item, made before it: nothing holds the value between.
bb.model @early(batch B = 2, stream T = 8, d = 16) {
  // expected-note @below {{read by @after.1}}
  program @logits(%bytes: u8[B, T]) -> [B, T, 256] {
    %w = param "w" [256, d] init ones
    %first = param "first" [d] init zeros
    %e = embed %bytes, %w
    // expected-error @below {{'bb.shift' op is made at another moment than it is read}}
    %s = shift %e, %first
    %h = add %e, %s
    %z = linear %h, %w
    return %z
  }
}

// -----

// expected-error @below {{'bb.model' op has no program @logits}}
bb.model @none(batch B = 2, stream T = 8) {
  program @other(%bytes: u8[B, T]) -> u8[B, T] {
    return %bytes
  }
}
