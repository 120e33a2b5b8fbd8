//===- Panels.cpp - Packed operands of a product --------------------------===//
#include "passes/tile/Panels.h"

using namespace mlir;

namespace bitbyte::tile {

// [size / width][depth][width]: element (s, d) of the source, at offset + s *
// sizeStride + d * depthStride of its buffer, padded with zeros to whole
// panels.
Value packPanels(ScheduleContext &context, Operation *at, Value source,
                 const PanelShape &shape) {
  int64_t panels = llvm::divideCeil(shape.size, shape.width),
          lanes = context.target.lanes;
  auto type = cast<bb::GraphTensorType>(source.getType());
  auto packedType =
      temporary(at->getContext(), {panels, shape.depth, shape.width});
  bool turned = shape.depthStride == 1 && shape.sizeStride != 1;
  MLIRContext *ctx = at->getContext();
  BufType from =
      turned
          ? BufType::get(ctx, {shape.size, shape.depth}, type.getElement(),
                         Space::Global,
                         StridedAttr::get(ctx,
                                          {shape.sizeStride, shape.depthStride},
                                          shape.offset))
          : BufType::get(ctx, {shape.depth, shape.size}, type.getElement(),
                         Space::Global,
                         StridedAttr::get(ctx,
                                          {shape.depthStride, shape.sizeStride},
                                          shape.offset));
  BufType to = BufType::global({panels, shape.depth, shape.width},
                               packedType.getElement());
  if (!turned) {
    // Rows are contiguous: each program copies some, which it reads from end to
    // end, a few at a time so that what it writes is of some length too.
    constexpr int64_t together = 8;
    int64_t slices = std::clamp<int64_t>(shape.depth / (2 * together), 1, 64);
    int64_t slice =
        llvm::alignTo(llvm::divideCeil(shape.depth, slices), together);
    slices = llvm::divideCeil(shape.depth, slice);
    auto k = context.kernel(at->getLoc(), "pack", {from}, {to}, slices);
    k->setCost(0, byteCount(type) + byteCount(packedType));
    RegType row = k->row(shape.width, k->f32());
    Value begin = k->mul(k->program(), slice),
          end = k->min(k->index(shape.depth), k->add(begin, slice));
    k->loop(begin, end, together, [&](Value first) {
      Value last = k->min(end, k->add(first, together));
      auto copy = [&](Value panel, ValueRange exist) {
        k->loop(first, last, 1, [&](Value d) {
          k->store(
              k->load(row, k->arg(0), {d, k->mul(panel, shape.width)}, exist),
              k->arg(1), {panel, d, k->index(0)});
        });
      };
      int64_t whole = shape.size / shape.width, left = shape.size % shape.width;
      if (whole)
        k->loop(0, whole, 1, [&](Value panel) { copy(panel, {}); });
      if (left)
        copy(k->index(whole), {k->index(left)});
    });
    return context.dispatch(at, *k, {source}, {packedType})[0];
  }

  // Programs share panels, and depth where there are few panels.
  int64_t slices =
      std::max<int64_t>(1, std::min<int64_t>(llvm::divideCeil(64, panels),
                                             shape.depth / (8 * lanes)));
  int64_t slice = llvm::alignTo(llvm::divideCeil(shape.depth, slices), lanes);
  slices = llvm::divideCeil(shape.depth, slice);
  auto k = context.kernel(at->getLoc(), "pack", {from}, {to}, panels * slices);
  k->setCost(0, byteCount(type) + byteCount(packedType));
  Value panel = k->div(k->program(), slices),
        begin = k->mul(k->rem(k->program(), slices), slice);
  Value end = k->min(k->index(shape.depth), k->add(begin, slice));
  Value first = k->mul(panel, shape.width);
  bool ragged = shape.size % shape.width != 0;
  Value exist =
      k->sub(k->index(shape.size), first); // columns of this panel that exist

  auto transposed = [&](bool bounded) {
    // Squares of lanes x lanes turn in registers.
    auto square = [&](Value d, int64_t s, Value depthExists) {
      RegType tile = k->rows({lanes, lanes}, k->f32());
      Values bounds;
      if (bounded || depthExists)
        bounds = {bounded ? k->sub(exist, s) : k->index(lanes),
                  depthExists ? depthExists : k->index(lanes)};
      if (bounded) // a square may lie wholly behind the end
        bounds[0] = k->max(bounds[0], k->index(0));
      Value x = k->load(tile, k->arg(0), {k->add(first, s), d}, bounds);
      Value y = k->transpose(x, tile);
      Values place{panel, d, k->index(s)};
      k->store(y, k->arg(1), place,
               depthExists ? Values{depthExists, k->index(lanes)} : Values{});
    };
    Value whole = k->sub(end, k->rem(k->sub(end, begin), lanes));
    k->loop(begin, whole, lanes, [&](Value d) {
      for (int64_t s = 0; s < shape.width; s += lanes)
        square(d, s, {});
    });
    if (shape.depth % lanes)
      k->when(k->less(whole, end), [&] {
        for (int64_t s = 0; s < shape.width; s += lanes)
          square(whole, s, k->index(shape.depth % lanes));
      });
  };
  if (!ragged)
    transposed(false);
  else
    k->branch(
        k->less(exist, k->index(shape.width)), {},
        [&] {
          transposed(true);
          return Values{};
        },
        [&] {
          transposed(false);
          return Values{};
        });
  return context.dispatch(at, *k, {source}, {packedType})[0];
}

} // namespace bitbyte::tile
