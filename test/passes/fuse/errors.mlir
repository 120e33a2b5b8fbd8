// What fuse refuses.
// RUN: bb-opt %s --split-input-file --verify-diagnostics --bb-fuse

bb.model @groups() {
  program @p(%x: f32[2, 6], %g: f32[6]) -> f32[2, 6] {
    // expected-error @below {{has 0 groups, which do not divide its rows of 6}}
    %y = rms_norm %x, %g eps 1.0e-5 groups 0
    return %y
  }
}
