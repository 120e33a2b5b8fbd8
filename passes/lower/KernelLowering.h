//===- KernelLowering.h - One tile.kernel to one LLVM function ------------===//
//
// Walks the kernel once and writes LLVM ops. On a CPU a tile becomes one LLVM
// vector per register, on a GPU one scalar per register, since each thread is a
// lane; a buffer a pointer; an index an i64, or an i32 on a GPU; bf16 and f16
// travel as their bits in i16, because x86-64-v3 has no registers for them.
//
// This class has what both machines share; X86Lowering and NvvmLowering add the
// function around a program, memory, and whatever crosses lanes.
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

/// What is known of the bounds of an access.
enum class Access { Unknown, Whole, Cut };

class KernelLowering {
public:
  KernelLowering(KernelOp kernel, const KernelTarget &target);
  virtual ~KernelLowering() = default;

  /// The function, made before the kernel; null after an error was reported.
  virtual mlir::LLVM::LLVMFuncOp run(llvm::StringRef name) = 0;

protected:
  //===-- Kernel.cpp: control ---------------------------------------------===//
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
  /// The LLVM type of a scalar.
  mlir::Type scalarType(mlir::Type type) const;
  /// Elements of an LLVM value that is one register of a tile; 0: a scalar.
  int64_t width(const Distribution &tile) const {
    return target.isGpu ? 0 : tile.lanes();
  }
  mlir::Type pointerTo(BufType buffer);

  //===-- Scalars.cpp -----------------------------------------------------===//
  /// An arith or math op on lowered operands; null if there is no such op.
  mlir::Value lowerScalar(mlir::Operation *op, mlir::ValueRange operands,
                          int64_t lanes);
  mlir::Value lowerMath(mlir::Operation *op, mlir::ValueRange operands);
  mlir::Value constantOf(mlir::TypedAttr value, int64_t lanes);

  //===-- Addresses.cpp ---------------------------------------------------===//
  mlir::LogicalResult lower(AllocOp op);
  mlir::LogicalResult lower(ViewOp op);
  mlir::LogicalResult lower(LoadScalarOp op);
  /// The dynamic part of an address, in elements; null for none.
  mlir::Value dynamicOffset(BufType type, mlir::ValueRange offsets);
  /// Where the first element of a kernel's argument lies.
  mlir::Value firstOf(mlir::Value argument, mlir::Value pointer);
  /// The static part, for a tile coordinate along the last axes.
  int64_t fixedOffset(BufType type, llvm::ArrayRef<int64_t> coordinate);
  /// The place of an access without the tile's own coordinates.
  mlir::Value placeOf(mlir::Value buffer, mlir::ValueRange offsets);
  /// What constant bounds say.
  Access accessOf(llvm::ArrayRef<int64_t> shape, mlir::ValueRange bounds);
  /// Between memory's bits and a register's value, lane by lane.
  mlir::Value widen(mlir::Type memory, mlir::Type reg, mlir::Value bits);
  mlir::Value narrow(mlir::Type memory, mlir::Type reg, mlir::Value value);

  //===-- Tiles.cpp -------------------------------------------------------===//
  mlir::LogicalResult lower(SplatOp op);
  mlir::LogicalResult lower(BroadcastOp op);
  mlir::LogicalResult lower(MapOp op);
  mlir::LogicalResult lower(ReduceOp op);
  mlir::Value combine(Combiner combiner, mlir::Value a, mlir::Value b);

  //===-- By machine ------------------------------------------------------===//
  virtual mlir::LogicalResult lower(PrefetchOp op) = 0;
  virtual mlir::LogicalResult lower(LoadOp op) = 0;
  virtual mlir::LogicalResult lower(StoreOp op) = 0;
  virtual mlir::LogicalResult lower(StoreScalarOp op) = 0;
  virtual mlir::LogicalResult lower(GatherOp op) = 0;
  virtual mlir::LogicalResult lower(IotaOp op) = 0;
  virtual mlir::LogicalResult lower(RelayoutOp op) = 0;
  virtual mlir::LogicalResult lower(MmaOp op) = 0;
  virtual mlir::LogicalResult lower(CopyAsyncOp op) = 0;
  virtual mlir::LogicalResult lower(CommitOp op) = 0;
  virtual mlir::LogicalResult lower(WaitOp op) = 0;
  virtual mlir::LogicalResult lower(BarrierOp op) = 0;
  /// Where the program's scratch memory starts.
  virtual mlir::Value scratchBase() = 0;
  /// The second half of a reduction: `values` hold what each lane's registers
  /// gave; afterwards every lane has the result.
  virtual void reduceLanes(ReduceOp op, Registers &values) = 0;

  KernelOp kernel;
  const KernelTarget &target;
  ScratchPlan scratchPlan;
  Emit emit;
  mlir::LLVM::LLVMFuncOp function;
  mlir::Value scratch, program;
  llvm::DenseMap<mlir::Value, Registers> lowered;
  /// Of the part that is being lowered twice.
  llvm::DenseMap<mlir::Operation *, Access> accesses;
};

/// The LLVM type of a scalar in memory.
mlir::Type memoryScalar(mlir::Type type);

} // namespace bitbyte::tile
