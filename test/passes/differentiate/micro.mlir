// micro: forward, backward, and each gradient added to its state where it is
// made. A weight that is used twice sums its gradients in f32.
// RUN: bb-opt %s --bb-differentiate="train optimizer-file=%models/optim/adamw.mlir" | FileCheck %s

bb.model @m() {
  state @table f32[256, 16] parameter init ones group "decay" saved
  state @gain f32[16] parameter init ones group "no_decay" saved
  state @unused f32[3] parameter init ones group "decay" saved
  program @score(%bytes: u8[2, 8], %next: u8[2, 8] ahead 1) -> f32[2, 8] {
    %w = read @table f32[256, 16]
    %g = read @gain f32[16]
    %x = embed %bytes, %w
    %n = rms_norm %x, %g eps 1.0e-05
    %q = reshape %n to [2, 8, 2, 8]
    %o = attention %q, %q, %q causal
    %h = reshape %o to [2, 8, 16]
    %z = linear %h, %w
    %nats = cross_entropy %z, %next
    return %nats
  }
}

// Masters, gradients and moments of a group are slices of one flat state each,
// padded to 256 elements; what the loss does not reach is frozen.
// CHECK: state @master.decay f32[4096] parameter group "decay"
// CHECK: state @table f32[256, 16] parameter init ones group "decay" slice of @master.decay at 0 saved
// CHECK: state @master.no_decay f32[256] parameter group "no_decay"
// CHECK: state @gain f32[16] parameter init ones group "no_decay" slice of @master.no_decay at 0 saved
// CHECK: state @master.frozen f32[256] parameter group "frozen"
// CHECK: state @unused f32[3] parameter init ones group "frozen" slice of @master.frozen at 0 saved
// CHECK: state @gradient.decay f32[4096] gradient group "decay"
// CHECK: state @gradient.table f32[256, 16] gradient group "decay" slice of @gradient.decay at 0
// CHECK-NOT: gradient.unused
// CHECK: state @optimizer.m.decay f32[4096] moment group "decay"
// CHECK: state @optimizer.m.table f32[256, 16] moment group "decay" slice of @optimizer.m.decay at 0 saved
// CHECK: state @optimizer.v.gain f32[16] moment group "no_decay" slice of @optimizer.v.no_decay at 0 saved
// CHECK: state @optimizer.step i32[] counter saved

// CHECK: program @micro(%bytes: u8[2, 8], %next: u8[2, 8] ahead 1, %weight: f32[]) -> f32[] as "loss" {
// CHECK: %[[W:.*]] = read @table
// CHECK: %[[N:.*]] = rms_norm
// CHECK: %[[Y:.*]], %[[LSE:.*]] = attention {{.*}} causal lse
// CHECK: %[[H:.*]] = reshape %[[Y]] to [2, 8, 16]
// CHECK: %[[NATS:.*]] = cross_entropy
// CHECK: %[[SUM:.*]] = reduce %[[NATS]] by sum axes [0, 1]
// CHECK: %[[LOSS:.*]] = mul %[[SUM]], %weight
// CHECK: %[[SEED:.*]] = broadcast %weight to [2, 8]
// CHECK: %[[P:.*]] = softmax
// CHECK: %[[HIT:.*]] = one_hot %next of 256
// CHECK: %[[E:.*]] = sub %[[P]], %[[HIT]]
// CHECK: %[[COLUMN:.*]] = reshape %[[SEED]] to [2, 8, 1]
// CHECK: %[[DZ:.*]] = mul %[[E]], %[[COLUMN]]
// CHECK: einsum %[[DZ]], %[[W]] as "abo,oi->abi"
// CHECK: %[[DHEAD:.*]] = einsum %[[DZ]], %[[H]] as "abo,abi->oi"
// CHECK: %dq, %dk, %dv = attention_grad {{.*}}, %[[Y]], %[[LSE]], %{{.*}} causal
// CHECK: %[[DGAIN:.*]] = reduce {{.*}} by sum axes [0, 1]
// CHECK: %[[OLDGAIN:.*]] = read @gradient.gain f32[16]
// CHECK: %[[NEWGAIN:.*]] = add %[[DGAIN]], %[[OLDGAIN]]
// CHECK: write @gradient.gain, %[[NEWGAIN]]
// CHECK: %[[DEMBED:.*]] = scatter_add %bytes, %{{.*}} rows 256
// CHECK: %[[DTABLE:.*]] = add %[[DHEAD]], %[[DEMBED]]
// CHECK: %[[OLD:.*]] = read @gradient.table f32[256, 16]
// CHECK: %[[NEW:.*]] = add %[[DTABLE]], %[[OLD]]
// CHECK: write @gradient.table, %[[NEW]]
// CHECK-NOT: write
// CHECK: return %[[LOSS]]
