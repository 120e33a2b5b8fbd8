//===- RegionSchedule.cpp - Element-wise and row-wise kernels -------------===//
//
// One dim lies along the lanes; the others are rows, which programs share.
// A reduction along the lanes takes a pass over the row of its own, in which
// what it sums is computed again: the row is in the L1 cache by then.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/Region.h"

#include <cmath>

using namespace mlir;

namespace bitbyte::tile {

namespace {
class RegionScheduler {
public:
  RegionScheduler(ScheduleContext &context, Region region, bool isProduct)
      : context(context), region(std::move(region)), isProduct(isProduct) {}

  LogicalResult run() {
    bb::FusedOp op = region.op;
    for (auto r : op.getBody().front().getOps<bb::ReduceOverOp>())
      reduces.push_back(r);
    if (failed(chooseLane()))
      return failure();
    int64_t rows = 1;
    for (unsigned d = 0; d < region.sizes.size(); ++d)
      if (lane != d && !llvm::is_contained(reduced, d)) {
        rowDims.push_back(d);
        rowSizes.push_back(region.sizes[d]);
        rows *= region.sizes[d];
      }
    if (lane && !reduces.empty() && !llvm::is_contained(reduced, *lane))
      return sumsStayInLanes(rows) ? runInLanes(rows)
                                   : scheduleColumnSum(context, op);
    int64_t lanes = lane ? region.sizes[*lane] : 1,
            perRow = region.points() / rows;
    int64_t ops = llvm::range_size(op.getBody().front());
    bool splitLane = rows == 1 && reduces.empty() && lane;
    const KernelTarget &target = context.target;
    // Registers of one input: the simpler the code, the more are free.
    int64_t most =
        target.isGpu ? (splitLane || ops > 12 ? 8 : 16) : (ops <= 12 ? 4 : 2);
    int64_t warps = splitLane && target.isGpu ? (lanes < 65536 ? 1 : 4)
                                              : warpsFor(target, lanes);
    int64_t vector = vectorFor(target, op->getOperandTypes(), lanes, warps);
    width = tileWidth(target, lanes, most, warps, vector);
    int64_t programs, share;
    if (splitLane) {
      int64_t items = target.isGpu ? llvm::divideCeil(lanes, width) : lanes;
      share = llvm::alignTo(
          llvm::divideCeil(lanes, programsFor(target, items, lanes / items)),
          width);
      programs = llvm::divideCeil(lanes, share);
    } else {
      share = llvm::divideCeil(rows, programsFor(target, rows, perRow));
      programs = llvm::divideCeil(rows, share);
    }

    SmallVector<BufType> in, out;
    for (Value v : op.getInputs())
      in.push_back(flatBuffer(cast<bb::GraphTensorType>(v.getType())));
    SmallVector<int64_t> inplace = region.inplace();
    for (Value v : op.getOutputs())
      out.push_back(flatBuffer(cast<bb::GraphTensorType>(v.getType())));
    auto k =
        context.kernel(op.getLoc(), reduces.empty() ? "elementwise" : "rowwise",
                       in, out, programs, warps);
    k->setVector(vector);
    k->setCost(region.flops(), region.traffic());
    RegionEmitter e(*k, region);
    takesOver = llvm::any_of(inplace, [](int64_t from) { return from >= 0; });
    if (splitLane) {
      Value begin = k->mul(k->program(), share);
      e.hoist(*lane, 0);
      laneSpan(*k, e, begin, k->min(k->index(lanes), k->add(begin, share)),
               lanes, [&] { storeAll(*k, e, true); });
    } else {
      Value begin = k->mul(k->program(), share);
      Value end = programs * share == rows
                      ? k->add(begin, share)
                      : k->min(k->index(rows), k->add(begin, share));
      if (share == 1)
        emitRow(*k, e, begin);
      else
        k->loop(begin, end, 1, [&](Value row) { emitRow(*k, e, row); });
    }
    Values results =
        context.dispatch(op, *k, op.getInputs(), op->getResultTypes(), inplace);
    op.getOutputs().front().getDefiningOp()->replaceAllUsesWith(results);
    op->erase();
    return success();
  }

private:
  /// The dim along which most of the data is contiguous.
  LogicalResult chooseLane() {
    if (!reduces.empty())
      reduced = region.over(reduces.front().getOver());
    for (bb::ReduceOverOp r : reduces)
      if (region.over(r.getOver()) != reduced)
        return region.op.emitOpError("reduces over different dims");
    int64_t best = 0, summed = 1;
    for (unsigned d : reduced)
      summed *= region.sizes[d];
    for (unsigned d = 0; d < region.sizes.size(); ++d) {
      // Tiles are stored whole, not element by element.
      if (llvm::any_of(region.outputs, [&](const LinearAccess &a) {
            return a.coefficients[d] > 1 || a.coefficients[d] < 0;
          }))
        continue;
      // Many rows of a product on a GPU: no sum should cross lanes.
      if (isProduct && context.target.isGpu &&
          !llvm::is_contained(reduced, d) && region.sizes[d] >= 32 &&
          region.points() / summed / region.sizes[d] >= 4 &&
          llvm::all_of(region.outputs, [&](const LinearAccess &a) {
            return a.coefficients[d] == 1;
          })) {
        lane = d;
        return success();
      }
      int64_t contiguous = 0;
      for (unsigned i = 0; i < region.inputs.size(); ++i)
        if (region.inputs[i] && region.inputs[i]->coefficients[d] == 1)
          contiguous += elementCount(
              cast<bb::GraphTensorType>(region.op.getOperand(i).getType()));
      for (unsigned i = 0; i < region.outputs.size(); ++i)
        if (region.outputs[i].coefficients[d] == 1)
          contiguous += elementCount(cast<bb::GraphTensorType>(
                            region.op.getResult(i).getType())) +
                        1;
      if (!lane || contiguous > best ||
          (contiguous == best && d + 1 == region.sizes.size()))
        lane = d, best = contiguous;
    }
    if (!lane && !region.sizes.empty())
      return region.op.emitOpError(
          "has no dim along which all its results are contiguous");
    return success();
  }

  /// Whether each program is to own a row's tile of lanes and loop over all
  /// that is summed: on a GPU where there are programs enough, and wherever
  /// partial sums that a second kernel adds up will not do.
  bool sumsStayInLanes(int64_t rows) {
    bool isOneSum = reduces.size() == 1 && reduces[0].getBy() == "add" &&
                    region.outputs.size() == 1;
    return (!isOneSum ||
            (context.target.isGpu && rows * region.sizes[*lane] >= 64 * 128)) &&
           llvm::all_of(region.outputs,
                        [&](const LinearAccess &a) {
                          return a.coefficients[*lane] != 0;
                        }) &&
           llvm::none_of(reduces, [&](bb::ReduceOverOp r) {
             return llvm::any_of(
                 region.slice({r.getX()}, [](Value) { return false; }),
                 llvm::IsaPred<bb::ReduceOverOp>);
           });
  }

  LogicalResult runInLanes(int64_t rows) {
    bb::FusedOp op = region.op;
    const KernelTarget &target = context.target;
    int64_t lanes = region.sizes[*lane];
    int64_t vector = vectorFor(target, op->getOperandTypes(), lanes, 1);
    width = tileWidth(target, lanes, vector, 1, vector);
    int64_t tiles = llvm::divideCeil(lanes, width);
    SmallVector<BufType> in, out;
    for (Value v : op.getInputs())
      in.push_back(flatBuffer(cast<bb::GraphTensorType>(v.getType())));
    for (Value v : op.getOutputs())
      out.push_back(flatBuffer(cast<bb::GraphTensorType>(v.getType())));
    // A few rows share what varies along the lanes alone: LLVM loads it once.
    int64_t block = 1;
    if (!rowDims.empty())
      while (2 * block * vector * int64_t(reduces.size()) <= 32 &&
             rowSizes.back() % (2 * block) == 0 && rows / block >= 64)
        block *= 2;
    auto made = context.kernel(op.getLoc(), isProduct ? "product" : "rowwise",
                               in, out, rows / block * tiles);
    KernelBuilder &k = *made;
    k.setVector(vector);
    k.setCost(region.flops(), region.traffic());
    RegionEmitter e(k, region);
    Value offset = k.mul(k.rem(k.program(), tiles), width);
    RegType type = k.row(width, k.f32());
    Value bound = lanes % width ? k.sub(k.index(lanes), offset) : Value();
    SmallVector<int64_t> blocks(rowSizes);
    if (block > 1)
      blocks.back() /= block;
    Values at = k.delinearize(k.div(k.program(), tiles), blocks);
    auto here = [&](int64_t row) {
      for (auto [d, i] : llvm::zip(rowDims, at))
        e.setCoordinate(d, i);
      if (block > 1)
        e.setCoordinate(rowDims.back(), k.add(k.mul(at.back(), block), row));
      e.reset();
      e.setLane(*lane, offset, type, bound);
    };
    Values sums; // row by row
    for (int64_t row = 0; row < block; ++row)
      for (bb::ReduceOverOp r : reduces)
        sums.push_back(k.full(type, r.getBy() == "max" ? -INFINITY : 0.0));
    sums = overOtherDims(k, e, 0, sums, [&](ValueRange carried) {
      Values next;
      for (int64_t row = 0; row < block; ++row) {
        here(row);
        for (bb::ReduceOverOp r : reduces)
          next.push_back(join(k, r, carried[next.size()], e.row(r.getX())));
      }
      return next;
    });
    for (int64_t row = 0; row < block; ++row) {
      here(row);
      for (auto [i, r] : llvm::enumerate(reduces))
        e.define(r.getY(), sums[row * reduces.size() + i]);
      storeAll(k, e, true);
    }
    Values results = context.dispatch(op, k, op.getInputs(),
                                      op->getResultTypes(), region.inplace());
    op->replaceAllUsesWith(results);
    op->erase();
    return success();
  }

  static Value join(KernelBuilder &k, bb::ReduceOverOp r, Value a, Value b) {
    bool isMax = r.getBy() == "max";
    return k.map({a, b}, k.f32(), [&](ScalarBuilder &s, ValueRange v) {
      return isMax ? s.max(v[0], v[1]) : s.add(v[0], v[1]);
    });
  }

  void emitRow(KernelBuilder &k, RegionEmitter &e, Value row) {
    for (auto [d, i] : llvm::zip(rowDims, k.delinearize(row, rowSizes)))
      e.setCoordinate(d, i);
    if (!lane) {
      e.reset();
      return storeAll(k, e, false);
    }
    int64_t lanes = region.sizes[*lane];
    uint64_t set = 0;
    for (unsigned d : rowDims)
      set |= uint64_t(1) << d;
    e.hoist(*lane, set);
    llvm::DenseMap<Value, int64_t> level;
    int64_t levels = 0;
    for (bb::ReduceOverOp r : reduces) {
      int64_t l = 0;
      for (Operation *o : region.slice({r.getX()}, [](Value) { return false; }))
        if (auto inner = dyn_cast<bb::ReduceOverOp>(o))
          l = std::max(l, level[inner.getY()] + 1);
      level[r.getY()] = l;
      levels = std::max(levels, l + 1);
    }
    for (int64_t l = 0; l < levels; ++l) {
      SmallVector<bb::ReduceOverOp> now;
      Values sums;
      RegType type = k.row(width, k.f32());
      for (bb::ReduceOverOp r : reduces)
        if (level[r.getY()] == l) {
          now.push_back(r);
          sums.push_back(k.full(type, r.getBy() == "max" ? -INFINITY : 0.0));
        }
      sums = overOtherDims(k, e, 0, sums, [&](ValueRange carried) {
        return reduceLanes(k, e, now, lanes, carried);
      });
      e.noLane();
      e.reset();
      for (auto [r, sum] : llvm::zip_equal(now, sums))
        e.define(r.getY(),
                 k.reduce(r.getBy() == "max" ? Combiner::Max : Combiner::Add,
                          sum, 0));
      e.hoist(*lane, set);
    }
    bool any = llvm::any_of(region.outputs, [&](const LinearAccess &a) {
      return a.coefficients[*lane] != 0;
    });
    if (any)
      laneSpan(k, e, k.index(0), k.index(lanes), lanes,
               [&] { storeAll(k, e, true); });
    // Results of whole rows last: they may take the place of operands that the
    // lanes read.
    e.noLane();
    e.reset();
    storeAll(k, e, false);
  }

  /// Loops over the reduced dims that do not lie along the lanes.
  Values overOtherDims(KernelBuilder &k, RegionEmitter &e, unsigned at,
                       ValueRange carried,
                       function_ref<Values(ValueRange)> body) {
    while (at < reduced.size() && reduced[at] == *lane)
      ++at;
    if (at == reduced.size())
      return body(carried);
    return k.loop(0, region.sizes[reduced[at]], 1, carried,
                  [&](Value i, ValueRange inner) {
                    e.setCoordinate(reduced[at], i);
                    return overOtherDims(k, e, at + 1, inner, body);
                  });
  }

  Values reduceLanes(KernelBuilder &k, RegionEmitter &e,
                     ArrayRef<bb::ReduceOverOp> now, int64_t lanes,
                     ValueRange carried) {
    RegType type = k.row(width, k.f32());
    auto step = [&](Value offset, int64_t exist, ValueRange sums) {
      e.reset();
      e.setLane(*lane, offset, type, exist < width ? k.index(exist) : Value());
      Values next;
      for (auto [reduce, sum] : llvm::zip(now, sums)) {
        bb::ReduceOverOp r = reduce;
        Value x = e.row(r.getX());
        bool isMax = r.getBy() == "max";
        if (exist < width) // what lies behind the end must not count
          x = k.map({x, k.iota(type.withElement(k.i32()), 0)}, k.f32(),
                    [&](ScalarBuilder &s, ValueRange a) {
                      return s.select(s.less(a[1], s.integer(exist)), a[0],
                                      s.constant(isMax ? -INFINITY : 0.0));
                    });
        next.push_back(join(k, r, sum, x));
      }
      return next;
    };
    int64_t whole = lanes / width * width;
    Values sums(carried);
    if (whole)
      sums =
          k.loop(0, whole, width, carried, [&](Value offset, ValueRange inner) {
            return step(offset, width, inner);
          });
    if (whole < lanes)
      sums = step(k.index(whole), lanes - whole, sums);
    return sums;
  }

  /// Tiles of the span [begin, end) of the `lanes` along the lane dim; `begin`
  /// is a multiple of the width, and `end` too unless it is the last.
  void laneSpan(KernelBuilder &k, RegionEmitter &e, Value begin, Value end,
                int64_t lanes, function_ref<void()> body) {
    RegType type = k.row(width, k.f32());
    int64_t rest = lanes % width;
    Value whole = rest ? k.min(end, k.index(lanes - rest)) : end;
    if (lanes >= width)
      k.loop(begin, whole, width, [&](Value offset) {
        e.reset();
        e.setLane(*lane, offset, type, {});
        body();
      });
    if (!rest)
      return;
    int64_t narrow = llvm::alignTo(rest, context.target.lanes);
    auto tail = [&] {
      e.reset();
      e.setLane(*lane, k.index(lanes - rest), k.row(narrow, k.f32()),
                rest < narrow ? k.index(rest) : Value());
      body();
    };
    k.when(k.less(k.index(lanes - rest), end), tail);
  }

  /// All reads come before the first write: a result may lie where an operand
  /// of another result was.
  void storeAll(KernelBuilder &k, RegionEmitter &e, bool alongLanes) {
    auto values = llvm::to_vector(region.op.emit().getValues());
    auto here = [&](unsigned i) {
      return !lane ||
             (region.outputs[i].coefficients[*lane] != 0) == alongLanes;
    };
    bool any = false;
    for (auto [i, v] : llvm::enumerate(values))
      if (here(i)) {
        e.get(v);
        any = true;
      }
    // On a GPU all threads read an element of a row, and one writes it.
    if (context.target.isGpu && takesOver && !alongLanes && any)
      k.barrier();
    for (auto [i, v] : llvm::enumerate(values))
      if (here(i))
        e.store(i, v);
  }

  ScheduleContext &context;
  Region region;
  SmallVector<bb::ReduceOverOp> reduces;
  SmallVector<unsigned> reduced, rowDims;
  SmallVector<int64_t> rowSizes;
  std::optional<unsigned> lane;
  int64_t width = 0;
  bool isProduct;
  bool takesOver = false; ///< a result lies where an operand lay
};
} // namespace

LogicalResult scheduleRegion(ScheduleContext &context, bb::FusedOp op,
                             bool isProduct) {
  FailureOr<Region> region = Region::of(op);
  if (failed(region))
    return failure();
  return RegionScheduler(context, *region, isProduct).run();
}

// Sums over rows, columns along the lanes. Each program sums a block of rows
// into a row of partial results; a second kernel adds those in order.
LogicalResult scheduleColumnSum(ScheduleContext &context, bb::FusedOp op) {
  FailureOr<Region> made = Region::of(op);
  if (failed(made))
    return failure();
  Region &region = *made;
  auto reduces =
      llvm::to_vector(op.getBody().front().getOps<bb::ReduceOverOp>());
  if (reduces.size() != 1 || reduces[0].getBy() != "add" ||
      op.getNumResults() != 1)
    return op.emitOpError("sums several columns in one region");
  bb::ReduceOverOp reduce = reduces[0];
  SmallVector<unsigned> reduced = region.over(reduce.getOver()), kept;
  SmallVector<int64_t> reducedSizes, keptSizes;
  int64_t rows = 1, columns = 1;
  for (unsigned d = 0; d < region.sizes.size(); ++d) {
    bool gone = llvm::is_contained(reduced, d);
    (gone ? reducedSizes : keptSizes).push_back(region.sizes[d]);
    (gone ? rows : columns) *= region.sizes[d];
    if (!gone)
      kept.push_back(d);
  }
  unsigned lane = kept.back();
  for (unsigned d : kept)
    if (region.outputs[0].coefficients[d] == 1)
      lane = d;
  if (lane != kept.back())
    return op.emitOpError("sums columns that are not contiguous");
  int64_t lanes = region.sizes[lane], outer = columns / lanes;
  // On a GPU each program has one tile of columns, and a lane of it one access.
  const KernelTarget &target = context.target;
  int64_t vector = vectorFor(target, op->getOperandTypes(), lanes, 1);
  int64_t width =
      tileWidth(target, lanes, target.isGpu ? vector : 4, 1, vector);
  int64_t rowTiles = llvm::divideCeil(lanes, width);
  int64_t columnTiles = target.isGpu ? outer * rowTiles : 1;
  int64_t parts = target.isGpu
                      ? std::clamp<int64_t>(llvm::divideCeil(1024, columnTiles),
                                            1, llvm::divideCeil(rows, 32))
                      : programsFor(target, rows, columns);
  int64_t share = llvm::divideCeil(rows, parts),
          programs = llvm::divideCeil(rows, share);

  SmallVector<BufType> in;
  for (Value v : op.getInputs())
    in.push_back(flatBuffer(cast<bb::GraphTensorType>(v.getType())));
  auto partialType = temporary(op.getContext(), {programs, columns});
  SmallVector<unsigned> outerDims(kept.begin(), kept.end() - 1);
  SmallVector<int64_t> outerSizes(keptSizes.begin(), keptSizes.end() - 1);
  auto rowOf = [&](KernelBuilder &k, RegionEmitter &e, Value o) {
    for (auto [d, i] : llvm::zip(outerDims, k.delinearize(o, outerSizes)))
      e.setCoordinate(d, i);
  };
  // Calls `body(row, offset, type, bound)` for a program's columns.
  auto tiles = [&](KernelBuilder &k, RegionEmitter &e, Value number,
                   function_ref<void(Value, Value, RegType, Value)> body) {
    if (target.isGpu) {
      Value o = k.div(number, rowTiles),
            offset = k.mul(k.rem(number, rowTiles), width);
      rowOf(k, e, o);
      return body(o, offset, k.row(width, k.f32()),
                  lanes % width ? k.sub(k.index(lanes), offset) : Value());
    }
    k.loop(0, outer, 1, [&](Value o) {
      rowOf(k, e, o);
      int64_t whole = lanes / width * width;
      if (whole)
        k.loop(0, whole, width, [&](Value offset) {
          body(o, offset, k.row(width, k.f32()), {});
        });
      if (int64_t rest = lanes - whole) {
        int64_t narrow = llvm::alignTo(rest, context.target.lanes);
        body(o, k.index(whole), k.row(narrow, k.f32()),
             rest < narrow ? k.index(rest) : Value());
      }
    });
  };
  auto bounds = [](Value bound) { return bound ? Values{bound} : Values{}; };

  auto first =
      context.kernel(op.getLoc(), "columnsum", in, {flatBuffer(partialType)},
                     programs * columnTiles);
  {
    KernelBuilder &k = *first;
    k.setVector(vector);
    k.setCost(region.flops(), region.traffic());
    RegionEmitter e(k, region);
    Value part = k.div(k.program(), columnTiles);
    Value begin = k.mul(part, share);
    Value end = k.min(k.index(rows), k.add(begin, share));
    tiles(k, e, k.rem(k.program(), columnTiles),
          [&](Value o, Value offset, RegType type, Value bound) {
            Values sum = k.loop(
                begin, end, 1, {k.full(type, 0.0)},
                [&](Value row, ValueRange carried) {
                  for (auto [d, i] :
                       llvm::zip(reduced, k.delinearize(row, reducedSizes)))
                    e.setCoordinate(d, i);
                  e.reset();
                  e.setLane(lane, offset, type, bound);
                  return Values{k.map({carried[0], e.row(reduce.getX())},
                                      k.f32(),
                                      [](ScalarBuilder &s, ValueRange a) {
                                        return s.add(a[0], a[1]);
                                      })};
                });
            Value at =
                k.add(k.mul(part, columns), k.add(k.mul(o, lanes), offset));
            k.store(sum[0], k.arg(in.size()), {at}, bounds(bound));
          });
  }
  Value partial =
      context.dispatch(op, *first, op.getInputs(), {partialType})[0];

  // The second kernel sees the operands that are used after the sum.
  Values operands;
  SmallVector<int64_t> place(op.getNumOperands(), -1);
  in.clear();
  for (Operation *o : region.slice(op.emit().getValues(),
                                   [&](Value v) { return v == reduce.getY(); }))
    for (Value v : o->getOperands())
      if (auto argument = dyn_cast<BlockArgument>(v);
          argument && place[argument.getArgNumber()] < 0) {
        place[argument.getArgNumber()] = operands.size();
        operands.push_back(op.getOperand(argument.getArgNumber()));
        in.push_back(
            flatBuffer(cast<bb::GraphTensorType>(operands.back().getType())));
      }
  in.push_back(flatBuffer(partialType));
  auto type = cast<bb::GraphTensorType>(op.getResult(0).getType());
  auto second = context.kernel(op.getLoc(), "columnsum", in, {flatBuffer(type)},
                               columnTiles);
  {
    KernelBuilder &k = *second;
    k.setVector(vector);
    k.setCost(programs * columns, byteCount(partialType) + byteCount(type));
    RegionEmitter e(k, region);
    e.setArguments(place, in.size());
    tiles(k, e, k.program(),
          [&](Value o, Value offset, RegType row, Value bound) {
            Value at = k.add(k.mul(o, lanes), offset);
            Values sum = k.loop(
                0, programs, 1, {k.full(row, 0.0)},
                [&](Value p, ValueRange carried) {
                  Value x =
                      k.load(row, k.arg(in.size() - 1),
                             {k.add(k.mul(p, columns), at)}, bounds(bound));
                  return Values{k.map({carried[0], x}, k.f32(),
                                      [](ScalarBuilder &s, ValueRange a) {
                                        return s.add(a[0], a[1]);
                                      })};
                });
            e.reset();
            e.setLane(lane, offset, row, bound);
            e.define(reduce.getY(), sum[0]);
            e.store(0, op.emit().getValues()[0]);
          });
  }
  operands.push_back(partial);
  int64_t from = region.inplace()[0];
  Values result = context.dispatch(op, *second, operands, {type},
                                   {from < 0 ? -1 : place[from]});
  op.getResult(0).replaceAllUsesWith(result[0]);
  op->erase();
  return success();
}

} // namespace bitbyte::tile
