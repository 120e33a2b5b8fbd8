// RUN: bb-opt %s | bb-opt | FileCheck %s

// CHECK-DAG: #[[ACC:.*]] = #tile.dist<reg [2 d1:8, 6 d0:1], lane [8 d1:1]>
// CHECK-DAG: #[[COLUMNS:.*]] = #tile.dist<reg [2 d0:8], lane [8 d0:1]>
// CHECK-DAG: #[[ROWS:.*]] = #tile.dist<reg [6 d0:1], lane [8 rep]>
#acc = #tile.dist<reg [2 d1:8, 6 d0:1], lane [8 d1:1]>
#columns = #tile.dist<reg [2 d0:8], lane [8 d0:1]>
#rows = #tile.dist<reg [6 d0:1], lane [8 rep]>
#turned = #tile.dist<reg [2 d0:8, 6 d1:1], lane [8 d0:1]>

// CHECK-LABEL: tile.kernel @matmul(
// CHECK-SAME:    attributes {anchor = "matmul", programs = 4 : i64}
tile.kernel @matmul(%x: !tile.buf<24x32xf32, global>,
                    %w: !tile.buf<32x16xf32, global>,
                    %bias: !tile.buf<16xbf16, global>,
                    %y: !tile.buf<24x16xf32, global>)
    attributes {programs = 4 : i64, anchor = "matmul"} {
  // CHECK: tile.program_id
  // CHECK: tile.view {{.*}} -> <6x32xf32, global>
  // CHECK: tile.alloc : <6x32xf32, scratch, #tile.panel<4>>
  // CHECK: tile.mma {{.*}} trans
  // CHECK: tile.load {{.*}} bounds
  // CHECK: tile.map
  // CHECK: tile.store
  %c0 = arith.constant 0 : index
  %c6 = arith.constant 6 : index
  %n = arith.constant 12 : index
  %p = tile.program_id
  %m = arith.muli %p, %c6 : index
  %a = tile.view %x[%m] : !tile.buf<24x32xf32, global>
      -> !tile.buf<6x32xf32, global>
  %panel = tile.alloc : !tile.buf<6x32xf32, scratch, #tile.panel<4>>
  %z = arith.constant 0.0 : f32
  %zero = tile.splat %z : f32 -> !tile.reg<6x16xf32, #acc>
  %d = tile.mma %a, %w, %zero
      : !tile.buf<6x32xf32, global>, !tile.buf<32x16xf32, global>,
        !tile.reg<6x16xf32, #acc> -> !tile.reg<6x16xf32, #acc>
  %at = tile.view %x[%c0, %m] drop [] : !tile.buf<24x32xf32, global>
      -> !tile.buf<8x6xf32, global, #tile.strided<[32, 1]>>
  %bt = tile.view %w[] drop [] : !tile.buf<32x16xf32, global> -> !tile.buf<8x16xf32, global>
  %e = tile.mma %at trans, %bt, %d
      : !tile.buf<8x6xf32, global, #tile.strided<[32, 1]>>,
        !tile.buf<8x16xf32, global>,
        !tile.reg<6x16xf32, #acc> -> !tile.reg<6x16xf32, #acc>
  %b = tile.load %bias[%c0] bounds [%n] : !tile.buf<16xbf16, global>
      -> !tile.reg<16xf32, #columns>
  %bb = tile.broadcast %b axis 0 : !tile.reg<16xf32, #columns> -> !tile.reg<6x16xf32, #acc>
  %s = tile.map (%e, %bb) : (!tile.reg<6x16xf32, #acc>, !tile.reg<6x16xf32, #acc>)
      -> !tile.reg<6x16xf32, #acc> {
  ^bb0(%v: f32, %u: f32):
    %1 = arith.addf %v, %u fastmath<contract> : f32
    tile.yield %1 : f32
  }
  tile.store %s, %y[%m, %c0] : !tile.reg<6x16xf32, #acc> -> !tile.buf<24x16xf32, global>
  tile.return
}

// CHECK-LABEL: tile.kernel @others
tile.kernel @others(%x: !tile.buf<8x256x6x64xf32, global>, %ids: !tile.buf<16xi8, global>)
    attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  // CHECK: tile.view {{.*}} drop [0, 2] : {{.*}}strided<[384, 1]>
  %q = tile.view %x[%c0, %c0, %c0, %c0] drop [0, 2] : !tile.buf<8x256x6x64xf32, global>
      -> !tile.buf<32x64xf32, global, #tile.strided<[384, 1]>>
  // CHECK: tile.prefetch
  tile.prefetch %q : !tile.buf<32x64xf32, global, #tile.strided<[384, 1]>>
  // CHECK: tile.prefetch far
  tile.prefetch far %q : !tile.buf<32x64xf32, global, #tile.strided<[384, 1]>>
  // CHECK: tile.load_scalar {{.*}} -> i32
  %id = tile.load_scalar %ids[%c0] : !tile.buf<16xi8, global> -> i32
  // CHECK: tile.iota axis 1
  %i = tile.iota axis 1 : !tile.reg<6x16xi32, #acc>
  // CHECK: tile.gather
  %g = tile.gather %q[%i, %i] : !tile.buf<32x64xf32, global, #tile.strided<[384, 1]>>,
      !tile.reg<6x16xi32, #acc>, !tile.reg<6x16xi32, #acc> -> !tile.reg<6x16xf32, #acc>
  // CHECK: tile.reduce max, {{.*}} axis 1
  %r = tile.reduce max, %g axis 1 : !tile.reg<6x16xf32, #acc> -> !tile.reg<6xf32, #rows>
  // CHECK: tile.relayout {{.*}} permutation [1, 0]
  %t = tile.relayout %g permutation [1, 0] : !tile.reg<6x16xf32, #acc> -> !tile.reg<16x6xf32, #turned>
  // CHECK: tile.store_scalar
  %f = arith.constant 1.0 : f32
  tile.store_scalar %f, %q[%c0, %c0] : f32 -> !tile.buf<32x64xf32, global, #tile.strided<[384, 1]>>
  tile.return
}

// CHECK-LABEL: tile.kernel @add
tile.kernel @add(%a: !tile.buf<8xf32, global>, %b: !tile.buf<8xf32, global>,
                 %c: !tile.buf<8xf32, global>) attributes {programs = 1 : i64} {
  tile.return
}

module {
  tile.kernel @caller(%a: !tile.buf<8xf32, global>) attributes {programs = 1 : i64} {
    // CHECK: tile.dispatch @add({{.*}}) inplace [1] : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
    %x = arith.constant dense<0.0> : tensor<8xf32>
    %y = tile.dispatch @add(%x, %x) inplace [1] : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
    // CHECK: tile.dispatch @add({{.*}}) inplace [0] partial : (tensor<8xf32>
    %z = tile.dispatch @add(%y, %x) inplace [0] partial : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
    tile.return
  }
}

// Copies that run beside the program, in groups.
#stage = #tile.strided<[40, 1]>
// CHECK-LABEL: tile.kernel @ring
// CHECK-SAME:    min_blocks = 2 : i64
// CHECK-SAME:    warps = 4 : i64
tile.kernel @ring(%x: !tile.buf<100x64xbf16, global>)
    attributes {programs = 2 : i64, warps = 4 : i64, min_blocks = 2 : i64} {
  %c0 = arith.constant 0 : index
  %n = arith.constant 36 : index
  %k = arith.constant 32 : index
  %a = tile.alloc : !tile.buf<64x32xbf16, scratch, #stage>
  // CHECK: tile.copy_async %{{.*}}[%{{.*}}, %{{.*}}] bounds[%{{.*}}, %{{.*}}] to %{{.*}} : <100x64xbf16, global> -> <64x32xbf16, scratch, #{{.*}}>
  tile.copy_async %x[%c0, %k] bounds [%n, %k] to %a
      : !tile.buf<100x64xbf16, global> -> !tile.buf<64x32xbf16, scratch, #stage>
  // CHECK: tile.commit
  tile.commit
  // CHECK: tile.wait 0
  tile.wait 0
  // CHECK: tile.barrier
  tile.barrier
  tile.return
}

// A slice of a tensor is the tensor's buffer from a later element on.
// CHECK-LABEL: tile.kernel @slice(%arg0: !tile.buf<8x4xf32, global, #tile.strided<[12, 1], at 4>>
tile.kernel @slice(%x: !tile.buf<8x4xf32, global, #tile.strided<[12, 1], at 4>>)
    attributes {programs = 1 : i64} {
  tile.return
}
