//===- Matmul.cpp - Contractions as panels and micro-tiles ----------------===//
//
// C[m, n] = sum over k of A[m, k] B[k, n], then the region's epilogue on the
// accumulators. B is packed by panels of the micro-tile's columns, A too if its
// rows are not contiguous. A program owns a block of rows (of about L2's size),
// widens those of a 16-bit A into its scratch, and walks panels outside, rows
// inside, so that a panel stays in L1. Nothing is split along k: one task owns
// an element.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/gpu/Matmul.h"
#include "passes/tile/Panels.h"
#include "passes/tile/Region.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace bitbyte::tile {

namespace {
/// Panels that make a widened copy of A's rows pay. Widening each element where
/// it is broadcast takes more instructions than the products.
constexpr int64_t stagedFrom = 4;

class MatmulScheduler {
public:
  MatmulScheduler(ScheduleContext &context, Region region)
      : context(context), region(std::move(region)), op(this->region.op),
        contract(op.anchor()) {}

  /// Whether panels pay and the region has their form: one dim each of rows,
  /// columns and depth, operands read directly, a linear epilogue.
  bool fits() {
    auto one = [&](uint64_t bits, unsigned &dim, int64_t &size) {
      if (llvm::popcount(bits) != 1)
        return false;
      dim = llvm::countr_zero(bits);
      size = region.sizes[dim];
      return true;
    };
    if (contract.getRhs().size() != 1 ||
        !isa<BlockArgument>(contract.getLhs()) ||
        !isa<BlockArgument>(contract.getRhs()[0]))
      return false;
    uint64_t overBits = 0;
    for (unsigned d : region.over(contract.getOver()))
      overBits |= uint64_t(1) << d;
    uint64_t a = region.domain(contract.getLhs()),
             b = region.domain(contract.getRhs()[0]);
    if ((a & b) != overBits || !one(overBits, kDim, depth) ||
        !one(a & ~overBits, mDim, rows) || !one(b & ~overBits, nDim, columns))
      return false;
    lhs = cast<BlockArgument>(contract.getLhs()).getArgNumber();
    rhs = cast<BlockArgument>(contract.getRhs()[0]).getArgNumber();
    if (rows < 5 || columns < context.target.lanes || depth < 4)
      return false;
    uint64_t plane = (uint64_t(1) << mDim) | (uint64_t(1) << nDim);
    for (unsigned i = 0; i < region.inputs.size(); ++i) {
      if (i == lhs || i == rhs)
        continue;
      if (!region.inputs[i] || region.inputs[i]->constant ||
          (region.domain(op.getBody().getArgument(i)) & ~plane))
        return false;
      if (coefficient(i, nDim) > 1)
        return false;
    }
    for (const LinearAccess &out : region.outputs)
      if (out.constant || out.coefficients[nDim] != 1 || out.coefficients[kDim])
        return false;
    for (Operation &o : op.getBody().front())
      if (isa<bb::IndexOp, bb::AtOp, bb::ReduceOverOp>(o))
        return false;
    return true;
  }

  LogicalResult run() {
    const KernelTarget &t = context.target;
    MLIRContext *ctx = op.getContext();
    microRows = t.panelRows;
    microColumns = t.panelColumns;
    panels = llvm::divideCeil(columns, microColumns);

    Values operands;
    SmallVector<BufType> in, out;
    Value b =
        packPanels(context, op, op.getOperand(rhs),
                   {columns, depth, microColumns, coefficient(rhs, nDim),
                    coefficient(rhs, kDim), region.inputs[rhs]->constant});
    bool direct = coefficient(lhs, kDim) == 1;
    Value a = op.getOperand(lhs);
    if (!direct) {
      packWidth = std::lcm(microRows, t.lanes);
      a = packPanels(context, op, a,
                     {rows, depth, packWidth, coefficient(lhs, mDim),
                      coefficient(lhs, kDim), region.inputs[lhs]->constant});
    }
    operands = {a, b};
    in.push_back(direct ? matrix(lhs, rows, depth, mDim, kDim)
                        : denseBuffer(cast<bb::GraphTensorType>(a.getType())));
    in.push_back(denseBuffer(cast<bb::GraphTensorType>(b.getType())));
    SmallVector<int64_t> place(region.inputs.size(), -1);
    for (unsigned i = 0; i < region.inputs.size(); ++i) {
      BlockArgument argument = op.getBody().getArgument(i);
      if (i == lhs || i == rhs)
        continue;
      place[i] = operands.size();
      operands.push_back(op.getOperand(i));
      bool m = coefficient(i, mDim), n = coefficient(i, nDim);
      auto type = cast<bb::GraphTensorType>(
          argument.getOwner()->getParentOp()->getOperand(i).getType());
      if (m && n)
        in.push_back(matrix(i, rows, columns, mDim, nDim));
      else if (m)
        in.push_back(
            BufType::get(ctx, {rows}, type.getElement(), Space::Global,
                         StridedAttr::get(ctx, {coefficient(i, mDim)})));
      else
        in.push_back(flatBuffer(type));
    }
    SmallVector<int64_t> inplace;
    SmallVector<int64_t> mayShare = region.inplace();
    for (unsigned i = 0; i < op.getNumResults(); ++i) {
      auto type = cast<bb::GraphTensorType>(op.getResult(i).getType());
      out.push_back(BufType::get(
          ctx, {rows, columns}, type.getElement(), Space::Global,
          StridedAttr::get(ctx, {region.outputs[i].coefficients[mDim], 1})));
      int64_t from = mayShare[i];
      inplace.push_back(from < 0 ? -1 : place[from]);
    }

    // Rows of a program: what fits L2 beside a panel of B.
    int64_t wholeRows = rows / microRows;
    blockRows =
        std::clamp<int64_t>(t.scratchBytes / (4 * microRows * depth), 1, 32);
    int64_t rowBlocks = std::max<int64_t>(
        1, llvm::divideCeil(llvm::divideCeil(rows, microRows), blockRows));
    int64_t columnBlocks =
        std::clamp<int64_t>(llvm::divideCeil(32, rowBlocks), 1, panels);
    int64_t blockPanels = llvm::divideCeil(panels, columnBlocks);
    columnBlocks = llvm::divideCeil(panels, blockPanels);

    made = context.kernel(op.getLoc(), "matmul", in, out,
                          rowBlocks * columnBlocks);
    KernelBuilder &k = *made;
    firstOutput = in.size();
    argumentOf = place;
    // Code with functions or divisions needs more registers than a micro-tile
    // leaves: it goes over the rows of the tile one by one.
    if (llvm::any_of(op.getBody().front(), [](Operation &o) {
          return isa<arith::DivFOp>(o) ||
                 isa<math::MathDialect>(o.getDialect());
        }))
      rowScratch = made->alloc({microRows, microColumns}, made->f32());
    k.setCost(region.flops(), region.traffic());
    Value rowBlock = k.div(k.program(), columnBlocks),
          columnBlock = k.rem(k.program(), columnBlocks);
    i0 = k.mul(rowBlock, blockRows);
    Value i1 = k.min(k.index(wholeRows), k.add(i0, blockRows));
    Value j0 = k.mul(columnBlock, blockPanels),
          j1 = k.min(k.index(panels), k.add(j0, blockPanels));
    bool widens = !cast<bb::GraphTensorType>(a.getType()).getElement().isF32();
    if (direct && widens && blockPanels >= stagedFrom)
      stageRows(k.mul(i0, microRows), blockRows * microRows);
    int64_t wholePanels = columns / microColumns;
    Value lastRows =
        rows % microRows ? equal(k, rowBlock, rowBlocks - 1) : Value();
    auto column = [&](Value j, bool ragged) {
      if (wholeRows)
        k.loop(i0, i1, 1, [&](Value i) {
          tile(k.mul(i, microRows), microRows, j, ragged);
        });
      if (lastRows)
        k.when(lastRows, [&] {
          tile(k.index(wholeRows * microRows), rows % microRows, j, ragged);
        });
    };
    if (wholePanels)
      k.loop(j0, k.min(j1, k.index(wholePanels)), 1,
             [&](Value j) { column(j, false); });
    if (columns % microColumns)
      k.when(equal(k, columnBlock, columnBlocks - 1),
             [&] { column(k.index(wholePanels), true); });
    Values results =
        context.dispatch(op, k, operands, op->getResultTypes(), inplace);
    op->replaceAllUsesWith(results);
    op->erase();
    return success();
  }

private:
  int64_t coefficient(unsigned input, unsigned dim) const {
    return region.inputs[input]->coefficients[dim];
  }
  static Value equal(KernelBuilder &k, Value x, int64_t y) {
    return arith::CmpIOp::create(k.builder, k.loc, arith::CmpIPredicate::eq, x,
                                 k.index(y));
  }
  BufType matrix(unsigned input, int64_t r, int64_t c, unsigned rowDim,
                 unsigned columnDim) {
    auto type = cast<bb::GraphTensorType>(op.getOperand(input).getType());
    return BufType::get(op.getContext(), {r, c}, type.getElement(),
                        Space::Global,
                        StridedAttr::get(op.getContext(),
                                         {coefficient(input, rowDim),
                                          coefficient(input, columnDim)},
                                         region.inputs[input]->constant));
  }

  /// Copies the program's rows of A, from `first`, into scratch: rows there are
  /// f32, and lie a cache line apart from a power of two.
  void stageRows(Value first, int64_t count) {
    KernelBuilder &k = *made;
    stagedFirst = first;
    int64_t chunk = 4 * context.target.lanes, whole = depth - depth % chunk;
    staged = k.alloc({count, scratchRow(depth)}, k.f32());
    RegType row = k.row(chunk, k.f32());
    k.loop(first, k.min(k.index(rows), k.add(first, count)), 1, [&](Value m) {
      auto copy = [&](Value d, ValueRange bounds) {
        k.store(k.load(row, k.arg(0), {m, d}, bounds), staged,
                {k.sub(m, first), d}, bounds);
      };
      k.loop(0, whole, chunk, [&](Value d) { copy(d, {}); });
      if (whole < depth)
        copy(k.index(whole), {k.index(depth - whole)});
    });
  }

  /// One micro-tile: `count` rows from `m`, panel `j`. Of a ragged panel it
  /// takes the vectors that have a column.
  void tile(Value m, int64_t count, Value j, bool ragged) {
    KernelBuilder &k = *made;
    int64_t left = columns % microColumns;
    int64_t width =
        ragged ? llvm::alignTo(left, context.target.lanes) : microColumns;
    ragged &= width != left;
    RegType type = k.rows({count, width}, k.f32());
    Value zero = k.index(0);
    prefetchPanel(m, j);
    if (!ragged)
      prefetchEpilogue(m, k.mul(j, microColumns), count, width);
    Value b =
        k.view(k.arg(1), {j, zero, zero}, {depth, width}, ArrayRef<int64_t>{0});
    Value sum;
    if (packWidth) {
      Value a =
          k.view(k.arg(0), {k.div(m, packWidth), zero, k.rem(m, packWidth)},
                 {depth, count}, ArrayRef<int64_t>{0});
      sum = k.mma(a, b, k.full(type, 0.0), /*transposeA=*/true);
    } else {
      Value a = k.view(staged ? staged : k.arg(0),
                       {staged ? k.sub(m, stagedFirst) : m, zero},
                       {count, depth}, ArrayRef<int64_t>{});
      sum = k.mma(a, b, k.full(type, 0.0));
    }
    Value n = k.mul(j, microColumns);
    Value exist = k.index(left);
    if (!rowScratch)
      return epilogue(type, sum, m, n,
                      ragged ? Values{k.index(count), exist} : Values{});
    k.store(sum, rowScratch, {zero, zero});
    RegType row = k.row(width, k.f32());
    k.loop(0, count, 1, [&](Value r) {
      epilogue(row, k.load(row, rowScratch, {r, zero}), k.add(m, r), n,
               ragged ? Values{exist} : Values{});
    });
  }

  /// Asks for a tile's share of the panel that comes next, where B does not
  /// stay in L2 while a block of rows goes by. Not where K is so long that only
  /// few tiles share a panel: a share would have more lines than the product
  /// has rounds, and two panels would not fit L2.
  void prefetchPanel(Value m, Value j) {
    constexpr int64_t fewestTiles = 5;
    KernelBuilder &k = *made;
    if (4 * columns * depth < context.target.scratchBytes ||
        blockRows < fewestTiles)
      return;
    int64_t share = llvm::divideCeil(depth, blockRows);
    Value at = k.mul(k.sub(k.div(m, microRows), i0), share);
    auto fetch = PrefetchOp::create(
        k.builder, k.loc,
        k.view(k.arg(1), {k.rem(k.add(j, 1), panels), at, k.index(0)},
               {share, microColumns}, ArrayRef<int64_t>{0}));
    fetch.setFar(true);
  }

  /// Asks for what the epilogue of a tile reads and writes, before the product
  /// that hides the time: neighbouring rows lie in different pages.
  void prefetchEpilogue(Value m, Value n, int64_t count, int64_t width) {
    KernelBuilder &k = *made;
    auto fetch = [&](unsigned argument) {
      PrefetchOp::create(
          k.builder, k.loc,
          k.view(k.arg(argument), {m, n}, {count, width}, ArrayRef<int64_t>{}));
    };
    for (unsigned i = 0; i < region.inputs.size(); ++i)
      if (argumentOf[i] >= 0 && coefficient(i, mDim) && coefficient(i, nDim))
        fetch(argumentOf[i]);
    for (unsigned i = 0; i < op.getNumResults(); ++i)
      fetch(firstOutput + i);
  }

  /// The region's code behind the product, for a tile [rows, columns] or a row
  /// of it at (m, n), and the stores. Operands become tiles or scalars, and all
  /// code is one map.
  void epilogue(RegType type, Value sum, Value m, Value n, ValueRange bounds) {
    KernelBuilder &k = *made;
    bool matrix = type.getRank() == 2;
    Values inputs{sum}, keys{contract.getOutputs()[0]};
    llvm::DenseMap<Value, Value> scalars;
    for (BlockArgument argument : op.getBody().getArguments()) {
      unsigned i = argument.getArgNumber();
      if (argumentOf[i] < 0 || argument.use_empty())
        continue;
      Value buffer = k.arg(argumentOf[i]), x;
      Type element = argument.getType();
      bool along = coefficient(i, mDim), across = coefficient(i, nDim);
      if (along && across)
        x = k.load(type.withElement(element), buffer, {m, n}, bounds);
      else if (across)
        x = k.load((matrix ? type.drop(0) : type).withElement(element), buffer,
                   {n}, bounds.take_back(bounds.empty() ? 0 : 1));
      else if (along && matrix)
        x = k.broadcast(k.load(type.drop(1).withElement(element), buffer, {m}),
                        type.withElement(element), 1);
      else
        scalars[argument] =
            k.loadScalar(element, buffer, {along ? m : k.index(0)});
      if (across && !along && matrix)
        x = k.broadcast(x, type.withElement(element), 0);
      if (x) {
        inputs.push_back(x);
        keys.push_back(argument);
      }
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
  unsigned mDim = 0, nDim = 0, kDim = 0, lhs = 0, rhs = 0, firstOutput = 0;
  SmallVector<int64_t> argumentOf;
  Value rowScratch;
  Value i0;                  ///< The program's first micro-tile.
  Value staged, stagedFirst; ///< The program's rows of A, and their first.
  int64_t rows = 0, columns = 0, depth = 0, microRows = 0, microColumns = 0,
          panels = 0, blockRows = 0;
  int64_t packWidth = 0; ///< 0: A is read where it lies
};
} // namespace

LogicalResult scheduleMatmul(ScheduleContext &context, bb::FusedOp op) {
  FailureOr<Region> region = Region::of(op);
  if (failed(region))
    return failure();
  if (context.target.isGpu && scheduleGpuMatmul(context, *region))
    return success();
  MatmulScheduler scheduler(context, *region);
  if (!context.target.isGpu && scheduler.fits())
    return scheduler.run();
  if (auto [product, rest] = peelRows(*region); product)
    return failure(failed(scheduleMatmul(context, product)) ||
                   failed(scheduleRegion(context, rest)));
  // Few rows, or an unusual form: products summed like any reduction. With one
  // row this reads each weight once, which is all that a step of decoding is.
  bb::ContractOp contract = op.anchor();
  OpBuilder b(contract);
  for (auto [right, y] : llvm::zip(contract.getRhs(), contract.getOutputs())) {
    Value product =
        arith::MulFOp::create(b, contract.getLoc(), contract.getLhs(), right,
                              arith::FastMathFlags::contract);
    if (!contract.getOver().empty()) // else there is one product each
      product =
          bb::ReduceOverOp::create(b, contract.getLoc(), product.getType(),
                                   "add", product, contract.getOver());
    y.replaceAllUsesWith(product);
  }
  contract.erase();
  return scheduleRegion(context, op, /*isProduct=*/true);
}

} // namespace bitbyte::tile
