// 2^x where less than all digits will do: with AVX-512 one instruction takes the
// fraction, one multiplies by the power of the whole part.
// RUN: bb-opt %s --tile-to-x86=target=cpu-v4 | FileCheck %s

#row = #tile.dist<reg [1 d0:16], lane [16 d0:1]>
!row = !tile.reg<16xf32, #row>

// CHECK-LABEL: llvm.func @decay
// CHECK:       %[[F:.*]] = llvm.call_intrinsic "llvm.x86.avx512.mask.reduce.ps.512"(%[[X:[^,]*]],
// CHECK-COUNT-5: llvm.intr.fma(%{{.*}}, %[[F]],
// CHECK:       llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"(%{{.*}}, %[[X]],
// CHECK-NOT:   llvm.fmul
// CHECK:       llvm.return

// All digits: rounded, scaled by two factors.
// CHECK-LABEL: llvm.func @exact
// CHECK-NOT:   avx512
// CHECK:       llvm.return
tile.kernel @decay(%x: !tile.buf<16xf32, global>, %y: !tile.buf<16xf32, global>)
    attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0] : !tile.buf<16xf32, global> -> !row
  %w = tile.map (%v) : (!row) -> !row {
  ^bb0(%a: f32):
    %r = math.exp2 %a fastmath<afn> : f32
    tile.yield %r : f32
  }
  tile.store %w, %y[%c0] : !row -> !tile.buf<16xf32, global>
  tile.return
}
tile.kernel @exact(%x: !tile.buf<16xf32, global>, %y: !tile.buf<16xf32, global>)
    attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0] : !tile.buf<16xf32, global> -> !row
  %w = tile.map (%v) : (!row) -> !row {
  ^bb0(%a: f32):
    %r = math.exp2 %a : f32
    tile.yield %r : f32
  }
  tile.store %w, %y[%c0] : !row -> !tile.buf<16xf32, global>
  tile.return
}
