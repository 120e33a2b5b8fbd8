// RUN: bb-opt %s --bb-plan --split-input-file --verify-diagnostics

bb.model @m() {
  program @p(%x: f32[4]) -> f32[4] {
    // expected-error @+1 {{has not become a dispatch: run phase tile before plan}}
    %y = neg %x
    return %y
  }
}

// -----

bb.model @m() {
  state @w f32[512] parameter init zeros
  state @half f32[256] parameter init zeros slice of @w at 256
  program @p() {
    %zero = constant "zero" dense<0.0> : tensor<512xf32>
    %small = constant "small" dense<0.0> : tensor<256xf32>
    // expected-note @+1 {{here}}
    write @w, %zero
    // expected-error @+1 {{writes a state that is written already}}
    write @half, %small
    return
  }
}
