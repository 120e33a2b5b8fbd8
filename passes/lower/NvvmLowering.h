//===- NvvmLowering.h - A kernel on a GPU: blocks of threads --------------===//
//
// A program is a block, a lane a thread: each register of a tile is one scalar
// of each thread. What threads exchange goes through shuffles inside a warp and
// through shared memory, with barriers, between warps.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "passes/lower/KernelLowering.h"

#include <map>

namespace bitbyte::tile {

class NvvmLowering final : public KernelLowering {
public:
  using KernelLowering::KernelLowering;
  mlir::LLVM::LLVMFuncOp run(llvm::StringRef name) override;

private:
  using KernelLowering::lower;

  //===-- ToNvvm.cpp: threads ---------------------------------------------===//
  /// What this thread's lane and warp contribute to an element's coordinate
  /// along `axis`; null: nothing.
  mlir::Value threadCoordinate(const Distribution &tile, unsigned axis);
  /// Digit `extent` of `number` (this thread's lane or warp) above `weight`.
  mlir::Value digitOf(mlir::Value number, int64_t weight, int64_t extent,
                      int64_t count);
  /// Whether this thread holds the first of all replicas; null: there is one.
  mlir::Value firstReplica(const Distribution &tile);
  int64_t warps() { return kernel.getWarps().value_or(1); }
  /// The program's shared memory, `bytes` from the plan's end on.
  mlir::Value exchange(int64_t bytes);
  mlir::Value scratchBase() override;
  void barrier();
  /// `body` where `condition` holds; null: always.
  void when(mlir::Value condition, llvm::function_ref<void()> body);
  /// What `body` gives where `condition` holds, else zeros: what does not exist
  /// is not read, since another program may be writing there.
  Registers valuesWhen(mlir::Value condition, mlir::TypeRange types,
                       llvm::function_ref<Registers()> body);

  //===-- NvvmMemory.cpp --------------------------------------------------===//
  mlir::LogicalResult lower(PrefetchOp) override { return mlir::success(); }
  mlir::LogicalResult lower(LoadOp op) override;
  mlir::LogicalResult lower(StoreOp op) override;
  mlir::LogicalResult lower(StoreScalarOp op) override;
  mlir::LogicalResult lower(GatherOp op) override;
  /// Registers that are one access.
  struct Run {
    int64_t first;    ///< its first register
    bool none;        ///< nothing of it exists
    mlir::Value mask; ///< whether it exists; null: it does
  };
  struct Runs {
    llvm::SmallVector<Run> list;
    int64_t length; ///< registers of each
    /// Neighbours under one condition, which share a branch.
    llvm::SmallVector<std::pair<const Run *, const Run *>> groups() const;
  };
  Runs runsOf(mlir::Value buffer, mlir::ValueRange offsets, RegType tile,
              mlir::ValueRange bounds);
  /// Whether a run of `length` registers is aligned, contiguous, and whole or
  /// absent as one.
  bool isRun(int64_t length, BufType buffer, int64_t alignment,
             const Distribution &tile, mlir::ValueRange bounds);
  /// Conditions of one op, by the axes and coordinates that they compare.
  using Masks = std::map<std::vector<int64_t>, mlir::Value>;
  /// Whether this thread's element of the register at `coordinate` exists;
  /// null: it does. `none`: no thread's does.
  mlir::Value presence(const Distribution &tile, const Coordinate &coordinate,
                       mlir::ValueRange bounds, Masks &masks, bool &none);
  /// The place of this thread's part of a tile.
  mlir::Value threadPlace(mlir::Value buffer, mlir::ValueRange offsets,
                          const Distribution &tile);
  /// Bytes, a power of two, to which the first element is aligned.
  int64_t alignmentOf(mlir::Value buffer);
  /// The largest power of two that surely divides an index.
  int64_t divisorOf(mlir::Value index);

  //===-- NvvmTiles.cpp ---------------------------------------------------===//
  mlir::LogicalResult lower(IotaOp op) override;
  void reduceLanes(ReduceOp op, Registers &values) override;
  void reduceWarps(ReduceOp op, Registers &values);
  mlir::LogicalResult lower(BarrierOp op) override;

  //===-- NvvmRelayout.cpp, NvvmMma.cpp, NvvmAsyncCopy.cpp ----------------===//
  mlir::LogicalResult lower(RelayoutOp op) override;
  mlir::LogicalResult lower(MmaOp op) override;
  mlir::LogicalResult lower(CopyAsyncOp op) override;
  mlir::LogicalResult lower(CommitOp op) override;
  mlir::LogicalResult lower(WaitOp op) override;

  mlir::Value thread, lane, warp; ///< numbers, i32
  int64_t exchangeBytes = 0;
  /// By digits and axis.
  std::map<std::vector<int64_t>, mlir::Value> coordinates;
};

} // namespace bitbyte::tile
