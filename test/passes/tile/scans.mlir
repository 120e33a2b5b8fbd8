// Mamba-1's scan on a CPU: programs, and what a walk carries.
// RUN: bb-opt %s --bb-tile=target=cpu-v4 | FileCheck %s
// RUN: bb-opt %s --bb-tile=target=cpu-v3 | FileCheck %s --check-prefix=V3

// One sequence keeps several cores busy: a program has fewer strips than where
// there are many sequences. With 32 registers all states of a column are in
// registers, decays are one op, and rows are read as they lie.
bb.model @one() {
  program @p(%x: f32[1, 70, 512], %dt: f32[1, 70, 512], %a: f32[512, 16],
             %b: f32[1, 70, 16], %c: f32[1, 70, 16])
      -> f32[1, 70, 512], f32[1, 70, 16] {
    %y, %s = selective_scan %x, %dt, %a, %b, %c save 32
    %dx, %ddt, %da, %db, %dc = selective_scan_grad %x, %dt, %a, %b, %c, %s, %y save 32
    return %dx, %db
  }
}

// Skip and gate are part of both: nothing before the gate is stored, and the sum
// over states that dgate wants comes of the walk forward through a chunk.
bb.model @gated() {
  program @p(%x: bf16[1, 70, 512], %dt: f32[1, 70, 512], %a: f32[512, 16],
             %b: bf16[1, 70, 16], %c: bf16[1, 70, 16], %skip: f32[512],
             %z: bf16[1, 70, 512])
      -> bf16[1, 70, 512], f32[512], bf16[1, 70, 512] {
    %y, %s = selective_scan %x, %dt, %a, %b, %c skip %skip gate %z save 32
    %dx, %ddt, %da, %db, %dc, %dskip, %dz = selective_scan_grad %x, %dt, %a, %b, %c, %s, %y skip %skip gate %z save 32
    return %dx, %dskip, %dz
  }
}
// CHECK-LABEL: tile.kernel @selective_scan_0
// CHECK-SAME: programs = 16
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (!t16x1x16xf32)
// CHECK: tile.prefetch
// CHECK: math.exp2 {{.*}} fastmath<contract,afn>
// CHECK: tile.reduce add
// CHECK: tile.store {{.*}} global
// CHECK-LABEL: tile.kernel @selective_scan_grad_0
// CHECK-SAME: programs = 8
// CHECK: scf.for {{.*}} -> (!t2x2x16xf32)
// CHECK: math.exp2 {{.*}} fastmath<contract,afn>
// CHECK: scf.for {{.*}} -> (!t2x2x16xf32, !t2x2x16xf32)
// CHECK-LABEL: tile.kernel @selective_scan_1
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (!t16x1x16xf32)
// CHECK: tile.reduce add
// CHECK: arith.divf
// CHECK: tile.store {{.*}}xbf16, global
// CHECK-LABEL: tile.kernel @selective_scan_grad_1
// CHECK: arith.divf
// CHECK: program @p
// CHECK: tile.dispatch @selective_scan_1(%x, %dt, %a, %b, %c, %skip, %z)
// CHECK: [[GRADS:%.*]]:7 = tile.dispatch @selective_scan_grad_1(
// CHECK-SAME: bf16[1, 70, 512]>)
// CHECK: [[SKIP:%.*]] = tile.dispatch @sum_parts_{{.*}}([[GRADS]]#5)
// CHECK: return [[GRADS]]#0, [[SKIP]], [[GRADS]]#6

// V3-LABEL: tile.kernel @selective_scan_0
// V3: scf.if
// V3: scf.for {{.*}} -> (!t2x2x8xf32)
// V3: math.fma
// V3-LABEL: tile.kernel @selective_scan_grad_0
