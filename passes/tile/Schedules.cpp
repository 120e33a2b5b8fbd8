//===- Schedules.cpp - What schedules share -------------------------------===//
#include "passes/tile/Schedules.h"

#include "dialects/bb/BBViews.h"

#include "mlir/IR/AsmState.h"

using namespace mlir;

namespace bitbyte::tile {

ScheduleContext::ScheduleContext(ModuleOp module, const KernelTarget &target)
    : target(target), kernels(OpBuilder::atBlockBegin(module.getBody())) {}

std::unique_ptr<KernelBuilder>
ScheduleContext::kernel(Location loc, StringRef anchor,
                        ArrayRef<BufType> operands, ArrayRef<BufType> results,
                        int64_t programs, int64_t warps) {
  std::string name = (anchor + "_" + Twine(counters[anchor])).str();
  auto builder = std::make_unique<KernelBuilder>(
      kernels, loc, name, target, operands, results, programs, anchor);
  if (target.isGpu)
    builder->setWarps(warps);
  return builder;
}

Values ScheduleContext::dispatch(Operation *at, KernelBuilder &builder,
                                 ValueRange operands, TypeRange results,
                                 ArrayRef<int64_t> inplace, bool partial) {
  KernelOp kernel = builder.finish();
  SmallVector<Type> kernelTypes(kernel.getArgumentTypes());
  StringAttr name = kernel.getSymNameAttr();
  kernel.setSymName("kernel");
  std::string text;
  llvm::raw_string_ostream os(text);
  kernel->print(os, OpPrintingFlags().useLocalScope());
  auto [entry, fresh] = known.try_emplace(text, name);
  if (fresh) {
    kernel.setSymNameAttr(name);
    ++counters[*kernel.getAnchor()];
  } else {
    kernel->erase();
  }
  OpBuilder b(at);
  // A view that the kernel takes for a dense tensor stays what it is: plan has
  // no place for it and says so.
  Values wholes(operands);
  for (auto [operand, type] : llvm::zip(wholes, kernelTypes))
    if (std::optional<bb::View> view = bb::viewOf(operand)) {
      auto given = cast<BufType>(type), wanted = bufferOf(operand);
      if (given.getOffset() == wanted.getOffset() &&
          given.getBytes() == wanted.getBytes())
        operand = view->whole;
    }
  auto call = DispatchOp::create(
      b, at->getLoc(), results, FlatSymbolRefAttr::get(entry->second), wholes,
      inplace.empty() ? DenseI64ArrayAttr() : b.getDenseI64ArrayAttr(inplace),
      partial ? b.getUnitAttr() : UnitAttr());
  // What is computed again stays apart from the first time.
  if (at->hasAttr("recompute"))
    call->setAttr("recompute", b.getUnitAttr());
  return Values(call.getResults());
}

BufType bufferOf(Value value) {
  auto type = cast<bb::GraphTensorType>(value.getType());
  BufType dense = denseBuffer(type);
  std::optional<bb::View> view = bb::viewOf(value);
  if (!view)
    return dense;
  return BufType::get(
      value.getContext(), dense.getShape(), type.getElement(), Space::Global,
      StridedAttr::get(value.getContext(), view->strides, view->offset));
}

int64_t elementCount(bb::GraphTensorType type) {
  int64_t n = 1;
  for (bb::DimAttr d : type.getShape())
    n *= *d.constant();
  return n;
}
int64_t byteCount(bb::GraphTensorType type) {
  return elementCount(type) *
         std::max<int64_t>(1, type.getElement().getIntOrFloatBitWidth() / 8);
}
BufType flatBuffer(bb::GraphTensorType type) {
  return BufType::global({elementCount(type)}, type.getElement());
}
BufType denseBuffer(bb::GraphTensorType type) {
  SmallVector<int64_t> shape;
  for (bb::DimAttr d : type.getShape())
    shape.push_back(*d.constant());
  return BufType::global(shape, type.getElement());
}
bb::GraphTensorType temporary(MLIRContext *context, ArrayRef<int64_t> shape) {
  SmallVector<bb::DimAttr> dims;
  for (int64_t n : shape)
    dims.push_back(bb::DimAttr::get(context, n));
  return bb::GraphTensorType::get(context, dims, Float32Type::get(context));
}

std::optional<LinearAccess> linearAccess(AffineMap map,
                                         bb::GraphTensorType type) {
  LinearAccess access;
  access.coefficients.assign(map.getNumDims(), 0);
  int64_t stride = 1;
  for (int64_t axis = type.getRank() - 1; axis >= 0; --axis) {
    AffineExpr e = map.getResult(axis);
    if (!e.isPureAffine())
      return std::nullopt;
    bool linear = true;
    e.walk([&](AffineExpr x) {
      linear &= x.getKind() != AffineExprKind::Mod &&
                x.getKind() != AffineExprKind::FloorDiv &&
                x.getKind() != AffineExprKind::CeilDiv;
    });
    if (!linear)
      return std::nullopt;
    MLIRContext *context = map.getContext();
    SmallVector<AffineExpr> zeros(map.getNumDims(),
                                  getAffineConstantExpr(0, context));
    auto at = [&](ArrayRef<AffineExpr> dims) {
      return cast<AffineConstantExpr>(e.replaceDims(dims)).getValue();
    };
    int64_t base = at(zeros);
    access.constant += stride * base;
    for (unsigned d = 0; d < map.getNumDims(); ++d) {
      SmallVector<AffineExpr> unit(zeros);
      unit[d] = getAffineConstantExpr(1, context);
      access.coefficients[d] += stride * (at(unit) - base);
    }
    stride *= *type.dim(axis).constant();
  }
  return access;
}

int64_t programsFor(const KernelTarget &target, int64_t items,
                    int64_t elementsPerItem) {
  if (target.isGpu) { // a wave is a thousand or two, and short ones cost little
    int64_t each = std::clamp<int64_t>(items / 4096, 1, 8);
    while (each > 1 && each * elementsPerItem > 4096)
      each /= 2;
    return llvm::divideCeil(items, each);
  }
  int64_t byWork = std::max<int64_t>(1, items * elementsPerItem / 4096);
  return std::max<int64_t>(1, std::min({items, byWork, int64_t(64)}));
}

int64_t warpsFor(const KernelTarget &target, int64_t row) {
  if (!target.isGpu || row <= 1024)
    return 1;
  return row <= 4096 ? 4 : 8;
}

int64_t vectorFor(const KernelTarget &target, TypeRange types, int64_t row,
                  int64_t warps) {
  if (!target.isGpu)
    return 1;
  unsigned bits = 32;
  for (Type type : types)
    if (auto tensor = dyn_cast<bb::GraphTensorType>(type))
      if (isa<FloatType>(tensor.getElement()))
        bits = std::min(bits, tensor.getElement().getIntOrFloatBitWidth());
  int64_t vector = 8 * target.accessBytes / bits;
  while (vector > 1 && vector * target.lanes * warps > row)
    vector /= 2;
  return vector;
}

int64_t tileWidth(const KernelTarget &target, int64_t row, int64_t most,
                  int64_t warps, int64_t vector) {
  int64_t step = target.lanes * warps * vector;
  int64_t whole = llvm::alignTo(row, step);
  int64_t limit = std::max(step, target.lanes * warps * most / step * step);
  if (whole <= limit || !target.isGpu)
    return std::min(whole, limit);
  // A width that divides the row leaves no tail.
  for (int64_t width = limit; width > limit / 2; width -= step)
    if (row % width == 0)
      return width;
  return limit;
}

} // namespace bitbyte::tile
