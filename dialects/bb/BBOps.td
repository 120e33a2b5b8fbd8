//===- BBOps.td - The ops of the graph proper --------------------*- tablegen -*-===//
#ifndef DIALECTS_BB_BBOPS_TD
#define DIALECTS_BB_BBOPS_TD

include "dialects/bb/BBStructure.td"
include "dialects/bb/BBFused.td"

//===-- element-wise -------------------------------------------------------===//

class BB_Unary<string mn> : BB_FamilyOp<mn, "x", "sameShape"> {
  let arguments = (ins BB_Tensor:$x);
  let results = (outs BB_Tensor:$y);
}
def BB_NegOp : BB_Unary<"neg">;
def BB_ExpOp : BB_Unary<"exp">;
def BB_SquareOp : BB_Unary<"square">;
def BB_SigmoidOp : BB_Unary<"sigmoid">;
def BB_TanhOp : BB_Unary<"tanh">;
def BB_SiluOp : BB_Unary<"silu">;
def BB_GeluOp : BB_Unary<"gelu">;
def BB_ReluOp : BB_Unary<"relu">;
def BB_SoftplusOp : BB_Unary<"softplus">;
def BB_SqrtOp : BB_Unary<"sqrt">;
def BB_RsqrtOp : BB_Unary<"rsqrt">;
def BB_LogOp : BB_Unary<"log">;
def BB_AbsOp : BB_Unary<"abs">;
def BB_RoundOp : BB_Unary<"round">;
def BB_StopGradientOp : BB_Unary<"stop_gradient">;

def BB_IsFiniteOp : BB_GraphOp<"is_finite", "x"> {
  let summary = "Whether each element is neither infinite nor NaN; i1";
  let arguments = (ins BB_Tensor:$x);
  let results = (outs BB_Tensor:$y);
}

class BB_Binary<string mn, list<Trait> traits = []>
    : BB_FamilyOp<mn, "a b", "broadcastShapes", traits> {
  let arguments = (ins BB_Tensor:$a, BB_Tensor:$b);
  let results = (outs BB_Tensor:$y);
}
def BB_AddOp : BB_Binary<"add", [Commutative]>;
def BB_SubOp : BB_Binary<"sub">;
def BB_MulOp : BB_Binary<"mul", [Commutative]>;
def BB_DivOp : BB_Binary<"div">;
def BB_MinOp : BB_Binary<"min", [Commutative]>;
def BB_MaxOp : BB_Binary<"max", [Commutative]>;
def BB_RemOp : BB_Binary<"rem">;

class BB_Compare<string mn> : BB_FamilyOp<mn, "a b", "compareShapes"> {
  let summary = "Compares two tensors after broadcasting; i1";
  let arguments = (ins BB_Tensor:$a, BB_Tensor:$b);
  let results = (outs BB_Tensor:$y);
}
def BB_LtOp : BB_Compare<"lt">;
def BB_LeOp : BB_Compare<"le">;
def BB_EqOp : BB_Compare<"eq">;

def BB_SelectOp : BB_FamilyOp<"select", "c a b", "selectShape"> {
  let summary = "Elements of `a` where `c` is true, else of `b`; all broadcast";
  let arguments = (ins BB_Tensor:$c, BB_Tensor:$a, BB_Tensor:$b);
  let results = (outs BB_Tensor:$y);
}

def BB_ScaleOp : BB_FamilyOp<"scale", "x | by:num plus:num", "sameShape"> {
  let arguments = (ins BB_Tensor:$x, AnyAttr:$by, OptionalAttr<AnyAttr>:$plus);
  let results = (outs BB_Tensor:$y);
}
def BB_CastOp : BB_GraphOp<"cast", "x | to:element"> {
  let arguments = (ins BB_Tensor:$x, TypeAttr:$to);
  let results = (outs BB_Tensor:$y);
}
def BB_FakeQuantOp : BB_FamilyOp<"fake_quant", "x | to:element", "sameShape"> {
  let arguments = (ins BB_Tensor:$x, TypeAttr:$to);
  let results = (outs BB_Tensor:$y);
}
def BB_QuantizeOp : BB_GraphOp<"quantize", "x | to:element"> {
  let arguments = (ins BB_Tensor:$x, TypeAttr:$to);
  let results = (outs BB_Tensor:$y);
}
def BB_DequantizeOp : BB_GraphOp<"dequantize", "x | to:element"> {
  let arguments = (ins BB_Tensor:$x, TypeAttr:$to);
  let results = (outs BB_Tensor:$y);
}
def BB_FillOp : BB_GraphOp<"fill", " | value:num to:element of:dims"> {
  let arguments = (ins AnyAttr:$value, TypeAttr:$to, ArrayAttr:$of);
  let results = (outs BB_Tensor:$y);
}
def BB_DropoutOp : BB_FamilyOp<"dropout", "x | p:num", "sameShape"> {
  let arguments = (ins BB_Tensor:$x, AnyAttr:$p);
  let results = (outs BB_Tensor:$y);
}

//===-- row-wise -----------------------------------------------------------===//

def BB_RmsNormOp : BB_FamilyOp<"rms_norm", "x g | eps:num groups:dim", "normShape"> {
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$g, AnyAttr:$eps, OptionalAttr<BB_Dim>:$groups);
  let results = (outs BB_Tensor:$y);
}
def BB_LayerNormOp : BB_FamilyOp<"layer_norm", "x g ?b | eps:num", "normShape"> {
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$g, Optional<BB_Tensor>:$b, AnyAttr:$eps);
  let results = (outs BB_Tensor:$y);
}
def BB_SoftmaxOp : BB_FamilyOp<"softmax", "x", "sameShape"> {
  let arguments = (ins BB_Tensor:$x);
  let results = (outs BB_Tensor:$y);
}
def BB_CrossEntropyOp : BB_GraphOp<"cross_entropy", "logits target"> {
  let arguments = (ins BB_Tensor:$logits, BB_Tensor:$target);
  let results = (outs BB_Tensor:$nats);
}

def BB_ReduceOp : BB_GraphOp<"reduce", "x | by:word axes:dims keep:flag"> {
  let arguments = (ins BB_Tensor:$x, StrAttr:$by, ArrayAttr:$axes, UnitAttr:$keep);
  let results = (outs BB_Tensor:$y);
}

//===-- contraction --------------------------------------------------------===//

def BB_LinearOp : BB_GraphOp<"linear", "x w ?bias"> {
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$w, Optional<BB_Tensor>:$bias);
  let results = (outs BB_Tensor:$y);
}

def BB_EinsumOp : BB_GraphOp<"einsum", "a b | as:text into:element"> {
  let arguments = (ins BB_Tensor:$a, BB_Tensor:$b, StrAttr:$as, OptionalAttr<TypeAttr>:$into);
  let results = (outs BB_Tensor:$y);
}

//===-- attention ----------------------------------------------------------===//

def BB_AttentionOp : BB_GraphOp<"attention",
    "q k v | causal:flag window:dim block:dim scale:num lse:flag buckets:value valid:value at:value",
    [AttrSizedOperandSegments]> {
  let arguments = (ins BB_Tensor:$q, BB_Tensor:$k, BB_Tensor:$v,
      Optional<BB_Tensor>:$buckets, Optional<BB_Tensor>:$valid, Optional<BB_Tensor>:$at,
      UnitAttr:$causal, OptionalAttr<BB_Dim>:$window, OptionalAttr<BB_Dim>:$block,
      OptionalAttr<AnyAttr>:$scale, UnitAttr:$lse);
  let results = (outs BB_Tensor:$y, Optional<BB_Tensor>:$lse_out);
}
def BB_AttentionGradOp : BB_GraphOp<"attention_grad",
    "q k v y lse dy | causal:flag window:dim block:dim scale:num"> {
  let arguments = (ins BB_Tensor:$q, BB_Tensor:$k, BB_Tensor:$v, BB_Tensor:$y, BB_Tensor:$lse, BB_Tensor:$dy,
      UnitAttr:$causal, OptionalAttr<BB_Dim>:$window, OptionalAttr<BB_Dim>:$block, OptionalAttr<AnyAttr>:$scale);
  let results = (outs BB_Tensor:$dq, BB_Tensor:$dk, BB_Tensor:$dv);
}
def BB_RopeOp : BB_FamilyOp<"rope", "x | theta:num pairs:flag inverse:flag at:value", "sameShape"> {
  let arguments = (ins BB_Tensor:$x, Optional<BB_Tensor>:$at, AnyAttr:$theta, UnitAttr:$pairs, UnitAttr:$inverse);
  let results = (outs BB_Tensor:$y);
}

//===-- scan and convolution -----------------------------------------------===//

def BB_ConvOp : BB_GraphOp<"conv", "x w ?bias | from:value", [AttrSizedOperandSegments]> {
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$w, Optional<BB_Tensor>:$bias, Optional<BB_Tensor>:$from);
  let results = (outs BB_Tensor:$y, Optional<BB_Tensor>:$tail);
}
def BB_SelectiveScanOp : BB_GraphOp<"selective_scan", "x dt a b c | from:value"> {
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$dt, BB_Tensor:$a, BB_Tensor:$b, BB_Tensor:$c, Optional<BB_Tensor>:$from);
  let results = (outs BB_Tensor:$y, Optional<BB_Tensor>:$tail);
}

//===-- gather -------------------------------------------------------------===//

def BB_EmbedOp : BB_GraphOp<"embed", "ids table"> {
  let arguments = (ins BB_Tensor:$ids, BB_Tensor:$table);
  let results = (outs BB_Tensor:$y);
}
def BB_ScatterAddOp : BB_GraphOp<"scatter_add", "ids x | rows:dim into:element"> {
  let summary = "Row i of the result sums the rows of `x` whose id is i";
  let arguments = (ins BB_Tensor:$ids, BB_Tensor:$x, BB_Dim:$rows,
      OptionalAttr<TypeAttr>:$into);
  let results = (outs BB_Tensor:$y);
}
def BB_OneHotOp : BB_GraphOp<"one_hot", "ids | of:dim"> {
  let arguments = (ins BB_Tensor:$ids, BB_Dim:$of);
  let results = (outs BB_Tensor:$y);
}
def BB_AppendOp : BB_GraphOp<"append", "ring rows at"> {
  let arguments = (ins BB_Tensor:$ring, BB_Tensor:$rows, BB_Tensor:$at);
  let results = (outs BB_Tensor:$y);
}
def BB_PickOp : BB_GraphOp<"pick", "ring at"> {
  let arguments = (ins BB_Tensor:$ring, BB_Tensor:$at);
  let results = (outs BB_Tensor:$y);
}
def BB_AtStartOp : BB_GraphOp<"at_start", "first rest at | period:dim"> {
  let arguments = (ins BB_Tensor:$first, BB_Tensor:$rest, BB_Tensor:$at, OptionalAttr<BB_Dim>:$period);
  let results = (outs BB_Tensor:$y);
}
def BB_PositionsOp : BB_GraphOp<"positions", " | of:dim period:dim at:value"> {
  let arguments = (ins Optional<BB_Tensor>:$at, BB_Dim:$of, OptionalAttr<BB_Dim>:$period);
  let results = (outs BB_Tensor:$y);
}

//===-- shape --------------------------------------------------------------===//

def BB_ReshapeOp : BB_GraphOp<"reshape", "x | to:dims"> {
  let arguments = (ins BB_Tensor:$x, ArrayAttr:$to);
  let results = (outs BB_Tensor:$y);
}
def BB_TransposeOp : BB_GraphOp<"transpose", "x | by:dims"> {
  let summary = "Axis i of the result is axis by[i] of `x`";
  let arguments = (ins BB_Tensor:$x, ArrayAttr:$by);
  let results = (outs BB_Tensor:$y);
}
def BB_BroadcastOp : BB_GraphOp<"broadcast", "x | to:dims"> {
  let summary = "Repeats `x` along new leading axes and axes of 1";
  let arguments = (ins BB_Tensor:$x, ArrayAttr:$to);
  let results = (outs BB_Tensor:$y);
}
def BB_SliceOp : BB_GraphOp<"slice", "x | axis:dim from:dim size:dim"> {
  let summary = "Items `from` to `from + size` of one axis";
  let arguments = (ins BB_Tensor:$x, BB_Dim:$axis, BB_Dim:$from, BB_Dim:$size);
  let results = (outs BB_Tensor:$y);
}
def BB_PadOp : BB_GraphOp<"pad", "x | axis:dim before:dim after:dim"> {
  let summary = "Zeros before and after the items of one axis";
  let arguments = (ins BB_Tensor:$x, BB_Dim:$axis, BB_Dim:$before, BB_Dim:$after);
  let results = (outs BB_Tensor:$y);
}
def BB_SplitOp : BB_GraphOp<"split", "x | into:dims"> {
  let arguments = (ins BB_Tensor:$x, ArrayAttr:$into);
  let results = (outs Variadic<BB_Tensor>:$parts);
}
def BB_ConcatOp : BB_GraphOp<"concat", "*parts"> {
  let arguments = (ins Variadic<BB_Tensor>:$parts);
  let results = (outs BB_Tensor:$y);
}
def BB_ShiftOp : BB_GraphOp<"shift", "x first | period:dim"> {
  let arguments = (ins BB_Tensor:$x, BB_Tensor:$first, OptionalAttr<BB_Dim>:$period);
  let results = (outs BB_Tensor:$y);
}
def BB_PatchOp : BB_GraphOp<"patch", "x | by:dim"> {
  let arguments = (ins BB_Tensor:$x, BB_Dim:$by);
  let results = (outs BB_Tensor:$y);
}
def BB_UnpatchOp : BB_GraphOp<"unpatch", "x | by:dim"> {
  let arguments = (ins BB_Tensor:$x, BB_Dim:$by);
  let results = (outs BB_Tensor:$y);
}

//===-- constants ---------------------------------------------------------===//

def BB_ConstantOp : BB_Structure<"constant", [Pure]> {
  let summary = "A tensor of known values, kept in the artifact";
  let description = [{
    `%c = constant "rope_cos" dense<...> : tensor<256x32xf32>`. The name is for
    readers of the IR and the report.
  }];
  let arguments = (ins StrAttr:$name, ElementsAttr:$value);
  let results = (outs BB_Tensor:$y);
}

#endif // DIALECTS_BB_BBOPS_TD
