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
