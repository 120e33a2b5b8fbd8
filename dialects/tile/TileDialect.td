//===- TileDialect.td - The tile dialect ----------------------*- tablegen -*-===//
#ifndef BITBYTE_TILE_DIALECT
#define BITBYTE_TILE_DIALECT

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"

def Tile_Dialect : Dialect {
  let name = "tile";
  let summary = "How one kernel computes: tiles, and where they lie";
  let description = [{
    A `tile.kernel` is what one program does: one block on a GPU, one task on a
    CPU. It works on tiles of static shape. A tile in registers carries in its
    type which register of which lane holds each element; a tile in memory
    carries its space and layout. A lane is a SIMD lane on both machines.
  }];
  let cppNamespace = "::bitbyte::tile";
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect"];
}

#endif
