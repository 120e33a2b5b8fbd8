//===- Matmul.cpp - Contractions on tensor cores --------------------------===//
//
// C[m, n] = sum over k of A[m, k] B[k, n], then the region's epilogue. A
// program owns a tile of C. Tiles of A and B along k pass through a ring of
// stages in scratch, filled by asynchronous copies some stages ahead; either
// operand may lie with its rows or its columns contiguous, which covers a
// forward product (A [M, K], B [N, K]), the gradient of an input (B [K, N]) and
// that of a weight (A [K, M], B [K, N]). The accumulators then pass through
// scratch once, so that the epilogue's loads and stores move 16 bytes per lane.
//
// Where C has too few tiles to fill a machine, as in a weight's gradient, whose
// k runs over all tokens, k is cut into parts whose sums a second kernel adds,
// in order: the result does not depend on timing.
//
// Where the epilogue sums over columns, as a loss does over a head's logits,
// tiles are as wide as C, and the product lies in no memory but scratch.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/gpu/Matmul.h"
#include "passes/tile/gpu/Fragments.h"
#include "passes/tile/gpu/WholeRows.h"

#include <numeric>

using namespace mlir;

namespace bitbyte::tile {

MatmulTiles matmulTiles(bool isBf16, int64_t rows, int64_t columns,
                        int64_t depth) {
  // In order of preference: the first one that makes a wave of programs.
  static constexpr MatmulTiles bf16[] = {{128, 128, 32, 2, 4, 4, 1, 2},
                                         {64, 64, 32, 2, 2, 4, 1, 3}};
  static constexpr MatmulTiles f32[] = {{64, 64, 32, 2, 2, 3, 1, 2}};
  constexpr int64_t wave = 108; // multiprocessors of the smallest sm_80 board
  ArrayRef<MatmulTiles> choices = isBf16 ? ArrayRef(bf16) : ArrayRef(f32);
  MatmulTiles chosen = choices.back();
  int64_t programs = 0;
  for (const MatmulTiles &tiles : choices) {
    programs = llvm::divideCeil(rows, tiles.rows) *
               llvm::divideCeil(columns, tiles.columns);
    if (programs >= wave) {
      chosen = tiles;
      break;
    }
  }
  // A part of k is worth a pass over C if it has many steps itself.
  constexpr int64_t deep = 512, most = 32;
  chosen.parts = std::clamp<int64_t>(
      std::min<int64_t>(wave / programs, llvm::divideCeil(depth, deep)), 1,
      most);
  return chosen;
}

MatmulTiles wholeRowTiles(bool isBf16, int64_t columns) {
  MatmulTiles tiles = isBf16 ? MatmulTiles{64, 64, 32, 2, 4, 3, 1, 1}
                             : MatmulTiles{32, 64, 32, 2, 4, 2, 1, 1};
  tiles.columns = std::max<int64_t>(64, llvm::PowerOf2Ceil(columns));
  return tiles;
}

namespace {
class GpuMatmul {
public:
  GpuMatmul(ScheduleContext &context, Region region)
      : context(context), region(std::move(region)), op(this->region.op),
        contract(op.anchor()) {}

  /// Whether the region has the form: one dim each of rows, columns and depth,
  /// operands of one type read where they lie, a linear epilogue.
  bool fits() {
    if (contract.getRhs().size() != 1)
      return false;
    auto left = dyn_cast<BlockArgument>(contract.getLhs());
    auto right = dyn_cast<BlockArgument>(contract.getRhs()[0]);
    if (!left || !right)
      return false;
    uint64_t overBits = 0;
    for (unsigned d : region.over(contract.getOver()))
      overBits |= uint64_t(1) << d;
    auto one = [&](uint64_t bits, unsigned &dim, int64_t &size) {
      dim = llvm::countr_zero(bits);
      if (llvm::popcount(bits) != 1)
        return false;
      size = region.sizes[dim];
      return true;
    };
    uint64_t a = region.domain(left), b = region.domain(right);
    if ((a & b) != overBits || !one(overBits, kDim, depth) ||
        !one(a & ~overBits, mDim, rows) || !one(b & ~overBits, nDim, columns))
      return false;
    // Fewer rows leave most of a tile empty; each weight is then read once.
    if (rows < 16 || columns < 16)
      return false;
    lhs = left.getArgNumber();
    rhs = right.getArgNumber();
    element = elementOf(lhs);
    if (elementOf(rhs) != element || !(element.isBF16() || element.isF32()))
      return false;
    if (!rowsAreContiguous(lhs, mDim) || !rowsAreContiguous(rhs, nDim))
      return false;
    uint64_t plane = (uint64_t(1) << mDim) | (uint64_t(1) << nDim);
    for (unsigned i = 0; i < region.inputs.size(); ++i) {
      if (i == lhs || i == rhs)
        continue;
      if (!region.inputs[i] || region.inputs[i]->constant ||
          (region.domain(op.getBody().getArgument(i)) & ~plane) ||
          coefficient(i, nDim) > 1)
        return false;
    }
    wholeRows = llvm::any_of(op.getBody().front(), [](Operation &o) {
      return isa<bb::IndexOp, bb::ReduceOverOp>(o);
    });
    for (const LinearAccess &out : region.outputs) {
      int64_t along = out.coefficients[nDim];
      bool isRow = wholeRows && along == 0; // one number for each
      if (out.constant || out.coefficients[kDim] || (along != 1 && !isRow))
        return false;
    }
    return wholeRows
               ? columns <= bb::FusedOp::widestRow &&
                     WholeRows::canWrite(region, nDim)
               : llvm::none_of(op.getBody().front(), llvm::IsaPred<bb::AtOp>);
  }

  LogicalResult run() {
    tiles = wholeRows ? wholeRowTiles(element.isBF16(), columns)
                      : matmulTiles(element.isBF16(), rows, columns, depth);
    turnedA = coefficient(lhs, kDim) != 1;
    turnedB = coefficient(rhs, kDim) != 1;
    Values results = tiles.parts > 1 ? runInParts() : runWhole();
    op->replaceAllUsesWith(results);
    op->erase();
    return success();
  }

private:
  //===-- What the region says --------------------------------------------===//
  Type elementOf(unsigned input) const {
    return cast<bb::GraphTensorType>(op->getOperand(input).getType())
        .getElement();
  }
  int64_t coefficient(unsigned input, unsigned dim) const {
    return region.inputs[input]->coefficients[dim];
  }
  /// Along k or along the operand's own dim.
  bool rowsAreContiguous(unsigned input, unsigned dim) const {
    return coefficient(input, kDim) == 1 || coefficient(input, dim) == 1;
  }
  BufType strided(Type type, ArrayRef<int64_t> shape, ArrayRef<int64_t> strides,
                  int64_t offset = 0) {
    return BufType::get(op.getContext(), shape, type, Space::Global,
                        StridedAttr::get(op.getContext(), strides, offset));
  }
  /// An operand of the product as a matrix of contiguous rows.
  BufType operandBuffer(unsigned input, unsigned dim, int64_t size) {
    int64_t offset = region.inputs[input]->constant;
    if (coefficient(input, kDim) == 1)
      return strided(element, {size, depth}, {coefficient(input, dim), 1},
                     offset);
    return strided(element, {depth, size}, {coefficient(input, kDim), 1},
                   offset);
  }

  /// Appends the operands of the epilogue and their buffers, and says where
  /// each one went.
  void addEpilogue(Values &operands, SmallVector<BufType> &in) {
    place.assign(region.inputs.size(), -1);
    for (unsigned i = 0; i < region.inputs.size(); ++i) {
      if (i == lhs || i == rhs)
        continue;
      place[i] = operands.size();
      operands.push_back(op->getOperand(i));
      bool m = coefficient(i, mDim), n = coefficient(i, nDim);
      if (m && n)
        in.push_back(
            strided(elementOf(i), {rows, columns}, {coefficient(i, mDim), 1}));
      else if (m)
        in.push_back(strided(elementOf(i), {rows}, {coefficient(i, mDim)}));
      else
        in.push_back(
            flatBuffer(cast<bb::GraphTensorType>(op->getOperand(i).getType())));
    }
    firstOutput = operands.size();
  }
  SmallVector<BufType> outputs() {
    SmallVector<BufType> out;
    for (auto [access, result] :
         llvm::zip_equal(region.outputs, op->getResults())) {
      Type type = cast<bb::GraphTensorType>(result.getType()).getElement();
      int64_t pitch = access.coefficients[mDim];
      out.push_back(access.coefficients[nDim]
                        ? strided(type, {rows, columns}, {pitch, 1})
                        : strided(type, {rows}, {pitch}));
    }
    return out;
  }
  SmallVector<int64_t> inplace() const {
    SmallVector<int64_t> result;
    for (int64_t from : region.inplace())
      result.push_back(from < 0 ? -1 : place[from]);
    return result;
  }
  /// Neighbours in a row that a lane takes at a time: 16 bytes of the results,
  /// where rows and their ends allow it.
  int64_t epilogueRun() const {
    int64_t run = 8;
    auto fit = [&](int64_t pitch) { run = std::gcd(run, pitch); };
    fit(columns);
    for (auto [access, result] :
         llvm::zip_equal(region.outputs, op->getResults())) {
      if (!access.coefficients[nDim])
        continue;
      fit(access.coefficients[mDim]);
      if (cast<bb::GraphTensorType>(result.getType()).getElement().isF32())
        fit(4);
    }
    for (unsigned i = 0; i < region.inputs.size(); ++i)
      if (i != lhs && i != rhs && coefficient(i, mDim) && coefficient(i, nDim))
        fit(coefficient(i, mDim));
    return run;
  }

  //===-- Kernels ---------------------------------------------------------===//
  Values runWhole() {
    Values operands{op->getOperand(lhs), op->getOperand(rhs)};
    SmallVector<BufType> in{operandBuffer(lhs, mDim, rows),
                            operandBuffer(rhs, nDim, columns)};
    addEpilogue(operands, in);
    made = context.kernel(op.getLoc(), "matmul", in, outputs(), gridSize());
    made->setCost(region.flops(), region.traffic());
    made->setWarps(tiles.warps(), tiles.minBlocks);
    auto [m, n] = tileOrigin(made->program());
    Value sum = product(m, n, made->index(0), depth);
    // A few rows at a time: code behind the product needs registers too.
    int64_t slab = wholeRows && tiles.columns > 64 ? 16 : 32;
    RegType type = runs(slab, tiles.columns, epilogueRun());
    Value buffer = intoScratch(sum);
    KernelBuilder &k = *made;
    Value end = k.index(tiles.rows);
    if (rows % tiles.rows) // a slab may lie wholly behind the last row
      end = k.min(end, k.sub(k.index(rows), m));
    WholeRows whole(k, region, mDim, nDim, place, firstOutput);
    k.loop(k.index(0), end, slab, [&, m = m, n = n](Value row) {
      Value part = k.load(type, buffer, {row, k.index(0)}),
            first = k.add(m, row);
      if (wholeRows)
        return whole.write(part, contract.getOutputs()[0], first,
                           rows % slab ? k.sub(k.index(rows), first) : Value());
      epilogue(part, first, n);
    });
    return context.dispatch(op, *made, operands, op->getResultTypes(),
                            inplace());
  }

  Values runInParts() {
    int64_t steps = llvm::divideCeil(depth, tiles.depth);
    int64_t share = llvm::divideCeil(steps, tiles.parts) * tiles.depth;
    tiles.parts = llvm::divideCeil(depth, share);
    bb::GraphTensorType partial =
        temporary(op.getContext(), {tiles.parts, rows, columns});
    int64_t run = std::gcd<int64_t>(columns, 4);

    made = context.kernel(
        op.getLoc(), "matmul",
        {operandBuffer(lhs, mDim, rows), operandBuffer(rhs, nDim, columns)},
        {denseBuffer(partial)}, gridSize() * tiles.parts);
    made->setCost(region.flops(), byteCount(typeOf(lhs)) +
                                      byteCount(typeOf(rhs)) +
                                      byteCount(partial));
    made->setWarps(tiles.warps(), tiles.minBlocks);
    {
      KernelBuilder &k = *made;
      Value part = k.div(k.program(), gridSize());
      auto [m, n] = tileOrigin(k.rem(k.program(), gridSize()));
      Value sum = product(m, n, k.mul(part, share), share);
      RegType type = runs(tiles.rows, tiles.columns, run);
      Values origin{k.index(0), k.index(0)};
      k.store(k.load(type, intoScratch(sum), origin), k.arg(2), {part, m, n},
              ends(type, m, n));
    }
    Value sums = context.dispatch(
        op, *made, {op->getOperand(lhs), op->getOperand(rhs)}, {partial})[0];

    Values operands{sums};
    SmallVector<BufType> in{denseBuffer(partial)};
    addEpilogue(operands, in);
    constexpr int64_t tileRows = 32, tileColumns = 64, warps = 4;
    int64_t across = llvm::divideCeil(columns, tileColumns);
    made = context.kernel(op.getLoc(), "matmul_sum", in, outputs(),
                          llvm::divideCeil(rows, tileRows) * across);
    made->setCost(tiles.parts * rows * columns,
                  byteCount(partial) + region.traffic() -
                      byteCount(typeOf(lhs)) - byteCount(typeOf(rhs)));
    made->setWarps(warps, 1);
    KernelBuilder &k = *made;
    Value m = k.mul(k.div(k.program(), across), tileRows),
          n = k.mul(k.rem(k.program(), across), tileColumns);
    RegType type =
        RegType::get(op.getContext(), {tileRows, tileColumns}, k.f32(),
                     runsLayout(op.getContext(), tileRows, tileColumns,
                                epilogueRun(), warps));
    Value sum =
        k.loop(0, tiles.parts, 1, {k.full(type, 0.0)},
               [&](Value part, ValueRange carried) {
                 Value x =
                     k.load(type, k.arg(0), {part, m, n}, ends(type, m, n));
                 return Values{k.map({carried[0], x}, k.f32(),
                                     [](ScalarBuilder &s, ValueRange a) {
                                       return s.add(a[0], a[1]);
                                     })};
               })[0];
    epilogue(sum, m, n);
    return context.dispatch(op, k, operands, op->getResultTypes(), inplace());
  }

  bb::GraphTensorType typeOf(unsigned input) const {
    return cast<bb::GraphTensorType>(op->getOperand(input).getType());
  }
  int64_t gridSize() const {
    return llvm::divideCeil(rows, tiles.rows) *
           llvm::divideCeil(columns, tiles.columns);
  }
  RegType runs(int64_t tileRows, int64_t tileColumns, int64_t run) {
    return RegType::get(
        op.getContext(), {tileRows, tileColumns}, made->f32(),
        runsLayout(op.getContext(), tileRows, tileColumns, run, tiles.warps()));
  }

  /// The first row and column of a tile. Tiles are numbered down a band of a
  /// few rows before the next column, so that programs that run together share
  /// what they read.
  std::pair<Value, Value> tileOrigin(Value number) {
    KernelBuilder &k = *made;
    constexpr int64_t bandRows = 8;
    int64_t down = llvm::divideCeil(rows, tiles.rows);
    int64_t across = llvm::divideCeil(columns, tiles.columns);
    Value m, n;
    if (down <= bandRows || across == 1) {
      m = k.rem(number, down);
      n = k.div(number, down);
    } else {
      Value band = k.div(number, bandRows * across);
      Value first = k.mul(band, bandRows);
      Value height = k.min(k.sub(k.index(down), first), k.index(bandRows));
      Value inside = k.rem(number, bandRows * across);
      m = k.add(first, k.rem(inside, height));
      n = k.div(inside, height);
    }
    return {k.mul(m, tiles.rows), k.mul(n, tiles.columns)};
  }

  /// How much of a tile at (m, n) exists; nothing if all tiles are whole.
  Values ends(RegType type, Value m, Value n) {
    KernelBuilder &k = *made;
    bool raggedM = rows % type.getShape()[0],
         raggedN = columns % type.getShape()[1];
    if (!raggedM && !raggedN)
      return {};
    return {raggedM ? k.sub(k.index(rows), m) : k.index(type.getShape()[0]),
            raggedN ? k.sub(k.index(columns), n) : k.index(type.getShape()[1])};
  }

  /// The accumulators of the tile at (m, n), over k from `begin` to the end of
  /// its share.
  Value product(Value m, Value n, Value begin, int64_t share) {
    KernelBuilder &k = *made;
    auto ring = [&](bool turned, int64_t size) {
      BufType type =
          turned ? stagedBuffer(tiles.stages, tiles.depth, size, element)
                 : stagedBuffer(tiles.stages, size, tiles.depth, element);
      return k.alloc(type.getShape(), element, type.getLayout());
    };
    Value ringA = ring(turnedA, tiles.rows),
          ringB = ring(turnedB, tiles.columns);
    auto stageOf = [&](Value ring, Value number) {
      auto type = cast<BufType>(ring.getType());
      return k.view(ring, {k.rem(number, tiles.stages)},
                    type.getShape().drop_front());
    };
    bool raggedK = depth % tiles.depth;
    auto copy = [&](unsigned argument, Value ring, bool turned, Value step,
                    Value along, int64_t size, int64_t tile) {
      Value at = k.add(begin, k.mul(step, tiles.depth));
      Values offsets{along, at}, bounds;
      if (size % tile || raggedK)
        bounds = {size % tile ? k.sub(k.index(size), along) : k.index(tile),
                  raggedK ? k.sub(k.index(depth), at) : k.index(tiles.depth)};
      if (turned) {
        std::reverse(offsets.begin(), offsets.end());
        std::reverse(bounds.begin(), bounds.end());
      }
      k.copyAsync(k.arg(argument), offsets, stageOf(ring, step), bounds);
    };
    auto copyStep = [&](Value step) {
      copy(0, ringA, turnedA, step, m, rows, tiles.rows);
      copy(1, ringB, turnedB, step, n, columns, tiles.columns);
    };

    // All parts but the last one have as many steps as the share.
    int64_t most = llvm::divideCeil(share, tiles.depth);
    Value steps = k.index(most);
    if (tiles.parts > 1 && depth % share)
      steps = k.min(steps, k.div(k.sub(k.index(depth + tiles.depth - 1), begin),
                                 tiles.depth));
    for (int64_t stage = 0; stage + 1 < tiles.stages; ++stage) {
      if (tiles.parts > 1 && stage > 0)
        k.when(k.less(k.index(stage), steps),
               [&] { copyStep(k.index(stage)); });
      else if (stage < most)
        copyStep(k.index(stage));
      k.commit();
    }
    RegType type = RegType::get(
        op.getContext(), {tiles.rows, tiles.columns}, k.f32(),
        accumulatorLayout(op.getContext(), tiles.rows, tiles.columns,
                          tiles.warpRows, tiles.warpColumns));
    Value sum =
        k.loop(k.index(0), steps, 1, {k.full(type, 0.0)},
               [&](Value step, ValueRange carried) {
                 // Step's stage is there, and all warps have left the one that
                 // is filled now.
                 k.wait(tiles.stages - 2);
                 Value ahead = k.add(step, tiles.stages - 1);
                 k.when(k.less(ahead, steps), [&] { copyStep(ahead); });
                 k.commit();
                 return Values{k.mma(stageOf(ringA, step), stageOf(ringB, step),
                                     carried[0], turnedA, !turnedB)};
               })[0];
    k.wait(0);
    return sum;
  }

  /// The accumulators in scratch, for whoever wants them in another layout.
  Value intoScratch(Value sum) {
    KernelBuilder &k = *made;
    // Rows are 8 words apart modulo the banks: the pairs that accumulators
    // hold fill them all.
    int64_t pitch = tiles.columns + 8;
    Value buffer = k.alloc({tiles.rows, tiles.columns}, k.f32(),
                           StridedAttr::get(op.getContext(), {pitch, 1}));
    k.store(sum, buffer, {k.index(0), k.index(0)});
    k.barrier();
    return buffer;
  }

  /// The region's code behind the product for a tile at (m, n), and the stores.
  void epilogue(Value sum, Value m, Value n) {
    KernelBuilder &k = *made;
    auto type = cast<RegType>(sum.getType());
    Values bounds = ends(type, m, n);
    ValueRange rowBound = ValueRange(bounds).take_front(!bounds.empty()),
               columnBound = ValueRange(bounds).take_back(!bounds.empty());
    Values inputs{sum}, keys{contract.getOutputs()[0]};
    llvm::DenseMap<Value, Value> scalars;
    for (BlockArgument argument : op.getBody().getArguments()) {
      unsigned i = argument.getArgNumber();
      if (place[i] < 0 || argument.use_empty())
        continue;
      Value buffer = k.arg(place[i]);
      RegType tile = type.withElement(argument.getType());
      bool along = coefficient(i, mDim), across = coefficient(i, nDim);
      if (!along && !across) {
        scalars[argument] =
            k.loadScalar(argument.getType(), buffer, {k.index(0)});
        continue;
      }
      keys.push_back(argument);
      if (along && across)
        inputs.push_back(k.load(tile, buffer, {m, n}, bounds));
      else if (across)
        inputs.push_back(k.broadcast(
            k.load(tile.drop(0), buffer, {n}, columnBound), tile, 0));
      else
        inputs.push_back(
            k.broadcast(k.load(tile.drop(1), buffer, {m}, rowBound), tile, 1));
    }
    Values results = region.emitted(k, inputs, keys, scalars);
    for (auto [i, y] : llvm::enumerate(results))
      k.store(y, k.arg(firstOutput + i), {m, n}, bounds);
  }

  ScheduleContext &context;
  Region region;
  bb::FusedOp op;
  bb::ContractOp contract;
  std::unique_ptr<KernelBuilder> made;
  MatmulTiles tiles;
  Type element; ///< of both operands
  unsigned mDim = 0, nDim = 0, kDim = 0, lhs = 0, rhs = 0, firstOutput = 0;
  int64_t rows = 0, columns = 0, depth = 0;
  bool turnedA = false, turnedB = false; ///< [K, M]; [K, N]
  bool wholeRows = false;                ///< the epilogue looks at columns
  SmallVector<int64_t> place; ///< of each input: the kernel's argument
};
} // namespace

bool scheduleGpuMatmul(ScheduleContext &context, const Region &region) {
  GpuMatmul schedule(context, region);
  return schedule.fits() && succeeded(schedule.run());
}

} // namespace bitbyte::tile
