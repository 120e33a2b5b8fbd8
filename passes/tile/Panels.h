//===- Panels.h - Packed operands of a product ----------------------------===//
#pragma once

#include "passes/tile/Schedules.h"

namespace bitbyte::tile {

/// A matrix [size, depth] somewhere in a tensor, to be packed by panels of
/// `width` along `size`.
struct PanelShape {
  int64_t size, depth, width;
  int64_t sizeStride, depthStride; ///< elements
  int64_t offset = 0;              ///< of the first element
};

/// Dispatches a kernel before `at` that packs the matrix as f32 [panels, depth,
/// width], padded with zeros, and returns that tensor. Equal packings of one
/// tensor are for the caller to share.
mlir::Value packPanels(ScheduleContext &context, mlir::Operation *at,
                       mlir::Value source, const PanelShape &shape);

} // namespace bitbyte::tile
