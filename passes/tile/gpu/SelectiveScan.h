//===- SelectiveScan.h - What both directions of the scan share -----------===//
#pragma once

#include "passes/tile/gpu/ScanTiles.h"

namespace bitbyte::tile {

/// Takes fewer warps to a program, then cuts time, until there is work for a
/// whole machine.
void shareOut(GpuScanSizes &sizes, bool mayCutTime);

/// The first chunk of a program's part, and the one behind its last.
std::pair<mlir::Value, mlir::Value> partChunks(GpuScanTiles &tiles);

mlir::Value product(KernelBuilder &k, mlir::Value a, mlir::Value b);
mlir::Value sum(KernelBuilder &k, mlir::Value a, mlir::Value b);

/// What each part of time starts from, f32 [B, parts, N, D]: the state, from x,
/// dt, a and B; backwards the gradient of the state behind its last item, from
/// dy, dt, a, C and, where there is one, the gate.
mlir::Value partStarts(ScheduleContext &context, mlir::Operation *op,
                       GpuScanSizes sizes, bool backwards,
                       mlir::ValueRange operands);

} // namespace bitbyte::tile
