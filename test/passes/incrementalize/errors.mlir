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

// -----

// A value for each pair of positions hides the whole sequence in a second axis.
bb.model @pairs(batch B = 2, stream T = 8, d = 16) {
  program @logits(%bytes: u8[B, T]) -> [B, T, 256] {
    %w = param "w" [256, d] init ones
    %e = embed %bytes, %w
    // expected-error @below {{'bb.einsum' op looks at the whole sequence}}
    %s = einsum %e, %e as "bqd,bkd->bqk"
    %r = reduce %s by sum axes [2] keep
    %h = mul %e, %r
    %z = linear %h, %w
    return %z
  }
}

// -----

// Inside a block, keys that have not come yet are seen too.
bb.model @block(batch B = 2, stream T = 8, d = 16) {
  program @logits(%bytes: u8[B, T]) -> [B, T, 256] {
    %w = param "w" [256, d] init ones
    %e = embed %bytes, %w
    %q = reshape %e to [B, T, 1, d]
    // expected-error @below {{'bb.attention' op sees keys that come later in its block, so that its result cannot be made byte by byte; say 'causal'}}
    %a = attention %q, %q, %q block 4
    %h = reshape %a to [B, T, d]
    %z = linear %h, %w
    return %z
  }
}

// -----

// The same elements in another order: each row has some of every position.
bb.model @mixed(batch B = 2, stream T = 8, d = 16) {
  program @logits(%bytes: u8[B, T]) -> [B, T, 256] {
    %w = param "w" [256, d] init ones
    %e = embed %bytes, %w
    // expected-error @below {{'bb.reshape' op looks at the whole sequence, so that its result cannot be made byte by byte}}
    %s = reshape %e to [B, d, T]
    %h = transpose %s by [0, 2, 1]
    %z = linear %h, %w
    return %z
  }
}

// -----

// A table with a row for each position.
bb.model @table(batch B = 2, stream T = 8, d = 16) {
  program @logits(%bytes: u8[B, T]) -> [B, T, 256] {
    %w = param "w" [256, d] init ones
    %e = embed %bytes, %w
    %rows = reshape %e to [B*T, d]
    // expected-error @below {{'bb.embed' op looks at the whole sequence}}
    %h = embed %bytes, %rows
    %z = linear %h, %w
    return %z
  }
}
