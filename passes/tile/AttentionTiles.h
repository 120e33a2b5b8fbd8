//===- AttentionTiles.h - What both directions of attention share ---------===//
#pragma once

#include "passes/tile/Schedules.h"

#include <cmath>

namespace bitbyte::tile {

/// Sizes of one attention op. Columns are padded to whole micro-tiles.
struct AttentionSizes {
  int64_t batch, queries, keys, heads, groups, width,
      valueWidth; ///< B Tq Tk H G D E
  int64_t window = 0, block = 0;
  bool causal = false;
  double scale = 1;
  int64_t lanes, columns, rows; ///< of the micro-tile
  int64_t paddedKeys() const { return llvm::alignTo(keys, columns); }
  int64_t scoreRow() const { return scratchRow(paddedKeys()); }
  int64_t widthPanels() const { return llvm::divideCeil(width, columns); }
  int64_t valuePanels() const { return llvm::divideCeil(valueWidth, columns); }
  /// Whether a row's visible keys start after the first one.
  bool hasLowerEdge() const { return window > 0 || block > 0; }
};

/// The sizes of `attention` or `attention_grad`: q [B, Tq, H, D], v [B, Tk, G,
/// E], scale 1 / sqrt(D) unless given.
template <typename Op>
AttentionSizes attentionSizes(const KernelTarget &target, Op op) {
  auto q = mlir::cast<bb::GraphTensorType>(op.getQ().getType());
  auto v = mlir::cast<bb::GraphTensorType>(op.getV().getType());
  AttentionSizes s;
  s.batch = *q.dim(0).constant();
  s.queries = *q.dim(1).constant();
  s.heads = *q.dim(2).constant();
  s.width = *q.dim(3).constant();
  s.keys = *v.dim(1).constant();
  s.groups = *v.dim(2).constant();
  s.valueWidth = *v.dim(3).constant();
  s.causal = op.getCausal();
  s.window = op.getWindow() ? *op.getWindow()->constant() : 0;
  s.block = op.getBlock() ? *op.getBlock()->constant() : 0;
  s.scale = op.getScale() ? *bb::evaluate(*op.getScale())
                          : 1 / std::sqrt(double(s.width));
  s.lanes = target.lanes;
  s.columns = target.mmaColumns;
  s.rows = target.mmaRows;
  return s;
}

/// Pairs of a query and a key that it sees, per head; an upper bound for rings.
double visiblePairs(const AttentionSizes &s, bool ring);

/// exp(score - top), exactly 1 where they are equal: the difference is taken
/// first.
mlir::Value softmaxTerm(ScalarBuilder &b, mlir::Value score, mlir::Value top);

/// Writes the tiles of one (batch, head) pair: [T, width] at a head of a
/// [B, T, H, width] tensor.
class AttentionTiles {
public:
  AttentionTiles(KernelBuilder &k, const AttentionSizes &sizes)
      : k(k), s(sizes) {}

  /// Rows `row` to `row + count` of a head, as a matrix view.
  mlir::Value head(mlir::Value tensor, mlir::Value b, mlir::Value row,
                   mlir::Value h, int64_t count, int64_t width);
  /// Scratch [keys / columns][width][columns]: keys across, times `factor`.
  mlir::Value allocAcross(int64_t width);
  void packAcross(mlir::Value scratch, mlir::Value tensor, mlir::Value b,
                  mlir::Value g, int64_t width, mlir::Value end, double factor);
  /// Scratch [width / columns][rows][columns]: as it lies, padded with zeros.
  mlir::Value allocAlong(int64_t width, int64_t rows);
  void packAlong(mlir::Value scratch, mlir::Value tensor, mlir::Value b,
                 mlir::Value row, mlir::Value h, int64_t width, int64_t exist,
                 mlir::Value begin, mlir::Value end);

  /// `out`[r, j] = sum over d of `left`[r, d] across[j, d], for the keys
  /// [begin, end).
  void scores(mlir::Value out, mlir::Value left, mlir::Value across,
              int64_t count, int64_t width, mlir::Value begin, mlir::Value end);
  /// Calls `tile(r0, rows)` for the micro-tiles of `count` rows.
  void microRows(int64_t count, int64_t step,
                 llvm::function_ref<void(int64_t, int64_t)> tile);
  /// sum over keys j of [begin, end) of left[r, j] along[j, n] for a
  /// micro-tile.
  mlir::Value weighted(mlir::Value left, int64_t r0, int64_t rows,
                       mlir::Value along, int64_t panel, mlir::Value begin,
                       mlir::Value end);

  /// The keys that rows [first, first + count) may see, in whole micro-tiles.
  mlir::Value firstKey(mlir::Value first);
  mlir::Value endKey(mlir::Value first, int64_t count);
  /// A tile of whether row `i` sees the keys `[j, j + columns)`.
  mlir::Value visible(mlir::Value row, mlir::Value j);
  RegType keyRow() { return k.row(s.columns, k.f32()); }
  /// `f` at whole micro-tiles of [begin, end), `masked` set where some key of
  /// the tile may be invisible to `row`. Carries `init`.
  Values overKeys(
      mlir::Value row, mlir::Value begin, mlir::Value end, Values init,
      llvm::function_ref<Values(mlir::Value j, bool masked, mlir::ValueRange)>
          f);

  /// Position of the first query, for decoding with a ring of keys; null: 0,
  /// and slot j holds key j.
  mlir::Value position;

private:
  KernelBuilder &k;
  const AttentionSizes &s;
};

} // namespace bitbyte::tile
