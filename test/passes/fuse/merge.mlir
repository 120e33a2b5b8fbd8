// Regions that feed each other or read the same tensors become one.
// RUN: bb-opt %s --split-input-file --bb-fuse | FileCheck %s

// An optimizer step reads each state once; each old value has a new one, and
// the gradient is zeroed in the same pass.
bb.model @step() {
  state @p f32[512] parameter init ones
  state @m f32[512] moment init zeros
  state @g f32[512] gradient init zeros
  program @update(%lr: f32[]) {
    %p = read @p f32[512]
    %m = read @m f32[512]
    %g = read @g f32[512]
    %m1 = add %m, %g
    write @m, %m1
    %s = mul %m1, %lr
    %p1 = sub %p, %s
    write @p, %p1
    %z = fill value 0.0 to f32 of [512]
    write @g, %z
    return
  }
}
// CHECK-LABEL: @step
// CHECK: %[[ALL:.*]]:3 = fused dims [a = 512]
// CHECK-SAME: writes (f32[512] at (a), f32[512] at (a), f32[512] at (a))
// CHECK-NOT: fused
// CHECK-DAG: write @m, %[[ALL]]#0
// CHECK-DAG: write @p, %[[ALL]]#1
// CHECK-DAG: write @g, %[[ALL]]#2

// -----

// Loss and gradient: one pass over the logits, the row maximum stays inside.
bb.model @loss() {
  program @p(%z: f32[6, 40], %next: u8[6]) -> f32[6], f32[6, 40] {
    %nats = cross_entropy %z, %next
    %s = softmax %z
    %hit = one_hot %next of 40
    %d = sub %s, %hit
    return %nats, %d
  }
}
// CHECK-LABEL: @loss
// CHECK: %[[BOTH:.*]]:2 = fused dims [a = 6, {{.*}} = 40] reads (%z at (a, {{.}}), %next at (a))
// CHECK: bb.reduce_over max
// CHECK-NOT: bb.reduce_over max
// CHECK-NOT: fused
// CHECK: return

// -----

// A gradient through a gate is the epilogue of the product that makes it: the
// product itself never lies in memory.
bb.model @gate() {
  program @p(%dy: f32[32, 24], %w: f32[24, 48], %g: f32[32, 48], %u: f32[32, 48]) -> f32[24, 48], f32[32, 48], f32[32, 48] {
    %d = einsum %dy, %w as "ao,oi->ai"
    %dw = einsum %dy, %g as "ao,ai->oi"
    %dg = mul %d, %u
    %du = mul %d, %g
    return %dw, %dg, %du
  }
}
// CHECK-LABEL: @gate
// CHECK: %[[D:.*]]:2 = fused dims [a = 32, b = 48, k = 24]
// CHECK: bb.contract
// CHECK: %[[W:.*]] = fused dims [a = 24, b = 48, k = 32]
// CHECK-NOT: fused
// CHECK: return %[[W]], %[[D]]#{{.}}, %[[D]]#

// -----

// What backward computes again stays apart from the forward pass: a product
// lies between.
bb.model @again() {
  program @p(%x: f32[32, 24], %w: f32[24, 24]) -> f32[32, 24] {
    %a = exp %x
    %b = einsum %a, %w as "ao,oi->ai"
    %c = tanh %x
    %d = einsum %c, %b as "ao,ai->oi"
    %e = einsum %x, %d as "ao,oi->ai"
    return %e
  }
}
// CHECK-LABEL: @again
// CHECK: math.exp
// CHECK: bb.emit %{{[^,]*}} : f32
// CHECK: bb.contract
// CHECK: math.tanh
// CHECK: bb.emit %{{[^,]*}} : f32

// -----

// A part of a wider row is read like a row: sum and gate are one pass.
bb.model @part() {
  // CHECK-LABEL: program @part
  // CHECK: fused {{.*}} reads ({{.*}} at (a, b), {{.*}} at (a, b), {{.*}} at (a, (b + 64))) writes (f32[8, 64] at (a, b), f32[8, 64] at (a, b))
  // CHECK-NOT: fused
  program @part(%s: f32[8, 64], %x: f32[8, 64], %xz: f32[8, 128]) -> f32[8, 64], f32[8, 64] {
    %y = add %s, %x
    %u, %z = split %xz into [64, 64]
    %g = silu %z
    %o = mul %y, %g
    return %y, %o
  }
}

// -----

// A head's loss and its gradient follow the product that makes the logits, which
// never lie in memory; rows of more than 256 would not be one program's.
bb.model @head() {
  // CHECK-LABEL: program @head
  // CHECK: %[[ALL:.*]]:2 = fused dims [a = 32, {{.*}} = 256, k = 24] reads (%h at (a, k), %w at ({{.*}}, k), %next at (a)) writes (f32[32, 1] at (a, 0), f32[32, 256] at (a, {{.}}))
  // CHECK: bb.contract
  // CHECK: bb.reduce_over max
  // CHECK-NOT: fused
  program @head(%h: f32[32, 24], %w: f32[256, 24], %next: u8[32]) -> f32[32], f32[32, 256] {
    %z = linear %h, %w
    %nats = cross_entropy %z, %next
    %s = softmax %z
    %hit = one_hot %next of 256
    %d = sub %s, %hit
    return %nats, %d
  }
  // CHECK-LABEL: program @wide
  // CHECK: fused dims [a = 32, b = 257, k = 24]
  // CHECK: fused dims [a = 32, {{.*}} = 257] reads ({{.*}}, %next at (a))
  program @wide(%h: f32[32, 24], %w: f32[257, 24], %next: u8[32]) -> f32[32] {
    %z = linear %h, %w
    %nats = cross_entropy %z, %next
    return %nats
  }
  // Who wants the logits too has them in memory, once.
  // CHECK-LABEL: program @kept
  // CHECK: fused dims [a = 32, {{.*}} = 256, k = 24]
  // CHECK: fused dims [a = 32, {{.*}} = 256]
  program @kept(%h: f32[32, 24], %w: f32[256, 24], %next: u8[32]) -> f32[32], f32[32, 256] {
    %z = linear %h, %w
    %nats = cross_entropy %z, %next
    return %nats, %z
  }
}
