//===- Fragments.cpp - Layouts of tiles that tensor cores work on ---------===//
#include "passes/tile/gpu/Fragments.h"

#include "llvm/ADT/bit.h"

#include <algorithm>

using namespace mlir;

namespace bitbyte::tile {

DistAttr accumulatorLayout(MLIRContext *context, int64_t rows, int64_t columns,
                           int64_t warpRows, int64_t warpColumns) {
  int64_t ownRows = rows / warpRows, ownColumns = columns / warpColumns;
  return DistAttr::get(
      context,
      Distribution{
          {{2, 1, 1}, {2, 0, 8}, {ownColumns / 8, 1, 8}, {ownRows / 16, 0, 16}},
          {{4, 1, 2}, {8, 0, 1}},
          {{warpRows, 0, ownRows}, {warpColumns, 1, ownColumns}},
          2});
}

DistAttr runsLayout(MLIRContext *context, int64_t rows, int64_t columns,
                    int64_t run, int64_t warps) {
  int64_t runs = columns / run;
  // The largest power of two that divides the runs of a row.
  int64_t across = std::min(warpLanes, runs & -runs);
  int64_t down = warpLanes / across, once = down * warps;
  return DistAttr::get(context, Distribution{{{run, 1, 1},
                                              {runs / across, 1, across * run},
                                              {rows / once, 0, once}},
                                             {{across, 1, run}, {down, 0, 1}},
                                             {{warps, 0, down}},
                                             2});
}

BufType stagedBuffer(int64_t stages, int64_t rows, int64_t columns,
                     Type element) {
  int64_t pitch = columns + 16 * 8 / element.getIntOrFloatBitWidth();
  SmallVector<int64_t> shape{rows, columns}, strides{pitch, 1};
  if (stages) {
    shape.insert(shape.begin(), stages);
    strides.insert(strides.begin(), rows * pitch);
  }
  MLIRContext *context = element.getContext();
  return BufType::get(context, shape, element, Space::Scratch,
                      StridedAttr::get(context, strides));
}

} // namespace bitbyte::tile
