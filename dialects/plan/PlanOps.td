//===- PlanOps.td - The plan dialect: when and where ----------------------===//
//
// A planned program is a list of steps over bytes: no values, no arithmetic.
// Every field here has a field of the same name in runtime/artifact/bitbyte.fbs.
//
//===----------------------------------------------------------------------===//
#ifndef BITBYTE_PLAN_OPS_TD
#define BITBYTE_PLAN_OPS_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"

def Plan_Dialect : Dialect {
  let name = "plan";
  let cppNamespace = "::bitbyte::plan";
  let summary = "When and where: buffers at byte offsets, dispatches in order";
  let description = [{
    The last form of a program before it is written to the artifact. Buffers are
    byte ranges of a *space*, a block of memory that the runtime allocates as
    one; steps run in the order in which they stand.

    ```mlir
    plan.state "model.norm.weight" : tensor<384xf32> parameter at parameters[0 : 1536]
        group "no_decay" init #plan.init<ones, 0.0, 0.0> saved
    plan.program @score base "score" shape {B = "8", T = "256"} arena 8192 live 8192
        flops 1024 traffic 4096 {
      plan.input "bytes" : tensor<8x256xui8> at arena[0 : 2048]
      plan.dispatch @embed_0(arena[0 : 2048], parameters[0 : 1536]) -> (arena[2048 : 4096])
      plan.output "nats" : tensor<8x256xf32> at arena[2048 : 4096]
    }
    ```
  }];
  let useDefaultAttributePrinterParser = 1;
  let extraClassDeclaration = [{
    /// Every buffer of a dispatch starts at a multiple of this, in bytes.
    static constexpr int64_t alignment = 64;
  }];
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

// The numbers of these enums are those of bitbyte.fbs.
def Plan_Space : I32Enum<"Space", "a block of memory that the runtime allocates as one", [
    I32EnumCase<"arena", 0>, I32EnumCase<"constant", 1>, I32EnumCase<"parameters", 2>,
    I32EnumCase<"training", 3>, I32EnumCase<"derived", 4>, I32EnumCase<"cache", 5>]> {
  let cppNamespace = "::bitbyte::plan";
}

def Plan_StateKind : I32Enum<"StateKind", "what a state is for", [
    I32EnumCase<"parameter", 0>, I32EnumCase<"gradient", 1>, I32EnumCase<"moment", 2>,
    I32EnumCase<"counter", 3>, I32EnumCase<"derived", 4>, I32EnumCase<"cache", 5>]> {
  let cppNamespace = "::bitbyte::plan";
}

def Plan_InitKind : I32Enum<"InitKind", "how a parameter starts", [
    I32EnumCase<"zeros", 0>, I32EnumCase<"ones", 1>, I32EnumCase<"constant", 2>,
    I32EnumCase<"normal", 3>, I32EnumCase<"uniform", 4>, I32EnumCase<"kaiming_uniform", 5>,
    I32EnumCase<"log_range", 6>, I32EnumCase<"softplus_inverse", 7>]> {
  let cppNamespace = "::bitbyte::plan";
}

def Plan_StateKindAttr : EnumAttr<Plan_Dialect, Plan_StateKind, "state_kind"> {
  let assemblyFormat = "$value";
}

class Plan_Attr<string name, string attrMnemonic> : AttrDef<Plan_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Plan_BufferAttr : Plan_Attr<"Buffer", "buffer"> {
  let summary = "Bytes [offset, offset + bytes) of a space";
  let parameters = (ins EnumParameter<Plan_Space>:$space, "int64_t":$offset, "int64_t":$bytes);
  let assemblyFormat = "`<` $space `[` $offset `:` $bytes `]` `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    int64_t getEnd() const { return getOffset() + getBytes(); }
    bool overlaps(BufferAttr other) const {
      return getSpace() == other.getSpace() && getOffset() < other.getEnd() &&
             other.getOffset() < getEnd();
    }
    bool contains(BufferAttr other) const {
      return getSpace() == other.getSpace() && getOffset() <= other.getOffset() &&
             other.getEnd() <= getEnd();
    }
  }];
}

def Plan_InitAttr : Plan_Attr<"Init", "init"> {
  let summary = "How a parameter starts, with the two numbers of its kind";
  let parameters = (ins EnumParameter<Plan_InitKind>:$kind, "::mlir::FloatAttr":$a,
                        "::mlir::FloatAttr":$b);
  let builders = [AttrBuilder<(ins "InitKind":$kind, "double":$a, "double":$b), [{
    auto f64 = ::mlir::Float64Type::get($_ctxt);
    return $_get($_ctxt, kind, ::mlir::FloatAttr::get(f64, a), ::mlir::FloatAttr::get(f64, b));
  }]>];
  let hasCustomAssemblyFormat = 1;
}

def Plan_BufferArrayAttr : TypedArrayAttrBase<Plan_BufferAttr, "buffers">;

// A tensor type as a TypeAttr: element type and shape of what a buffer holds.
def Plan_TensorTypeAttr : TypeAttrBase<"::mlir::RankedTensorType", "static tensor type">;

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

class Plan_Op<string mnemonic, list<Trait> traits = []> : Op<Plan_Dialect, mnemonic, traits>;

def Plan_StateOp : Plan_Op<"state"> {
  let summary = "A named value that outlives a program, at its place in a space";
  let description = [{
    The space follows from the kind: parameters in `parameters`; gradients,
    moments and counters in `training`; `derived` and `cache` in their own. A
    slice names the flat state that it lies in, which stands before it.
  }];
  let arguments = (ins StrAttr:$name, Plan_TensorTypeAttr:$type, Plan_StateKindAttr:$kind,
                       Plan_BufferAttr:$buffer, OptionalAttr<StrAttr>:$group,
                       OptionalAttr<StrAttr>:$slice_of, OptionalAttr<Plan_InitAttr>:$init,
                       UnitAttr:$saved);
  let assemblyFormat = [{
    $name `:` $type $kind `at` custom<Place>($buffer) (`group` $group^)?
    (`slice` `of` $slice_of^)? (`init` $init^)? (`saved` $saved^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Plan_ConstantOp : Plan_Op<"constant"> {
  let summary = "Bytes that lie in the file, in space `constant`";
  let arguments = (ins Plan_BufferAttr:$buffer, ElementsAttr:$value);
  let assemblyFormat = "custom<Place>($buffer) `=` $value attr-dict";
  let hasVerifier = 1;
}

def Plan_ProgramOp : Plan_Op<"program", [IsolatedFromAbove, NoTerminator, SingleBlock, Symbol]> {
  let summary = "Inputs, steps in order, outputs";
  let description = [{
    `arena` is the size of the program's arena, `live` the largest sum of bytes
    that are live at once, which no arena can undercut. `flops` and `traffic`
    (bytes) are sums over the dispatches.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$base, DictionaryAttr:$shape,
                       I64Attr:$arena_bytes, I64Attr:$live_bytes, I64Attr:$flops,
                       I64Attr:$traffic_bytes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `base` $base `shape` $shape `arena` custom<Number>($arena_bytes)
    `live` custom<Number>($live_bytes) `flops` custom<Number>($flops)
    `traffic` custom<Number>($traffic_bytes) attr-dict-with-keyword $body
  }];
  let hasRegionVerifier = 1;
}

class Plan_TensorOp<string mnemonic> : Plan_Op<mnemonic, [HasParent<"ProgramOp">]> {
  let hasVerifier = 1;
}

def Plan_InputOp : Plan_TensorOp<"input"> {
  let summary = "Where the caller puts an argument before the first step";
  let description = "With `ahead n`, position t holds byte t + n of the stream.";
  let arguments = (ins StrAttr:$name, Plan_TensorTypeAttr:$type, Plan_BufferAttr:$buffer,
                       DefaultValuedAttr<I64Attr, "0">:$ahead);
  let assemblyFormat = [{
    $name `:` $type `at` custom<Place>($buffer) (`ahead` custom<Number>($ahead)^)? attr-dict
  }];
}

def Plan_OutputOp : Plan_TensorOp<"output"> {
  let summary = "Where the caller finds a result after the last step";
  let arguments = (ins StrAttr:$name, Plan_TensorTypeAttr:$type, Plan_BufferAttr:$buffer);
  let assemblyFormat = "$name `:` $type `at` custom<Place>($buffer) attr-dict";
}

def Plan_DispatchOp : Plan_Op<"dispatch", [HasParent<"ProgramOp">]> {
  let summary = "Runs a kernel over its whole grid";
  let description = [{
    Buffers in the kernel's order: what it reads, then what it writes. A written
    buffer overlaps no other one but, where it is computed in place, the equal
    range of one operand.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Plan_BufferArrayAttr:$reads,
                       Plan_BufferArrayAttr:$writes, DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$scalars);
  let assemblyFormat = [{
    $kernel `` custom<Places>($reads) `->` custom<Places>($writes)
    (`scalars` $scalars^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Plan_CopyOp : Plan_Op<"copy", [HasParent<"ProgramOp">]> {
  let summary = "Copies bytes; the two ranges have equal sizes and do not overlap";
  let arguments = (ins Plan_BufferAttr:$source, Plan_BufferAttr:$target);
  let assemblyFormat = "custom<Place>($source) `to` custom<Place>($target) attr-dict";
  let hasVerifier = 1;
}

def Plan_ZeroOp : Plan_Op<"zero", [HasParent<"ProgramOp">]> {
  let summary = "Sets every byte to zero";
  let arguments = (ins Plan_BufferAttr:$target);
  let assemblyFormat = "custom<Place>($target) attr-dict";
  let hasVerifier = 1;
}

#endif // BITBYTE_PLAN_OPS_TD
