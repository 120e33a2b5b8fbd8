//===- X86Mma.cpp - The micro-kernel of a product -------------------------===//
//
// Rows of b stay in two to four registers, one element of a at a time is
// broadcast, and every accumulator stays in its register over the whole of K.
//
//===----------------------------------------------------------------------===//
#include "passes/lower/X86Lowering.h"

using namespace mlir;

namespace bitbyte::tile {

/// Steps of K per round of the loop.
static constexpr int64_t unroll = 4;
/// Where b does not stay in L1, its rows are fetched this many steps early: 4 %
/// faster at K = 2048.
static constexpr int64_t ahead = 16;
static constexpr int64_t stays = 24 << 10; ///< bytes

//===-- Prefetches --------------------------------------------------------===//

/// Lines that are asked for together.
static constexpr int64_t linesOfPart = 4;
/// A prefetch of more parts is a loop: code does not grow with the shape.
static constexpr int64_t unrolledParts = 64;

namespace {
/// A prefetch as equal parts: some lines of a row each.
struct FetchParts {
  explicit FetchParts(PrefetchOp op) {
    BufType type = op.getBuffer().getType();
    line = 64 / type.getElementBytes();
    bool matrix = type.getRank() == 2;
    stride = matrix ? type.getStrides()[0] : 0;
    columns = type.getShape().back();
    ends = stride % line != 0; // a row may end in one more line
    int64_t lines = llvm::divideCeil(columns, line);
    perRow = llvm::divideCeil(lines, linesOfPart);
    width = llvm::divideCeil(lines, perRow) * line;
    count = (matrix ? type.getShape()[0] : 1) * perRow;
  }
  int64_t line, stride, columns, width; ///< elements
  int64_t perRow, count;
  bool ends;
};
} // namespace

/// Whether nothing but addresses comes between a prefetch and a product.
static bool isBeforeProduct(PrefetchOp op) {
  for (Operation *next = op->getNextNode(); next; next = next->getNextNode()) {
    if (isa<MmaOp>(next))
      return true;
    if (next->getNumRegions() ||
        isa<LoadOp, StoreOp, LoadScalarOp, StoreScalarOp, GatherOp>(next))
      return false;
  }
  return false;
}

LogicalResult X86Lowering::lower(PrefetchOp op) {
  if (isBeforeProduct(op)) {
    waiting.push_back(op);
    return success();
  }
  fetchAll(op);
  return success();
}

void X86Lowering::fetchAll(PrefetchOp op) {
  int64_t parts = FetchParts(op).count;
  if (parts <= unrolledParts) {
    for (int64_t part = 0; part < parts; ++part)
      fetchPart(op, emit.i64(part));
    return;
  }
  Value first = emit.i64(0);
  Block *body = addBlock(first.getType()), *exit = addBlock({});
  jump(body, first);
  emit.builder.setInsertionPointToEnd(body);
  Value part = body->getArgument(0);
  fetchPart(op, part);
  Value next = emit.add(part, emit.i64(1));
  jumpIf(emit.icmp(LLVM::ICmpPredicate::slt, next, emit.i64(parts)), body, next,
         exit, {});
  emit.builder.setInsertionPointToEnd(exit);
}

void X86Lowering::fetchPart(PrefetchOp op, Value index) {
  FetchParts parts(op);
  int64_t bytes = op.getBuffer().getType().getElementBytes();
  Value row = index, within;
  if (parts.perRow > 1) {
    Value perRow = emit.i64(parts.perRow);
    row = LLVM::UDivOp::create(emit.builder, emit.loc, index, perRow);
    within = LLVM::URemOp::create(emit.builder, emit.loc, index, perRow);
  }
  Value offset =
      emit.add(emit.mul(row, parts.stride), emit.mul(within, parts.width));
  Value base = emit.move(lowered[op.getBuffer()][0], offset, 0, bytes);
  auto fetch = [&](int64_t element) {
    LLVM::Prefetch::create(emit.builder, emit.loc,
                           emit.move(base, {}, element, bytes), /*rw=*/0,
                           /*hint=*/op.getFar() ? 2 : 3, /*cache=*/1);
  };
  for (int64_t column = 0; column < std::min(parts.width, parts.columns);
       column += parts.line)
    fetch(column);
  if (parts.ends)
    fetch(std::min(parts.width, parts.columns) - 1);
}

//===-- Products ----------------------------------------------------------===//

static bool isByte(Type type) {
  return isa<IntegerType>(type) && type.getIntOrFloatBitWidth() == 8;
}

LogicalResult X86Lowering::lower(MmaOp op) {
  auto a = dyn_cast<BufType>(op.getA().getType());
  auto b = dyn_cast<BufType>(op.getB().getType());
  RegType type = op.getType();
  Distribution tile = type.spell();
  int64_t lanes = tile.lanes();
  if (!a || !b)
    return op.emitOpError("on a CPU multiplies buffers; store the tile to "
                          "scratch first");
  if (op.getTransposeB() || b.isPanel() || b.getStrides()[1] != 1)
    return op.emitOpError("on a CPU needs rows of b that are contiguous along "
                          "N; pack b first");
  if (!tile.lanesAreRowOf(1))
    return op.emitOpError("on a CPU needs the accumulator's lanes along N");
  Type aElement = a.getElementType(), bElement = b.getElementType();
  auto known = [](Type type) {
    return type.isF32() || type.isBF16() || type.isF16() || isByte(type);
  };
  if (!known(aElement) || !known(bElement))
    return op.emitOpError("multiplies floats and bytes, not ")
           << aElement << " and " << bElement;

  int64_t m = type.getShape()[0], n = type.getShape()[1]; // [M, N]
  int64_t k = b.getShape()[0];
  int64_t aBytes = a.getElementBytes(), bBytes = b.getElementBytes();
  int64_t bStride = b.getStrides()[0];
  bool prefetches = k * n * bBytes > stays;
  int64_t line = 64 / bBytes; // elements of a cache line
  auto panel = dyn_cast_if_present<PanelAttr>(a.getLayout());
  if (panel && op.getTransposeA())
    return op.emitOpError("cannot transpose a panel");
  // A round of the loop must not leave a panel in its middle.
  int64_t steps = panel ? panel.getK() : std::min(unroll, k);
  auto offsetOfA = [&](int64_t row, int64_t step) {
    Coordinate at =
        op.getTransposeA() ? Coordinate{step, row} : Coordinate{row, step};
    return fixedOffset(a, at);
  };
  int64_t aPerStep = panel ? a.getShape()[0] // whole columns
                           : offsetOfA(0, 1);

  auto toF32 = [&](Type memory, Value bits) {
    if (!isByte(memory))
      return widen(memory, emit.f32(), bits);
    int64_t width = lanesOf(bits.getType());
    return emit.fromSigned(emit.f32(width),
                           widen(memory, emit.integer(32), bits));
  };
  auto broadcastA = [&](Value from) {
    Value bits = emit.load(memoryScalar(aElement), from, aBytes);
    if (aElement.isF32())
      return emit.splat(bits, lanes);
    if (aElement.isBF16()) {
      // Both halves of every lane hold the element; the upper one is f32's.
      Value twice =
          emit.bitcast(emit.integer(32, lanes), emit.splat(bits, 2 * lanes));
      return emit.bitcast(emit.f32(lanes), emit.shiftLeft(twice, 16));
    }
    return emit.splat(toF32(aElement, bits), lanes);
  };
  auto round = [&](Value aBase, Value bBase, Registers &accumulators,
                   int64_t count) {
    for (int64_t step = 0; step < count; ++step) {
      SmallVector<Value> columns;
      if (prefetches)
        for (int64_t column = 0; column < n; column += line)
          LLVM::Prefetch::create(
              emit.builder, emit.loc,
              emit.move(bBase, {}, (step + ahead) * bStride + column, bBytes),
              /*rw=*/0, /*hint=*/3, /*cache=*/1);
      for (int64_t column = 0; column < n; column += lanes) {
        Value from = emit.move(bBase, {}, step * bStride + column, bBytes);
        Value bits =
            emit.load(vectorOf(memoryScalar(bElement), lanes), from, bBytes);
        columns.push_back(toF32(bElement, bits));
      }
      for (int64_t row = 0; row < m; ++row) {
        Value left =
            broadcastA(emit.move(aBase, {}, offsetOfA(row, step), aBytes));
        for (int64_t column = 0; column < n; column += lanes) {
          Value &sum = accumulators[tile.find({row, column})];
          sum = emit.fma(left, columns[column / lanes], sum);
        }
      }
    }
  };

  Value aBase = lowered[op.getA()][0], bBase = lowered[op.getB()][0];
  Registers accumulators = lowered[op.getC()];
  int64_t rounds = k / steps;
  // Rounds from step `from` to step `to`, at least one.
  auto loop = [&](Value from, Value to) {
    SmallVector<Value> carried{from};
    llvm::append_range(carried, accumulators);
    Block *body = addBlock(ValueRange(carried).getTypes());
    Block *exit = addBlock(typesOf(type));
    jump(body, carried);
    emit.builder.setInsertionPointToEnd(body);
    Value at = body->getArgument(0); // the step along K
    Registers inner(ValueRange(body->getArguments().drop_front()));
    round(emit.move(aBase, emit.mul(at, aPerStep), 0, aBytes),
          emit.move(bBase, emit.mul(at, bStride), 0, bBytes), inner, steps);
    Value next = emit.add(at, emit.i64(steps));
    carried.assign({next});
    llvm::append_range(carried, inner);
    jumpIf(emit.icmp(LLVM::ICmpPredicate::slt, next, to), body, carried, exit,
           inner);
    emit.builder.setInsertionPointToEnd(exit);
    accumulators = Registers(ValueRange(exit->getArguments()));
  };

  // A part of what is to be prefetched every few rounds. All at once they would
  // take every buffer for lines under way, and b's own lines would wait.
  int64_t done = 0, total = 0; // rounds, parts
  SmallVector<PrefetchOp, 4> fetches = std::exchange(waiting, {});
  for (PrefetchOp fetch : fetches)
    total += FetchParts(fetch).count;
  for (PrefetchOp fetch : fetches) {
    int64_t parts = FetchParts(fetch).count;
    // The last eighth of the rounds is for the last lines to arrive.
    int64_t each = rounds * 7 / 8 / total;
    if (each == 0) {
      fetchAll(fetch);
      continue;
    }
    SmallVector<Value> carried{emit.i64(0)};
    llvm::append_range(carried, accumulators);
    Block *body = addBlock(ValueRange(carried).getTypes());
    Block *exit = addBlock(typesOf(type));
    jump(body, carried);
    emit.builder.setInsertionPointToEnd(body);
    Value part = body->getArgument(0);
    accumulators = Registers(ValueRange(body->getArguments().drop_front()));
    fetchPart(fetch, part);
    Value next = emit.add(part, emit.i64(1));
    Value first = emit.i64(done * steps);
    loop(emit.add(first, emit.mul(part, each * steps)),
         emit.add(first, emit.mul(next, each * steps)));
    carried.assign({next});
    llvm::append_range(carried, accumulators);
    jumpIf(emit.icmp(LLVM::ICmpPredicate::slt, next, emit.i64(parts)), body,
           carried, exit, accumulators);
    emit.builder.setInsertionPointToEnd(exit);
    accumulators = Registers(ValueRange(exit->getArguments()));
    done += each * parts;
  }
  if (rounds - done > 1) {
    loop(emit.i64(done * steps), emit.i64(rounds * steps));
    done = rounds;
  }
  aBase = emit.move(aBase, {}, done * steps * aPerStep, aBytes);
  bBase = emit.move(bBase, {}, done * steps * bStride, bBytes);
  round(aBase, bBase, accumulators, k - done * steps);
  lowered[op] = std::move(accumulators);
  return success();
}

} // namespace bitbyte::tile
