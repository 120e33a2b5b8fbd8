// Groups that a config makes and that do not divide a row.
// RUN: bb-opt %s --verify-diagnostics --bb-instantiate
bb.model @m(batch B = 2, stream T = 4, d = 6, n_group = 4) {
  program @logits(%x: f32[B, T, d]) -> f32[B, T, d] {
    %g = param "g" f32[d] init ones
    // expected-error @below {{has 4 groups, which do not divide its rows of 6}}
    %y = rms_norm %x, %g eps 1.0e-5 groups n_group
    return %y
  }
}
