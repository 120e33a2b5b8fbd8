// A loss behind a head's product: one kernel on a GPU, whose programs own whole
// rows and keep the logits in scratch; two on a CPU, whose tiles are narrower.
// RUN: bb-opt %s --bb-fuse --bb-tile=target=cuda | FileCheck %s --check-prefix=GPU
// RUN: bb-opt %s --bb-fuse --bb-tile | FileCheck %s --check-prefix=CPU

bb.model @head() {
  program @p(%h: bf16[2, 64, 48], %w: bf16[256, 48], %next: u8[2, 64]) -> f32[2, 64] {
    %z = linear %h, %w
    %nats = cross_entropy %z, %next
    return %nats
  }
}
// GPU-LABEL: tile.kernel @matmul_0
// GPU: tile.alloc : <64x256xf32, scratch
// GPU: tile.reduce {{ *}}max
// GPU: tile.reduce {{ *}}add
// GPU-NOT: tile.kernel
// GPU: program @p
// GPU: tile.dispatch @matmul_0
// GPU-NOT: tile.dispatch

// CPU: program @p
// CPU: %[[Z:.*]] = tile.dispatch @matmul_0({{.*}}) {{.*}} -> !bb.tensor<f32[2, 64, 256]>
// CPU: tile.dispatch @rowwise_0(%next, %[[Z]])
