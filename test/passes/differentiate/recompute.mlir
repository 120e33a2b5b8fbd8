// A memory budget lets the backward half compute activations again: cheap ones
// first, then all that lies between two points of the residual stream. What is
// printed reads back.
// RUN: bb-opt %s --bb-differentiate="train optimizer-file=%models/optim/adamw.mlir memory-budget=1000000000" | FileCheck %s --check-prefix=ENOUGH
// RUN: bb-opt %s --bb-differentiate="train optimizer-file=%models/optim/adamw.mlir memory-budget=300000" | FileCheck %s --check-prefix=CHEAP
// RUN: bb-opt %s --bb-differentiate="train optimizer-file=%models/optim/adamw.mlir memory-budget=1" -o %t
// RUN: FileCheck %s --check-prefix=ALL < %t
// RUN: bb-opt %t --cse | FileCheck %s --check-prefix=ALL

bb.model @m() {
  state @table f32[256, 32] parameter init ones group "decay" saved
  state @gain f32[32] parameter init ones group "no_decay" saved
  state @up f32[128, 32] parameter init ones group "decay" saved
  state @down f32[32, 128] parameter init ones group "decay" saved
  program @score(%bytes: u8[2, 64], %next: u8[2, 64] ahead 1) -> f32[2, 64] {
    %w = read @table f32[256, 32]
    %g = read @gain f32[32]
    %u = read @up f32[128, 32]
    %d = read @down f32[32, 128]
    %x = embed %bytes, %w
    %n = rms_norm %x, %g eps 1.0e-05
    %a = linear %n, %u
    %b = silu %a
    %c = linear %b, %d
    %h = add %x, %c
    %z = linear %h, %w
    %nats = cross_entropy %z, %next
    return %nats
  }
}

// ENOUGH-NOT: recompute

// CHEAP: program @micro
// CHEAP: %[[X:.*]] = embed
// CHEAP: %[[A:.*]] = linear
// CHEAP-NOT: linear {{.*}} recompute
// CHEAP: silu %[[A]] recompute
// CHEAP: rms_norm %[[X]], %{{.*}} eps 1.0e-05 recompute
// CHEAP-NOT: recompute

// ALL: program @micro
// ALL: %[[X:.*]] = embed
// ALL: %[[N:.*]] = rms_norm %[[X]], %{{.*}} eps 1.0e-05
// ALL: %[[A:.*]] = linear %[[N]]
// ALL: softmax
// ALL: %[[N2:.*]] = rms_norm %[[X]], %{{.*}} eps 1.0e-05 recompute
// ALL: %[[A2:.*]] = linear %[[N2]], %{{.*}} recompute
// ALL: %[[B2:.*]] = silu %[[A2]] recompute
// ALL: einsum %{{.*}}, %[[B2]] as "abo,abi->oi"
// ALL: sigmoid %[[A2]]
// ALL: einsum %{{.*}}, %[[N2]] as "abo,abi->oi"
