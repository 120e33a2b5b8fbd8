//===- BBViews.cpp - Parts of a tensor that need no copy ------------------===//
#include "dialects/bb/BBViews.h"

using namespace mlir;

namespace bitbyte::bb {

static SmallVector<int64_t> shapeOf(Value value) {
  return llvm::map_to_vector(cast<GraphTensorType>(value.getType()).getShape(),
                             [](DimAttr dim) { return *dim.constant(); });
}

static SmallVector<int64_t> denseStrides(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size(), 1);
  for (size_t axis = shape.size(); axis-- > 1;)
    strides[axis - 1] = strides[axis] * shape[axis];
  return strides;
}

std::optional<View> viewOf(Value value) {
  if (auto slice = value.getDefiningOp<SliceOp>()) {
    SmallVector<int64_t> shape = shapeOf(slice.getX());
    int64_t rank = shape.size(), axis = *slice.getAxis().constant();
    if (axis != rank - 1 && axis != -1)
      return std::nullopt;
    View view = viewOf(slice.getX())
                    .value_or(View{slice.getX(), denseStrides(shape), 0});
    view.offset += *slice.getFrom().constant() * view.strides.back();
    return view;
  }
  auto reshape = value.getDefiningOp<ReshapeOp>();
  std::optional<View> view =
      reshape ? viewOf(reshape.getX()) : std::optional<View>();
  if (!view)
    return std::nullopt;
  SmallVector<int64_t> from = shapeOf(reshape.getX()), to = shapeOf(value);
  size_t kept = from.size() - 1;
  if (to.size() < from.size() ||
      ArrayRef(to).take_front(kept) != ArrayRef(from).take_front(kept))
    return std::nullopt;
  int64_t stride = view->strides.pop_back_val();
  for (int64_t inner : denseStrides(ArrayRef(to).drop_front(kept)))
    view->strides.push_back(inner * stride);
  return view;
}

bool readsView(OpOperand &use) {
  return isa<AttentionOp, AttentionGradOp, ConvOp, ConvGradOp, SelectiveScanOp,
             SelectiveScanGradOp, SsdOp, SsdGradOp>(use.getOwner()) &&
         cast<GraphTensorType>(use.get().getType()).getRank() >= 3;
}

} // namespace bitbyte::bb
