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
                                        int64_t programs, int64_t warps = 1);

  /// Ends the kernel and dispatches it before `at`. Kernels of equal text are
  /// made once. `inplace` has an entry per result, or is empty: none; see
  /// tile.dispatch for `partial`. For an operand that the kernel sees as a view
  /// it is given the whole tensor.
  Values dispatch(mlir::Operation *at, KernelBuilder &kernel,
                  mlir::ValueRange operands, mlir::TypeRange results,
                  llvm::ArrayRef<int64_t> inplace = {}, bool partial = false);

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
/// A value's buffer as it is: that of the tensor it is a view of, from the
/// view's first element on, with the tensor's strides.
BufType bufferOf(mlir::Value value);
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

/// Programs that share `items`: on a CPU 64 where each has enough to do, on a
/// GPU many more.
int64_t programsFor(const KernelTarget &target, int64_t items,
                    int64_t elementsPerItem);
/// Warps of a program on a GPU whose rows have `row` elements; 1 on a CPU.
int64_t warpsFor(const KernelTarget &target, int64_t row);
/// Neighbours that a GPU's lane holds: 16 bytes of the smallest float among
/// `types`, less where `row` elements do not go round `warps` warps.
int64_t vectorFor(const KernelTarget &target, mlir::TypeRange types,
                  int64_t row, int64_t warps);
/// Columns of a tile along a row of `row` elements, of which a lane holds at
/// most `most`; a multiple of the lanes that wastes little.
int64_t tileWidth(const KernelTarget &target, int64_t row, int64_t most,
                  int64_t warps, int64_t vector);

/// `isProduct`: the region had a contract, which is a product and a sum now.
mlir::LogicalResult scheduleRegion(ScheduleContext &context, bb::FusedOp op,
                                   bool isProduct = false);
mlir::LogicalResult scheduleMatmul(ScheduleContext &context, bb::FusedOp op);
mlir::LogicalResult scheduleColumnSum(ScheduleContext &context, bb::FusedOp op);
mlir::LogicalResult scheduleAttention(ScheduleContext &context,
                                      bb::AttentionOp op);
mlir::LogicalResult scheduleAttentionGrad(ScheduleContext &context,
                                          bb::AttentionGradOp op);
mlir::LogicalResult scheduleGpuAttention(ScheduleContext &context,
                                         bb::AttentionOp op);
mlir::LogicalResult scheduleGpuAttentionGrad(ScheduleContext &context,
                                             bb::AttentionGradOp op);
mlir::LogicalResult scheduleConv(ScheduleContext &context, bb::ConvOp op);
mlir::LogicalResult scheduleConvGrad(ScheduleContext &context,
                                     bb::ConvGradOp op);
mlir::LogicalResult scheduleSelectiveScan(ScheduleContext &context,
                                          bb::SelectiveScanOp op);
mlir::LogicalResult scheduleSelectiveScanGrad(ScheduleContext &context,
                                              bb::SelectiveScanGradOp op);
mlir::LogicalResult scheduleGpuConv(ScheduleContext &context, bb::ConvOp op);
mlir::LogicalResult scheduleGpuConvGrad(ScheduleContext &context,
                                        bb::ConvGradOp op);
mlir::LogicalResult scheduleGpuSelectiveScan(ScheduleContext &context,
                                             bb::SelectiveScanOp op);
mlir::LogicalResult scheduleGpuSelectiveScanGrad(ScheduleContext &context,
                                                 bb::SelectiveScanGradOp op);
mlir::LogicalResult scheduleGpuSsd(ScheduleContext &context, bb::SsdOp op);
mlir::LogicalResult scheduleGpuSsdGrad(ScheduleContext &context,
                                       bb::SsdGradOp op);
mlir::LogicalResult scheduleSsd(ScheduleContext &context, bb::SsdOp op);
mlir::LogicalResult scheduleSsdGrad(ScheduleContext &context, bb::SsdGradOp op);
mlir::LogicalResult scheduleScatterAdd(ScheduleContext &context,
                                       bb::ScatterAddOp op);
mlir::LogicalResult scheduleAppend(ScheduleContext &context, bb::AppendOp op);

} // namespace bitbyte::tile
