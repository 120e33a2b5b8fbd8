//===- Layouts.cpp - Named layouts of register tiles ----------------------===//
#include "passes/tile/Layouts.h"

#include <cassert>

using namespace mlir;

namespace bitbyte::tile {

DistAttr lanesAlong(MLIRContext *context, const KernelTarget &target,
                    ArrayRef<int64_t> shape, unsigned axis, Deal deal) {
  assert(shape[axis] % target.lanes == 0 && "tiles are whole registers wide");
  Distribution result;
  result.rank = shape.size();
  int64_t group = 1, step = target.lanes; // of registers side by side
  if (target.isGpu) {
    int64_t warps = deal.warps;
    while (shape[axis] % (target.lanes * warps))
      warps /= 2;
    group = deal.vector;
    while (shape[axis] % (target.lanes * warps * group))
      group /= 2;
    if (group > 1)
      result.reg.push_back({group, axis, 1});
    step *= group * warps;
    if (warps > 1)
      result.warp.push_back({warps, axis, target.lanes * group});
    if (deal.warps > warps)
      result.warp.push_back({deal.warps / warps, -1, 0});
  }
  result.lane.push_back({target.lanes, axis, group});
  // Innermost the registers of a row, then the rows, last axis first: the order
  // in which memory has them.
  for (unsigned i = shape.size(); i-- > 0;) {
    if (i == axis) {
      if (shape[i] > step)
        result.reg.push_back({shape[i] / step, i, step});
    } else if (shape[i] > 1) {
      result.reg.push_back({shape[i], i, 1});
    }
  }
  return DistAttr::get(context, result);
}

DistAttr rowsLayout(MLIRContext *context, const KernelTarget &target,
                    ArrayRef<int64_t> shape, Deal deal) {
  return lanesAlong(context, target, shape, shape.size() - 1, deal);
}

DistAttr replicatedLayout(MLIRContext *context, const KernelTarget &target,
                          ArrayRef<int64_t> shape, Deal deal) {
  Distribution result;
  result.rank = shape.size();
  result.lane.push_back({target.lanes, -1, 0});
  if (deal.warps > 1)
    result.warp.push_back({deal.warps, -1, 0});
  for (unsigned i = shape.size(); i-- > 0;)
    if (shape[i] > 1)
      result.reg.push_back({shape[i], i, 1});
  return DistAttr::get(context, result);
}

} // namespace bitbyte::tile
