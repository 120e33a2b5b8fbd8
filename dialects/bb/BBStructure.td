//===- BBStructure.td - Models, programs, states -----------------*- tablegen -*-===//
#ifndef DIALECTS_BB_BBSTRUCTURE_TD
#define DIALECTS_BB_BBSTRUCTURE_TD

include "dialects/bb/BBDialect.td"

def DefaultDialect : DeclareOpInterfaceMethods<OpAsmOpInterface, ["getDefaultDialect"]>;

//===-- structure ----------------------------------------------------------===//

class BB_Structure<string mn, list<Trait> traits = []> : BB_Op<mn, traits> {
  let hasCustomAssemblyFormat = 1;
}

def BB_ModelOp : BB_Structure<"model", [Symbol, SymbolTable, IsolatedFromAbove,
    NoTerminator, SingleBlock, NoRegionArguments,
    OpAsmOpInterface]> {
  let summary = "A model spec: config, presets, programs";
  let description = [{
    `bb.model @name(batch B = 16, stream T = 1024, d = 512) { ... }`. Roles `batch`
    and `stream` mark names that no parameter's shape may use. After instantiate
    it holds states and straight-line programs.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, ArrayAttr:$config);
  let regions = (region SizedRegion<1>:$body);
  let extraClassDeclaration = [{
    static ::llvm::StringRef getDefaultDialect() { return "bb"; }
  }];
  let hasRegionVerifier = 1;
}

def BB_PresetOp : BB_Structure<"preset", [Symbol]> {
  let summary = "A named set of config values";
  let description = [{
    `preset @tiny {d_model = 128, n_layer = 4}`
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, ArrayAttr:$config);
}

def BB_ImportOp : BB_Op<"import"> {
  let summary = "The blocks of another file";
  let description = [{
    `bb.import "blocks/llama.mlir"`, a path from this file; each file once.
  }];
  let arguments = (ins StrAttr:$path);
  let assemblyFormat = "$path attr-dict";
}

class BB_Callable<string mn> : BB_Structure<mn, [Symbol, IsolatedFromAbove,
    SingleBlock, OpAsmOpInterface]> {
  let arguments = (ins SymbolNameAttr:$sym_name, ArrayAttr:$config,
                       TypeArrayAttr:$result_types,
                       OptionalAttr<ArrayAttr>:$ahead,
                       OptionalAttr<StrArrayAttr>:$arg_names,
                       OptionalAttr<StrArrayAttr>:$result_names);
  let regions = (region SizedRegion<1>:$body);
  let extraClassDeclaration = [{
    static ::llvm::StringRef getDefaultDialect() { return "bb"; }
    /// The name of argument `i` as written: "bytes".
    ::llvm::StringRef argName(unsigned i);
    /// The name of result `i`: as written (`-> f32[] as "loss"`), else the
    /// program's own name, numbered where there are several.
    std::string resultName(unsigned i);
    void getAsmBlockArgumentNames(::mlir::Region &region,
                                  ::mlir::OpAsmSetValueNameFn setName);
  }];
  let hasRegionVerifier = 1;
}
def BB_BlockOp : BB_Callable<"block"> {
  let summary = "A shared piece of graph, generic over names and shapes";
  let description = [{
    `bb.block @rms<eps = 1.0e-5>(%x: [B, T, d]) -> [B, T, d] { ... }`. Names in
    `<...>` come from the call, their default, or the caller; other names are
    bound by the operands' shapes.
  }];
}
def BB_ProgramOp : BB_Callable<"program"> {
  let summary = "A pure function of its inputs and the model's states";
  let description = [{
    `program @score(%bytes: u8[B, T], %next: u8[B, T] ahead 1) -> f32[B, T]`.
    `ahead n`: position t of the input holds byte t + n.
  }];
}

def BB_CallOp : BB_Structure<"call"> {
  let summary = "A block or program in place";
  let description = [{
    `%y = call @block<n = 4, window>(%x) as "scope" -> [B, T, d]`. `window` alone
    means window = window. Without `->` the result has the type of the first
    operand.
  }];
  let arguments = (ins FlatSymbolRefAttr:$callee, ArrayAttr:$config,
                       OptionalAttr<StrAttr>:$scope,
                       Variadic<BB_Tensor>:$operands_);
  let results = (outs Variadic<BB_Tensor>:$outputs);
}

def BB_RepeatOp : BB_Structure<"repeat", [SingleBlock, OpAsmOpInterface]> {
  let summary = "Rounds of a body, unrolled by instantiate";
  let description = [{
    `%y = repeat i < n as "layers.{i}" with %h = %x { ... yield %n }`: n rounds, i
    from 0. `%h` is `%x` in the first, and what the round before yielded later;
    `%y` is what the last one yields. `as` is the scope of each round's parameters.
  }];
  let arguments = (ins StrAttr:$index, BB_Dim:$count, OptionalAttr<StrAttr>:$scope,
                       Variadic<BB_Tensor>:$inits);
  let results = (outs Variadic<BB_Tensor>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let extraClassDeclaration = [{
    static ::llvm::StringRef getDefaultDialect() { return "bb"; }
  }];
  let hasRegionVerifier = 1;
}

def BB_IfOp : BB_Structure<"if", [OpAsmOpInterface]> {
  let summary = "One of two bodies, decided by instantiate";
  let description = [{
    `%w = if tied { yield %a } else { yield %b }`; also `not c`, `i == 0`, `i < 3`.
  }];
  let arguments = (ins BB_Dim:$lhs, OptionalAttr<StrAttr>:$cmp, OptionalAttr<BB_Dim>:$rhs);
  let results = (outs Variadic<BB_Tensor>:$outputs);
  let regions = (region SizedRegion<1>:$then_body, SizedRegion<1>:$else_body);
  let extraClassDeclaration = [{
    static ::llvm::StringRef getDefaultDialect() { return "bb"; }
  }];
}

// Terminators print their operands without types: the region knows them.
def BB_ReturnOp : BB_Op<"return", [Terminator, Pure]> {
  let summary = "The results of a block or program";
  let description = [{
    `return %a, %b`: one value for each result type, of that type.
  }];
  let arguments = (ins Variadic<BB_Tensor>:$values);
  let hasCustomAssemblyFormat = 1;
}
def BB_YieldOp : BB_Op<"yield", [Terminator, Pure]> {
  let summary = "The results of a body";
  let description = [{
    `yield %a, %b`: in a `repeat` one value for each carried one, of its type; in
    an `if` the same types from both bodies.
  }];
  let arguments = (ins Variadic<BB_Tensor>:$values);
  let hasCustomAssemblyFormat = 1;
}

def BB_ParamOp : BB_Structure<"param", [Pure]> {
  let summary = "A parameter, where it is used";
  let description = [{
    `%w = param "wq" [h*dh, d] init normal(0.02) no_decay` `-> [h*dh, d]`. Its full
    name is the path of scopes; equal names are one parameter, of one shape and
    one init. `init` is `normal(std)`, `uniform(a, b)`, `zeros`, `ones`,
    `constant(c)`, `kaiming_uniform(gain)`, `log_range` or
    `softplus_inverse(low, high)`. `no_decay` keeps it out of weight decay. It is
    stored in f32, and seen in the compute type unless an element is written.
  }];
  let arguments = (ins StrAttr:$name, BB_Init:$init, UnitAttr:$no_decay);
  let results = (outs BB_Tensor:$result);
}

//===-- after instantiate ---------------------------------------------------===//

def BB_StateKind : I32EnumAttr<"StateKind", "What a state is for", [
    I32EnumAttrCase<"Parameter", 0, "parameter">,
    I32EnumAttrCase<"Gradient", 1, "gradient">,
    I32EnumAttrCase<"Moment", 2, "moment">,
    I32EnumAttrCase<"Counter", 3, "counter">,
    I32EnumAttrCase<"Derived", 4, "derived">,
    I32EnumAttrCase<"Cache", 5, "cache">]> {
  let cppNamespace = "::bitbyte::bb";
  let genSpecializedAttr = 0;
}
def BB_StateKindAttr : EnumAttr<BB_Dialect, BB_StateKind, "kind">;

def BB_StateOp : BB_Structure<"state", [Symbol]> {
  let summary = "A named value that outlives a program";
  let description = [{
    ```mlir
    state @"model.norm.weight" f32[384] parameter init ones group "no_decay" slice of @"master.no_decay" at 512 saved
    ```
    `group` names the optimizer group. A slice is a named part of a flat state,
    `at` so many elements from its start. A `saved` state is part of a
    checkpoint.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type,
                       BB_StateKindAttr:$kind, OptionalAttr<BB_Init>:$init,
                       OptionalAttr<StrAttr>:$group,
                       OptionalAttr<FlatSymbolRefAttr>:$slice_of,
                       OptionalAttr<I64Attr>:$offset, UnitAttr:$saved);
  let hasVerifier = 1;
}
def BB_ReadOp : BB_Structure<"read", [Pure]> {
  let summary = "The value of a state at program entry";
  let description = [{
    `%w = read @"model.norm.weight"` `-> [..]`, in the type of the state. A program
    is a pure function from states to states: what it writes, it does not read.
  }];
  let arguments = (ins FlatSymbolRefAttr:$state);
  let results = (outs BB_Tensor:$y);
}
def BB_WriteOp : BB_Structure<"write"> {
  let summary = "The value of a state after the program";
  let description = [{
    `write @"optimizer.step", %next`, of the type of the state; at most once for
    each state.
  }];
  let arguments = (ins FlatSymbolRefAttr:$state, BB_Tensor:$x);
}

def BB_ImportRuleOp : BB_Structure<"import_rule"> {
  let summary = "How parameters are called and laid out in foreign checkpoints";
  let description = [{
    ```mlir
    bb.import_rule "transformer.h.*.attn.c_attn.weight" transpose
    bb.import_rule "backbone.embedding.weight" name "backbone.embeddings.weight" also "backbone.embedding.weight"
    bb.import_rule ignore "transformer.h.*.attn.bias"
    ```
    `*` captures a part of a name. Reads accept `name` and every `also`; writes
    use `name` (default: the spec's own). `reshape [-1, 1, d_conv]` gives the shape
    in the file: expressions over config names, -1 for what is left.
  }];
  let arguments = (ins OptionalAttr<StrAttr>:$pattern, OptionalAttr<ArrayAttr>:$names,
                       UnitAttr:$transpose, OptionalAttr<ArrayAttr>:$reshape,
                       UnitAttr:$ignore);
}

#endif // DIALECTS_BB_BBSTRUCTURE_TD
