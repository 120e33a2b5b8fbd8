//===- X86Lowering.h - A kernel on a CPU: tasks of vectors ----------------===//
#pragma once

#include "passes/lower/KernelLowering.h"

namespace bitbyte::tile {

/// Which elements of one register exist.
struct Presence {
  enum Kind { All, None, Some } kind = All;
  mlir::Value mask; ///< of Some: an i1 per lane
};

/// How the lanes of a register lie in memory.
struct LanePlaces {
  llvm::SmallVector<int64_t> offsets; ///< from lane 0, in elements
  int64_t run;                        ///< lanes that are neighbours in memory
  bool same;                          ///< all on one element
};

class X86Lowering final : public KernelLowering {
public:
  using KernelLowering::KernelLowering;
  mlir::LLVM::LLVMFuncOp run(llvm::StringRef name) override;

private:
  using KernelLowering::lower;
  mlir::Value scratchBase() override { return scratch; }
  //===-- X86Memory.cpp ---------------------------------------------------===//
  mlir::LogicalResult lower(LoadOp op) override;
  mlir::LogicalResult lower(StoreOp op) override;
  mlir::LogicalResult lower(StoreScalarOp op) override;
  mlir::LogicalResult lower(GatherOp op) override;
  /// What the bounds leave of a register; `coordinate` is its first element's.
  Presence presenceOf(const Distribution &tile, int64_t index,
                      llvm::ArrayRef<int64_t> shape, mlir::ValueRange bounds);
  LanePlaces placesOf(BufType buffer, const Distribution &tile, int64_t index);
  mlir::Value loadRegister(BufType buffer, RegType tile, int64_t index,
                           mlir::Value base, const Presence &presence);
  void storeRegister(BufType buffer, RegType tile, int64_t index,
                     mlir::Value base, mlir::Value value,
                     const Presence &presence);
  /// On the stack, 64 bytes: zeros to read, or a place to write to that nobody
  /// reads.
  mlir::Value zeros();
  mlir::Value sink();

  //===-- X86Tiles.cpp ----------------------------------------------------===//
  mlir::LogicalResult lower(IotaOp op) override;
  mlir::LogicalResult lower(RelayoutOp op) override;
  void reduceLanes(ReduceOp op, Registers &values) override;
  // A program is one thread here: copies are there at once.
  mlir::LogicalResult lower(CopyAsyncOp op) override;
  mlir::LogicalResult lower(CommitOp) override { return mlir::success(); }
  mlir::LogicalResult lower(WaitOp) override { return mlir::success(); }
  mlir::LogicalResult lower(BarrierOp) override { return mlir::success(); }

  //===-- X86Mma.cpp ------------------------------------------------------===//
  /// At once, unless a product follows: that spreads them over its time.
  mlir::LogicalResult lower(PrefetchOp op) override;
  /// Part `index` of `partsOf` of what an op wants.
  void fetchPart(PrefetchOp op, mlir::Value index);
  void fetchAll(PrefetchOp op);
  mlir::LogicalResult lower(MmaOp op) override;

  llvm::SmallVector<PrefetchOp, 2> waiting; ///< For the next product.
  mlir::Value zerosPointer, sinkPointer;
};

} // namespace bitbyte::tile
