// RUN: bb-opt %s --tile-to-x86 | FileCheck %s
// RUN: bb-opt %s --tile-to-x86=target=cpu-v3 | FileCheck %s
// RUN: not bb-opt %s --tile-to-x86=target=cpu-v9 2>&1 | FileCheck %s --check-prefix=LEVEL

// LEVEL: there is no CPU target `cpu-v9`

#row = #tile.dist<reg [2 d0:8], lane [8 d0:1]>
!row = !tile.reg<16xf32, #row>

// The pointers are loaded once; the loop runs programs begin to end.
// CHECK-LABEL: llvm.func @whole(
// CHECK-SAME:    %[[BUFFERS:[^:]*]]: !llvm.ptr {{[^,]*}}, llvm.nocapture}, %{{[^:]*}}: !llvm.ptr {{[^%]*}}, %{{[^:]*}}: !llvm.ptr {{[^%]*}}, %[[BEGIN:[^:]*]]: i64, %[[END:[^:]*]]: i64)
// CHECK-SAME:    tile.scratch_bytes = 0
// CHECK:       %[[X:.*]] = llvm.load %[[BUFFERS]]
// CHECK:       %[[SLOT:.*]] = llvm.getelementptr %[[BUFFERS]][1]
// CHECK:       %[[Y:.*]] = llvm.load %[[SLOT]]
// CHECK:       llvm.icmp "slt" %[[BEGIN]], %[[END]]
// CHECK:       llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
// CHECK:       llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
// CHECK-COUNT-2: llvm.fmul {{.*}} {fastmathFlags = #llvm.fastmath<contract>}
// CHECK-COUNT-2: llvm.store {{.*}} : vector<8xf32>
// CHECK-NOT:   masked
// CHECK:       llvm.return
tile.kernel @whole(%x: !tile.buf<64xf32, global>, %y: !tile.buf<64xf32, global>)
    attributes {programs = 4 : i64} {
  %p = tile.program_id
  %c16 = arith.constant 16 : index
  %at = arith.muli %p, %c16 : index
  %v = tile.load %x[%at] : !tile.buf<64xf32, global> -> !row
  %w = tile.map (%v) : (!row) -> !row {
  ^bb0(%a: f32):
    %r = arith.mulf %a, %a fastmath<contract> : f32
    tile.yield %r : f32
  }
  tile.store %w, %y[%at] : !row -> !tile.buf<64xf32, global>
  tile.return
}

// A constant bound needs no branch: one register is whole, one is cut.
// CHECK-LABEL: llvm.func @cut
// CHECK:       llvm.load %{{.*}} -> vector<8xf32>
// CHECK:       %[[MASK:.*]] = llvm.mlir.constant(dense<[true, true, false, false, false, false, false, false]>
// CHECK:       llvm.intr.masked.load %{{.*}}, %[[MASK]]
tile.kernel @cut(%x: !tile.buf<10xf32, global>, %y: !tile.buf<16xf32, global>)
    attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c10 = arith.constant 10 : index
  %v = tile.load %x[%c0] bounds [%c10] : !tile.buf<10xf32, global> -> !row
  tile.store %v, %y[%c0] : !row -> !tile.buf<16xf32, global>
  tile.return
}

// Two buffers that never live together share their bytes.
// CHECK-LABEL: llvm.func @scratch
// CHECK-SAME:    tile.scratch_bytes = 64
tile.kernel @scratch(%x: !tile.buf<16xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0] : !tile.buf<16xf32, global> -> !row
  %a = tile.alloc : !tile.buf<16xf32, scratch>
  tile.store %v, %a[%c0] : !row -> !tile.buf<16xf32, scratch>
  %w = tile.load %a[%c0] : !tile.buf<16xf32, scratch> -> !row
  %b = tile.alloc : !tile.buf<16xf32, scratch>
  tile.store %w, %b[%c0] : !row -> !tile.buf<16xf32, scratch>
  tile.return
}

// Run-time bounds: one branch for the load and the store, whole tiles first.
// CHECK-LABEL: llvm.func @tail
// CHECK:       llvm.cond_br %{{.*}} weights([100, 1]), ^[[FAST:bb[0-9]+]], ^[[SLOW:bb[0-9]+]]
// CHECK:     ^[[FAST]]:
// CHECK-NOT:   cond_br
// CHECK-NOT:   masked
// CHECK:       llvm.br ^[[JOIN:bb[0-9]+]]
// CHECK:     ^[[SLOW]]:
// CHECK-NOT:   cond_br
// CHECK-COUNT-2: llvm.intr.masked.load
// CHECK-COUNT-2: llvm.intr.masked.store
// CHECK:       llvm.br ^[[JOIN]]
tile.kernel @tail(%x: !tile.buf<60xf32, global>, %y: !tile.buf<60xf32, global>)
    attributes {programs = 4 : i64} {
  %p = tile.program_id
  %c16 = arith.constant 16 : index
  %n = arith.constant 60 : index
  %at = arith.muli %p, %c16 : index
  %left = arith.subi %n, %at : index
  %v = tile.load %x[%at] bounds [%left] : !tile.buf<60xf32, global> -> !row
  %again = arith.subi %n, %at : index
  tile.store %v, %y[%at] bounds [%again] : !row -> !tile.buf<60xf32, global>
  tile.return
}

// A place beyond what fits an address computation's own constant.
// CHECK-LABEL: llvm.func @far(
// CHECK: %[[FAR:.*]] = llvm.mlir.constant(399999984 : i64) : i64
// CHECK: llvm.getelementptr %{{.*}}[%[[FAR]]]
tile.kernel @far(%x: !tile.buf<400000000xf32, global>, %y: !tile.buf<16xf32, global>)
    attributes {programs = 1 : i64} {
  %at = arith.constant 399999984 : index
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%at] : !tile.buf<400000000xf32, global> -> !row
  tile.store %v, %y[%c0] : !row -> !tile.buf<16xf32, global>
  tile.return
}

// Rows a whole number of cache lines apart take one each; others may end in one
// more.
// CHECK-LABEL: llvm.func @prefetch
// CHECK-COUNT-2: "llvm.intr.prefetch"
// CHECK-COUNT-4: "llvm.intr.prefetch"
// CHECK-NOT:     "llvm.intr.prefetch"
tile.kernel @prefetch(%x: !tile.buf<8x64xf32, global>, %y: !tile.buf<8x20xf32, global>)
    attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %even = tile.view %x[%c0, %c0] drop [] : !tile.buf<8x64xf32, global>
      -> !tile.buf<2x16xf32, global, #tile.strided<[64, 1]>>
  tile.prefetch %even : !tile.buf<2x16xf32, global, #tile.strided<[64, 1]>>
  %odd = tile.view %y[%c0, %c0] drop [] : !tile.buf<8x20xf32, global>
      -> !tile.buf<2x16xf32, global, #tile.strided<[20, 1]>>
  tile.prefetch %odd : !tile.buf<2x16xf32, global, #tile.strided<[20, 1]>>
  tile.return
}

// A long one is a loop, so that code does not grow with the shape.
// CHECK-LABEL: llvm.func @long_prefetch
// CHECK:         llvm.br ^[[PART:bb[0-9]+]](
// CHECK:       ^[[PART]](%{{[^:]*}}: i64)
// CHECK-COUNT-1: "llvm.intr.prefetch"
// CHECK-NOT:     "llvm.intr.prefetch"
// CHECK:         llvm.cond_br %{{.*}}, ^[[PART]](
tile.kernel @long_prefetch(%x: !tile.buf<100000x16xf32, global>)
    attributes {programs = 1 : i64} {
  tile.prefetch %x : !tile.buf<100000x16xf32, global>
  tile.return
}

// A product spreads what is fetched for its end: a row at a time, or four lines
// of it, then some rounds of the loop along K.
// CHECK-LABEL: llvm.func @spread
// CHECK:         llvm.br ^[[ROW:bb[0-9]+]]({{.*}})
// CHECK:       ^[[ROW]](%[[I:[^:]*]]: i64,
// CHECK-COUNT-1: "llvm.intr.prefetch"{{.*}} hint = 3
// CHECK-NOT:     "llvm.intr.prefetch"
// CHECK:         llvm.br ^[[ROUND:bb[0-9]+]](
// CHECK:         llvm.br ^[[PART:bb[0-9]+]](
// CHECK:         llvm.cond_br %{{.*}}, ^[[ROUND]](
// CHECK:         llvm.cond_br %{{.*}}, ^[[ROW]](
// CHECK:       ^[[PART]](%[[J:[^:]*]]: i64,
// CHECK:         llvm.udiv %[[J]],
// CHECK-COUNT-4: "llvm.intr.prefetch"{{.*}} hint = 2
// CHECK-NOT:     "llvm.intr.prefetch"
#acc = #tile.dist<reg [2 d1:8, 6 d0:1], lane [8 d1:1]>
!acc = !tile.reg<6x16xf32, #acc>
!c = !tile.buf<6x16xf32, global, #tile.strided<[64, 1]>>
tile.kernel @spread(%a: !tile.buf<6x96xf32, global>, %b: !tile.buf<96x16xf32, global>, %y: !c,
                    %next: !tile.buf<4x128xf32, global>)
    attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %z = arith.constant 0.0 : f32
  tile.prefetch %y : !c
  tile.prefetch far %next : !tile.buf<4x128xf32, global>
  %none = tile.splat %z : f32 -> !acc
  %sum = tile.mma %a, %b, %none
      : !tile.buf<6x96xf32, global>, !tile.buf<96x16xf32, global>, !acc -> !acc
  tile.store %sum, %y[%c0, %c0] : !acc -> !c
  tile.return
}

// Whole numbers: a lane that does not exist must not trap. Of floats no function
// of the C library is called.
// CHECK-LABEL: llvm.func @remainders
// CHECK:       %[[ZERO:.*]] = llvm.icmp "eq"
// CHECK:       llvm.select
// CHECK:       llvm.srem
// CHECK-NOT:   frem
// CHECK:       llvm.intr.trunc
// CHECK:       llvm.fneg
// CHECK:       llvm.return
tile.kernel @remainders(%a: !tile.buf<10xi32, global>, %x: !tile.buf<10xf32, global>)
    attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c10 = arith.constant 10 : index
  %i = tile.load %a[%c0] bounds [%c10] : !tile.buf<10xi32, global> -> !tile.reg<16xi32, #row>
  %j = tile.map (%i) : (!tile.reg<16xi32, #row>) -> !tile.reg<16xi32, #row> {
  ^bb0(%e: i32):
    %r = arith.remsi %e, %e : i32
    tile.yield %r : i32
  }
  tile.store %j, %a[%c0] bounds [%c10] : !tile.reg<16xi32, #row> -> !tile.buf<10xi32, global>
  %v = tile.load %x[%c0] bounds [%c10] : !tile.buf<10xf32, global> -> !row
  %w = tile.map (%v) : (!row) -> !row {
  ^bb0(%e: f32):
    %r = arith.remf %e, %e fastmath<contract> : f32
    tile.yield %r : f32
  }
  tile.store %w, %x[%c0] bounds [%c10] : !row -> !tile.buf<10xf32, global>
  tile.return
}
