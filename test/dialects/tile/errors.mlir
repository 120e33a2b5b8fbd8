// RUN: bb-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{layout owns 128 elements, but the tile has 64}}
!t = !tile.reg<64xf32, #tile.dist<reg [16 d0:8], lane [8 d0:1]>>

// -----

// expected-error @+1 {{layout owns some elements twice and others never}}
!t = !tile.reg<64xf32, #tile.dist<reg [8 d0:4], lane [8 d0:1]>>

// -----

// expected-error @+1 {{panel width 5 does not divide 16 columns}}
!b = !tile.buf<8x16xf32, scratch, #tile.panel<5>>

// -----

// expected-error @+1 {{buffer has 2 axes, but 1 strides}}
!b = !tile.buf<8x16xf32, scratch, #tile.strided<[16]>>

// -----

// expected-error @+1 {{argument 1 must be a global buffer, but is 'f32'}}
tile.kernel @k(%a: !tile.buf<8xf32, global>, %b: f32) attributes {programs = 1 : i64} {
  tile.return
}

// -----

#row = #tile.dist<reg [2 d0:8], lane [8 d0:1]>
#other = #tile.dist<reg [2 d0:1], lane [8 d0:2]>
tile.kernel @k(%a: !tile.buf<16xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %x = tile.load %a[%c0] : !tile.buf<16xf32, global> -> !tile.reg<16xf32, #row>
  %y = tile.load %a[%c0] : !tile.buf<16xf32, global> -> !tile.reg<16xf32, #other>
  // expected-error @+1 {{operands and results must share shape and layout; insert tile.relayout}}
  %z = tile.map (%x, %y) : (!tile.reg<16xf32, #row>, !tile.reg<16xf32, #other>) -> !tile.reg<16xf32, #row> {
  ^bb0(%p: f32, %q: f32):
    tile.yield %p : f32
  }
  tile.return
}

// -----

#row = #tile.dist<reg [2 d0:8], lane [8 d0:1]>
tile.kernel @k(%a: !tile.buf<4x16xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  // expected-error @+1 {{has 1 offsets, but the buffer has 2 axes}}
  %x = tile.load %a[%c0] : !tile.buf<4x16xf32, global> -> !tile.reg<16xf32, #row>
  tile.return
}

// -----

#row = #tile.dist<reg [2 d0:8], lane [8 d0:1]>
tile.kernel @k(%a: !tile.buf<16xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  // expected-error @+1 {{cannot convert between 'f32' in memory and 'bf16' in registers}}
  %x = tile.load %a[%c0] : !tile.buf<16xf32, global> -> !tile.reg<16xbf16, #row>
  tile.return
}

// -----

tile.kernel @k(%a: !tile.buf<4x16xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  // expected-error @+1 {{result axis 0 has stride 8, but the source's axis 0 has 16; give the result #tile.strided}}
  %x = tile.view %a[%c0, %c0] drop [] : !tile.buf<4x16xf32, global> -> !tile.buf<4x8xf32, global>
  tile.return
}

// -----

#acc = #tile.dist<reg [2 d1:8, 6 d0:1], lane [8 d1:1]>
tile.kernel @k(%a: !tile.buf<6x16xf32, global>, %b: !tile.buf<8x16xf32, global>)
    attributes {programs = 1 : i64} {
  %z = arith.constant 0.0 : f32
  %c = tile.splat %z : f32 -> !tile.reg<6x16xf32, #acc>
  // expected-error @+1 {{shapes do not multiply: 6x16 by 8x16 into 6x16}}
  %d = tile.mma %a, %b, %c : !tile.buf<6x16xf32, global>, !tile.buf<8x16xf32, global>,
      !tile.reg<6x16xf32, #acc> -> !tile.reg<6x16xf32, #acc>
  tile.return
}

// -----

#acc = #tile.dist<reg [2 d1:8, 6 d0:1], lane [8 d1:1]>
#rows = #tile.dist<reg [6 d0:1], lane [8 rep]>
tile.kernel @k() attributes {programs = 1 : i64} {
  %z = arith.constant 0.0 : f32
  %c = tile.splat %z : f32 -> !tile.reg<6x16xf32, #acc>
  // expected-error @+1 {{result must be the source without axis 0}}
  %d = tile.reduce add, %c axis 0 : !tile.reg<6x16xf32, #acc> -> !tile.reg<6xf32, #rows>
  tile.return
}

// -----

tile.kernel @callee(%a: !tile.buf<8xf32, global>, %b: !tile.buf<8xf32, global>) attributes {programs = 1 : i64} {
  tile.return
}
tile.kernel @caller() attributes {programs = 1 : i64} {
  %x = arith.constant dense<0.0> : tensor<8xf32>
  // expected-error @+1 {{is `partial`, so that `inplace` must name an operand for each result}}
  %y = tile.dispatch @callee(%x) partial : (tensor<8xf32>) -> tensor<8xf32>
  tile.return
}

// -----

// expected-note @+1 {{the kernel is here}}
tile.kernel @callee(%a: !tile.buf<8xf32, global>) attributes {programs = 1 : i64} {
  tile.return
}
tile.kernel @caller() attributes {programs = 1 : i64} {
  %x = arith.constant dense<0.0> : tensor<8xf32>
  // expected-error @+1 {{has 2 operands and results, but @callee has 1 arguments}}
  %y = tile.dispatch @callee(%x) : (tensor<8xf32>) -> tensor<8xf32>
  tile.return
}

// -----

tile.kernel @k(%a: !tile.buf<64x32xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %s = tile.alloc : !tile.buf<64x32xbf16, scratch>
  // expected-error @+1 {{cannot convert 'f32' to 'bf16'}}
  tile.copy_async %a[%c0, %c0] to %s : !tile.buf<64x32xf32, global> -> !tile.buf<64x32xbf16, scratch>
  tile.commit
  tile.wait 0
  tile.return
}

// -----

tile.kernel @k(%a: !tile.buf<64x32xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  // expected-error @+1 {{copies from global memory to scratch}}
  tile.copy_async %a[%c0, %c0] to %a : !tile.buf<64x32xf32, global> -> !tile.buf<64x32xf32, global>
  tile.commit
  tile.wait 0
  tile.return
}

// -----

tile.kernel @k(%a: !tile.buf<64x32xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %s = tile.alloc : !tile.buf<64x32xf32, scratch, #tile.strided<[33, 1]>>
  // expected-error @+1 {{fills rows of whole chunks of 16 bytes, but 33 elements are 132 bytes}}
  tile.copy_async %a[%c0, %c0] to %s : !tile.buf<64x32xf32, global> -> !tile.buf<64x32xf32, scratch, #tile.strided<[33, 1]>>
  tile.commit
  tile.wait 0
  tile.return
}

// -----

tile.kernel @k(%a: !tile.buf<64x32xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %s = tile.alloc : !tile.buf<64x32xf32, scratch>
  // expected-error @+1 {{has 1 bounds, but the tile has 2 axes}}
  tile.copy_async %a[%c0, %c0] bounds [%c0] to %s : !tile.buf<64x32xf32, global> -> !tile.buf<64x32xf32, scratch>
  tile.commit
  tile.wait 0
  tile.return
}

// -----

tile.kernel @k(%a: !tile.buf<32x64xf32, global, #tile.strided<[1, 32]>>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %s = tile.alloc : !tile.buf<32x64xf32, scratch>
  // expected-error @+1 {{needs contiguous rows}}
  tile.copy_async %a[%c0, %c0] to %s : !tile.buf<32x64xf32, global, #tile.strided<[1, 32]>> -> !tile.buf<32x64xf32, scratch>
  tile.commit
  tile.wait 0
  tile.return
}

// -----

tile.kernel @k(%a: !tile.buf<64x32xf32, global>, %go: !tile.buf<1xi1, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %s = tile.alloc : !tile.buf<64x32xf32, scratch>
  tile.commit
  // expected-error @+1 {{is followed by no tile.commit}}
  tile.copy_async %a[%c0, %c0] to %s : !tile.buf<64x32xf32, global> -> !tile.buf<64x32xf32, scratch>
  tile.wait 0
  tile.return
}

// -----

tile.kernel @k(%a: !tile.buf<64x32xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %s = tile.alloc : !tile.buf<64x32xf32, scratch>
  tile.copy_async %a[%c0, %c0] to %s : !tile.buf<64x32xf32, global> -> !tile.buf<64x32xf32, scratch>
  // expected-error @+1 {{is followed by no `tile.wait 0`, so that copies may outlive the program}}
  tile.commit
  tile.wait 1
  tile.return
}

// -----

tile.kernel @k(%a: !tile.buf<8x4xf32, global, #tile.strided<[1, 8]>>)
    attributes {programs = 1 : i64} {
  // expected-error @+1 {{takes one row, or rows, that are contiguous}}
  tile.prefetch %a : !tile.buf<8x4xf32, global, #tile.strided<[1, 8]>>
  tile.return
}

// -----

// expected-error @+1 {{global buffers alone begin behind their start, not before it}}
tile.kernel @k(%a: !tile.buf<8x4xf32, global, #tile.strided<[8, 1], at -4>>)
    attributes {programs = 1 : i64} {
  tile.return
}

// -----

// expected-error @+1 {{global buffers alone begin behind their start, not before it}}
tile.kernel @k(%a: !tile.buf<8x4xf32, scratch, #tile.strided<[8, 1], at 4>>)
    attributes {programs = 1 : i64} {
  tile.return
}
