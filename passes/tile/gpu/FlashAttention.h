//===- FlashAttention.h - Tiled attention on tensor cores -----------------===//
#pragma once

#include "passes/tile/Schedules.h"

namespace bitbyte::tile {

/// Replaces attention by a kernel that never stores a score.
/// False, with nothing changed, for what is left to a warp per row: one query,
/// mixed types, a scale that is not positive, heads too large for registers.
bool scheduleFlashAttention(ScheduleContext &context, bb::AttentionOp op);

} // namespace bitbyte::tile
