//===- Schedules.h - From fused regions and anchors to kernels ------------===//
//
// A schedule writes one or more kernels for a region or an anchor op and gives
// the values that replace its results. All are correct for any shape; which
// sizes they choose depends on the target and the shape, never on threads.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "dialects/bb/BBOps.h"
#include "passes/tile/KernelBuilder.h"

#include "llvm/ADT/StringMap.h"

#include <memory>

namespace bitbyte::tile {

using Values = llvm::SmallVector<mlir::Value>;

/// What schedules share: the machine, where kernels go, which exist already.
class ScheduleContext {
public:
  ScheduleContext(mlir::ModuleOp module, const KernelTarget &target);

  /// A builder of a kernel whose arguments are tensors' buffers, each seen as
  /// `shapes` say (default: flat).
  std::unique_ptr<KernelBuilder> kernel(mlir::Location loc,
                                        llvm::StringRef anchor,
                                        llvm::ArrayRef<BufType> operands,
                                        llvm::ArrayRef<BufType> results,
                                        int64_t programs);

  /// Ends the kernel and dispatches it before `at`. Kernels of equal text are
  /// made once. `inplace` has an entry per result, or is empty: none.
  Values dispatch(mlir::Operation *at, KernelBuilder &kernel,
                  mlir::ValueRange operands, mlir::TypeRange results,
                  llvm::ArrayRef<int64_t> inplace = {});

  const KernelTarget &target;

private:
  mlir::OpBuilder kernels;
  llvm::StringMap<mlir::StringAttr> known; ///< text of a kernel -> its name
  llvm::StringMap<int64_t> counters;       ///< per anchor
};

/// A tensor's buffer as one row of elements.
BufType flatBuffer(bb::GraphTensorType type);
/// A tensor's buffer as it is.
BufType denseBuffer(bb::GraphTensorType type);
int64_t elementCount(bb::GraphTensorType type);
int64_t byteCount(bb::GraphTensorType type);
/// An f32 tensor of whole dims: a schedule's temporary.
bb::GraphTensorType temporary(mlir::MLIRContext *context,
                              llvm::ArrayRef<int64_t> shape);

/// How the elements of an operand or result lie: element `constant + sum of
/// coefficients times dims` of its flat buffer.
struct LinearAccess {
  llvm::SmallVector<int64_t> coefficients; ///< one per dim of the region
  int64_t constant = 0;
};
/// Null if the map is not linear in the dims.
std::optional<LinearAccess> linearAccess(mlir::AffineMap map,
                                         bb::GraphTensorType type);

/// Programs that share `work` elements: 64 where each has enough to do.
int64_t programsFor(int64_t items, int64_t elementsPerItem);

mlir::LogicalResult scheduleRegion(ScheduleContext &context, bb::FusedOp op);
mlir::LogicalResult scheduleMatmul(ScheduleContext &context, bb::FusedOp op);
mlir::LogicalResult scheduleColumnSum(ScheduleContext &context, bb::FusedOp op);
mlir::LogicalResult scheduleAttention(ScheduleContext &context,
                                      bb::AttentionOp op);
mlir::LogicalResult scheduleAttentionGrad(ScheduleContext &context,
                                          bb::AttentionGradOp op);
mlir::LogicalResult scheduleScatterAdd(ScheduleContext &context,
                                       bb::ScatterAddOp op);
mlir::LogicalResult scheduleAppend(ScheduleContext &context, bb::AppendOp op);

} // namespace bitbyte::tile
