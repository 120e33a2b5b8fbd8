// 16-bit compute: every program reads a rounded copy of the parameters, which
// prepare makes and update keeps true. Between a weight's contraction and its
// gradient state there is no 16-bit op.
// RUN: bb-opt %s --bb-differentiate="train optimizer-file=%models/optim/adamw.mlir" | FileCheck %s

bb.model @m() {
  state @table f32[256, 16] parameter init ones group "decay" saved
  state @gain f32[16] parameter init ones group "no_decay" saved
  program @score(%bytes: u8[2, 8], %next: u8[2, 8] ahead 1) -> f32[2, 8] {
    %w32 = read @table f32[256, 16]
    %w = cast %w32 to bf16
    %g32 = read @gain f32[16]
    %g = cast %g32 to bf16
    %x = embed %bytes, %w
    %n = rms_norm %x, %g eps 1.0e-05
    %z = linear %n, %w
    %nats = cross_entropy %z, %next
    return %nats
  }
}

// CHECK: state @shadow.decay bf16[4096] derived group "decay"
// CHECK-NEXT: state @shadow.table bf16[256, 16] derived group "decay" slice of @shadow.decay at 0
// CHECK-NEXT: state @shadow.no_decay bf16[256] derived group "no_decay"
// CHECK-NEXT: state @shadow.gain bf16[16] derived group "no_decay" slice of @shadow.no_decay at 0

// CHECK: program @score
// CHECK-NEXT: %[[W:.*]] = read @shadow.table bf16[256, 16]
// CHECK-NEXT: %[[G:.*]] = read @shadow.gain bf16[16]
// CHECK-NEXT: embed %bytes, %[[W]]

// CHECK: program @micro
// CHECK-NEXT: %[[W:.*]] = read @shadow.table bf16[256, 16]
// CHECK-NEXT: %[[G:.*]] = read @shadow.gain bf16[16]
// CHECK: %[[N:.*]] = rms_norm
// CHECK: %[[DZ:.*]] = cast %{{.*}} to bf16
// CHECK: einsum %[[DZ]], %[[W]] as "abo,oi->abi"
// CHECK: %[[DHEAD:.*]] = einsum %[[DZ]], %[[N]] as "abo,abi->oi" into f32
// CHECK: %[[DX:.*]] = cast %{{.*}} to bf16
// CHECK-NOT: cast
// CHECK: %[[DGAIN:.*]] = reduce %{{.*}} by sum axes [0, 1]
// CHECK-NEXT: %[[OLD:.*]] = read @gradient.gain f32[16]
// CHECK-NEXT: add %[[DGAIN]], %[[OLD]]
// CHECK: %[[DEMBED:.*]] = scatter_add %bytes, %[[DX]] rows 256 into f32
// CHECK-NEXT: %[[SUM:.*]] = add %[[DHEAD]], %[[DEMBED]]
// CHECK-NEXT: %[[OLD:.*]] = read @gradient.table f32[256, 16]
// CHECK-NEXT: %[[NEW:.*]] = add %[[SUM]], %[[OLD]]
// CHECK-NEXT: write @gradient.table, %[[NEW]]

// CHECK: program @update
// CHECK: write @master.decay, %[[MASTER:.*]]
// CHECK-NEXT: %[[ROUNDED:.*]] = cast %[[MASTER]] to bf16
// CHECK-NEXT: write @shadow.decay, %[[ROUNDED]]
// CHECK: write @shadow.no_decay

// CHECK: program @prepare() {
// CHECK-NEXT: %[[MASTER:.*]] = read @master.decay f32[4096]
// CHECK-NEXT: %[[ROUNDED:.*]] = cast %[[MASTER]] to bf16
// CHECK-NEXT: write @shadow.decay, %[[ROUNDED]]
// CHECK: write @shadow.no_decay
