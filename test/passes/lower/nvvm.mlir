// RUN: bb-opt %s --tile-to-nvvm | FileCheck %s

#row = #tile.dist<reg [4 d0:1], lane [32 d0:4]>
!row = !tile.reg<128xf32, #row>
#wide = #tile.dist<reg [8 d0:1], lane [32 d0:8], warp [4 d0:256]>
!wide = !tile.reg<1024xf32, #wide>
!sum = !tile.reg<f32, #tile.dist<reg [], lane [32 rep], warp [4 rep]>>

// All programs have one name for their shared memory.
// CHECK:       llvm.mlir.global external @scratch() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>

// Buffers are pointers to global memory; four neighbours of a lane are one
// access of 16 bytes; the program's number is the block's.
// CHECK-LABEL: llvm.func ptx_kernelcc @whole(
// CHECK-SAME:    %[[X:[^:]*]]: !llvm.ptr<1> {llvm.align = 64 : i64}, %[[Y:[^:]*]]: !llvm.ptr<1>
// CHECK-SAME:    passthrough = {{\[\[}}"nvvm.reqntid", "32"]], tile.scratch_bytes = 0 : i64, tile.threads = 32 : i64
// CHECK:       llvm.call_intrinsic "llvm.nvvm.read.ptx.sreg.ctaid.x"
// CHECK:       llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
// CHECK-COUNT-4: llvm.fmul {{.*}} : f32
// CHECK:       llvm.store {{.*}} {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr<1>
// CHECK:       llvm.return
tile.kernel @whole(%x: !tile.buf<512xf32, global>, %y: !tile.buf<512xf32, global>)
    attributes {programs = 4 : i64, warps = 1 : i64} {
  %p = tile.program_id
  %c128 = arith.constant 128 : index
  %at = arith.muli %p, %c128 : index
  %v = tile.load %x[%at] : !tile.buf<512xf32, global> -> !row
  %w = tile.map (%v) : (!row) -> !row {
  ^bb0(%a: f32):
    %r = arith.mulf %a, %a fastmath<contract> : f32
    tile.yield %r : f32
  }
  tile.store %w, %y[%at] : !row -> !tile.buf<512xf32, global>
  tile.return
}

// An offset that may be odd forbids wide accesses.
// CHECK-LABEL: llvm.func ptx_kernelcc @unaligned
// CHECK-COUNT-4: llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr<1> -> f32
// CHECK-NOT:   vector<
tile.kernel @unaligned(%x: !tile.buf<512xf32, global>, %y: !tile.buf<512xf32, global>)
    attributes {programs = 4 : i64} {
  %p = tile.program_id
  %v = tile.load %x[%p] : !tile.buf<512xf32, global> -> !row
  tile.store %v, %y[%p] : !row -> !tile.buf<512xf32, global>
  tile.return
}

// A bound that no access straddles: one condition for four elements. What does
// not exist is neither read nor written.
// CHECK-LABEL: llvm.func ptx_kernelcc @cut
// CHECK:       %[[HERE:.*]] = llvm.icmp "slt"
// CHECK:       llvm.cond_br %[[HERE]], ^[[READ:.*]], ^[[JOIN:.*]](%{{.*}} : vector<4xf32>)
// CHECK:       ^[[READ]]:
// CHECK:       %[[V:.*]] = llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
// CHECK:       llvm.br ^[[JOIN]](%[[V]] : vector<4xf32>)
// CHECK:       llvm.cond_br
// CHECK:       llvm.store {{.*}} : vector<4xf32>
tile.kernel @cut(%x: !tile.buf<100xf32, global>, %y: !tile.buf<100xf32, global>)
    attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c100 = arith.constant 100 : index
  %v = tile.load %x[%c0] bounds [%c100] : !tile.buf<100xf32, global> -> !row
  tile.store %v, %y[%c0] bounds [%c100] : !row -> !tile.buf<100xf32, global>
  tile.return
}

// Registers, then five exchanges between lanes, then shared memory; one thread
// writes what all hold. The next one waits until all have read the first one's.
// CHECK-LABEL: llvm.func ptx_kernelcc @reduce
// CHECK-SAME:    "nvvm.reqntid", "128"
// CHECK-SAME:    tile.scratch_bytes = 16 : i64, tile.threads = 128 : i64
// CHECK-COUNT-2: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
// CHECK-COUNT-7: llvm.fadd
// CHECK-COUNT-5: llvm.call_intrinsic "llvm.nvvm.shfl.sync.bfly.f32"
// CHECK-NOT:   llvm.nvvm.barrier
// CHECK:       llvm.store %{{.*}} : f32, !llvm.ptr<3>
// CHECK:       llvm.call_intrinsic "llvm.nvvm.barrier.cta.sync.aligned.all"
// CHECK-COUNT-4: llvm.load %{{.*}} : !llvm.ptr<3> -> f32
// CHECK-COUNT-5: llvm.call_intrinsic "llvm.nvvm.shfl.sync.bfly.f32"
// CHECK:       llvm.call_intrinsic "llvm.nvvm.barrier.cta.sync.aligned.all"
// CHECK:       llvm.store %{{.*}} : f32, !llvm.ptr<3>
// CHECK:       llvm.call_intrinsic "llvm.nvvm.barrier.cta.sync.aligned.all"
// CHECK-COUNT-4: llvm.load %{{.*}} : !llvm.ptr<3> -> f32
// CHECK:       llvm.cond_br
// CHECK:       llvm.store %{{.*}} : f32, !llvm.ptr<1>
tile.kernel @reduce(%x: !tile.buf<1024xf32, global>, %y: !tile.buf<1xf32, global>)
    attributes {programs = 1 : i64, warps = 4 : i64} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0] : !tile.buf<1024xf32, global> -> !wide
  %s = tile.reduce add, %v axis 0 : !wide -> !sum
  %m = tile.reduce max, %v axis 0 : !wide -> !sum
  tile.store %s, %y[%c0] : !sum -> !tile.buf<1xf32, global>
  tile.store %m, %y[%c0] : !sum -> !tile.buf<1xf32, global>
  tile.return
}

// bf16 is rounded as a vector, by the hardware.
// CHECK-LABEL: llvm.func ptx_kernelcc @bf16
// CHECK:       llvm.load %{{.*}} {alignment = 8 : i64} : !llvm.ptr<1> -> vector<4xi16>
// CHECK:       llvm.fptrunc %{{.*}} : vector<4xf32> to vector<4xbf16>
// CHECK:       llvm.store {{.*}} {alignment = 8 : i64} : vector<4xi16>, !llvm.ptr<1>
tile.kernel @bf16(%x: !tile.buf<128xbf16, global>, %y: !tile.buf<128xbf16, global>)
    attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0] : !tile.buf<128xbf16, global> -> !row
  tile.store %v, %y[%c0] : !row -> !tile.buf<128xbf16, global>
  tile.return
}

// A gather reads element by element; a scalar is stored by the first thread.
// CHECK-LABEL: llvm.func ptx_kernelcc @gather
// CHECK-COUNT-4: llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr<1> -> f32
// CHECK:       llvm.icmp "eq"
// CHECK:       llvm.store %{{.*}} : i32, !llvm.ptr<1>
tile.kernel @gather(%x: !tile.buf<300xf32, global>, %y: !tile.buf<128xf32, global>,
                    %n: !tile.buf<1xi32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %i = tile.iota axis 0 : !tile.reg<128xi32, #row>
  %v = tile.gather %x[%i] : !tile.buf<300xf32, global>, !tile.reg<128xi32, #row> -> !row
  tile.store %v, %y[%c0] : !row -> !tile.buf<128xf32, global>
  %one = arith.constant 1 : i32
  tile.store_scalar %one, %n[%c0] : i32 -> !tile.buf<1xi32, global>
  tile.return
}

// A stage of a ring is filled by asynchronous copies of 16 bytes; then a wait is
// a barrier too. Fragments of bf16 come by ldmatrix, b's rows transposed.
// CHECK-LABEL: llvm.func ptx_kernelcc @product
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.nvvm.cp.async.cg.shared.global.16"
// CHECK:       llvm.call_intrinsic "llvm.nvvm.cp.async.commit.group"
// CHECK:       llvm.call_intrinsic "llvm.nvvm.cp.async.wait.group"
// CHECK:       llvm.call_intrinsic "llvm.nvvm.barrier.cta.sync.aligned.all"
// CHECK:       llvm.call_intrinsic "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16"
// CHECK:       llvm.call_intrinsic "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.trans.b16"
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.nvvm.mma.m16n8k16.row.col.bf16"
#acc = #tile.dist<reg [2 d1:1, 2 d0:8, 2 d1:8], lane [4 d1:2, 8 d0:1], warp []>
!acc = !tile.reg<16x16xf32, #acc>
!stage = !tile.buf<16x16xbf16, scratch, #tile.strided<[24, 1]>>
tile.kernel @product(%a: !tile.buf<16x16xbf16, global>, %b: !tile.buf<16x16xbf16, global>,
                     %y: !tile.buf<16x16xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %z = arith.constant 0.0 : f32
  %sa = tile.alloc : !stage
  %sb = tile.alloc : !stage
  tile.copy_async %a[%c0, %c0] to %sa : !tile.buf<16x16xbf16, global> -> !stage
  tile.copy_async %b[%c0, %c0] to %sb : !tile.buf<16x16xbf16, global> -> !stage
  tile.commit
  tile.wait 0
  %c = tile.splat %z : f32 -> !acc
  %d = tile.mma %sa, %sb, %c : !stage, !stage, !acc -> !acc
  tile.store %d, %y[%c0, %c0] : !acc -> !tile.buf<16x16xf32, global>
  tile.return
}

// A thread's copies are whole rows apart, of which the ends are: so are their
// addresses, by constants, and a bound that cuts no row takes no arithmetic.
// CHECK-LABEL: llvm.func ptx_kernelcc @rounds
// CHECK:       llvm.call_intrinsic "llvm.nvvm.cp.async.cg.shared.global.16.s"
// CHECK:       llvm.getelementptr %{{.*}}[4096] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i16
// CHECK:       llvm.getelementptr %{{.*}}[1280] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i16
// CHECK-NOT:   llvm.intr.smin
// CHECK:       llvm.call_intrinsic "llvm.nvvm.cp.async.cg.shared.global.16.s"
!tall = !tile.buf<64x32xbf16, scratch, #tile.strided<[40, 1]>>
tile.kernel @rounds(%a: !tile.buf<50x128xbf16, global>) attributes {programs = 1 : i64, warps = 4 : i64} {
  %c0 = arith.constant 0 : index
  %c32 = arith.constant 32 : index
  %c50 = arith.constant 50 : index
  %sa = tile.alloc : !tall
  tile.copy_async %a[%c0, %c0] bounds [%c50, %c32] to %sa : !tile.buf<50x128xbf16, global> -> !tall
  tile.commit
  tile.wait 0
  tile.return
}

// f32 takes three products of tf32; an end that may cut a row makes the copy
// fill with zeros what is not there.
// CHECK-LABEL: llvm.func ptx_kernelcc @exact
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.nvvm.cp.async.cg.shared.global.16.s"
// CHECK-COUNT-12: llvm.call_intrinsic "llvm.nvvm.mma.m16n8k8.row.col.tf32"
!exact = !tile.buf<16x16xf32, scratch, #tile.strided<[20, 1]>>
tile.kernel @exact(%a: !tile.buf<16x16xf32, global>, %y: !tile.buf<16x16xf32, global>)
    attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %c10 = arith.constant 10 : index
  %z = arith.constant 0.0 : f32
  %sa = tile.alloc : !exact
  tile.copy_async %a[%c0, %c0] bounds [%c16, %c10] to %sa : !tile.buf<16x16xf32, global> -> !exact
  tile.commit
  tile.wait 0
  %c = tile.splat %z : f32 -> !acc
  %d = tile.mma %sa, %sa trans, %c : !exact, !exact, !acc -> !acc
  tile.store %d, %y[%c0, %c0] : !acc -> !tile.buf<16x16xf32, global>
  tile.return
}

// A left operand in registers is a fragment as it lies: no trip through shared
// memory, rounded in pairs. 2 to the x may be one instruction if it says so.
// CHECK-LABEL: llvm.func ptx_kernelcc @held
// CHECK-COUNT-8: llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz"
// CHECK-NOT:   ldmatrix.sync.aligned.m8n8.x4.b16
// CHECK:       llvm.fptrunc %{{.*}} : vector<2xf32> to vector<2xbf16>
// CHECK:       llvm.call_intrinsic "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.trans.b16"
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.nvvm.mma.m16n8k16.row.col.bf16"
// CHECK-NOT:   fptrunc
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.nvvm.mma.m16n8k16.row.col.bf16"
// CHECK:       llvm.return
tile.kernel @held(%b: !tile.buf<16x16xbf16, global>, %y: !tile.buf<16x16xf32, global>)
    attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %z = arith.constant 0.0 : f32
  %sb = tile.alloc : !stage
  tile.copy_async %b[%c0, %c0] to %sb : !tile.buf<16x16xbf16, global> -> !stage
  tile.commit
  tile.wait 0
  %c = tile.splat %z : f32 -> !acc
  %x = tile.load %y[%c0, %c0] : !tile.buf<16x16xf32, global> -> !acc
  %p = tile.map (%x) : (!acc) -> !acc {
  ^bb0(%e: f32):
    %r = math.exp2 %e fastmath<afn> : f32
    tile.yield %r : f32
  }
  %d = tile.mma %p, %sb, %c : !acc, !stage, !acc -> !acc
  %q = tile.load %sb[%c0, %c0] : !stage -> !tile.reg<16x16xbf16, #acc>
  %e = tile.mma %q, %sb trans, %d : !tile.reg<16x16xbf16, #acc>, !stage, !acc -> !acc
  tile.store %e, %y[%c0, %c0] : !acc -> !tile.buf<16x16xf32, global>
  tile.return
}

// A slice begins behind the buffer's start, and what may be loaded at once follows
// from where: 16 bytes, 8, or 4 for rows of an odd number of elements.
// CHECK-LABEL: llvm.func ptx_kernelcc @slices(
// CHECK-SAME:    %[[X:[^:]*]]: !llvm.ptr<1> {llvm.align = 64 : i64}
// CHECK-DAG:   llvm.getelementptr %[[X]][64] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
// CHECK-DAG:   llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
// CHECK-DAG:   llvm.load %{{.*}} {alignment = 8 : i64} : !llvm.ptr<1> -> vector<2xf32>
// CHECK-DAG:   llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr<1> -> f32
// CHECK:       llvm.return
tile.kernel @slices(%x: !tile.buf<2x128xf32, global, #tile.strided<[160, 1], at 16>>,
                    %y: !tile.buf<2x128xf32, global, #tile.strided<[160, 1], at 2>>,
                    %z: !tile.buf<2x128xf32, global, #tile.strided<[161, 1], at 4>>,
                    %o: !tile.buf<2x128xf32, global>)
    attributes {programs = 2 : i64, warps = 1 : i64} {
  %c0 = arith.constant 0 : index
  %p = tile.program_id
  %a = tile.load %x[%p, %c0] : !tile.buf<2x128xf32, global, #tile.strided<[160, 1], at 16>> -> !row
  %b = tile.load %y[%p, %c0] : !tile.buf<2x128xf32, global, #tile.strided<[160, 1], at 2>> -> !row
  %c = tile.load %z[%p, %c0] : !tile.buf<2x128xf32, global, #tile.strided<[161, 1], at 4>> -> !row
  %s = tile.map (%a, %b, %c) : (!row, !row, !row) -> !row {
  ^bb0(%d: f32, %e: f32, %f: f32):
    %g = arith.addf %d, %e fastmath<contract> : f32
    %h = arith.addf %g, %f fastmath<contract> : f32
    tile.yield %h : f32
  }
  tile.store %s, %o[%p, %c0] : !row -> !tile.buf<2x128xf32, global>
  tile.return
}
