//===- ScanTiles.h - What convolution and scans share ---------------------===//
#pragma once

#include "passes/tile/Schedules.h"

namespace bitbyte::tile {

/// Sizes of a selective scan. Channels lie along the lanes: a *column* is a
/// register of them, a *strip* the columns that are walked together.
struct ScanSizes {
  int64_t batch, length, channels, states; ///< B T D N
  int64_t chunk; ///< items whose values lie in scratch at once
  int64_t lanes;
  int64_t wide;  ///< columns of a strip; divides their number
  int64_t block; ///< states in registers at once; divides N
  bool scales;   ///< an instruction multiplies by a power of 2
  int64_t columns() const { return llvm::divideCeil(channels, lanes); }
  int64_t strips() const { return columns() / wide; }
  int64_t chunks() const { return llvm::divideCeil(length, chunk); }
  int64_t paddedStates() const { return llvm::alignTo(states, lanes); }
};

/// A strip has up to `wide` columns, and a block of its states takes
/// `registers` registers, or less.
ScanSizes scanSizes(const KernelTarget &target, mlir::Value x, mlir::Value a,
                    int64_t chunk, int64_t wide, int64_t registers);

/// What is common to the text of both directions. In scratch a strip's values
/// lie as [rows, wide, lanes].
class ScanTiles {
public:
  ScanTiles(KernelBuilder &k, const ScanSizes &sizes) : k(k), s(sizes) {}

  /// [wide, lanes]: a strip of channels. [block, wide, lanes]: states of it.
  RegType row() { return k.rows({s.wide, s.lanes}, k.f32()); }
  RegType stateRows() { return k.rows({s.block, s.wide, s.lanes}, k.f32()); }
  mlir::Value alloc(int64_t rows) {
    return k.alloc({rows, s.wide, s.lanes}, k.f32());
  }
  Values at(mlir::Value row) { return {row, k.index(0), k.index(0)}; }

  /// `body(d, part, bounds)` for each column of the strip at `d0`: its first
  /// channel, its part [rows, lanes] of `scratch`, and how many of its channels
  /// exist (nothing if all do).
  void
  eachColumn(mlir::Value d0, mlir::Value scratch,
             llvm::function_ref<void(mlir::Value, mlir::Value, Values)> body);
  /// Scratch [padded states, wide, lanes] at `to`: the rows d0.. of a [D, N]
  /// tensor, transposed, times log2(e).
  void loadDecays(mlir::Value matrix, mlir::Value d0, mlir::Value to);
  /// Sums the lanes of scratch `from` [padded states, lanes] into a row of N.
  void sumLanes(mlir::Value from, mlir::Value to, mlir::ValueRange offsets);
  /// `count` rows from `offsets` on of the strip at `d0` of a tensor
  /// [.., rows, D] into scratch, and back.
  void copyIn(mlir::Value tensor, mlir::ValueRange offsets, mlir::Value count,
              mlir::Value d0, mlir::Value to);
  void copyOut(mlir::Value from, mlir::Value tensor, mlir::ValueRange offsets,
               mlir::Value count, mlir::Value d0);
  /// `count` rows of dt and of dt x at `offsets` of both, and of x if `toX` is
  /// given, into scratch; returns the largest magnitude of dt, a scalar, or
  /// null where decays do not ask.
  mlir::Value copySteps(mlir::Value dt, mlir::Value x, mlir::ValueRange offsets,
                        mlir::Value count, mlir::Value d0, mlir::Value toDt,
                        mlir::Value toDtx, mlir::Value toX = {});
  void clear(mlir::Value scratch, mlir::Value rows);
  /// The row at `offsets` of the one column at `d0` of a tensor [.., D], as
  /// [1, lanes]; its like back; and a hint that it will be wanted.
  mlir::Value rowOf(mlir::Value tensor, mlir::ValueRange offsets,
                    mlir::Value d0);
  void storeRow(mlir::Value row, mlir::Value tensor, mlir::ValueRange offsets,
                mlir::Value d0);
  void prefetch(mlir::Value tensor, mlir::ValueRange offsets, mlir::Value d0);
  /// Of two tiles.
  mlir::Value product(mlir::Value a, mlir::Value b);
  mlir::Value sum(mlir::Value a, mlir::Value b);
  /// The largest magnitude in `rows` rows of scratch, a scalar, or null where
  /// decays do not ask.
  mlir::Value largest(mlir::Value scratch, mlir::Value rows);

  /// `body(true)` where every exponent is one of f32's: no product of `steps`
  /// and `rates` goes beyond; else `body(false)`. Null `steps`: `body(true)`.
  void eitherWay(mlir::Value steps, mlir::Value rates,
                 llvm::function_ref<void(bool)> body);
  /// What `decay` wants as the last inputs of a map of `type`.
  Values powersFor(RegType type);
  /// exp2(rate dt).
  mlir::Value decay(ScalarBuilder &s, mlir::Value rate, mlir::Value dt,
                    mlir::ValueRange powers, bool isCalm);

  /// A row repeated for each state; a number per state repeated for each
  /// channel.
  mlir::Value everyState(mlir::Value row) {
    return k.broadcast(row, stateRows(), 0);
  }
  mlir::Value everyChannel(mlir::Value tensor, mlir::Value b, mlir::Value t,
                           mlir::Value n0);

private:
  /// The largest element of a column, a scalar.
  mlir::Value largestLane(mlir::Value column);

  KernelBuilder &k;
  const ScanSizes &s;
  mlir::Value powers; ///< scratch, made when first needed
};

/// 2 to the x for decays: as exact as math.exp2, but below 2^-126 the result is
/// anything smaller than that. Most of a scan is this; a GPU has a unit for it,
/// a CPU takes the shortest chain of instructions there is.
mlir::Value exp2(ScalarBuilder &s, mlir::Value x, const KernelTarget &target);

/// x / (1 + exp(-x)), and with its slope: with the powers of decays, whose
/// argument is rounded, so that where x is far below 0 they are good to |x|
/// ulp.
mlir::Value silu(ScalarBuilder &s, mlir::Value x, const KernelTarget &target);
std::pair<mlir::Value, mlir::Value>
siluAndSlope(ScalarBuilder &s, mlir::Value x, const KernelTarget &target);

/// The numbers of the arguments of selective_scan_grad's kernel, whose first
/// are the op's without skip and gate; 0: it has none such. From `first` on
/// are its results: dx, ddt and the parts of dA, dB, dC and dskip, then dgate.
struct ScanGradArguments {
  unsigned skip = 0, gate = 0, behind = 0, first = 7, dskip = 0, dgate = 0;

  /// `hasBehind`: the gradient of the state behind each part of time is one.
  ScanGradArguments(bb::SelectiveScanGradOp op, bool hasBehind = false) {
    if (op.getSkip())
      skip = first++;
    if (op.getGate())
      gate = first++;
    if (hasBehind)
      behind = first++;
    unsigned next = first + 5;
    if (skip)
      dskip = next++;
    if (gate)
      dgate = next;
  }
};

/// What follows a selective scan's sum of states: (sum + skip x) silu(gate), of
/// tiles of one type. `skip` and `gate` may be null.
mlir::Value finishScan(KernelBuilder &k, mlir::Value sum, mlir::Value x,
                       mlir::Value skip, mlir::Value gate);
/// dy silu(gate), the gradient of what the gate multiplies, and dy silu'(gate),
/// which times that is the gradient of the gate.
Values openGate(KernelBuilder &k, mlir::Value dy, mlir::Value gate);

/// Adds the parts of a [parts, ...] tensor in order, before `at`.
mlir::Value sumParts(ScheduleContext &context, mlir::Operation *at,
                     mlir::Value parts, int64_t count,
                     bb::GraphTensorType result);

/// Buffers of operands or results, which may be views, and their bytes.
llvm::SmallVector<BufType> denseBuffers(mlir::ValueRange values,
                                        int64_t &bytes);

} // namespace bitbyte::tile
