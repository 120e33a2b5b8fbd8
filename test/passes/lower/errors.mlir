// RUN: bb-opt %s --tile-to-x86 --split-input-file --verify-diagnostics

#acc = #tile.dist<reg [2 d1:8, 6 d0:1], lane [8 d1:1]>
tile.kernel @transposed(%a: !tile.buf<6x8xf32, global>, %b: !tile.buf<16x8xf32, global>)
    attributes {programs = 1 : i64} {
  %z = arith.constant 0.0 : f32
  %c = tile.splat %z : f32 -> !tile.reg<6x16xf32, #acc>
  // expected-error @+1 {{needs rows of b that are contiguous along N; pack b first}}
  %d = tile.mma %a, %b trans, %c : !tile.buf<6x8xf32, global>, !tile.buf<16x8xf32, global>,
      !tile.reg<6x16xf32, #acc> -> !tile.reg<6x16xf32, #acc>
  tile.return
}

// -----

#row = #tile.dist<reg [2 d0:8], lane [8 d0:1]>
tile.kernel @narrow(%x: !tile.buf<16xbf16, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0] : !tile.buf<16xbf16, global> -> !tile.reg<16xbf16, #row>
  %w = tile.map (%v) : (!tile.reg<16xbf16, #row>) -> !tile.reg<16xbf16, #row> {
  ^bb0(%a: bf16):
    // expected-error @+1 {{cannot be lowered in a map}}
    %r = arith.addf %a, %a : bf16
    tile.yield %r : bf16
  }
  tile.return
}

// -----

#a = #tile.dist<reg [6 d0:1], lane [8 d1:1]>
#b = #tile.dist<reg [6 d0:1], lane [8 rep]>
tile.kernel @replicas(%x: !tile.buf<6xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0] : !tile.buf<6xf32, global> -> !tile.reg<6xf32, #b>
  // expected-error @+1 {{cannot be done by exchanging lanes and registers}}
  %w = tile.relayout %v : !tile.reg<6xf32, #b> -> !tile.reg<6xf32, #tile.dist<reg [3 d0:2], lane [2 d0:1, 4 rep]>>
  tile.return
}
