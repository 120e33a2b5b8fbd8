//===- BBViews.h - Parts of a tensor that need no copy --------------------===//
//
// A slice along the last axis is its operand's memory with other strides. What
// reads it so, and what makes it so, must agree on which values are meant: fuse
// leaves such slices where they are, and tile gives their readers the whole
// tensor and a buffer type that begins behind its start.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "dialects/bb/BBOps.h"

namespace bitbyte::bb {

/// The elements of a value as those of another one.
struct View {
  mlir::Value whole;
  llvm::SmallVector<int64_t> strides; ///< one per axis of the value
  int64_t offset = 0;                 ///< of the first element, in elements
};

/// What `value` is a view of: through slices along the last axis, and reshapes
/// that divide the last axis of one. Nothing where it is no slice.
std::optional<View> viewOf(mlir::Value value);

/// Whether the schedules of attention, a convolution or a scan take this
/// operand as a view: all that has items, so not weights, biases and decays.
bool readsView(mlir::OpOperand &use);

} // namespace bitbyte::bb
