//===- ScanTiles.h - What convolution and scans share ---------------------===//
#pragma once

#include "passes/tile/Schedules.h"

namespace bitbyte::tile {

/// Sizes of a selective scan. Channels lie along the lanes: a *column* is a
/// register of them.
struct ScanSizes {
  int64_t batch, length, channels, states; ///< B T D N
  int64_t chunk; ///< items whose values lie in scratch at once
  int64_t lanes;
  int64_t block; ///< states in registers at once; divides N
  int64_t columns() const { return llvm::divideCeil(channels, lanes); }
  int64_t chunks() const { return llvm::divideCeil(length, chunk); }
  int64_t paddedStates() const { return llvm::alignTo(states, lanes); }
};

/// `most`: as many states at once, or fewer so that they divide N.
ScanSizes scanSizes(const KernelTarget &target, mlir::Value x, mlir::Value a,
                    int64_t chunk, int64_t most);

/// What is common to the text of both directions.
class ScanTiles {
public:
  ScanTiles(KernelBuilder &k, const ScanSizes &sizes) : k(k), s(sizes) {}

  /// [lanes]: a register of channels. [block, lanes]: states of a column.
  RegType row() { return k.row(s.lanes, k.f32()); }
  RegType stateRows() { return k.rows({s.block, s.lanes}, k.f32()); }

  /// How many channels of the column at `d0` exist; nothing if all do.
  Values columnBounds(mlir::Value d0);
  /// Scratch [padded states, lanes] at `to`: the rows d0.. of a [D, N] tensor,
  /// transposed, times `factor`.
  void loadAcross(mlir::Value matrix, mlir::Value d0, mlir::Value to,
                  double factor);
  /// Sums the lanes of scratch `from` [padded states, lanes] into a row of N.
  void sumLanes(mlir::Value from, mlir::Value to, mlir::ValueRange offsets);
  /// Rows t0.. of channels of a [B, T, D] tensor into scratch [chunk, lanes].
  void copyIn(mlir::Value tensor, mlir::Value b, mlir::Value t0,
              mlir::Value count, mlir::Value d0, mlir::Value to);
  void copyOut(mlir::Value from, mlir::Value tensor, mlir::Value b,
               mlir::Value t0, mlir::Value count, mlir::Value d0);
  void clear(mlir::Value scratch, mlir::Value rows);

  /// A row repeated for each state; a number per state repeated for each
  /// channel.
  mlir::Value everyState(mlir::Value row) {
    return k.broadcast(row, stateRows(), 0);
  }
  mlir::Value everyChannel(mlir::Value tensor, mlir::Value b, mlir::Value t,
                           mlir::Value n0);

private:
  KernelBuilder &k;
  const ScanSizes &s;
};

/// 2 to the x for decays: as exact as math.exp2, but below 2^-126 the result is
/// anything smaller than that. A third of the scan is this; a GPU has a unit
/// for it, a CPU takes the shortest chain of instructions there is.
mlir::Value exp2(ScalarBuilder &s, mlir::Value x, const KernelTarget &target);
inline constexpr double kLog2E = 1.4426950408889634;

/// Adds the parts of a [parts, ...] tensor in order, before `at`.
mlir::Value sumParts(ScheduleContext &context, mlir::Operation *at,
                     mlir::Value parts, int64_t count,
                     bb::GraphTensorType result);

/// Buffers of operands or results, and their bytes.
llvm::SmallVector<BufType> denseBuffers(mlir::ValueRange values,
                                        int64_t &bytes);

} // namespace bitbyte::tile
