//===- NvvmMma.cpp - Products on tensor cores -----------------------------===//
//
// mma.sync.m16n8k16 of bf16, whose fragments ldmatrix brings, and m16n8k8 of
// tf32 for f32: each number is the sum of two of tf32, and three products of
// those keep f32's accuracy. A thread's registers of an accumulator are, per 16
// rows and 8 columns, {(g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)} with
// g = lane / 4, t = lane % 4.
//
// A left operand in registers lies like an accumulator. For bf16 two blocks of
// 8 columns, rounded in pairs, are the fragment as it is. The fragment for tf32
// has columns t and t + 4, so the accumulator's 2t and 2t + 1 take their places
// and the right operand's rows are read in that order.
//
//===----------------------------------------------------------------------===//
#include "passes/lower/NvvmLowering.h"

using namespace mlir;

namespace bitbyte::tile {

/// The members of a struct that an intrinsic returns.
static Registers members(Emit &emit, Value structure, unsigned count) {
  Registers result;
  for (unsigned i = 0; i < count; ++i)
    result.push_back(LLVM::ExtractValueOp::create(emit.builder, emit.loc,
                                                  structure, int64_t(i)));
  return result;
}

static Type structOf(Type member, unsigned count) {
  return LLVM::LLVMStructType::getLiteral(member.getContext(),
                                          SmallVector<Type>(count, member));
}

/// Digits that count, those along columns as replicas.
static SmallVector<Digit> rowsOf(ArrayRef<Digit> level) {
  SmallVector<Digit> result;
  for (Digit digit : level) {
    if (digit.axis != 0)
      digit = {digit.extent, -1, 0};
    if (digit.extent > 1)
      result.push_back(digit);
  }
  return result;
}

LogicalResult NvvmLowering::lower(MmaOp op) {
  auto a = dyn_cast<BufType>(op.getA().getType());
  auto held = dyn_cast<RegType>(op.getA().getType());
  auto b = dyn_cast<BufType>(op.getB().getType());
  if (!b || b.getSpace() != Space::Scratch ||
      (a && a.getSpace() != Space::Scratch))
    return op.emitOpError("on a GPU multiplies buffers in scratch, or a tile "
                          "in registers by such a buffer");
  Type element = b.getElementType();
  Type ofA = a ? a.getElementType() : held.getElementType();
  if (!(element.isBF16() || element.isF32()) ||
      !(ofA == element || (held && ofA.isF32())))
    return op.emitOpError("on a GPU multiplies bf16 or f32, not ")
           << ofA << " and " << element;
  Distribution tile = op.getType().spell();
  ArrayRef<int64_t> shape = op.getType().getShape();
  // A warp's own rows and columns.
  int64_t rows = shape[0], columns = shape[1];
  for (const Digit &digit : tile.warp)
    if (digit.axis >= 0)
      (digit.axis == 0 ? rows : columns) /= digit.extent;
  int64_t depth = b.getShape()[op.getTransposeB()];
  constexpr Digit columnPairs{4, 1, 2}, rowsOfEight{8, 0, 1};
  const SmallVector<Digit, 4> lanes{columnPairs, rowsOfEight};
  if (tile.lane != lanes || rows % 16 || columns % 16 || depth % 16)
    return op.emitOpError(
        "accumulator lanes must be [4 d1:2, 8 d0:1], a warp's "
        "part and K multiples of 16");
  if (held) {
    Distribution left = held.spell();
    bool split = llvm::any_of(left.warp, [](const Digit &digit) {
      return digit.axis == 1 && digit.extent > 1;
    });
    if (op.getTransposeA() || left.lane != lanes || split ||
        rowsOf(left.warp) != rowsOf(tile.warp))
      return op.emitOpError("a left operand in registers must lie like the "
                            "accumulator, with all columns in each warp");
  }

  Distribution ofWarps = tile;
  ofWarps.lane.clear();
  Value warpRow = threadCoordinate(ofWarps, 0),
        warpColumn = threadCoordinate(ofWarps, 1);
  int64_t pitchA = a ? a.getStrides()[0] : 0, pitchB = b.getStrides()[0];
  bool turnedA = op.getTransposeA(), turnedB = !op.getTransposeB(); // [K, .]
  Registers sums = lowered[op.getC()];
  auto sumOf = [&](int64_t row, int64_t column) -> Value * {
    return &sums[tile.find({row, column})];
  };
  auto multiply = [&](StringRef name, Registers left, Registers right,
                      int64_t row, int64_t column) {
    Registers operands(left);
    llvm::append_range(operands, right);
    Value *places[] = {sumOf(row, column), sumOf(row, column + 1),
                       sumOf(row + 8, column), sumOf(row + 8, column + 1)};
    for (Value *place : places)
      operands.push_back(*place);
    Registers next = members(
        emit, emit.intrinsic(name, structOf(emit.f32(), 4), operands), 4);
    for (auto [place, value] : llvm::zip_equal(places, next))
      *place = value;
  };
  // A thread's element of a left operand in registers.
  Distribution left = held ? held.spell() : Distribution();
  auto heldAt = [&](int64_t row, int64_t column) {
    return lowered[op.getA()][left.find({row, column})];
  };
  Type i32 = emit.integer(32);
  Value baseA = a ? lowered[op.getA()][0] : Value(),
        baseB = lowered[op.getB()][0];

  if (element.isBF16()) {
    if (pitchA * 2 % 16 || pitchB * 2 % 16)
      return op.emitOpError("needs rows at multiples of 16 bytes");
    // ldmatrix takes the address of row `r` of square `j` from lane 8 j + r.
    Value r = emit.bitAnd(lane, emit.index(7));
    Value low = emit.mul(digitOf(lane, 8, 2, 32), 8),
          high = emit.mul(digitOf(lane, 16, 2, 32), 8);
    auto at = [&](Value base, Value row, Value column, int64_t pitch) {
      return emit.move(base, emit.add(emit.mul(row, pitch), column), 0, 2);
    };
    Value leftPlace;
    if (a)
      leftPlace =
          turnedA
              ? at(baseA, emit.add(high, r), emit.add(warpRow, low), pitchA)
              : at(baseA, emit.add(emit.add(warpRow, low), r), high, pitchA);
    Value right =
        turnedB
            ? at(baseB, emit.add(low, r), emit.add(warpColumn, high), pitchB)
            : at(baseB, emit.add(emit.add(warpColumn, high), r), low, pitchB);
    auto fragment = [&](Value base, bool turned, int64_t along, int64_t step,
                        int64_t pitch) {
      int64_t offset = turned ? step * pitch + along : along * pitch + step;
      Value loaded = emit.intrinsic(
          turned ? "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.trans.b16"
                 : "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16",
          structOf(i32, 4), {emit.move(base, {}, offset, 2)});
      return members(emit, loaded, 4);
    };
    auto pairAt = [&](int64_t row, int64_t column) {
      Value first = heldAt(row, column), second = heldAt(row, column + 1);
      Value pair = LLVM::PoisonOp::create(emit.builder, emit.loc,
                                          vectorOf(first.getType(), 2));
      pair = emit.insert(emit.insert(pair, first, 0), second, 1);
      return emit.bitcast(i32, narrow(element, ofA, pair));
    };
    for (int64_t step = 0; step < depth; step += 16) {
      SmallVector<Registers> lefts, rights;
      for (int64_t row = 0; row < rows; row += 16)
        lefts.push_back(
            held ? Registers{pairAt(row, step), pairAt(row + 8, step),
                             pairAt(row, step + 8), pairAt(row + 8, step + 8)}
                 : fragment(leftPlace, turnedA, row, step, pitchA));
      for (int64_t column = 0; column < columns; column += 16)
        rights.push_back(fragment(right, turnedB, column, step, pitchB));
      for (int64_t row = 0; row < rows; row += 16)
        for (int64_t column = 0; column < columns; column += 8) {
          Registers &pair = rights[column / 16];
          int64_t half = column % 16 / 8 * 2;
          multiply("llvm.nvvm.mma.m16n8k16.row.col.bf16", lefts[row / 16],
                   {pair[half], pair[half + 1]}, row, column);
        }
    }
    lowered[op] = std::move(sums);
    return success();
  }

  // A thread's rows of K are t and t + 4, or 2t and 2t + 1 beside registers.
  int64_t apart = held ? 1 : 4;
  Value g = digitOf(lane, 4, 8, 32), t = digitOf(lane, 1, 4, 32);
  if (held)
    t = emit.mul(t, 2);
  auto start = [&](Value base, Value along, bool turned, int64_t pitch) {
    along = emit.add(along, g);
    Value offset = turned ? emit.add(emit.mul(t, pitch), along)
                          : emit.add(emit.mul(along, pitch), t);
    return emit.move(base, offset, 0, 4);
  };
  Value leftPlace;
  if (a)
    leftPlace = start(baseA, warpRow, turnedA, pitchA);
  Value right = start(baseB, warpColumn, turnedB, pitchB);
  // Ten bits of the mantissa, and ten of what is left.
  struct Parts {
    Registers high, low;
  };
  auto add = [&](Parts &parts, Value x) {
    auto cut = [&](Value value) {
      return emit.bitAnd(emit.bitcast(i32, value),
                         emit.constant(i32, ~int64_t(0x1fff)));
    };
    Value high = cut(x);
    parts.high.push_back(high);
    parts.low.push_back(cut(emit.fsub(x, emit.bitcast(emit.f32(), high))));
  };
  auto read = [&](Value base, bool turned, int64_t along, int64_t step,
                  int64_t pitch) {
    int64_t offset = turned ? step * pitch + along : along * pitch + step;
    return emit.load(emit.f32(), emit.move(base, {}, offset, 4), 4);
  };
  for (int64_t step = 0; step < depth; step += 8) {
    SmallVector<Parts> lefts(rows / 16);
    for (int64_t row = 0; row < rows; row += 16)
      for (int64_t k : {int64_t(0), apart})
        for (int64_t half : {0, 8})
          add(lefts[row / 16],
              held ? heldAt(row + half, step + k)
                   : read(leftPlace, turnedA, row + half, step + k, pitchA));
    for (int64_t column = 0; column < columns; column += 8) {
      Parts y; // of these columns alone: all of a wide head's do not fit
      for (int64_t k : {int64_t(0), apart})
        add(y, read(right, turnedB, column, step + k, pitchB));
      for (int64_t row = 0; row < rows; row += 16) {
        Parts &x = lefts[row / 16];
        StringRef name = "llvm.nvvm.mma.m16n8k8.row.col.tf32";
        multiply(name, x.low, y.high, row, column);
        multiply(name, x.high, y.low, row, column);
        multiply(name, x.high, y.high, row, column);
      }
    }
  }
  lowered[op] = std::move(sums);
  return success();
}

} // namespace bitbyte::tile
