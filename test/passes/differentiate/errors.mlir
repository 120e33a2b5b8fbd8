// What cannot be trained is refused with a place and a reason.
// RUN: bb-opt %s --split-input-file --verify-diagnostics --bb-differentiate="train optimizer-file=%models/optim/adamw.mlir"

// expected-error @below {{'bb.model' op has no program @score, from which training is derived}}
bb.model @no_score() {
  state @w f32[8, 4] parameter init ones group "decay" saved
  program @logits(%x: f32[2, 4]) -> f32[2, 8] {
    %w = read @w f32[8, 4]
    %y = linear %x, %w
    return %y
  }
}

// -----

bb.model @no_parameter() {
  // expected-error @below {{cannot be differentiated: it depends on no parameter}}
  program @score(%x: f32[2, 4]) -> f32[2, 4] {
    %y = exp %x
    return %y
  }
}

// -----

bb.model @not_nats() {
  state @w f32[8] parameter init ones group "decay" saved
  // expected-error @below {{must return its nats in f32}}
  program @score(%x: bf16[2, 8]) -> bf16[2, 8] {
    %w = read @w f32[8]
    %y = mul %x, %w
    %z = cast %y to bf16
    return %z
  }
}

// -----

bb.model @uneven_period() {
  state @w f32[3] parameter init ones group "decay" saved
  program @score(%x: f32[2, 6, 3]) -> f32[2, 6, 3] {
    %w = read @w f32[3]
    // expected-error @below {{cannot be differentiated: its period 4 does not divide its 6 items}}
    %y = shift %x, %w period 4
    return %y
  }
}

// -----

// What attention_grad gives depends on the parameter: no silent zero.
bb.model @twice() {
  state @w f32[1, 4, 2, 8] parameter init ones group "decay" saved
  program @score(%x: f32[1, 4, 2, 8]) -> f32[1, 4, 2, 8] {
    %w = read @w f32[1, 4, 2, 8]
    %y, %lse = attention %w, %x, %x causal lse
    // expected-error @below {{cannot be differentiated: no rule says how its result changes with its operands}}
    %dq, %dk, %dv = attention_grad %w, %x, %x, %y, %lse, %x causal
    return %dq
  }
}

// -----

bb.model @saved_states() {
  state @w f32[8, 4] parameter init ones group "decay" saved
  program @score(%x: f32[2, 6, 8], %b: f32[2, 6, 4]) -> f32[2, 2, 4, 8] {
    %w = read @w f32[8, 4]
    // expected-error @below {{cannot be differentiated through the states that it saves}}
    %y, %h = selective_scan %x, %x, %w, %b, %b save 4
    return %h
  }
}
