//===- Recompute.h - Less memory for more arithmetic ----------------------===//
#pragma once

#include "dialects/bb/BBOps.h"

namespace bitbyte::bb {

/// Bytes of activations that a program needs at once, estimated on the graph:
/// what phase fuse keeps in registers counts nothing, what phase plan puts in
/// one place counts twice.
int64_t estimateLiveBytes(ProgramOp program);

/// Lets the backward half of `micro` compute values of the forward half again
/// instead of keeping them, until the estimate is within `budget` bytes or
/// nothing is left to drop. Cheap values go first, row-wise and element-wise
/// ones; then whole stretches between the points where only one value is live,
/// such as the residual stream. The copies carry the mark `recompute`.
void recompute(ProgramOp micro, int64_t budget);

} // namespace bitbyte::bb
