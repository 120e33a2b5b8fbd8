//===- KernelLowering.h - One tile.kernel to one LLVM function ------------===//
//
// Walks the kernel once and writes LLVM ops. A tile becomes one LLVM vector per
// register; a buffer a pointer; an index an i64; bf16 and f16 travel as their
// bits in i16, because x86-64-v3 has no registers for them.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "dialects/tile/KernelTarget.h"
#include "dialects/tile/TileOps.h"
#include "passes/lower/Emit.h"
#include "passes/lower/Scratch.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace bitbyte::tile {

using Registers = llvm::SmallVector<mlir::Value, 4>;

/// Which elements of one register exist.
struct Presence {
  enum Kind { All, None, Some } kind = All;
  mlir::Value mask; ///< of Some: an i1 per lane
};

/// What is known of the bounds of an access.
enum class Access { Unknown, Whole, Cut };

/// How the lanes of a register lie in memory.
struct LanePlaces {
  llvm::SmallVector<int64_t> offsets; ///< from lane 0, in elements
  int64_t run;                        ///< lanes that are neighbours in memory
  bool same;                          ///< all on one element
};

class KernelLowering {
public:
  KernelLowering(KernelOp kernel, const KernelTarget &target);

  /// The function, made before the kernel; null after an error was reported.
  mlir::LLVM::LLVMFuncOp run(llvm::StringRef name);

private:
  //===-- Kernel.cpp: the function around the program, and control
  //---------===//
  mlir::LogicalResult lowerBlock(mlir::Block &block);
  /// The ops from `begin` to `end` twice: for tiles inside their bounds, and
  /// for the others.
  mlir::LogicalResult lowerTwice(mlir::Block::iterator begin,
                                 mlir::Block::iterator end);
  mlir::LogicalResult lower(mlir::Operation *op);
  mlir::LogicalResult lower(mlir::scf::ForOp op);
  mlir::LogicalResult lower(mlir::scf::IfOp op);
  mlir::Block *addBlock(mlir::TypeRange arguments);
  void jump(mlir::Block *to, mlir::ValueRange arguments);
  void jumpIf(mlir::Value condition, mlir::Block *then,
              mlir::ValueRange thenArguments, mlir::Block *otherwise,
              mlir::ValueRange otherArguments, bool likely = false);
  /// The LLVM values of a value: a tile has one per register.
  Registers valuesOf(mlir::ValueRange values);
  void bind(mlir::ValueRange values, mlir::ValueRange lowered);
  llvm::SmallVector<mlir::Type> typesOf(mlir::TypeRange types);

  //===-- Scalars.cpp
  //------------------------------------------------------===//
  /// An arith or math op on lowered operands; null if there is no such op.
  mlir::Value lowerScalar(mlir::Operation *op, mlir::ValueRange operands,
                          int64_t lanes);
  mlir::Value lowerMath(mlir::Operation *op, mlir::ValueRange operands);
  mlir::Value constantOf(mlir::TypedAttr value, int64_t lanes);

  //===-- Memory.cpp
  //-------------------------------------------------------===//
  mlir::LogicalResult lower(AllocOp op);
  mlir::LogicalResult lower(ViewOp op);
  mlir::LogicalResult lower(LoadOp op);
  mlir::LogicalResult lower(StoreOp op);
  mlir::LogicalResult lower(LoadScalarOp op);
  mlir::LogicalResult lower(StoreScalarOp op);
  mlir::LogicalResult lower(GatherOp op);
  /// The dynamic part of an address, in elements; null for none.
  mlir::Value dynamicOffset(BufType type, mlir::ValueRange offsets);
  /// The static part, for a tile coordinate along the last axes.
  int64_t fixedOffset(BufType type, llvm::ArrayRef<int64_t> coordinate);
  /// What the bounds leave of a register; `coordinate` is its first element's.
  Presence presenceOf(const Distribution &tile, int64_t index,
                      llvm::ArrayRef<int64_t> shape, mlir::ValueRange bounds);
  /// What constant bounds say.
  Access accessOf(llvm::ArrayRef<int64_t> shape, mlir::ValueRange bounds);
  LanePlaces placesOf(BufType buffer, const Distribution &tile, int64_t index);
  mlir::Value loadRegister(BufType buffer, RegType tile, int64_t index,
                           mlir::Value base, const Presence &presence);
  void storeRegister(BufType buffer, RegType tile, int64_t index,
                     mlir::Value base, mlir::Value value,
                     const Presence &presence);
  /// Between memory's bits and a register's value, lane by lane.
  mlir::Value widen(mlir::Type memory, mlir::Type reg, mlir::Value bits);
  mlir::Value narrow(mlir::Type memory, mlir::Type reg, mlir::Value value);
  /// On the stack, 64 bytes: zeros to read, or a place to write to that nobody
  /// reads.
  mlir::Value zeros();
  mlir::Value sink();

  //===-- Tiles.cpp
  //--------------------------------------------------------===//
  mlir::LogicalResult lower(SplatOp op);
  mlir::LogicalResult lower(IotaOp op);
  mlir::LogicalResult lower(BroadcastOp op);
  mlir::LogicalResult lower(MapOp op);
  mlir::LogicalResult lower(ReduceOp op);
  mlir::LogicalResult lower(RelayoutOp op);
  mlir::Value combine(Combiner combiner, mlir::Value a, mlir::Value b);

  //===-- Mma.cpp
  //----------------------------------------------------------===//
  mlir::LogicalResult lower(MmaOp op);

  KernelOp kernel;
  const KernelTarget &target;
  ScratchPlan scratchPlan;
  Emit emit;
  mlir::LLVM::LLVMFuncOp function;
  mlir::Value scratch, program, zerosPointer, sinkPointer;
  llvm::DenseMap<mlir::Value, Registers> lowered;
  /// Of the part that is being lowered twice.
  llvm::DenseMap<mlir::Operation *, Access> accesses;
};

/// The LLVM type of a scalar.
mlir::Type loweredScalar(mlir::Type type);
/// The LLVM type of a scalar in memory.
mlir::Type memoryScalar(mlir::Type type);

} // namespace bitbyte::tile
