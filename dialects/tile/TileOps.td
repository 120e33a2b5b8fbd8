//===- TileOps.td - Operations of the tile dialect ------------*- tablegen -*-===//
#ifndef BITBYTE_TILE_OPS
#define BITBYTE_TILE_OPS

include "dialects/tile/TileTypes.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Tile_Op<string mnemonic, list<Trait> traits = []>
    : Op<Tile_Dialect, mnemonic, traits>;

//===-- Kernels and their calls --------------------------------------------===//

def Tile_KernelOp : Tile_Op<"kernel", [FunctionOpInterface, IsolatedFromAbove]> {
  let summary = "What one program does";
  let description = [{
    ```mlir
    tile.kernel @scale(%x: !tile.buf<1024xf32, global>,
                       %y: !tile.buf<1024xf32, global>)
        attributes {programs = 8 : i64, anchor = "elementwise"} { ... }
    ```
    Arguments are the operands of its dispatches, then their results. `programs`
    programs run in any order and write disjoint memory. `flops` and `traffic`
    (bytes) are what all programs do together, for reports. On a GPU a program
    has `warps` warps, and `min_blocks` programs are to share a multiprocessor,
    which bounds the registers of each.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       TypeAttrOf<FunctionType>:$function_type,
                       ConfinedAttr<I64Attr, [IntPositive]>:$programs,
                       OptionalAttr<StrAttr>:$anchor,
                       OptionalAttr<I64Attr>:$flops,
                       OptionalAttr<I64Attr>:$traffic,
                       OptionalAttr<ConfinedAttr<I64Attr, [IntPositive]>>:$warps,
                       OptionalAttr<ConfinedAttr<I64Attr, [IntPositive]>>:$min_blocks,
                       OptionalAttr<DictArrayAttr>:$arg_attrs,
                       OptionalAttr<DictArrayAttr>:$res_attrs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::llvm::ArrayRef<::mlir::Type> getArgumentTypes() {
      return getFunctionType().getInputs();
    }
    ::llvm::ArrayRef<::mlir::Type> getResultTypes() {
      return getFunctionType().getResults();
    }
    ::mlir::Region *getCallableRegion() { return &getBody(); }
  }];
}

def Tile_ReturnOp : Tile_Op<"return", [Pure, Terminator, HasParent<"KernelOp">]> {
  let summary = "Ends a kernel";
  let assemblyFormat = "attr-dict";
}

def Tile_DispatchOp : Tile_Op<"dispatch",
    [NoMemoryEffect, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Runs all programs of a kernel";
  let description = [{
    ```mlir
    %y = tile.dispatch @matmul_0(%x, %w, %r) inplace [2]
        : (tensor<8x4xf32>, ...) -> tensor<8x4xf32>
    ```
    The kernel's arguments are the operands, then the results. `inplace` has an
    entry per result: the operand whose buffer the result may take over because
    each program reads exactly what it writes, before it writes it; -1: none.

    `partial`: the kernel leaves parts of these results as they are, and the plan
    has the operand's bytes in the result's memory first: it lets the result take
    over the operand's buffer, or copies it.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<AnyType>:$inputs,
                       OptionalAttr<DenseI64ArrayAttr>:$inplace,
                       UnitAttr:$partial);
  let results = (outs Variadic<AnyType>:$outputs);
  let assemblyFormat = [{
    $kernel `(` $inputs `)` (`inplace` $inplace^)?
    (`partial` $partial^)? attr-dict `:`
    functional-type($inputs, $outputs) custom<GraphScope>(ref(type($outputs)))
  }];
  let hasVerifier = 1;
}

def Tile_ProgramIdOp : Tile_Op<"program_id", [Pure]> {
  let summary = "This program's number, from 0 to the kernel's `programs`";
  let results = (outs Index:$result);
  let assemblyFormat = "attr-dict";
}

//===-- Memory ---------------------------------------------------------------===//

def Tile_AllocOp : Tile_Op<"alloc", [MemoryEffects<[MemAlloc]>]> {
  let summary = "Scratch memory, from here to its last use";
  let description = [{ Its first contents are undefined. }];
  let results = (outs Tile_BufType:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Tile_ViewOp : Tile_Op<"view", [Pure]> {
  let summary = "A part of a buffer, at an offset; never copies";
  let description = [{
    ```mlir
    %q = tile.view %x[%b, %t, %h, %c0] drop [0, 2]
        : !tile.buf<8x256x6x64xf32, global>
        -> !tile.buf<32x64xf32, global, #tile.strided<[384, 1]>>
    ```
    One offset per axis of the source; offsets left out at the end are 0. `drop`
    names the axes that the view does not have; without it the leading ones go.
    The result's strides are the source's. A panel loses leading axes only.
  }];
  let arguments = (ins Tile_BufType:$source, Variadic<Index>:$offsets,
                       OptionalAttr<DenseI64ArrayAttr>:$drop);
  let results = (outs Tile_BufType:$result);
  let assemblyFormat = [{
    $source `[` $offsets `]` (`drop` $drop^)? attr-dict `:`
    type($source) `->` type($result)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The source axes that the result does not have, ascending.
    ::llvm::SmallVector<int64_t> getDroppedAxes();
  }];
}

def Tile_PrefetchOp : Tile_Op<"prefetch"> {
  let summary = "Asks for the cache lines of a part of a buffer";
  let description = [{
    ```mlir
    tile.prefetch %view : !tile.buf<6x16xf32, global, #tile.strided<[1024, 1]>>
    ```
    A hint for what is read or written some thousand cycles later: rows a page
    apart, which no machine foresees. Its last axis is contiguous and it has one
    or two; parts of it may lie behind the buffer's end. `far`: wanted later than
    that, and not to push out what is at hand (L2 instead of L1). A CPU spreads it
    over the product that follows, if one does. On a GPU it says nothing.
  }];
  let arguments = (ins Tile_BufType:$buffer, UnitAttr:$far);
  let assemblyFormat = "(`far` $far^)? $buffer attr-dict `:` type($buffer)";
  let hasVerifier = 1;
}

def Tile_LoadOp : Tile_Op<"load", [AttrSizedOperandSegments]> {
  let summary = "Reads a tile at an offset";
  let description = [{
    ```mlir
    %t = tile.load %x[%i, %j] bounds [%m, %n]
        : !tile.buf<50x200xbf16, global> -> !tile.reg<4x8xf32, #rows>
    ```
    One offset per axis of the buffer; the tile lies along its last axes.
    `bounds` has one value per axis of the tile: how many of its elements exist
    (any number; what lies beyond is not touched and reads 0). A smaller float
    is widened to f32 where the tile holds f32, a smaller integer to i32 (zeros
    for an unsigned one).
  }];
  let arguments = (ins Arg<Tile_BufType, "", [MemRead]>:$source,
                       Variadic<Index>:$offsets, Variadic<Index>:$bounds);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = [{
    $source `[` $offsets `]` (`bounds` `[` $bounds^ `]`)? attr-dict `:`
    type($source) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_StoreOp : Tile_Op<"store", [AttrSizedOperandSegments]> {
  let summary = "Writes a tile at an offset; the mirror of tile.load";
  let description = [{
    f32 is rounded to the buffer's smaller float, i32 cut to its smaller
    integer. Elements outside the bounds are not touched.
  }];
  let arguments = (ins Tile_RegType:$value,
                       Arg<Tile_BufType, "", [MemWrite]>:$dest,
                       Variadic<Index>:$offsets, Variadic<Index>:$bounds);
  let assemblyFormat = [{
    $value `,` $dest `[` $offsets `]` (`bounds` `[` $bounds^ `]`)? attr-dict `:`
    type($value) `->` type($dest)
  }];
  let hasVerifier = 1;
}

def Tile_LoadScalarOp : Tile_Op<"load_scalar"> {
  let summary = "Reads one element; widens as tile.load does";
  let arguments = (ins Arg<Tile_BufType, "", [MemRead]>:$source,
                       Variadic<Index>:$offsets);
  let results = (outs AnyType:$result);
  let assemblyFormat = [{
    $source `[` $offsets `]` attr-dict `:` type($source) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_StoreScalarOp : Tile_Op<"store_scalar"> {
  let summary = "Writes one element; narrows as tile.store does";
  let arguments = (ins AnyType:$value, Arg<Tile_BufType, "", [MemWrite]>:$dest,
                       Variadic<Index>:$offsets);
  let assemblyFormat = [{
    $value `,` $dest `[` $offsets `]` attr-dict `:` type($value) `->` type($dest)
  }];
  let hasVerifier = 1;
}

def Tile_GatherOp : Tile_Op<"gather", [AttrSizedOperandSegments]> {
  let summary = "Reads each element at computed indices";
  let description = [{
    ```mlir
    %t = tile.gather %table[%rows, %cols] bounds [%n] : !tile.buf<256x64xf32, global>
        , !tile.reg<32xi32, #row>, !tile.reg<32xi32, #row> -> !tile.reg<32xf32, #row>
    ```
    One i32 tile of the result's shape and layout per axis of the buffer.
    Indices must be inside the buffer; an element outside `bounds` is not read,
    whatever its index, and is 0. Widens as tile.load does.
  }];
  let arguments = (ins Arg<Tile_BufType, "", [MemRead]>:$source,
                       Variadic<Tile_RegType>:$indices, Variadic<Index>:$bounds);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = [{
    $source `[` $indices `]` (`bounds` `[` $bounds^ `]`)? attr-dict `:`
    type($source) `,` type($indices) `->` type($result)
  }];
  let hasVerifier = 1;
}

//===-- Copies to scratch that run beside the program --------------------------===//

def Tile_CopyAsyncOp : Tile_Op<"copy_async", [AttrSizedOperandSegments]> {
  let summary = "Copies a tile from global memory to scratch; joins the open group";
  let description = [{
    ```mlir
    tile.copy_async %x[%m, %k] bounds [%rows, %cols] to %stage
        : !tile.buf<256x512xbf16, global>
        -> !tile.buf<128x32xbf16, scratch, #tile.strided<[40, 1]>>
    ```
    One offset per axis of the source; the tile lies along its last axes and has
    the shape of the destination. `bounds` has one value per axis of the tile:
    how many of its elements exist (any number; the others are not read, and
    become 0 in scratch). Rows are contiguous on both sides, and a row of the
    destination starts at a multiple of 16 bytes. All warps of the program copy;
    what they copied is there after `tile.wait`.
  }];
  let arguments = (ins Arg<Tile_BufType, "", [MemRead]>:$source,
                       Variadic<Index>:$offsets, Variadic<Index>:$bounds,
                       Arg<Tile_BufType, "", [MemWrite]>:$dest);
  let assemblyFormat = [{
    $source `[` $offsets `]` (`bounds` `[` $bounds^ `]`)? `to` $dest attr-dict `:`
    type($source) `->` type($dest)
  }];
  let hasVerifier = 1;
}

def Tile_CommitOp : Tile_Op<"commit"> {
  let summary = "Closes the group of the copies since the last commit";
  let description = [{
    A group may be empty: `tile.wait` counts groups, so each round of a loop
    closes one, whether it copied or not.
  }];
  let assemblyFormat = "attr-dict";
}

def Tile_WaitOp : Tile_Op<"wait"> {
  let summary = "Waits until at most `pending` groups are under way";
  let description = [{
    What the older groups copied is then visible to all warps: it includes a
    barrier.
  }];
  let arguments = (ins ConfinedAttr<I64Attr, [IntNonNegative]>:$pending);
  let assemblyFormat = "$pending attr-dict";
}

def Tile_BarrierOp : Tile_Op<"barrier"> {
  let summary = "All warps of the program meet; their writes to scratch are visible";
  let assemblyFormat = "attr-dict";
}

//===-- Tiles ------------------------------------------------------------------===//

def Tile_SplatOp : Tile_Op<"splat", [Pure]> {
  let summary = "A tile of equal elements";
  let arguments = (ins AnyType:$value);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = "$value attr-dict `:` type($value) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_IotaOp : Tile_Op<"iota", [Pure]> {
  let summary = "Each element's coordinate along an axis, as i32";
  let arguments = (ins I64Attr:$axis);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = "`axis` $axis attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Tile_BroadcastOp : Tile_Op<"broadcast", [Pure]> {
  let summary = "Repeats a tile along a new axis";
  let arguments = (ins Tile_RegType:$source, I64Attr:$axis);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = [{
    $source `axis` $axis attr-dict `:` type($source) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_MapOp : Tile_Op<"map", [Pure, SingleBlock]> {
  let summary = "Scalar code on every element";
  let description = [{
    ```mlir
    %r = tile.map (%x, %y) : (!row, !row) -> !row {
    ^bb0(%a: f32, %b: f32):
      %s = arith.addf %a, %b fastmath<contract> : f32
      tile.yield %s : f32
    }
    ```
    All operands and results share shape and layout. The region holds arith and
    math ops and may use scalars from outside.
  }];
  let arguments = (ins Variadic<Tile_RegType>:$inputs);
  let results = (outs Variadic<Tile_RegType>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `(` $inputs `)` attr-dict `:` functional-type($inputs, $outputs) $body
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def Tile_YieldOp : Tile_Op<"yield", [Pure, Terminator, HasParent<"MapOp">]> {
  let summary = "Ends a map";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def Tile_ReduceOp : Tile_Op<"reduce", [Pure]> {
  let summary = "Combines the elements along an axis";
  let description = [{
    Every lane gets the whole result: lanes along the axis become replicas. The
    order of the sum is fixed by the layout.
  }];
  let arguments = (ins Tile_CombinerAttr:$combiner, Tile_RegType:$source,
                       I64Attr:$axis);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = [{
    $combiner `,` $source `axis` $axis attr-dict `:`
    type($source) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_RelayoutOp : Tile_Op<"relayout", [Pure]> {
  let summary = "The same tile in another layout";
  let description = [{
    `permutation [1, 0]` transposes: axis i of the result is axis
    `permutation[i]` of the source.
  }];
  let arguments = (ins Tile_RegType:$source,
                       OptionalAttr<DenseI64ArrayAttr>:$permutation);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = [{
    $source (`permutation` $permutation^)? attr-dict `:`
    type($source) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_MmaOp : Tile_Op<"mma"> {
  let summary = "c + a b";
  let description = [{
    ```mlir
    %d = tile.mma %a, %b, %c
        : !tile.buf<6x128xf32, scratch, #tile.panel<4>>, !tile.buf<128x16xf32, global>
        , !tile.reg<6x16xf32, #acc> -> !tile.reg<6x16xf32, #acc>
    ```
    `a` is [M, K] (`trans`: [K, M]), `b` is [K, N] (`trans`: [N, K]), `c` is
    [M, N] of f32 in registers. Smaller floats and bytes are widened to f32.

    On a CPU `b` must have rows contiguous along N. What runs at nine tenths of
    the peak: `b` packed as [K][N] of the accumulator's columns, `a` as rows in
    place or [K][M] packed (`trans`), both of f32, since widening inside costs a
    third: pack with a load that widens. Rows of 1024 or more elements want
    blocks of K around 256. To pack a transposed matrix, load 8x8 blocks, relayout
    with `permutation [1, 0]`, store.

    On a GPU the element type of `b`, a buffer in scratch with rows that start
    at multiples of 16 bytes, picks the instruction: bf16 multiplies bf16, f32
    multiplies f32 in three products of tf32, which keep f32's accuracy. `a` is
    such a buffer of the same type, or a tile of f32 or bf16 distributed like an
    accumulator, which is rounded to what `b` holds. The accumulator's lanes are
    `[4 d1:2, 8 d0:1]` and its warps split M and N; K is a multiple of 16.
  }];
  let arguments = (ins Arg<Tile_RegOrBuf, "", [MemRead]>:$a,
                       Arg<Tile_RegOrBuf, "", [MemRead]>:$b, Tile_RegType:$c,
                       UnitAttr:$transpose_a, UnitAttr:$transpose_b);
  let results = (outs Tile_RegType:$result);
  let assemblyFormat = [{
    $a (`trans` $transpose_a^)? `,` $b (`trans` $transpose_b^)? `,` $c attr-dict
    `:` type($a) `,` type($b) `,` type($c) `->` type($result)
  }];
  let hasVerifier = 1;
}

#endif
