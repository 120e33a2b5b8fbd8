//===- FlashAttention.h - Tiled attention on tensor cores -----------------===//
#pragma once

#include "passes/tile/Schedules.h"

namespace bitbyte::tile {

/// Replace attention, or its gradient, by kernels that never store a score.
/// False, with nothing changed, for what is left to a warp per row: forward of
/// one query, mixed types, a scale that is not positive, heads too large for
/// registers.
bool scheduleFlashAttention(ScheduleContext &context, bb::AttentionOp op);
bool scheduleFlashAttentionGrad(ScheduleContext &context,
                                bb::AttentionGradOp op);

} // namespace bitbyte::tile
