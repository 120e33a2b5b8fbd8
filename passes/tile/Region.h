//===- Region.h - A fused region as a schedule sees it --------------------===//
#pragma once

#include "passes/tile/Schedules.h"

namespace bitbyte::tile {

/// The dims, accesses and domains of a region, with neighbouring dims merged
/// where every access allows it.
class Region {
public:
  /// Fails with an error if an access is not linear.
  static mlir::FailureOr<Region> of(bb::FusedOp op);

  bb::FusedOp op;
  llvm::SmallVector<int64_t> sizes; ///< per merged dim
  llvm::SmallVector<llvm::SmallVector<unsigned>>
      members; ///< original dims of each
  llvm::SmallVector<std::optional<LinearAccess>> inputs; ///< null: read by `at`
  llvm::SmallVector<LinearAccess> outputs;

  /// Merged dims over which a reduction runs.
  llvm::SmallVector<unsigned> over(llvm::ArrayRef<int64_t> original) const;
  bool varies(const LinearAccess &access, unsigned dim) const {
    return access.coefficients[dim] != 0;
  }
  /// Dims that a value varies over, as a bit per merged dim.
  uint64_t domain(mlir::Value v) const { return domains.lookup(v); }
  int64_t points() const {
    int64_t n = 1;
    for (int64_t s : sizes)
      n *= s;
    return n;
  }
  /// Ops that `values` need, in order, stopping at `known` ones.
  llvm::SmallVector<mlir::Operation *>
  slice(mlir::ValueRange values,
        llvm::function_ref<bool(mlir::Value)> known) const;
  /// The values that the region emits, as one map over `tiles`, which stand for
  /// the values `of`; other values that the code needs are `scalars`.
  llvm::SmallVector<mlir::Value>
  emitted(KernelBuilder &k, mlir::ValueRange tiles, mlir::ValueRange of,
          const llvm::DenseMap<mlir::Value, mlir::Value> &scalars) const;
  /// For each result the operand whose buffer it may take over: each read of it
  /// is where the result is written; -1 for none. No operand is given twice,
  /// and a result that is written to a state prefers the state's old value.
  llvm::SmallVector<int64_t> inplace() const;
  /// Bytes of all operands and results, each once.
  int64_t traffic() const;
  int64_t flops() const;

private:
  void merge();
  void computeDomains();
  llvm::DenseMap<mlir::Value, uint64_t> domains;
};

/// Cuts a contraction's region behind the product, which then lies in memory in
/// f32: the product's region, and the one with all else. Null if `op` sums
/// nothing but products. For targets and shapes whose tiles have no whole rows.
std::pair<bb::FusedOp, bb::FusedOp> peelRows(const Region &region);

/// Writes a region's scalar code as tiles. A value that does not vary along the
/// lanes is a scalar or a tile of rank 0; the others are rows.
class RegionEmitter {
public:
  RegionEmitter(KernelBuilder &k, const Region &region)
      : k(k), region(region), coordinates(region.sizes.size()),
        firstOutput(region.inputs.size()) {}

  /// The index along a dim, for all code from here on.
  void setCoordinate(unsigned dim, mlir::Value index) {
    coordinates[dim] = index;
  }
  /// Rows of `type` at `offset` along `lane`; `bound` elements exist (null:
  /// all).
  void setLane(unsigned lane, mlir::Value offset, RegType type,
               mlir::Value bound);
  void noLane() { laneType = {}; }

  /// Forgets values that were computed for an earlier place.
  void reset();
  /// Computes here, for all code below, what lane code needs and does not vary
  /// along `lane`. `set` has a bit for each dim whose coordinate is set.
  void hoist(unsigned lane, uint64_t set);
  /// A value computed outside, for example the sum of a reduction.
  void define(mlir::Value v, mlir::Value tileOrScalar) {
    fixed[v] = tileOrScalar;
  }
  /// The value as a row, or as a scalar or rank-0 tile if there is no lane.
  mlir::Value get(mlir::Value v);
  /// The value as a row of the lane type.
  mlir::Value row(mlir::Value v);
  void store(unsigned output, mlir::Value v);
  /// The element number of an access at the current coordinates, without lanes.
  mlir::Value address(const LinearAccess &access);
  /// The kernel's arguments for the region's operands, and for its first
  /// result; by default they follow each other.
  void setArguments(llvm::ArrayRef<int64_t> ofInputs, unsigned firstResult) {
    argumentOf.assign(ofInputs.begin(), ofInputs.end());
    firstOutput = firstResult;
  }

private:
  mlir::Value emitOp(mlir::Operation *op);
  mlir::Value emitAt(bb::AtOp at);
  mlir::Value emitPart(bb::AtOp at, int64_t from);
  mlir::Value emitGather(bb::AtOp at);
  mlir::Value loadInput(mlir::BlockArgument argument);
  mlir::Value apply(mlir::Operation *op, llvm::ArrayRef<mlir::Value> operands);
  mlir::Value lift(mlir::Value v, RegType type);
  mlir::Value buffer(unsigned input) {
    return k.arg(argumentOf.empty() ? input : argumentOf[input]);
  }

  KernelBuilder &k;
  const Region &region;
  llvm::SmallVector<mlir::Value> coordinates;
  llvm::SmallVector<int64_t> argumentOf;
  unsigned firstOutput;
  std::optional<unsigned> lane;
  mlir::Value laneOffset, bound;
  RegType laneType;
  llvm::DenseMap<mlir::Value, mlir::Value> values, fixed;
};

} // namespace bitbyte::tile
