// RUN: bb-opt %s --tile-to-nvvm --split-input-file --verify-diagnostics

#acc = #tile.dist<reg [2 d1:1, 2 d0:8, 2 d1:8], lane [4 d1:2, 8 d0:1], warp []>
#rows = #tile.dist<reg [8 d1:1], lane [2 d1:8, 16 d0:1], warp []>
!acc = !tile.reg<16x16xf32, #acc>
!stage = !tile.buf<16x16xbf16, scratch, #tile.strided<[24, 1]>>
tile.kernel @other_layout() attributes {programs = 1 : i64} {
  %z = arith.constant 0.0 : f32
  %b = tile.alloc : !stage
  %a = tile.splat %z : f32 -> !tile.reg<16x16xf32, #rows>
  %c = tile.splat %z : f32 -> !acc
  // expected-error @+1 {{a left operand in registers must lie like the accumulator, with all columns in each warp}}
  %d = tile.mma %a, %b, %c : !tile.reg<16x16xf32, #rows>, !stage, !acc -> !acc
  tile.return
}

// -----

#acc = #tile.dist<reg [2 d1:1, 2 d0:8, 2 d1:8], lane [4 d1:2, 8 d0:1], warp []>
!acc = !tile.reg<16x16xf32, #acc>
tile.kernel @right_in_memory(%b: !tile.buf<16x16xbf16, global>) attributes {programs = 1 : i64} {
  %z = arith.constant 0.0 : f32
  %c = tile.splat %z : f32 -> !acc
  // expected-error @+1 {{on a GPU multiplies buffers in scratch, or a tile in registers by such a buffer}}
  %d = tile.mma %c, %b, %c : !acc, !tile.buf<16x16xbf16, global>, !acc -> !acc
  tile.return
}
