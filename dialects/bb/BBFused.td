//===- BBFused.td - The region that fuse makes and tile consumes -*- tablegen -*-===//
#ifndef DIALECTS_BB_BBFUSED_TD
#define DIALECTS_BB_BBFUSED_TD

include "dialects/bb/BBDialect.td"

def BB_FusedOp : BB_Op<"fused", [Pure, SingleBlock, IsolatedFromAbove]> {
  let summary = "Scalar code over named dims: one kernel, or a few";
  let description = [{
    ```mlir
    %y = fused dims [b = 8, t = 256, n = 384, k = 384]
        reads (%x at (b, t, k), %w at (n, k), %r at (b, t, n))
        writes (f32[8, 256, 384] at (b, t, n)) {
    ^bb0(%x0: f32, %w0: f32, %r0: f32):
      %c = bb.contract %x0, %w0 over [k]
      %s = arith.addf %c, %r0 fastmath<contract> : f32
      bb.emit %s : f32
    }
    ```
    Block arguments are the operands' elements at their maps: smaller floats
    widened to f32, smaller integers to i32 (i1 stays). An operand without `at`
    is passed whole and read by `bb.at`. A value varies over a *domain*, a
    subset of the dims: an argument's from its map, an op's the union of its
    operands', less what `reduce_over` and `contract` remove. Values are f32
    inside; `emit` rounds to the results' element types.
  }];
  let arguments = (ins Variadic<BB_Tensor>:$inputs, StrArrayAttr:$dim_names,
                       DenseI64ArrayAttr:$dim_sizes, ArrayAttr:$maps);
  let results = (outs Variadic<BB_Tensor>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    unsigned dimCount() { return getDimSizes().size(); }
    int64_t dimSize(unsigned dim) { return getDimSizes()[dim]; }
    /// The map of an operand from dims to its axes; null if it is read by `at`.
    ::mlir::AffineMap inputMap(unsigned i);
    ::mlir::AffineMap outputMap(unsigned i);
    /// The most elements that `reduce_over` may sum behind a contraction: a
    /// row of so many fits the programs of a product.
    static constexpr int64_t widestRow = 256;
    /// The contraction, or null.
    ContractOp anchor();
    EmitOp emit();
  }];
}

def BB_ContractOp : BB_Op<"contract", [Pure]> {
  let summary = "Sum of products over dims: the matmul anchor";
  let description = [{
    One result per right-hand operand, each with the domain of both operands
    less `over`. Products are summed in f32.
  }];
  let arguments = (ins F32:$lhs, Variadic<F32>:$rhs, DenseI64ArrayAttr:$over);
  let results = (outs Variadic<F32>:$outputs);
  let hasCustomAssemblyFormat = 1;
}

def BB_ReduceOverOp : BB_Op<"reduce_over", [Pure, SameOperandsAndResultType]> {
  let summary = "Combines a value over dims: `add` or `max`";
  let description = [{
    `%s = bb.reduce_over add %x over [d2]`, in f32 and in the order of the dims. The
    domain of the result is that of `x` less `over`.
  }];
  let arguments = (ins StrAttr:$by, F32:$x, DenseI64ArrayAttr:$over);
  let results = (outs F32:$y);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def BB_IndexOp : BB_Op<"index", [Pure]> {
  let summary = "The coordinate along a dim";
  let description = [{ `%i = bb.index d0`, i32, from 0. }];
  let arguments = (ins I64Attr:$dim);
  let results = (outs I32:$y);
  let hasCustomAssemblyFormat = 1;
}

def BB_AtOp : BB_Op<"at", [Pure]> {
  let summary = "Reads an operand at computed indices, one i32 per axis";
  let description = [{ The indices must be inside the operand. }];
  let arguments = (ins BB_Tensor:$source, Variadic<I32>:$indices);
  let results = (outs AnyType:$y);
  let assemblyFormat = "$source `[` $indices `]` attr-dict `:` type($source) `->` type($y)";
}

def BB_EmitOp : BB_Op<"emit", [Pure, Terminator, HasParent<"FusedOp">]> {
  let summary = "The results of a fused region";
  let description = [{
    One value for each result, stored at its map and rounded to its element type.
  }];
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

#endif // DIALECTS_BB_BBFUSED_TD
