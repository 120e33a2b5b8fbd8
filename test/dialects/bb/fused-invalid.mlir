// RUN: bb-opt %s --split-input-file --verify-diagnostics

bb.model @argument() {
  program @p(%x: bf16[4]) -> f32[4] {
    // expected-error @below {{operand 0 is bf16[4], so its block argument must be 'f32', but it is 'bf16'}}
    %y = fused dims [a = 4] reads (%x at (a)) writes (f32[4] at (a)) {
    ^bb0(%e: bf16):
      %w = arith.extf %e : bf16 to f32
      bb.emit %w : f32
    }
    return %y
  }
}

// -----

bb.model @results() {
  program @p(%x: f32[4]) -> f32[4] {
    // expected-error @below {{must emit 1 values}}
    %y = fused dims [a = 4] reads (%x at (a)) writes (f32[4] at (a)) {
    ^bb0(%e: f32):
      bb.emit
    }
    return %y
  }
}

// -----

bb.model @rank() {
  program @p(%x: f32[4, 2]) -> f32[4] {
    // expected-error @below {{does not fit f32[4, 2]}}
    %y = fused dims [a = 4] reads (%x at (a)) writes (f32[4] at (a)) {
    ^bb0(%e: f32):
      bb.emit %e : f32
    }
    return %y
  }
}

// -----

bb.model @anchors() {
  program @p(%x: f32[4, 2]) -> f32[4] {
    // expected-error @below {{has 2 contractions; one is the most}}
    %y = fused dims [a = 4, k = 2] reads (%x at (a, k)) writes (f32[4] at (a)) {
    ^bb0(%e: f32):
      %s = bb.contract %e, %e over [d1]
      %t = bb.contract %e, %e over [d1]
      %u = arith.addf %s, %t : f32
      bb.emit %u : f32
    }
    return %y
  }
}

// -----

bb.model @combiner() {
  program @p(%x: f32[4]) -> f32[] {
    %y = fused dims [r = 4] reads (%x at (r)) writes (f32[] at ()) {
    ^bb0(%e: f32):
      // expected-error @below {{combines by add or max, not 'min'}}
      %s = bb.reduce_over min %e over [d0]
      bb.emit %s : f32
    }
    return %y
  }
}

// -----

bb.model @no_dim() {
  program @p(%x: f32[4, 2]) -> f32[4] {
    // expected-error @below {{sums over d7, but has 2 dims}}
    %y = fused dims [a = 4, b = 2] reads (%x at (a, b)) writes (f32[4] at (a)) {
    ^bb0(%e: f32):
      %s = bb.reduce_over add %e over [d7]
      bb.emit %s : f32
    }
    return %y
  }
}

// -----

bb.model @wide_row() {
  program @p(%x: f32[4, 8], %w: f32[300, 8]) -> f32[4] {
    // expected-error @below {{sums 300 elements behind its contraction; 256 are the most}}
    %y = fused dims [a = 4, b = 300, k = 8] reads (%x at (a, k), %w at (b, k)) writes (f32[4] at (a)) {
    ^bb0(%e: f32, %f: f32):
      %c = bb.contract %e, %f over [d2]
      %s = bb.reduce_over add %c over [d1]
      bb.emit %s : f32
    }
    return %y
  }
}

// -----

bb.model @sum_first() {
  program @p(%x: f32[4, 8], %w: f32[16, 8]) -> f32[4, 16] {
    // expected-error @below {{sums before its contraction; only behind one}}
    %y = fused dims [a = 4, b = 16, k = 8] reads (%x at (a, k), %w at (b, k)) writes (f32[4, 16] at (a, b)) {
    ^bb0(%e: f32, %f: f32):
      %s = bb.reduce_over add %e over [d2]
      %c = bb.contract %e, %f over [d2]
      %z = arith.addf %c, %s : f32
      bb.emit %z : f32
    }
    return %y
  }
}
