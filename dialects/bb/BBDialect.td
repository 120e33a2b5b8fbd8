#ifndef DIALECTS_BB_BBDIALECT_TD
#define DIALECTS_BB_BBDIALECT_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "dialects/bb/BBInterfaces.td"

def BB_Dialect : Dialect {
  let name = "bb";
  let summary = "What is computed: byte language models as graphs";
  let description = [{
    Values are immutable tensors whose dims may be expressions over config names.
    A `model` holds presets and programs; `block`s are shared pieces. After
    `instantiate` a model holds states and straight-line programs only.
  }];
  let cppNamespace = "::bitbyte::bb";
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let extraClassDeclaration = [{
    /// Of an op that is none of ours: an error that names the nearest one.
    std::optional<ParseOpHook>
    getParseOperationHook(::llvm::StringRef name) const override;
  }];
}

//===-- attributes ---------------------------------------------------------===//

class BB_Attr<string name, string mn> : AttrDef<BB_Dialect, name> {
  let mnemonic = mn;
}

def BB_Dim : BB_Attr<"Dim", "dim"> {
  let summary = "A whole number as an expression over named config values";
  let parameters = (ins ArrayRefParameter<"::mlir::Attribute">:$atoms,
                        ArrayRefParameter<"int64_t">:$code);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    static DimAttr get(::mlir::MLIRContext *context, int64_t value);
    static DimAttr symbol(::mlir::MLIRContext *context, ::llvm::StringRef name);
    /// The value, if the expression is a constant whole number.
    std::optional<int64_t> constant() const;
    /// The name, if the expression is one bare name.
    ::mlir::StringAttr bareSymbol() const;
    bool isWhole(int64_t v) const { auto c = constant(); return c && *c == v; }
    DimAttr operator+(DimAttr other) const;
    DimAttr operator-(DimAttr other) const;
    DimAttr operator*(DimAttr other) const;
    DimAttr operator/(DimAttr other) const;
    std::string str() const;
  }];
}

def BB_DimFn : BB_Attr<"DimFn", "fn"> {
  let summary = "A function of dims that stays opaque: ceildiv, floordiv, min, max";
  let parameters = (ins "::mlir::StringAttr":$fn,
                        ArrayRefParameter<"DimAttr">:$args);
  let hasCustomAssemblyFormat = 1;
}

def BB_Num : BB_Attr<"Num", "num"> {
  let summary = "A real number as an expression tree; evaluated by instantiate";
  let parameters = (ins "::mlir::StringAttr":$fn,
                        ArrayRefParameter<"::mlir::Attribute">:$args);
  let hasCustomAssemblyFormat = 1;
}

def BB_Config : BB_Attr<"Config", "config"> {
  let summary = "One name of a config: its role and its default";
  let parameters = (ins "::mlir::StringAttr":$name, "::mlir::StringAttr":$role,
                        OptionalParameter<"::mlir::Attribute">:$value);
  let assemblyFormat = "`<` params `>`";
}

def BB_Init : BB_Attr<"Init", "init"> {
  let summary = "How a parameter starts: normal(0.02), ones, zeros, ...";
  let parameters = (ins "::mlir::StringAttr":$fn,
                        ArrayRefParameter<"::mlir::Attribute">:$args);
  let hasCustomAssemblyFormat = 1;
}

//===-- types --------------------------------------------------------------===//

class BB_Type<string name, string mn> : TypeDef<BB_Dialect, name> {
  let mnemonic = mn;
}

def BB_Real : BB_Type<"Real", "real"> {
  let summary = "The compute type, chosen by instantiate: f32, bf16 or f16";
}

def BB_Quant : BB_Type<"Quant", "quant"> {
  let summary = "A quantized element: a code and the block that shares a scale";
  let parameters = (ins "::mlir::StringAttr":$codec, "::mlir::StringAttr":$block);
  let assemblyFormat = "`<` params `>`";
}

def BB_Tensor : BB_Type<"GraphTensor", "tensor"> {
  let summary = "An immutable tensor; dims are expressions or whole numbers";
  let parameters = (ins ArrayRefParameter<"DimAttr">:$shape,
                        "::mlir::Type":$element);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    int64_t getRank() const { return getShape().size(); }
    DimAttr dim(int64_t i) const { return getShape()[i < 0 ? i + getRank() : i]; }
    GraphTensorType with(::llvm::ArrayRef<DimAttr> shape) const {
      return get(getContext(), shape, getElement());
    }
    GraphTensorType of(::mlir::Type element) const {
      return get(getContext(), getShape(), element);
    }
    std::string str() const;
  }];
}

//===-- op base classes ----------------------------------------------------===//

class BB_Op<string mnemonic, list<Trait> traits = []>
    : Op<BB_Dialect, mnemonic, traits>;

// Every op of the graph proper: pure, uniform text form, and result types that
// follow from the operands. `syntax` is "operands | clauses", for example
// "q k v | causal:flag window:dim bias:value".
class BB_GraphOp<string mnemonic, string syntax_, list<Trait> traits = []>
    : BB_Op<mnemonic, traits # [Pure, InferTypeOpAdaptor,
                               DeclareOpInterfaceMethods<BB_DifferentiableOpInterface>]> {
  string syntax = syntax_;
  string inferBody = "";
  code accessors = ""; // that tablegen cannot make
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    static ::llvm::StringRef syntax() { return "}] # syntax_ # [{"; }
  }] # accessors;
  code parsePrint = [{
    ::mlir::ParseResult $cppClass::parse(::mlir::OpAsmParser &parser,
                                         ::mlir::OperationState &state) {
      return parseGraphOp<$cppClass>(parser, state);
    }
    void $cppClass::print(::mlir::OpAsmPrinter &printer) {
      printGraphOp(printer, *this, syntax());
    }
  }];
  let extraClassDefinition = parsePrint;
}

// A family whose members share one shape rule, a free function.
class BB_FamilyOp<string mnemonic, string syntax, string rule, list<Trait> traits = []>
    : BB_GraphOp<mnemonic, syntax, traits> {
  let extraClassDefinition = parsePrint # [{
    ::llvm::LogicalResult $cppClass::inferReturnTypes(
        ::mlir::MLIRContext *context, std::optional<::mlir::Location> location,
        Adaptor adaptor, ::llvm::SmallVectorImpl<::mlir::Type> &types) {
      return }] # rule # [{(getOperationName(), location, adaptor.getOperands(), types);
    }
  }];
}

#endif // DIALECTS_BB_BBDIALECT_TD
