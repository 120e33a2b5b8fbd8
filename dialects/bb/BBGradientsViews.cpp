//===- BBGradientsViews.cpp - Gradients of gathers and views --------------===//
#include "dialects/bb/BBGradients.h"

using namespace mlir;
using namespace bitbyte::bb;

//===----------------------------------------------------------------------===//
// Gather
//===----------------------------------------------------------------------===//

/// Each row of the table sums dy of the places where it was used.
GRADIENT(EmbedOp) {
  Rule r(g, *this);
  GraphTensorType table = tensorOf(getTable());
  Type element = g.elementOf(getTable());
  TypeAttr into = element == tensorOf(r.dy()).getElement()
                      ? TypeAttr()
                      : TypeAttr::get(element);
  r.add(getTable(), ScatterAddOp::create(g, getLoc(), getIds(), r.dy(),
                                         table.dim(0), into));
  return success();
}
GRADIENT(ScatterAddOp) {
  Rule r(g, *this);
  r.add(getX(), EmbedOp::create(g, getLoc(), getIds(), r.dy()));
  return success();
}
NO_GRADIENT(OneHotOp)
NO_GRADIENT(PositionsOp)
// Decoding only: what generates does not learn.
REFUSED_GRADIENT(AppendOp)
REFUSED_GRADIENT(PickOp)
REFUSED_GRADIENT(AtStartOp)

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

GRADIENT(ReshapeOp) {
  Rule r(g, *this);
  r.add(getX(), r.reshape(r.dy(), tensorOf(getX()).getShape()));
  return success();
}
GRADIENT(TransposeOp) {
  Rule r(g, *this);
  SmallVector<DimAttr> inverse(getBy().size());
  for (auto [i, by] : llvm::enumerate(getBy()))
    inverse[*cast<DimAttr>(by).constant()] = r.whole(i);
  r.add(getX(), TransposeOp::create(g, getLoc(), r.dy(), r.dims(inverse)));
  return success();
}
/// `add` sums over what was stretched.
GRADIENT(BroadcastOp) {
  Rule r(g, *this);
  r.add(getX(), r.dy());
  return success();
}
static int64_t fromFront(DimAttr axis, GraphTensorType type) {
  int64_t i = *axis.constant();
  return i < 0 ? i + type.getRank() : i;
}
GRADIENT(SliceOp) {
  Rule r(g, *this);
  int64_t axis = fromFront(getAxis(), tensorOf(getX()));
  DimAttr after = tensorOf(getX()).dim(axis) - getFrom() - getSize();
  r.add(getX(), r.pad(r.dy(), axis, getFrom(), after));
  return success();
}
GRADIENT(PadOp) {
  Rule r(g, *this);
  int64_t axis = fromFront(getAxis(), tensorOf(getX()));
  r.add(getX(), r.slice(r.dy(), axis, getBefore(), tensorOf(getX()).dim(axis)));
  return success();
}
/// A part that the loss does not depend on counts as zeros.
GRADIENT(SplitOp) {
  Rule r(g, *this);
  SmallVector<Value> parts;
  for (auto [i, part] : llvm::enumerate(getParts())) {
    Value dy = r.dy(i);
    parts.push_back(dy ? dy : r.zeros(tensorOf(part)));
  }
  r.add(getX(), ConcatOp::create(g, getLoc(), parts));
  return success();
}
GRADIENT(ConcatOp) {
  Rule r(g, *this);
  SmallVector<DimAttr> widths;
  for (Value part : getParts())
    widths.push_back(tensorOf(part).dim(-1));
  auto split = SplitOp::create(g, getLoc(), r.dy(), r.dims(widths));
  for (auto [part, gradient] : llvm::zip(getParts(), split.getParts()))
    r.add(part, gradient);
  return success();
}

/// Within each period, item 0 is `first` and item t is x[t - 1]; x's last item
/// is dropped.
GRADIENT(ShiftOp) {
  Rule r(g, *this);
  GraphTensorType type = tensorOf(getX()); // [B, T, ..]
  DimAttr period = getPeriodAttr() ? getPeriodAttr() : type.dim(1);
  auto length = type.dim(1).constant(), each = period.constant();
  if (length && each && *length % *each)
    return emitOpError("cannot be differentiated: its period ")
           << *each << " does not divide its " << *length << " items";
  DimAttr zero = r.whole(0), one = r.whole(1);
  SmallVector<DimAttr> parts{type.dim(0), type.dim(1) / period, period};
  llvm::append_range(parts, type.getShape().drop_front(2));
  Value dy = r.reshape(r.dy(), parts);
  if (r.wanted(getFirst())) {
    Value starts = r.slice(dy, 2, zero, one);
    if (tensorOf(getFirst()).getRank() == type.getRank()) {
      // One row for each sequence, at the start of all its periods.
      parts.erase(parts.begin() + 2);
      starts = r.reduce(r.f32(r.reshape(starts, parts)), "sum", {1},
                        /*keep=*/true);
    }
    r.add(getFirst(), starts);
  }
  if (r.wanted(getX())) {
    if (period.isWhole(1)) { // every item is `first`
      r.add(getX(), r.zeros(type));
      return success();
    }
    Value back = r.pad(r.slice(dy, 2, one, period - one), 2, zero, one);
    r.add(getX(), r.reshape(back, type.getShape()));
  }
  return success();
}
GRADIENT(PatchOp) {
  Rule r(g, *this);
  r.add(getX(), UnpatchOp::create(g, getLoc(), r.dy(), getBy()));
  return success();
}
GRADIENT(UnpatchOp) {
  Rule r(g, *this);
  r.add(getX(), PatchOp::create(g, getLoc(), r.dy(), getBy()));
  return success();
}
