// Parts of rows are read where they lie: to make them again saves nothing, and
// what is made again reads those that are there.
// RUN: bb-opt %s --bb-differentiate="train optimizer-file=%models/optim/adamw.mlir memory-budget=340000" | FileCheck %s

bb.model @m() {
  state @table f32[256, 32] parameter init ones group "decay" saved
  state @up f32[128, 32] parameter init ones group "decay" saved
  state @taps f32[64, 4] parameter init ones group "no_decay" saved
  state @down f32[32, 64] parameter init ones group "decay" saved
  program @score(%bytes: u8[2, 64], %next: u8[2, 64] ahead 1) -> f32[2, 64] {
    %w = read @table f32[256, 32]
    %u = read @up f32[128, 32]
    %k = read @taps f32[64, 4]
    %d = read @down f32[32, 64]
    %x = embed %bytes, %w
    %p = linear %x, %u
    %p0, %p1 = split %p into [64, 64]
    %c = conv %p0, %k silu
    %g = slice %p axis 2 from 64 size 64
    %y = mul %c, %g
    %h = linear %y, %d
    %z = linear %h, %w
    %nats = cross_entropy %z, %next
    return %nats
  }
}

// CHECK: program @micro
// CHECK: %[[P:.*]]:2 = split
// CHECK: conv %[[P]]#0, %{{.*}} silu{{$}}
// CHECK-NOT: recompute
// CHECK: conv %[[P]]#0, %{{.*}} silu recompute
// CHECK-NOT: recompute
