//===- BBOps.td - The ops of the graph proper --------------------*- tablegen -*-===//
#ifndef DIALECTS_BB_BBOPS_TD
#define DIALECTS_BB_BBOPS_TD

include "dialects/bb/BBStructure.td"
include "dialects/bb/BBFused.td"

// Ops with a rule of their own for look-ahead, and for one step of decoding.
def BB_MovesInTime : DeclareOpInterfaceMethods<BB_StreamOpInterface>;
def BB_Decodes : DeclareOpInterfaceMethods<BB_IncrementalOpInterface>;

//===-- element-wise -------------------------------------------------------===//

class BB_Unary<string mn> : BB_FamilyOp<mn, "x", "sameShape"> {
  let description = [{ `[..] -> [..]`, element by element, in the type of `x`. }];
  let arguments = (ins BB_Tensor:$x);
  let results = (outs BB_Tensor:$y);
}
def BB_NegOp : BB_Unary<"neg"> { let summary = "-x"; }
def BB_ExpOp : BB_Unary<"exp"> { let summary = "e to the x"; }
def BB_SquareOp : BB_Unary<"square"> { let summary = "x * x"; }
def BB_SigmoidOp : BB_Unary<"sigmoid"> { let summary = "1 / (1 + exp(-x))"; }
def BB_TanhOp : BB_Unary<"tanh"> { let summary = "Hyperbolic tangent"; }
def BB_SiluOp : BB_Unary<"silu"> { let summary = "x * sigmoid(x)"; }
def BB_GeluOp : BB_Unary<"gelu"> { let summary = "0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))"; }
def BB_ReluOp : BB_Unary<"relu"> { let summary = "max(x, 0)"; }
def BB_SoftplusOp : BB_Unary<"softplus"> { let summary = "log(1 + exp(x)), without overflow"; }
def BB_SqrtOp : BB_Unary<"sqrt"> { let summary = "Square root"; }
def BB_RsqrtOp : BB_Unary<"rsqrt"> { let summary = "1 / sqrt(x)"; }
def BB_LogOp : BB_Unary<"log"> { let summary = "Natural logarithm"; }
def BB_AbsOp : BB_Unary<"abs"> { let summary = "|x|"; }
def BB_RoundOp : BB_Unary<"round"> { let summary = "To the nearest whole number, halves to even; no gradient"; }
def BB_StopGradientOp : BB_Unary<"stop_gradient"> { let summary = "x; no gradient flows through"; }

def BB_IsFiniteOp : BB_GraphOp<"is_finite", "x"> {
  let summary = "Whether each element is neither infinite nor NaN";
  let description = [{ `[..] -> i1[..]`, element by element. No gradient. }];
  let arguments = (ins BB_Tensor:$x);
  let results = (outs BB_Tensor:$y);
}

class BB_Binary<string mn, list<Trait> traits = []>
    : BB_FamilyOp<mn, "a b", "broadcastShapes", traits> {
  let description = [{
    `[..], [..] -> [..]`, element by element after broadcasting: shapes align at
    the right; only a literal 1 or a missing leading axis stretches, and a
    symbol is never taken to be 1. f32 with a smaller float gives f32.
  }];
  let arguments = (ins BB_Tensor:$a, BB_Tensor:$b);
  let results = (outs BB_Tensor:$y);
}
def BB_AddOp : BB_Binary<"add", [Commutative]> { let summary = "a + b"; }
def BB_SubOp : BB_Binary<"sub"> { let summary = "a - b"; }
def BB_MulOp : BB_Binary<"mul", [Commutative]> { let summary = "a * b"; }
def BB_DivOp : BB_Binary<"div"> { let summary = "a / b"; }
def BB_MinOp : BB_Binary<"min", [Commutative]> { let summary = "The smaller of a and b; at a tie the gradient goes to a"; }
def BB_MaxOp : BB_Binary<"max", [Commutative]> { let summary = "The larger of a and b; at a tie the gradient goes to a"; }
def BB_RemOp : BB_Binary<"rem"> { let summary = "a - b * trunc(a / b), with the sign of a"; }

class BB_Compare<string mn> : BB_FamilyOp<mn, "a b", "compareShapes"> {
  let description = [{
    `[..], [..] -> i1[..]`, element by element after broadcasting as in `add`. A
    comparison with NaN is false. No gradient.
  }];
  let arguments = (ins BB_Tensor:$a, BB_Tensor:$b);
  let results = (outs BB_Tensor:$y);
}
def BB_LtOp : BB_Compare<"lt"> { let summary = "a < b"; }
def BB_LeOp : BB_Compare<"le"> { let summary = "a <= b"; }
def BB_EqOp : BB_Compare<"eq"> { let summary = "a = b"; }

def BB_SelectOp : BB_FamilyOp<"select", "c a b", "selectShape"> {
  let summary = "Elements of `a` where `c` is true, else of `b`; all broadcast";
  let description = [{
    c `i1[..]`, a `[..]`, b `[..] -> [..]`, broadcast as in `add`. The gradient
    goes to the operand that was taken.
  }];
  let arguments = (ins BB_Tensor:$c, BB_Tensor:$a, BB_Tensor:$b);
  let results = (outs BB_Tensor:$y);
}

def BB_ScaleOp : BB_FamilyOp<"scale", "x | by:num plus:num", "sameShape"> {
  let summary = "by * x + plus";
  let description = [{
    `[..] -> [..]`, element by element. `by` and `plus` (default 0) are numbers
    or expressions over config names.
  }];
  let arguments = (ins BB_Tensor:$x, AnyAttr:$by, OptionalAttr<AnyAttr>:$plus);
  let results = (outs BB_Tensor:$y);
}
def BB_CastOp : BB_GraphOp<"cast", "x | to:element"> {
  let summary = "Another element type, rounded to nearest even";
  let description = [{
    `[..] -> to[..]`, element by element. A float becomes a whole number by
    dropping its fraction. The gradient is cast back.
  }];
  let arguments = (ins BB_Tensor:$x, TypeAttr:$to);
  let results = (outs BB_Tensor:$y);
}
def BB_FakeQuantOp : BB_FamilyOp<"fake_quant", "x | to:element", "sameShape"> {
  let summary = "Quantize and back, at the same type";
  let description = [{
    `[.., n] -> [.., n]`: what `dequantize` gives of `quantize` of x, for
    training that knows of the encoding `to`, a codec and the block that shares
    a scale (`int8/row`, `int4/64`, `ternary/tensor`). The gradient passes
    straight through.
  }];
  let arguments = (ins BB_Tensor:$x, TypeAttr:$to);
  let results = (outs BB_Tensor:$y);
}
def BB_QuantizeOp : BB_GraphOp<"quantize", "x | to:element"> {
  let summary = "Codes and scales of `x`";
  let description = [{
    `[.., n] -> codec/block[.., n]`. Each block of neighbours on the last axis has
    one scale, its largest absolute value over the largest code; the block
    divides n. No gradient.
  }];
  let arguments = (ins BB_Tensor:$x, TypeAttr:$to);
  let results = (outs BB_Tensor:$y);
}
def BB_DequantizeOp : BB_GraphOp<"dequantize", "x | to:element"> {
  let summary = "What codes and scales stand for";
  let description = [{
    `codec/block[..] -> to[..]`: each code times the scale of its block.
  }];
  let arguments = (ins BB_Tensor:$x, TypeAttr:$to);
  let results = (outs BB_Tensor:$y);
}
def BB_FillOp : BB_GraphOp<"fill", " | value:num to:element of:dims"> {
  let summary = "One number everywhere";
  let description = [{
    `-> to[of]`: every element is `value`, a number or an expression over config
    names.
  }];
  let arguments = (ins AnyAttr:$value, TypeAttr:$to, ArrayAttr:$of);
  let results = (outs BB_Tensor:$y);
}
def BB_DropoutOp : BB_FamilyOp<"dropout", "x | p:num stream:dim seed:value counter:value", "sameShape",
    [AttrSizedOperandSegments]> {
  let summary = "Zeros with probability `p`, the rest scaled by 1 / (1 - p)";
  let description = [{
    `[..] -> [..]`, element by element: 0 with probability p, else x / (1 - p);
    0 <= p < 1. Without `seed` it is the identity, as outside training.

    `seed` and `counter` are `i32[]`, whose bits count as unsigned. Element i, in
    row-major order, is dropped if the first word of Philox4x32-10 under the key
    (seed, 0) at (i, stream, counter, 0) is below p * 2^32, rounded. `instantiate`
    numbers the uses in a program by `stream`, 0 without it, and `differentiate`
    gives its copies of `score` the other two.
  }];
  let arguments = (ins BB_Tensor:$x, Optional<BB_Tensor>:$seed, Optional<BB_Tensor>:$counter,
      AnyAttr:$p, OptionalAttr<BB_Dim>:$stream);
  let results = (outs BB_Tensor:$y);
  let hasVerifier = 1;
}

//===-- row-wise -----------------------------------------------------------===//

def BB_RmsNormOp : BB_FamilyOp<"rms_norm", "x g | eps:num groups:dim", "normShape",
    [BB_MovesInTime]> {
  let summary = "x / sqrt(mean(x^2) + eps) * g along the last axis";
  let description = [{
    x `[.., d]`, g `[d] -> [.., d]`. With `groups` n each of n equal parts of the
    axis has a mean of its own. Statistics are in f32.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$g, AnyAttr:$eps, OptionalAttr<BB_Dim>:$groups);
  let results = (outs BB_Tensor:$y);
}
def BB_LayerNormOp : BB_FamilyOp<"layer_norm", "x g ?b | eps:num", "normShape",
    [BB_MovesInTime]> {
  let summary = "(x - mean) / sqrt(variance + eps) * g + b along the last axis";
  let description = [{
    x `[.., d]`, g `[d]`, b `[d] -> [.., d]`. The variance is the mean of (x - mean)^2,
    over d and not d - 1. Statistics are in f32.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$g, Optional<BB_Tensor>:$b, AnyAttr:$eps);
  let results = (outs BB_Tensor:$y);
}
def BB_SoftmaxOp : BB_FamilyOp<"softmax", "x", "sameShape",
    [BB_MovesInTime]> {
  let summary = "exp(x) / sum exp(x) along the last axis";
  let description = [{
    `[.., d] -> [.., d]`: exp(x - max x) / sum exp(x - max x), in f32 inside.
  }];
  let arguments = (ins BB_Tensor:$x);
  let results = (outs BB_Tensor:$y);
}
def BB_CrossEntropyOp : BB_GraphOp<"cross_entropy", "logits target | bidirectional:flag"> {
  let summary = "Nats of each target under the softmax of its row";
  let description = [{
    logits `[.., V]`, target `u8[..]` or `i32[..] -> f32[..]`:
    log(sum exp(logits)) - logits[target]. The logits of a position may not
    depend on the byte to predict, else the spec is refused; `bidirectional`
    switches that check off for losses that see the whole sequence.
  }];
  let arguments = (ins BB_Tensor:$logits, BB_Tensor:$target, UnitAttr:$bidirectional);
  let results = (outs BB_Tensor:$nats);
}

def BB_ReduceOp : BB_GraphOp<"reduce", "x | by:word axes:dims keep:flag",
    [BB_MovesInTime]> {
  let summary = "Sum, mean, max or absmax over axes";
  let description = [{
    `[..] -> [..]` without the `axes`, or with 1 there under `keep`. `by` is
    `sum`, `mean`, `max` or `absmax` (the largest absolute value). The
    gradient of a largest value is shared by the elements that equal it.
  }];
  let arguments = (ins BB_Tensor:$x, StrAttr:$by, ArrayAttr:$axes, UnitAttr:$keep);
  let results = (outs BB_Tensor:$y);
}

//===-- contraction --------------------------------------------------------===//

def BB_LinearOp : BB_GraphOp<"linear", "x w ?bias"> {
  let summary = "x times the transposed weight, plus a bias";
  let description = [{
    x `[.., in]`, w `[out, in]`, bias `[out] -> [.., out]`:
    y[.., o] = sum over i of x[.., i] * w[o, i], plus bias[o]. Sums are in f32.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$w, Optional<BB_Tensor>:$bias);
  let results = (outs BB_Tensor:$y);
}

def BB_EinsumOp : BB_GraphOp<"einsum", "a b | as:text into:element",
    [BB_MovesInTime]> {
  let summary = "A contraction by letters";
  let description = [{
    `as "abo,oi->abi"` names the axes of a, of b and of the result by letters:
    a `[A, B, O]`, b `[O, I] -> [A, B, I]`, y[a, b, i] = sum over o of
    a[a, b, o] * b[o, i]. Letters missing on the right are summed, in f32; `into
    f32` keeps the sum unrounded.
  }];
  let arguments = (ins BB_Tensor:$a, BB_Tensor:$b, StrAttr:$as, OptionalAttr<TypeAttr>:$into);
  let results = (outs BB_Tensor:$y);
}

//===-- attention ----------------------------------------------------------===//

def BB_AttentionOp : BB_GraphOp<"attention",
    "q k v | causal:flag window:dim block:dim scale:num lse:flag buckets:value valid:value at:value",
    [AttrSizedOperandSegments, BB_MovesInTime,
     DeclareOpInterfaceMethods<BB_IncrementalOpInterface, ["chunkDivides"]>]> {
  let summary = "softmax(scale * q k^T + mask) v for each head";
  let description = [{
    q `[B, Tq, H, D]`, k `[B, Tk, G, D]`, v `[B, Tk, G, E] -> [B, Tq, H, E]`. G
    divides H: query head h reads key head floor(h * G / H). `scale` defaults to
    1 / sqrt(D). Sums and softmax are in f32.

    * `causal`: row i sees keys p <= i. `window` w: and only p > i - w. `block` b:
      and only those of its own block, floor(p / b) = floor(i / b).
    * `valid` `i1[B, Tk]`: keys that count at all.
    * `buckets` `[n, H]`: a bias for each bucket of distances, added to the scaled
      product before softmax.
    * `lse` asks for the logarithm of each row's sum of exponentials,
      `f32[B, H, Tq]`, which the gradient reads.
    * `at` `i32[]`: k and v are rings of Tk = cap slots, to which `append` has just
      added the rows of this step. Query row i is at position at + i. Slot s holds
      the newest position p <= at + Tq - 1 with p mod cap = s, and is empty if that
      is below 0. Row i sees p <= at + i; under `window` w also p > at + i - w;
      under `block` b also floor(p / b) = floor((at + i) / b).
  }];
  let arguments = (ins BB_Tensor:$q, BB_Tensor:$k, BB_Tensor:$v,
      Optional<BB_Tensor>:$buckets, Optional<BB_Tensor>:$valid, Optional<BB_Tensor>:$at,
      UnitAttr:$causal, OptionalAttr<BB_Dim>:$window, OptionalAttr<BB_Dim>:$block,
      OptionalAttr<AnyAttr>:$scale, UnitAttr:$lse);
  let results = (outs BB_Tensor:$y, Optional<BB_Tensor>:$lse_out);
}
def BB_AttentionGradOp : BB_GraphOp<"attention_grad",
    "q k v y lse dy | causal:flag window:dim block:dim scale:num"> {
  let summary = "Gradients of attention";
  let description = [{
    q, y, dy `[B, T, H, D]`, k, v `[B, T, G, D]`, lse `f32[B, H, T]` -> dq, dk, dv in
    the shapes of q, k, v. `y` and `lse` are the results of the attention whose
    clauses these are. The probabilities P = exp(scale * q k^T - lse) are computed
    again; dv = P^T dy, dS = P * (dy v^T - sum over keys of P * dy v^T),
    dq = scale * dS k, dk = scale * dS^T q. Heads that share a key head add up.
  }];
  let arguments = (ins BB_Tensor:$q, BB_Tensor:$k, BB_Tensor:$v, BB_Tensor:$y, BB_Tensor:$lse, BB_Tensor:$dy,
      UnitAttr:$causal, OptionalAttr<BB_Dim>:$window, OptionalAttr<BB_Dim>:$block, OptionalAttr<AnyAttr>:$scale);
  let results = (outs BB_Tensor:$dq, BB_Tensor:$dk, BB_Tensor:$dv);
}
def BB_RopeOp : BB_FamilyOp<"rope", "x | theta:num pairs:flag inverse:flag at:value", "sameShape",
    [BB_MovesInTime, BB_Decodes]> {
  let summary = "Rotates pairs of the last axis by an angle that grows with the position";
  let description = [{
    `[B, T, H, D] -> [B, T, H, D]`, D even. Pair i of item t turns by the angle
    (at + t) * theta^(-2i/D): (a, b) -> (a cos - b sin, b cos + a sin). Pairs are
    (i, i + D/2), under `pairs` (2i, 2i + 1); under `inverse` they turn back. `at`
    `i32[]` is the position of the first item, 0 if left out.
  }];
  let arguments = (ins BB_Tensor:$x, Optional<BB_Tensor>:$at, AnyAttr:$theta, UnitAttr:$pairs, UnitAttr:$inverse);
  let results = (outs BB_Tensor:$y);
}

//===-- scan and convolution -----------------------------------------------===//

def BB_ConvOp : BB_GraphOp<"conv", "x w ?bias | from:value silu:flag",
    [AttrSizedOperandSegments, BB_Decodes]> {
  let summary = "Depthwise causal convolution along the sequence";
  let description = [{
    `[B, T, D], [D, taps], [D] -> [B, T, D]`; the last tap multiplies the current
    item. `from` gives the taps - 1 rows before and asks for the new ones. `silu`
    gives silu of the sums, which are f32 meanwhile.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$w, Optional<BB_Tensor>:$bias, Optional<BB_Tensor>:$from,
      UnitAttr:$silu);
  let results = (outs BB_Tensor:$y, Optional<BB_Tensor>:$tail);
}
def BB_ConvGradOp : BB_GraphOp<"conv_grad", "x w dy ?bias | silu:flag"> {
  let summary = "Gradients of conv";
  let description = [{
    `[B, T, D], [D, taps], [B, T, D] -> [B, T, D], f32[D, taps], f32[D]`: to x, w
    and the bias. With `silu` it computes the sums again, for which it takes the
    bias, and multiplies dy by silu's slope there.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$w, BB_Tensor:$dy, Optional<BB_Tensor>:$bias, UnitAttr:$silu);
  let results = (outs BB_Tensor:$dx, BB_Tensor:$dw, BB_Tensor:$db);
}
def BB_SelectiveScanOp : BB_GraphOp<"selective_scan",
    "x dt a b c | skip:value gate:value from:value save:dim",
    [AttrSizedOperandSegments, BB_Decodes]> {
  let summary = "h = exp(dt a) h + dt b x; y = (c h + skip x) silu(gate)";
  let description = [{
    x, dt `[B, T, D]`, a `[D, N]`, b, c `[B, T, N]` `-> [B, T, D]`. `skip` f32 `[D]`
    adds its multiple of x to c h, and `gate` `[B, T, D]` multiplies the sum by
    silu(gate); y is rounded once. `from` gives h
    f32 `[B, N, D]` at the start and asks for the one at the end; `save` n asks for
    h before items 0, n, 2n, .., f32 `[B, ceildiv(T, n), N, D]`, which the gradient
    starts from. One of the two.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$dt, BB_Tensor:$a, BB_Tensor:$b, BB_Tensor:$c,
      Optional<BB_Tensor>:$skip, Optional<BB_Tensor>:$gate, Optional<BB_Tensor>:$from,
      OptionalAttr<BB_Dim>:$save);
  let results = (outs BB_Tensor:$y, Optional<BB_Tensor>:$states);
}
def BB_SelectiveScanGradOp : BB_GraphOp<"selective_scan_grad",
    "x dt a b c states dy | skip:value gate:value save:dim",
    [AttrSizedOperandSegments]> {
  let summary = "Gradients of selective_scan";
  let description = [{
    Reads its operands, the states that it saved and `dy`; gives dx, ddt `[B, T, D]`
    in their types, da f32 `[D, N]`, db and dc f32 `[B, T, N]`, then, where the scan
    has them, dskip f32 `[D]` and dgate `[B, T, D]` in its type.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$dt, BB_Tensor:$a, BB_Tensor:$b, BB_Tensor:$c,
      BB_Tensor:$states, BB_Tensor:$dy, Optional<BB_Tensor>:$skip, Optional<BB_Tensor>:$gate,
      BB_Dim:$save);
  let results = (outs BB_Tensor:$dx, BB_Tensor:$ddt, BB_Tensor:$da, BB_Tensor:$db, BB_Tensor:$dc,
      Variadic<BB_Tensor>:$dskip_and_dgate);
  let accessors = [{
    /// Null where the scan has no such operand.
    ::mlir::Value getDskip() {
      return getSkip() ? getDskipAndDgate().front() : ::mlir::Value();
    }
    ::mlir::Value getDgate() {
      return getGate() ? getDskipAndDgate().back() : ::mlir::Value();
    }
  }];
}
def BB_SsdOp : BB_GraphOp<"ssd", "x dt a b c | chunk:dim from:value save:flag", [BB_Decodes]> {
  let summary = "A scan whose decay is one number per head: matrix products over chunks";
  let description = [{
    x `[B, T, H, P]`, dt `[B, T, H]`, a `[H]`, b, c `[B, T, G, N]` `-> [B, T, H, P]`:
    h = exp(dt a) h + dt b x^T, y = c h for each head, which reads group h * G / H.
    `chunk` items become products among each other. `from` gives h f32
    `[B, H, N, P]` at the start and asks for the one at the end; `save` asks for h
    before each chunk, f32 `[B, ceildiv(T, chunk), H, N, P]`. One of the two.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$dt, BB_Tensor:$a, BB_Tensor:$b, BB_Tensor:$c,
      Optional<BB_Tensor>:$from, BB_Dim:$chunk, UnitAttr:$save);
  let results = (outs BB_Tensor:$y, Optional<BB_Tensor>:$states);
}
def BB_SsdGradOp : BB_GraphOp<"ssd_grad", "x dt a b c states dy | chunk:dim"> {
  let summary = "Gradients of ssd";
  let description = [{
    Reads its operands, the states that it saved and `dy`; gives dx `[B, T, H, P]` in
    its type, ddt f32 `[B, T, H]`, da f32 `[H]`, db and dc f32 `[B, T, G, N]`.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$dt, BB_Tensor:$a, BB_Tensor:$b, BB_Tensor:$c,
      BB_Tensor:$states, BB_Tensor:$dy, BB_Dim:$chunk);
  let results = (outs BB_Tensor:$dx, BB_Tensor:$ddt, BB_Tensor:$da, BB_Tensor:$db, BB_Tensor:$dc);
}

//===-- gather -------------------------------------------------------------===//

def BB_EmbedOp : BB_GraphOp<"embed", "ids table", [BB_MovesInTime]> {
  let summary = "Rows of a table";
  let description = [{
    ids `u8[..]` or `i32[..]`, table `[V, d] -> [.., d]`: y[.., j] = table[ids[..], j].
    Ids are below V. The gradient of the table is a `scatter_add`.
  }];
  let arguments = (ins BB_Tensor:$ids, BB_Tensor:$table);
  let results = (outs BB_Tensor:$y);
}
def BB_ScatterAddOp : BB_GraphOp<"scatter_add", "ids x | rows:dim into:element"> {
  let summary = "Row i of the result sums the rows of `x` whose id is i";
  let description = [{
    ids `u8[..]` or `i32[..]`, x `[.., d] -> [rows, d]`, of the type `into` (default:
    that of x). Sums are in f32 and in the order of the ids, so that they are the
    same on every run. Ids are below `rows`.
  }];
  let arguments = (ins BB_Tensor:$ids, BB_Tensor:$x, BB_Dim:$rows,
      OptionalAttr<TypeAttr>:$into);
  let results = (outs BB_Tensor:$y);
}
def BB_OneHotOp : BB_GraphOp<"one_hot", "ids | of:dim"> {
  let summary = "1 at the id of each row, else 0";
  let description = [{
    ids `u8[..]` or `i32[..] -> f32[.., of]`: y[.., j] = 1 if ids[..] = j. No gradient.
  }];
  let arguments = (ins BB_Tensor:$ids, BB_Dim:$of);
  let results = (outs BB_Tensor:$y);
}
def BB_AppendOp : BB_GraphOp<"append", "ring rows at"> {
  let summary = "A ring with new rows in it";
  let description = [{
    ring `[B, cap, ..]`, rows `[B, n, ..]`, at `i32[]` `-> [B, cap, ..]`. Row i goes to
    slot (at + i) mod cap, for 0 <= i < n <= cap; the other slots stay. So slot s
    holds the newest position p <= at + n - 1 with p mod cap = s, and is empty if
    that is below 0. Made by incrementalize; no gradient.
  }];
  let arguments = (ins BB_Tensor:$ring, BB_Tensor:$rows, BB_Tensor:$at);
  let results = (outs BB_Tensor:$y);
}
def BB_PickOp : BB_GraphOp<"pick", "ring at"> {
  let summary = "The slot of a position";
  let description = [{
    ring `[B, cap, ..]`, at `i32[]` `-> [B, 1, ..]`: slot at mod cap. Made by
    incrementalize; no gradient.
  }];
  let arguments = (ins BB_Tensor:$ring, BB_Tensor:$at);
  let results = (outs BB_Tensor:$y);
}
def BB_AtStartOp : BB_GraphOp<"at_start", "first rest at | period:dim"> {
  let summary = "`first` at position 0, or at multiples of `period`, else `rest`";
  let description = [{
    first `[..]`, rest `[B, 1, ..]`, at `i32[]` `-> [B, 1, ..]`. Made by
    incrementalize; no gradient.
  }];
  let arguments = (ins BB_Tensor:$first, BB_Tensor:$rest, BB_Tensor:$at, OptionalAttr<BB_Dim>:$period);
  let results = (outs BB_Tensor:$y);
}
def BB_PositionsOp : BB_GraphOp<"positions", " | of:dim period:dim at:value", [BB_Decodes]> {
  let summary = "0, 1, 2, ... from `at` on, modulo `period`";
  let description = [{
    `-> i32[of]`: y[t] = (at + t) mod period. `at` `i32[]` is 0 if left out; without
    `period` there is no mod.
  }];
  let arguments = (ins Optional<BB_Tensor>:$at, BB_Dim:$of, OptionalAttr<BB_Dim>:$period);
  let results = (outs BB_Tensor:$y);
}

//===-- shape --------------------------------------------------------------===//

def BB_ReshapeOp : BB_GraphOp<"reshape", "x | to:dims"> {
  let summary = "The same elements in another shape";
  let description = [{
    `[..] -> [to]`, in row-major order; the products of both shapes are equal.
  }];
  let arguments = (ins BB_Tensor:$x, ArrayAttr:$to);
  let results = (outs BB_Tensor:$y);
}
def BB_TransposeOp : BB_GraphOp<"transpose", "x | by:dims", [BB_MovesInTime]> {
  let summary = "Axis i of the result is axis by[i] of `x`";
  let description = [{ `[a, b, c]` by `[2, 0, 1]` `-> [c, a, b]`. `by` names each axis once. }];
  let arguments = (ins BB_Tensor:$x, ArrayAttr:$by);
  let results = (outs BB_Tensor:$y);
}
def BB_BroadcastOp : BB_GraphOp<"broadcast", "x | to:dims"> {
  let summary = "Repeats `x` along new leading axes and axes of 1";
  let description = [{
    `[1, d] -> [n, m, d]`: shapes align at the right, as in `add`. The gradient is
    the sum over what was repeated.
  }];
  let arguments = (ins BB_Tensor:$x, ArrayAttr:$to);
  let results = (outs BB_Tensor:$y);
}
def BB_SliceOp : BB_GraphOp<"slice", "x | axis:dim from:dim size:dim"> {
  let summary = "Items `from` to `from + size` of one axis";
  let description = [{
    `[.., n, ..] -> [.., size, ..]`, from + size <= n: y[i] = x[from + i] along `axis`.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Dim:$axis, BB_Dim:$from, BB_Dim:$size);
  let results = (outs BB_Tensor:$y);
}
def BB_PadOp : BB_GraphOp<"pad", "x | axis:dim before:dim after:dim"> {
  let summary = "Zeros before and after the items of one axis";
  let description = [{
    `[.., n, ..] -> [.., before + n + after, ..]`: y[i] = x[i - before] along `axis`
    where there is such an item, else 0.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Dim:$axis, BB_Dim:$before, BB_Dim:$after);
  let results = (outs BB_Tensor:$y);
}
def BB_SplitOp : BB_GraphOp<"split", "x | into:dims"> {
  let summary = "Parts of the last axis";
  let description = [{
    `[.., n] -> [.., n0], [.., n1], ..` for `into [n0, n1, ..]`, which add up to n.
  }];
  let arguments = (ins BB_Tensor:$x, ArrayAttr:$into);
  let results = (outs Variadic<BB_Tensor>:$parts);
}
def BB_ConcatOp : BB_GraphOp<"concat", "*parts"> {
  let summary = "Tensors side by side on the last axis";
  let description = [{
    `[.., n0], [.., n1], .. -> [.., n0 + n1 + ..]`; the other axes are equal.
  }];
  let arguments = (ins Variadic<BB_Tensor>:$parts);
  let results = (outs BB_Tensor:$y);
}
def BB_ShiftOp : BB_GraphOp<"shift", "x first | period:dim",
    [BB_MovesInTime, BB_Decodes]> {
  let summary = "Each item one position later";
  let description = [{
    x `[B, T, ..]`, first `[..] -> [B, T, ..]`: y[t] = x[t - 1]. `first` stands at
    position 0, and with `period` at each multiple of it; the last item is
    dropped.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$first, OptionalAttr<BB_Dim>:$period);
  let results = (outs BB_Tensor:$y);
}
def BB_PatchOp : BB_GraphOp<"patch", "x | by:dim",
    [BB_MovesInTime, BB_Decodes]> {
  let summary = "`by` neighbours as one item";
  let description = [{
    `[B, T, d] -> [B, T/by, by*d]`: item t is the items t * by to t * by + by - 1,
    one behind the other. `by` divides T.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Dim:$by);
  let results = (outs BB_Tensor:$y);
}
def BB_UnpatchOp : BB_GraphOp<"unpatch", "x | by:dim",
    [BB_MovesInTime, BB_Decodes]> {
  let summary = "An item as `by` neighbours";
  let description = [{
    `[B, T, d] -> [B, T*by, d/by]`: the reverse of `patch`. `by` divides d.
  }];
  let arguments = (ins BB_Tensor:$x, BB_Dim:$by);
  let results = (outs BB_Tensor:$y);
}

//===-- constants ---------------------------------------------------------===//

def BB_ConstantOp : BB_Structure<"constant", [Pure]> {
  let summary = "A tensor of known values, kept in the artifact";
  let description = [{
    `%c = constant "rope_cos" dense<...> : tensor<256x32xf32>` `-> f32[256, 32]`. The
    name is for readers of the IR and the report. Made by phase fuse.
  }];
  let arguments = (ins StrAttr:$name, ElementsAttr:$value);
  let results = (outs BB_Tensor:$y);
}

#endif // DIALECTS_BB_BBOPS_TD
