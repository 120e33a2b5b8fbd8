//===- SsdTiles.h - What both directions of SSD share ---------------------===//
//
// Matrices of a chunk lie in scratch, padded with zeros to whole micro-tiles:
// as rows [R][C] for the left side of a product, as panels [C / columns][R]
// [columns] for the right side, or across, which is panels of the transpose.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "passes/tile/Schedules.h"

namespace bitbyte::tile {

struct SsdSizes {
  int64_t batch, length, heads, width, groups, states; ///< B T H P G N
  int64_t chunk;                                       ///< Q
  int64_t lanes, rows, columns;                        ///< of the micro-tile
  int64_t chunks() const { return llvm::divideCeil(length, chunk); }
  int64_t headsPerGroup() const { return heads / groups; }
  int64_t padded(int64_t n) const {
    return llvm::alignTo(llvm::alignTo(n, rows), columns);
  }
};
SsdSizes ssdSizes(const KernelTarget &target, mlir::Value x, mlir::Value b,
                  bb::DimAttr chunk);

/// Which part of a square of a chunk, item by item, is not zero.
enum class Causal {
  no,
  result, ///< rows i of the result: up to column i
  left,   ///< rows i of the left side: up to column i
  across  ///< the same of a left side that lies transposed
};

/// C B^T of each chunk and group, up to the diagonal's micro-tiles, by a kernel
/// of its own: f32 [B, chunks, G, Q, Q], Q padded. Null where heads do not
/// share it or chunks are shorter than a micro-tile.
mlir::Value sharedScores(ScheduleContext &context, mlir::Operation *at,
                         const SsdSizes &sizes, mlir::Value b, mlir::Value c);

/// The text of one (sequence, head) pair.
class SsdTiles {
public:
  /// For the head of this program.
  SsdTiles(KernelBuilder &k, const SsdSizes &sizes);
  /// For head `h` of sequence `b`, without steps.
  SsdTiles(KernelBuilder &k, const SsdSizes &sizes, mlir::Value b,
           mlir::Value h);

  mlir::Value allocRows(int64_t rows, int64_t columns);
  mlir::Value allocPanels(int64_t rows, int64_t columns);
  mlir::Value allocVector() { return k.alloc({s.padded(s.chunk)}, k.f32()); }

  /// Sets the chunk that starts at `t0`: `count`.
  void enter(mlir::Value t0);
  /// The same, and the steps and their running products with the decay, from dt
  /// [B, T, H] and a [H].
  void enter(mlir::Value t0, mlir::Value dt, mlir::Value a);
  /// `body(t, exists)` for the rows of the chunk, those behind its end too.
  void eachRow(llvm::function_ref<void(mlir::Value t, bool exists)> body);
  /// Rows of a [B, T, H or G, width] tensor at `head` into scratch, times the
  /// row's number in `factors` unless null. Either target may be null.
  void loadRows(mlir::Value tensor, mlir::Value head, int64_t width,
                mlir::Value factors, mlir::Value toRows, mlir::Value toPanels);
  /// [rows, columns] to panels of the transpose.
  void across(mlir::Value from, int64_t rows, int64_t columns, mlir::Value to);
  /// Panels of an [R, C] matrix to panels of its transpose.
  void transposePanels(mlir::Value from, int64_t rows, int64_t columns,
                       mlir::Value to);
  /// The state [N, P] of a tensor with leading indices `at`, into panels whose
  /// padding is 0.
  void loadState(mlir::Value tensor, mlir::ValueRange at, mlir::Value to);
  void storeState(mlir::Value from, mlir::Value tensor, mlir::ValueRange at);
  /// Each row of panels times its number in `factors`.
  void scaleRows(mlir::Value panels, mlir::Value factors);
  void clear(mlir::Value scratch);
  void clearRows(mlir::Value scratch);

  /// Micro-tiles of init + a b, [M, C] by K. `a` is rows [M][K], or [K][M] if
  /// `transposed`; `b` is panels of C. What `causal` says is zero is left out.
  void product(
      int64_t m, int64_t c, int64_t depth, mlir::Value a, bool transposed,
      mlir::Value b, Causal causal,
      llvm::function_ref<mlir::Value(mlir::Value r, mlir::Value panel)> init,
      llvm::function_ref<void(mlir::Value r, mlir::Value panel,
                              mlir::Value tile)>
          use);
  /// `use(r, panel, tile)` for the micro-tiles of this chunk's `sharedScores`.
  void eachScore(
      mlir::Value scores,
      llvm::function_ref<void(mlir::Value, mlir::Value, mlir::Value)> use);
  /// Numbers per row of a micro-tile at row `r`, repeated along it.
  mlir::Value rowNumbers(mlir::Value vector, mlir::Value r);
  /// `tile` times exp(cs_i - cs_j) where j is no later than i, else 0.
  mlir::Value decayed(mlir::Value tile, mlir::Value r, mlir::Value panel);
  mlir::Value scaled(mlir::Value tile, mlir::Value factors);
  mlir::Value scaledBy(mlir::Value tile, mlir::Value scalar);
  mlir::Value panelTile(mlir::Value panels, mlir::Value r, mlir::Value panel) {
    return k.load(tile, panels, {panel, r, zero});
  }
  void storePanelTile(mlir::Value value, mlir::Value panels, mlir::Value r,
                      mlir::Value panel) {
    k.store(value, panels, {panel, r, zero});
  }
  mlir::Value column(mlir::Value panel) { return k.mul(panel, s.columns); }

  KernelBuilder &k;
  const SsdSizes &s;
  RegType tile, row;
  mlir::Value zero, b, h, group;
  mlir::Value t0, count;
  mlir::Value dt, sums;  ///< per item: step, cs = sum of dt a so far
  mlir::Value fromStart; ///< per item: exp(cs)
  mlir::Value toEnd;     ///< per item: exp(cs_Q - cs)
  mlir::Value whole;     ///< exp(cs_Q), a scalar
};

} // namespace bitbyte::tile
