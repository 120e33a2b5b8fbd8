// The form of each schedule: programs, loops, what lies along the lanes.
// RUN: bb-opt %s --split-input-file --bb-fuse --bb-tile | FileCheck %s
// RUN: bb-opt %s --split-input-file --bb-fuse --bb-tile=target=cpu-v4 -o /dev/null

// Equal regions at different places share a kernel; all axes are one here.
bb.model @elementwise() {
  program @p(%x: f32[64, 130], %y: f32[64, 130]) -> f32[64, 130] {
    %a = add %x, %y
    %b = silu %a
    %r = reshape %b to [8320]
    %c = add %r, %r
    %d = reshape %c to [64, 130]
    %e = add %d, %y
    %f = silu %e
    return %f
  }
}
// CHECK-LABEL: tile.kernel @elementwise_0
// CHECK-SAME: !tile.buf<8320xf32, global>, %{{.*}}: !tile.buf<8320xf32, global>, %{{.*}}: !tile.buf<8320xf32, global>)
// CHECK-SAME: flops = 49920
// CHECK-SAME: programs = 2
// CHECK-SAME: traffic = 99840
// CHECK: scf.for
// CHECK: tile.load {{.*}} -> !t32xf32
// CHECK: tile.store
// CHECK: tile.kernel @elementwise_1
// CHECK-NOT: tile.kernel
// CHECK: tile.dispatch @elementwise_0(%x, %y) inplace [0]
// CHECK: tile.dispatch @elementwise_1
// CHECK: tile.dispatch @elementwise_0

// -----

// Rows are shared out; the sum of squares and the result are two passes.
bb.model @rowwise() {
  state @g f32[52] parameter init ones group "no_decay" saved
  program @p(%x: f32[4, 100, 52]) -> f32[4, 100, 52] {
    %g = read @g f32[52]
    %y = rms_norm %x, %g eps 1.0e-5
    return %y
  }
}
// CHECK-LABEL: tile.kernel @rowwise_0
// CHECK-SAME: programs = 5
// CHECK: scf.for
// CHECK: scf.for
// CHECK: tile.load {{.*}} -> !t32xf32
// CHECK: tile.load {{.*}} bounds
// CHECK: tile.reduce add
// CHECK: math.rsqrt
// CHECK: tile.store {{.*}} bounds
// CHECK: tile.dispatch @rowwise_0(%x, %{{.*}}) inplace [0]

// -----

// Sums over rows: partial sums of fixed row blocks, added in order.
bb.model @columns() {
  program @p(%x: f32[400, 48]) -> f32[48] {
    %y = reduce %x by sum axes [0]
    return %y
  }
}
// CHECK-LABEL: tile.kernel @columnsum_0
// CHECK-SAME: !tile.buf<19200xf32, global>, %{{.*}}: !tile.buf<192xf32, global>)
// CHECK-SAME: programs = 4
// CHECK: tile.kernel @columnsum_1
// CHECK-SAME: programs = 1
// CHECK: %[[PART:.*]] = tile.dispatch @columnsum_0(%x)
// CHECK: tile.dispatch @columnsum_1(%[[PART]])

// -----

// A program owns columns and walks all positions.
bb.model @scatter() {
  program @p(%ids: u8[2, 30], %x: f32[2, 30, 64]) -> f32[256, 64] {
    %y = scatter_add %ids, %x rows 256
    return %y
  }
}
// CHECK-LABEL: tile.kernel @scatter_add_0
// CHECK-SAME: programs = 2
// CHECK: %[[ID:.*]] = tile.load_scalar
// CHECK: tile.store

// -----

// A ring takes new rows where its old ones end, and keeps the others.
bb.model @ring() {
  program @p(%ring: f32[1, 16, 2, 8], %rows: f32[1, 3, 2, 8], %at: i32[]) -> f32[1, 16, 2, 8] {
    %y = append %ring, %rows, %at
    return %y
  }
}
// CHECK-LABEL: tile.kernel @append_0
// CHECK: arith.remui
// CHECK: tile.dispatch @append_0(%ring, %rows, %at) inplace [0] partial

// -----

// The largest of a column: a program owns columns, and no parts are added up.
bb.model @largest() {
  program @p(%x: f32[400, 48]) -> f32[48] {
    %y = reduce %x by max axes [0]
    return %y
  }
}
// CHECK-LABEL: tile.kernel @rowwise_0
// CHECK-SAME: programs = 6
// CHECK: scf.for
// CHECK: arith.maximumf
// CHECK: tile.dispatch @rowwise_0(%x)
// CHECK-NOT: dispatch

// -----

// A product that sums nothing.
bb.model @outer() {
  program @p(%x: f32[40], %y: f32[24]) -> f32[40, 24] {
    %z = einsum %x, %y as "a,b->ab"
    return %z
  }
}
// CHECK-LABEL: tile.kernel @elementwise_0
// CHECK-NOT: reduce
// CHECK: tile.dispatch @elementwise_0(%x, %y)

// -----

// Rows of scores take an odd number of cache lines.
bb.model @attention() {
  program @p(%q: f32[1, 512, 1, 64], %k: f32[1, 512, 1, 64], %v: f32[1, 512, 1, 64]) -> f32[1, 512, 1, 64] {
    %y = attention %q, %k, %v causal
    return %y
  }
}
// CHECK-LABEL: tile.kernel @attention_0
// CHECK: tile.alloc : <12x528xf32, scratch>
// CHECK: math.exp2 {{.*}}afn

// -----

// 127 lines are odd as they are.
bb.model @odd() {
  program @p(%q: f32[1, 2032, 1, 64], %k: f32[1, 2032, 1, 64], %v: f32[1, 2032, 1, 64]) -> f32[1, 2032, 1, 64] {
    %y = attention %q, %k, %v causal
    return %y
  }
}
// CHECK-LABEL: tile.kernel @attention_0
// CHECK: tile.alloc : <12x2032xf32, scratch>

// -----

// Tiles ask for their shares of the next panel of B, if they are many.
bb.model @next_panel() {
  program @p(%a: f32[1024, 96], %b: f32[1024, 512]) -> f32[96, 512] {
    %y = einsum %a, %b as "km,kn->mn"
    return %y
  }
}
// CHECK-LABEL: tile.kernel @matmul_0
// CHECK: tile.prefetch far

// -----

bb.model @long_panel() {
  program @p(%a: f32[100000, 96], %b: f32[100000, 512]) -> f32[96, 512] {
    %y = einsum %a, %b as "km,kn->mn"
    return %y
  }
}
// CHECK-LABEL: tile.kernel @matmul_0
// CHECK-NOT: tile.prefetch far
