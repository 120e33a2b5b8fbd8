//===- NvvmAsyncCopy.cpp - Copies that run beside the program -------------===//
//
// cp.async in chunks of 16 bytes, dealt to the threads in row order, so that
// neighbours read neighbours. What does not exist is filled with zeros by the
// copy itself. Rows that are not aligned to 16 bytes take smaller copies, and
// those that are not even aligned to 4 plain loads and stores, which the
// barrier of `wait` makes visible too.
//
//===----------------------------------------------------------------------===//
#include "passes/lower/NvvmLowering.h"

using namespace mlir;

namespace bitbyte::tile {

LogicalResult NvvmLowering::lower(CopyAsyncOp op) {
  BufType source = op.getSource().getType(), dest = op.getDest().getType();
  int64_t bytes = source.getElementBytes();
  int64_t rows = dest.getShape()[0], columns = dest.getShape()[1];
  SmallVector<int64_t> strides = source.getStrides();
  int64_t pitch = strides[strides.size() - 2];

  int64_t alignment = std::min<int64_t>(16, alignmentOf(op.getSource()));
  for (auto [offset, stride] : llvm::zip(op.getOffsets(), strides))
    alignment =
        std::min(alignment, divisorOf(offset) * (stride & -stride) * bytes);
  alignment = std::min(alignment, (pitch & -pitch) * bytes);
  int64_t chunk = std::max(bytes, alignment) / bytes; // elements of one copy
  bool isAsync = chunk * bytes >= 4;

  Value from = placeOf(op.getSource(), op.getOffsets());
  Value to = lowered[op.getDest()][0];
  int64_t perRow = columns / chunk, count = rows * perRow,
          threads = 32 * warps();
  std::string name =
      ("llvm.nvvm.cp.async." + llvm::Twine(chunk * bytes == 16 ? "cg" : "ca") +
       ".shared.global." + llvm::Twine(chunk * bytes))
          .str();
  // A bound that cuts nothing is none.
  auto boundOf = [&](unsigned axis, int64_t size) -> Value {
    if (op.getBounds().empty())
      return {};
    APInt constant;
    if (matchPattern(op.getBounds()[axis], m_ConstantInt(&constant)) &&
        constant.getSExtValue() >= size)
      return {};
    return lowered[op.getBounds()[axis]][0];
  };
  Value rowBound = boundOf(0, rows), columnBound = boundOf(1, columns);
  /// The chunk at (row + fixedRow, column + fixedColumn).
  auto copy = [&](Value row, int64_t fixedRow, Value column,
                  int64_t fixedColumn) {
    int64_t pitchThere = dest.getStrides()[0];
    Value here = emit.move(from, emit.add(emit.mul(row, pitch), column),
                           fixedRow * pitch + fixedColumn, bytes);
    Value there = emit.move(to, emit.add(emit.mul(row, pitchThere), column),
                            fixedRow * pitchThere + fixedColumn, bytes);
    Value exists, left; // the row; elements of the chunk
    if (rowBound)
      exists = emit.icmp(LLVM::ICmpPredicate::slt,
                         emit.add(row, emit.index(fixedRow)), rowBound);
    if (columnBound)
      left = emit.sub(columnBound, emit.add(column, emit.index(fixedColumn)));
    if (isAsync) {
      if (!exists && !left) {
        emit.intrinsic(name, {}, {there, here});
        return;
      }
      auto limit = [&](Value x, int64_t low, int64_t high) -> Value {
        x = LLVM::SMaxOp::create(emit.builder, emit.loc, x, emit.index(low));
        return LLVM::SMinOp::create(emit.builder, emit.loc, x,
                                    emit.index(high));
      };
      Value size = left ? emit.mul(limit(left, 0, chunk), bytes)
                        : emit.index(chunk * bytes);
      if (exists)
        size = emit.select(exists, size, emit.index(0));
      emit.intrinsic(name + ".s", {}, {there, here, size});
      return;
    }
    Type type = memoryScalar(source.getElementType());
    if (left) {
      Value some = emit.icmp(LLVM::ICmpPredicate::sgt, left, emit.index(0));
      exists = exists ? emit.bitAnd(exists, some) : some;
    }
    Value bits = valuesWhen(exists, type, [&] {
      return Registers{emit.load(type, here, bytes)};
    })[0];
    emit.store(bits, there, bytes);
  };
  // Where rounds are whole rows, or parts of a row, they are constants apart:
  // one address serves all.
  bool wholeRows = threads % perRow == 0, partsOfRow = perRow % threads == 0;
  auto chunkColumn = [&](Value number, int64_t range) {
    return emit.mul(digitOf(number, 1, perRow, range), chunk);
  };
  for (int64_t first = 0; first < count; first += threads) {
    Value number = emit.add(thread, first ? emit.index(first) : Value());
    Value inside;
    if (first + threads > count)
      inside = emit.icmp(LLVM::ICmpPredicate::slt, number, emit.index(count));
    when(inside, [&] {
      if (wholeRows)
        copy(digitOf(thread, perRow, threads / perRow, threads), first / perRow,
             chunkColumn(thread, threads), 0);
      else if (partsOfRow)
        copy(emit.index(0), first / perRow, emit.mul(thread, chunk),
             first % perRow * chunk);
      else
        copy(digitOf(number, perRow, rows, count), 0,
             chunkColumn(number, count), 0);
    });
  }
  return success();
}

LogicalResult NvvmLowering::lower(CommitOp) {
  emit.intrinsic("llvm.nvvm.cp.async.commit.group", {}, {});
  return success();
}

LogicalResult NvvmLowering::lower(WaitOp op) {
  emit.intrinsic(
      "llvm.nvvm.cp.async.wait.group", {},
      {emit.constant(emit.integer(32), static_cast<int64_t>(op.getPending()))});
  barrier();
  return success();
}

} // namespace bitbyte::tile
