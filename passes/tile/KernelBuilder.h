//===- KernelBuilder.h - What schedules write kernels with ----------------===//
//
//   KernelBuilder k(builder, loc, "scale", target, {x}, {y}, programs);
//   RegType row = k.row(chunk, k.f32());
//   Value base = k.mul(k.program(), chunk);
//   Value left = k.sub(k.index(n), base);            // elements that exist
//   Value v = k.load(row, k.arg(0), {base}, {left});
//   Value s = k.map(v, k.f32(), [&](ScalarBuilder &s, ValueRange a) {
//     return s.mul(a[0], s.constant(0.5));
//   });
//   k.store(s, k.arg(1), {base}, {left});
//   KernelOp kernel = k.finish();
//
// Tiles of many registers spill: take chunks of about four registers per input
// and loop.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "dialects/tile/TileOps.h"
#include "passes/tile/Layouts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace bitbyte::tile {

/// Scalar code inside a map. Float ops carry `contract`.
class ScalarBuilder {
public:
  ScalarBuilder(mlir::OpBuilder builder, mlir::Location loc)
      : builder(builder), loc(loc) {}

  mlir::Value constant(double value); ///< f32
  mlir::Value integer(int64_t value); ///< i32
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value div(mlir::Value a, mlir::Value b); ///< of i32: towards 0
  mlir::Value max(mlir::Value a, mlir::Value b);
  mlir::Value min(mlir::Value a, mlir::Value b);
  mlir::Value exp(mlir::Value a);
  /// 2 to the a; on a GPU one instruction, good to 2 ulp.
  mlir::Value exp2(mlir::Value a);
  mlir::Value log(mlir::Value a);
  mlir::Value sqrt(mlir::Value a);
  mlir::Value rsqrt(mlir::Value a);
  mlir::Value select(mlir::Value condition, mlir::Value a, mlir::Value b);
  /// Signed i32 comparison.
  mlir::Value less(mlir::Value a, mlir::Value b);

  mlir::OpBuilder builder;
  mlir::Location loc;
};

inline constexpr double kLog2E = 1.4426950408889634;

/// The elements from row to row of f32 scratch whose rows are walked along side
/// by side: an odd number of cache lines, or they would share sets of the first
/// cache.
inline int64_t scratchRow(int64_t columns) {
  constexpr int64_t line = 16;
  return (llvm::divideCeil(columns, line) | 1) * line;
}

/// Builds one tile.kernel, op by op. Copying is not meant.
class KernelBuilder {
public:
  /// Arguments are `operands`, then `results`. The kernel is made at `at`'s
  /// insertion point; `name` must be free there.
  KernelBuilder(mlir::OpBuilder at, mlir::Location loc, llvm::StringRef name,
                const KernelTarget &target, llvm::ArrayRef<BufType> operands,
                llvm::ArrayRef<BufType> results, int64_t programs,
                llvm::StringRef anchor = "");
  KernelBuilder(const KernelBuilder &) = delete;

  mlir::Value arg(unsigned index);
  /// This program's number.
  mlir::Value program();
  /// Figures for reports: what all programs do together.
  void setCost(int64_t flops, int64_t trafficBytes);
  /// Of a program on a GPU; `minBlocks` programs are to share a
  /// multiprocessor (0: no wish).
  void setWarps(int64_t warps, int64_t minBlocks = 0);
  /// How rows are dealt out from here on: `vector` neighbours to a lane.
  void setVector(int64_t vector) { deal.vector = vector; }
  /// Ends the kernel.
  KernelOp finish();

  //===-- Types -----------------------------------------------------------===//
  mlir::Type f32() { return builder.getF32Type(); }
  mlir::Type i32() { return builder.getI32Type(); }
  /// [n], lanes along it.
  RegType row(int64_t n, mlir::Type element);
  /// [..., n], lanes along the last axis; [M, N]: an accumulator.
  RegType rows(llvm::ArrayRef<int64_t> shape, mlir::Type element);
  /// Lanes along `axis`.
  RegType along(llvm::ArrayRef<int64_t> shape, unsigned axis,
                mlir::Type element);
  /// Every lane holds every element.
  RegType replicated(llvm::ArrayRef<int64_t> shape, mlir::Type element);

  //===-- Index arithmetic; folds constants -------------------------------===//
  mlir::Value index(int64_t value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  /// Of values that are not negative.
  mlir::Value div(mlir::Value a, mlir::Value b);
  mlir::Value rem(mlir::Value a, mlir::Value b);
  mlir::Value min(mlir::Value a, mlir::Value b);
  mlir::Value max(mlir::Value a, mlir::Value b);
  mlir::Value add(mlir::Value a, int64_t b) { return add(a, index(b)); }
  mlir::Value sub(mlir::Value a, int64_t b) { return sub(a, index(b)); }
  mlir::Value mul(mlir::Value a, int64_t b) { return mul(a, index(b)); }
  mlir::Value div(mlir::Value a, int64_t b) { return div(a, index(b)); }
  mlir::Value rem(mlir::Value a, int64_t b) { return rem(a, index(b)); }
  mlir::Value less(mlir::Value a, mlir::Value b); ///< signed; an i1
  mlir::Value toI32(mlir::Value index);
  mlir::Value toIndex(mlir::Value integer);
  /// The coordinates of a linear number, slowest axis first.
  llvm::SmallVector<mlir::Value> delinearize(mlir::Value number,
                                             llvm::ArrayRef<int64_t> extents);

  //===-- Memory ----------------------------------------------------------===//
  /// Scratch; `layout` null: row-major.
  mlir::Value alloc(llvm::ArrayRef<int64_t> shape, mlir::Type element,
                    mlir::Attribute layout = {});
  /// The part of `shape` at `offsets` without the axes `drop` (default: as many
  /// leading ones as the ranks differ by). Derives the layout.
  mlir::Value view(mlir::Value buffer, mlir::ValueRange offsets,
                   llvm::ArrayRef<int64_t> shape,
                   std::optional<llvm::ArrayRef<int64_t>> drop = std::nullopt);
  mlir::Value load(RegType type, mlir::Value buffer, mlir::ValueRange offsets,
                   mlir::ValueRange bounds = {});
  void store(mlir::Value value, mlir::Value buffer, mlir::ValueRange offsets,
             mlir::ValueRange bounds = {});
  mlir::Value loadScalar(mlir::Type type, mlir::Value buffer,
                         mlir::ValueRange offsets);
  void storeScalar(mlir::Value value, mlir::Value buffer,
                   mlir::ValueRange offsets);
  /// One i32 tile of `type`'s shape and layout per axis of the buffer.
  mlir::Value gather(RegType type, mlir::Value buffer, mlir::ValueRange indices,
                     mlir::ValueRange bounds = {});

  /// On a GPU: fills `dest` in scratch from `source` at `offsets`, as part of
  /// the group that the next `commit` closes.
  void copyAsync(mlir::Value source, mlir::ValueRange offsets, mlir::Value dest,
                 mlir::ValueRange bounds = {});
  void commit();
  /// At most `pending` groups remain under way; the others are visible to all.
  void wait(int64_t pending);
  void barrier();

  //===-- Tiles -----------------------------------------------------------===//
  mlir::Value full(RegType type, double value);
  mlir::Value full(RegType type, mlir::Value value);
  /// Coordinates along `axis`, as i32 in the layout of `like`.
  mlir::Value iota(RegType like, unsigned axis);
  mlir::Value broadcast(mlir::Value source, RegType type, unsigned axis);
  mlir::Value reduce(Combiner combiner, mlir::Value source, unsigned axis);
  mlir::Value relayout(mlir::Value source, RegType type);
  /// [M, N] to [N, M] in `type`'s layout.
  mlir::Value transpose(mlir::Value source, RegType type);
  /// `accumulator` + a b; b is a buffer, a one too or on a GPU a tile: see
  /// `tile.mma`.
  mlir::Value mma(mlir::Value a, mlir::Value b, mlir::Value accumulator,
                  bool transposeA = false, bool transposeB = false);

  using MapBody = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      ScalarBuilder &, mlir::ValueRange)>;
  using MapBody1 =
      llvm::function_ref<mlir::Value(ScalarBuilder &, mlir::ValueRange)>;
  /// Element-wise code; `inputs` is not empty and shares shape and layout.
  llvm::SmallVector<mlir::Value> map(mlir::ValueRange inputs,
                                     llvm::ArrayRef<mlir::Type> elements,
                                     MapBody body);
  mlir::Value map(mlir::ValueRange inputs, mlir::Type element, MapBody1 body);
  /// The scalar code of a block, cloned with `inputs` for its arguments; its
  /// terminator's operands are the results.
  llvm::SmallVector<mlir::Value> map(mlir::ValueRange inputs,
                                     mlir::Block &block);

  //===-- Control ---------------------------------------------------------===//
  using LoopBody = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      mlir::Value, mlir::ValueRange)>;
  /// From `low` while below `high`; carries `init`.
  llvm::SmallVector<mlir::Value> loop(mlir::Value low, mlir::Value high,
                                      int64_t step, mlir::ValueRange init,
                                      LoopBody body);
  llvm::SmallVector<mlir::Value> loop(int64_t low, int64_t high, int64_t step,
                                      mlir::ValueRange init, LoopBody body);
  /// A loop that carries nothing.
  void loop(mlir::Value low, mlir::Value high, int64_t step,
            llvm::function_ref<void(mlir::Value)> body);
  void loop(int64_t low, int64_t high, int64_t step,
            llvm::function_ref<void(mlir::Value)> body);
  /// Both sides yield values of `types`.
  llvm::SmallVector<mlir::Value>
  branch(mlir::Value condition, mlir::TypeRange types,
         llvm::function_ref<llvm::SmallVector<mlir::Value>()> then,
         llvm::function_ref<llvm::SmallVector<mlir::Value>()> otherwise);
  /// Runs `then` where `condition` holds.
  void when(mlir::Value condition, llvm::function_ref<void()> then);

  mlir::OpBuilder builder;
  mlir::Location loc;
  const KernelTarget target;

private:
  KernelOp kernel;
  Deal deal;
};

} // namespace bitbyte::tile
