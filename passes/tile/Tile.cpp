//===- Tile.cpp - The phase: a schedule for each region and anchor --------===//
#include "passes/tile/Tile.h"
#include "passes/tile/Schedules.h"

#include "mlir/IR/Dominance.h"
#include "mlir/Transforms/CSE.h"
#include "llvm/ADT/TypeSwitch.h"

namespace bitbyte::tile {
#define GEN_PASS_DEF_TILEPASS
#include "passes/tile/Passes.h.inc"

using namespace mlir;

namespace {
struct Tile final : bitbyte::tile::impl::TilePassBase<Tile> {
  using TilePassBase::TilePassBase;

  void runOnOperation() override {
    std::optional<KernelTarget> target = KernelTarget::named(targetName);
    if (!target) {
      getOperation().emitError() << "no target is called '" << targetName
                                 << "'; there are cpu-v3, cpu-v4, cpu-v4bf16, "
                                    "cuda";
      return signalPassFailure();
    }
    ScheduleContext context(getOperation(), *target);
    WalkResult done = getOperation().walk([&](bb::ProgramOp program) {
      for (Operation &op :
           llvm::make_early_inc_range(program.getBody().front()))
        if (failed(schedule(context, &op)))
          return WalkResult::interrupt();
      // Dispatches have the whole of what they see a part of.
      for (Operation &op :
           llvm::make_early_inc_range(llvm::reverse(program.getBody().front())))
        if (isa<bb::SliceOp, bb::ReshapeOp>(op) && op.use_empty())
          op.erase();
      // Equal dispatches on equal operands run once: packed panels above all.
      IRRewriter rewriter(&getContext());
      DominanceInfo dominance(program);
      eliminateCommonSubExpressions(rewriter, dominance, program);
      return WalkResult::advance();
    });
    if (done.wasInterrupted())
      signalPassFailure();
  }

  static LogicalResult scheduleScan(ScheduleContext &context, Operation *op) {
    if (context.target.isGpu)
      return llvm::TypeSwitch<Operation *, LogicalResult>(op)
          .Case([&](bb::ConvOp o) { return scheduleGpuConv(context, o); })
          .Case(
              [&](bb::ConvGradOp o) { return scheduleGpuConvGrad(context, o); })
          .Case([&](bb::SelectiveScanOp o) {
            return scheduleGpuSelectiveScan(context, o);
          })
          .Case([&](bb::SelectiveScanGradOp o) {
            return scheduleGpuSelectiveScanGrad(context, o);
          })
          .Case([&](bb::SsdOp o) { return scheduleGpuSsd(context, o); })
          .Case(
              [&](bb::SsdGradOp o) { return scheduleGpuSsdGrad(context, o); });
    return llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case([&](bb::ConvOp o) { return scheduleConv(context, o); })
        .Case([&](bb::ConvGradOp o) { return scheduleConvGrad(context, o); })
        .Case([&](bb::SelectiveScanOp o) {
          return scheduleSelectiveScan(context, o);
        })
        .Case([&](bb::SelectiveScanGradOp o) {
          return scheduleSelectiveScanGrad(context, o);
        })
        .Case([&](bb::SsdOp o) { return scheduleSsd(context, o); })
        .Case([&](bb::SsdGradOp o) { return scheduleSsdGrad(context, o); });
  }

  static LogicalResult schedule(ScheduleContext &context, Operation *op) {
    if (isa<bb::ConvOp, bb::ConvGradOp, bb::SelectiveScanOp,
            bb::SelectiveScanGradOp, bb::SsdOp, bb::SsdGradOp>(op))
      return scheduleScan(context, op);
    return llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case([&](bb::FusedOp o) {
          return o.anchor() ? scheduleMatmul(context, o)
                            : scheduleRegion(context, o);
        })
        .Case([&](bb::AttentionOp o) {
          return context.target.isGpu ? scheduleGpuAttention(context, o)
                                      : scheduleAttention(context, o);
        })
        .Case([&](bb::AttentionGradOp o) {
          return context.target.isGpu ? scheduleGpuAttentionGrad(context, o)
                                      : scheduleAttentionGrad(context, o);
        })
        .Case(
            [&](bb::ScatterAddOp o) { return scheduleScatterAdd(context, o); })
        .Case([&](bb::AppendOp o) { return scheduleAppend(context, o); })
        .Case<bb::ReadOp, bb::WriteOp, bb::ConstantOp, bb::ReshapeOp,
              bb::SliceOp, bb::ReturnOp, DispatchOp>(
            [](Operation *) { return success(); })
        .Default([&](Operation *o) {
          return o->emitOpError("has no schedule for ")
                 << context.target.name << "; has bb-fuse run?";
        });
  }
};
} // namespace

} // namespace bitbyte::tile
