// Counts that a kernel or a gradient would divide by.
// RUN: bb-opt %s --split-input-file --verify-diagnostics

bb.model @period() {
  program @p(%x: f32[2, 6, 3], %first: f32[3]) -> f32[2, 6, 3] {
    // expected-error @below {{'bb.shift' needs a period above 0, but it is 0}}
    %y = shift %x, %first period 0
    return %y
  }
}

// -----

bb.model @positions() {
  program @p() -> i32[6] {
    // expected-error @below {{'bb.positions' needs a period above 0, but it is -2}}
    %y = positions of 6 period -2
    return %y
  }
}

// -----

bb.model @patch() {
  program @p(%x: f32[2, 6, 3]) -> f32[2, 1, 12] {
    // expected-error @below {{'bb.patch' needs a number that divides '6' of f32[2, 6, 3], but it is 4}}
    %y = patch %x by 4
    return %y
  }
}

// -----

bb.model @unpatch() {
  program @p(%x: f32[2, 6, 3]) -> f32[2, 1, 12] {
    // expected-error @below {{'bb.unpatch' needs a number that divides '3' of f32[2, 6, 3], but it is 0}}
    %y = unpatch %x by 0
    return %y
  }
}

// -----

bb.model @chunk() {
  program @p(%x: f32[1, 6, 2, 4], %dt: f32[1, 6, 2], %a: f32[2], %b: f32[1, 6, 1, 3]) -> f32[1, 6, 2, 4] {
    // expected-error @below {{'bb.ssd' needs a chunk above 0, but it is 0}}
    %y = ssd %x, %dt, %a, %b, %b chunk 0
    return %y
  }
}
