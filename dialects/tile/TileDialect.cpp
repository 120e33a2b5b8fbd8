//===- TileDialect.cpp - Registration and aliases -------------------------===//
#include "dialects/tile/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"

#include "dialects/tile/TileDialect.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/tile/TileAttrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/tile/TileTypes.cpp.inc"

using namespace mlir;

namespace bitbyte::tile {
namespace {

/// Layouts and tile types print once, at the top of the file: without that the
/// text is unreadable.
struct TileAliases final : OpAsmDialectInterface {
  using OpAsmDialectInterface::OpAsmDialectInterface;

  AliasResult getAlias(Attribute attr, raw_ostream &os) const override {
    if (!isa<DistAttr>(attr))
      return AliasResult::NoAlias;
    os << "dist";
    return AliasResult::FinalAlias;
  }

  AliasResult getAlias(Type type, raw_ostream &os) const override {
    auto reg = dyn_cast<RegType>(type);
    if (!reg)
      return AliasResult::NoAlias;
    os << "t";
    for (int64_t extent : reg.getShape())
      os << extent << "x";
    os << reg.getElementType();
    return AliasResult::OverridableAlias;
  }
};

} // namespace

void TileDialect::initialize() {
  addInterfaces<TileAliases>();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/tile/TileAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/tile/TileTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tile/TileOps.cpp.inc"
      >();
}

} // namespace bitbyte::tile
