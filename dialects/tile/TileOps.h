//===- TileOps.h - Operations of the tile dialect -------------------------===//
#pragma once

#include "dialects/tile/TileDialect.h"

#define GET_OP_CLASSES
#include "dialects/tile/TileOps.h.inc"

namespace bitbyte::tile {

/// The kernel that `symbol` names, looked up in the symbol tables around
/// `from`, innermost first; null if there is none.
KernelOp lookupKernel(mlir::Operation *from, mlir::StringAttr symbol);

} // namespace bitbyte::tile
