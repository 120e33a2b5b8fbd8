// Only what trains drops: micro takes the seed and the count of its calls, and the
// gradient draws the mask of its dropout again.
// RUN: bb-opt %s --bb-differentiate="train gradients optimizer-file=%models/optim/adamw.mlir" | FileCheck %s

bb.model @m() {
  state @w f32[8] parameter init ones group "decay" saved
  program @score(%x: f32[2, 8]) -> f32[2, 8] {
    %w = read @w f32[8]
    %y = mul %x, %w
    %d = dropout %y p 0.1 stream 3
    %z = square %d
    return %z
  }
}

// CHECK: program @score
// CHECK: dropout %{{[0-9]+}} p 0.1 stream 3{{$}}

// CHECK: program @micro(%x: f32[2, 8], %weight: f32[], %seed: i32[], %counter: i32[])
// CHECK: %[[D:.*]] = dropout %{{[0-9]+}} p 0.1 stream 3 seed %seed counter %counter
// CHECK: square %[[D]]
// CHECK: mul %{{.*}}, %[[D]]
// CHECK: dropout %{{[0-9]+}} p 0.1 stream 3 seed %seed counter %counter

// CHECK: program @gradients
// CHECK-NOT: seed
// CHECK: dropout %{{[0-9]+}} p 0.1 stream 3{{$}}
