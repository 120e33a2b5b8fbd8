//===- BBShapeRules.h - Short names for shape rules -----------------------===//
//
// Private to the files of shape rules.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "dialects/bb/BBText.h"

namespace bitbyte::bb {

inline GraphTensorType type(mlir::Value v) {
  return mlir::cast<GraphTensorType>(v.getType());
}
/// Says where the values of `notes` come from, by `names`.
llvm::LogicalResult fail(Loc loc, const llvm::Twine &message,
                         mlir::ValueRange notes = {},
                         llvm::ArrayRef<llvm::StringRef> names = {});

} // namespace bitbyte::bb

#define RULE(Op)                                                               \
  llvm::LogicalResult bitbyte::bb::Op::inferReturnTypes(                       \
      mlir::MLIRContext *ctx, std::optional<mlir::Location> loc, Adaptor op,   \
      llvm::SmallVectorImpl<mlir::Type> &types)
