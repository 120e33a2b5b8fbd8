//===- Layouts.cpp - Named layouts of register tiles ----------------------===//
#include "passes/tile/Layouts.h"

#include <cassert>

using namespace mlir;

namespace bitbyte::tile {

DistAttr lanesAlong(MLIRContext *context, const KernelTarget &target,
                    ArrayRef<int64_t> shape, unsigned axis) {
  assert(shape[axis] % target.lanes == 0 && "tiles are whole registers wide");
  Distribution result;
  result.rank = shape.size();
  result.lane.push_back({target.lanes, axis, 1});
  // Innermost the registers of a row, then the rows, last axis first: the order
  // in which memory has them.
  for (unsigned i = shape.size(); i-- > 0;) {
    if (i == axis) {
      if (shape[i] > target.lanes)
        result.reg.push_back({shape[i] / target.lanes, i, target.lanes});
    } else if (shape[i] > 1) {
      result.reg.push_back({shape[i], i, 1});
    }
  }
  return DistAttr::get(context, result);
}

DistAttr rowLayout(MLIRContext *context, const KernelTarget &target,
                   int64_t n) {
  return lanesAlong(context, target, {n}, 0);
}

DistAttr rowsLayout(MLIRContext *context, const KernelTarget &target,
                    ArrayRef<int64_t> shape) {
  return lanesAlong(context, target, shape, shape.size() - 1);
}

DistAttr replicatedLayout(MLIRContext *context, const KernelTarget &target,
                          ArrayRef<int64_t> shape) {
  Distribution result;
  result.rank = shape.size();
  result.lane.push_back({target.lanes, -1, 0});
  for (unsigned i = shape.size(); i-- > 0;)
    if (shape[i] > 1)
      result.reg.push_back({shape[i], i, 1});
  return DistAttr::get(context, result);
}

} // namespace bitbyte::tile
