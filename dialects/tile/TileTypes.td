//===- TileTypes.td - Tiles in registers and in memory --------*- tablegen -*-===//
#ifndef BITBYTE_TILE_TYPES
#define BITBYTE_TILE_TYPES

include "dialects/tile/TileDialect.td"

def Tile_Space : I32EnumAttr<"Space", "Where a buffer lies", [
    I32EnumAttrCase<"Global", 1, "global">,
    I32EnumAttrCase<"Scratch", 3, "scratch">]> {
  let cppNamespace = "::bitbyte::tile";
  let genSpecializedAttr = 0;
}

def Tile_Combiner : I32EnumAttr<"Combiner", "What a reduction does", [
    I32EnumAttrCase<"Add", 0, "add">,
    I32EnumAttrCase<"Max", 1, "max">,
    I32EnumAttrCase<"Mul", 2, "mul">]> {
  let cppNamespace = "::bitbyte::tile";
  let genSpecializedAttr = 0;
}
def Tile_CombinerAttr : EnumAttr<Tile_Dialect, Tile_Combiner, "combiner">;

class Tile_Attr<string name, string attrMnemonic> : AttrDef<Tile_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Tile_DistAttr : Tile_Attr<"Dist", "dist"> {
  let summary = "Which register of which lane of which warp holds an element";
  let description = [{
    `#tile.dist<reg [2 d1:8, 6 d0:1], lane [8 d1:1], warp []>`: each level lists
    digits, innermost first. `6 d0:1` counts to 6 and each step moves 1 along
    axis 0; `8 rep` is eight copies of one element.
  }];
  // Each level is a flat list of (extent, axis, stride).
  let parameters = (ins ArrayRefParameter<"int64_t">:$reg,
                        ArrayRefParameter<"int64_t">:$lane,
                        ArrayRefParameter<"int64_t">:$warp);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    static DistAttr get(::mlir::MLIRContext *context,
                        const Distribution &distribution);
    /// The digits, for a tile of `rank` axes.
    Distribution spell(unsigned rank) const;
  }];
}

def Tile_PanelAttr : Tile_Attr<"Panel", "panel"> {
  let summary = "Packed left operand of a product: [cols / k][rows][k]";
  let parameters = (ins "int64_t":$k);
  let assemblyFormat = "`<` $k `>`";
}

def Tile_StridedAttr : Tile_Attr<"Strided", "strided"> {
  let summary = "One stride per axis, and where the first element lies, in elements";
  let description = [{
    A kernel's argument may begin behind its buffer's start: a slice of a tensor
    is the tensor's buffer, seen so.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$strides,
                        DefaultValuedParameter<"int64_t", "0">:$offset);
  let builders = [AttrBuilder<(ins "::llvm::ArrayRef<int64_t>":$strides),
                              [{ return $_get($_ctxt, strides, int64_t(0)); }]>];
  let assemblyFormat = "`<` `[` $strides `]` (`,` `at` $offset^)? `>`";
}

class Tile_Type<string name, string typeMnemonic> : TypeDef<Tile_Dialect, name> {
  let mnemonic = typeMnemonic;
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Tile_RegType : Tile_Type<"Reg", "reg"> {
  let summary = "A tile in registers, distributed over lanes and warps";
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape,
                        "::mlir::Type":$elementType, "DistAttr":$layout);
  let extraClassDeclaration = [{
    unsigned getRank() const { return getShape().size(); }
    Distribution spell() const { return getLayout().spell(getRank()); }
    /// The same tile with other elements.
    RegType withElement(::mlir::Type element) const;
    /// The tile without `axis`: what a reduction along it yields.
    RegType drop(unsigned axis) const;
  }];
}

def Tile_BufType : Tile_Type<"Buf", "buf"> {
  let summary = "A tile in memory";
  let description = [{
    `!tile.buf<64x32xf32, global>` is dense and row-major. A third parameter
    gives another layout: `#tile.panel<16>` or `#tile.strided<[128, 1]>`.
    `scratch` is the worker's own arena on a CPU.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape,
                        "::mlir::Type":$elementType, "Space":$space,
                        "::mlir::Attribute":$layout);
  let extraClassDeclaration = [{
    unsigned getRank() const { return getShape().size(); }
    int64_t getNumElements() const;
    /// Elements between neighbours along each axis. Not for panels.
    ::llvm::SmallVector<int64_t> getStrides() const;
    /// Elements before the first one.
    int64_t getOffset() const;
    bool isPanel() const;
    /// Bytes of one element in memory; an i1 takes one.
    int64_t getElementBytes() const;
    /// Bytes from the buffer's start to behind the last element.
    int64_t getBytes() const;
    static BufType global(::llvm::ArrayRef<int64_t> shape,
                          ::mlir::Type element);
  }];
}

def Tile_RegOrBuf : AnyTypeOf<[Tile_RegType, Tile_BufType]>;

#endif
