//===- Gather.cpp - Rows that go to computed places -----------------------===//
#include "passes/tile/Schedules.h"

using namespace mlir;

namespace bitbyte::tile {

// On a GPU a program owns a slab of columns of one row, and looks through a
// part of the positions for those that go there; a second kernel adds the parts
// in order.
static LogicalResult scheduleGpuScatterAdd(ScheduleContext &context,
                                           bb::ScatterAddOp op) {
  auto ids = cast<bb::GraphTensorType>(op.getIds().getType()),
       x = cast<bb::GraphTensorType>(op.getX().getType()),
       y = cast<bb::GraphTensorType>(op.getY().getType());
  const KernelTarget &target = context.target;
  int64_t columns = *x.dim(-1).constant(),
          positions = elementCount(x) / columns, rows = *y.dim(0).constant();
  int64_t vector = vectorFor(target, {x, y}, columns, 1);
  int64_t width = tileWidth(target, columns, 8, 1, vector);
  int64_t slabs = llvm::divideCeil(columns, width);
  int64_t share =
      llvm::divideCeil(positions, std::clamp<int64_t>(positions / 512, 1, 16));
  int64_t parts = llvm::divideCeil(positions, share);
  auto partialType = temporary(op.getContext(), {parts, rows, columns});
  bb::GraphTensorType outType = parts > 1 ? partialType : y;
  BufType partial =
      BufType::global({parts * rows, columns}, outType.getElement());
  auto placeOf = [&](KernelBuilder &k) { // row, column, columns that exist
    Value column = k.mul(k.rem(k.program(), slabs), width);
    Values bounds;
    if (columns % width)
      bounds.push_back(k.sub(k.index(columns), column));
    return std::tuple(k.div(k.program(), slabs), column, bounds);
  };
  auto first = context.kernel(
      op.getLoc(), "scatter_add",
      {flatBuffer(ids), BufType::global({positions, columns}, x.getElement())},
      {partial}, parts * rows * slabs);
  {
    KernelBuilder &k = *first;
    k.setVector(vector);
    k.setCost(positions * columns,
              byteCount(ids) + byteCount(x) + byteCount(outType));
    auto [number, column, bounds] = placeOf(k);
    Value part = k.div(number, rows), row = k.toI32(k.rem(number, rows));
    Value begin = k.mul(part, share),
          end = k.min(k.index(positions), k.add(begin, share));
    RegType type = k.row(width, k.f32());
    Value sum =
        k.loop(begin, end, 1, {k.full(type, 0.0)}, [&](Value p, ValueRange c) {
          Value id = k.loadScalar(k.i32(), k.arg(0), {p});
          Value hit = arith::CmpIOp::create(k.builder, k.loc,
                                            arith::CmpIPredicate::eq, id, row);
          return k.branch(
              hit, {type},
              [&] {
                return Values{
                    k.map({c[0], k.load(type, k.arg(1), {p, column}, bounds)},
                          k.f32(), [](ScalarBuilder &s, ValueRange a) {
                            return s.add(a[0], a[1]);
                          })};
              },
              [&] { return Values{c[0]}; });
        })[0];
    k.store(sum, k.arg(2), {number, column}, bounds);
  }
  Value result =
      context.dispatch(op, *first, {op.getIds(), op.getX()}, {outType})[0];
  if (parts > 1) {
    auto second = context.kernel(
        op.getLoc(), "scatter_add",
        {BufType::global({parts, rows, columns}, partialType.getElement())},
        {BufType::global({rows, columns}, y.getElement())}, rows * slabs);
    KernelBuilder &k = *second;
    k.setVector(vector);
    k.setCost(parts * rows * columns, byteCount(partialType) + byteCount(y));
    auto [row, column, bounds] = placeOf(k);
    RegType type = k.row(width, k.f32());
    Value sum =
        k.loop(0, parts, 1, {k.full(type, 0.0)}, [&](Value p, ValueRange c) {
          Value more = k.load(type, k.arg(0), {p, row, column}, bounds);
          return Values{
              k.map({c[0], more}, k.f32(), [](ScalarBuilder &s, ValueRange a) {
                return s.add(a[0], a[1]);
              })};
        })[0];
    k.store(sum, k.arg(1), {row, column}, bounds);
    result = context.dispatch(op, k, {result}, {y})[0];
  }
  op.getY().replaceAllUsesWith(result);
  op->erase();
  return success();
}

// Few rows take many positions' values: each program owns a slab of columns and
// walks all positions in order, so the sums have one order. They are f32 until
// the last one is there: a second kernel rounds them.
LogicalResult scheduleScatterAdd(ScheduleContext &context,
                                 bb::ScatterAddOp op) {
  if (context.target.isGpu)
    return scheduleGpuScatterAdd(context, op);
  auto ids = cast<bb::GraphTensorType>(op.getIds().getType()),
       x = cast<bb::GraphTensorType>(op.getX().getType()),
       y = cast<bb::GraphTensorType>(op.getY().getType());
  int64_t columns = *x.dim(-1).constant(),
          positions = elementCount(x) / columns, rows = *y.dim(0).constant();
  int64_t width = std::min<int64_t>(
      context.target.lanes * 4, llvm::alignTo(columns, context.target.lanes));
  int64_t programs = llvm::divideCeil(columns, width);
  auto sums = y.of(Float32Type::get(op.getContext()));
  auto columnsOf = [&](KernelBuilder &k) {
    Value column = k.mul(k.program(), width);
    Values bounds;
    if (columns % width)
      bounds.push_back(k.sub(k.index(columns), column));
    return std::pair(column, bounds);
  };
  auto k = context.kernel(
      op.getLoc(), "scatter_add",
      {flatBuffer(ids), BufType::global({positions, columns}, x.getElement())},
      {BufType::global({rows, columns}, sums.getElement())}, programs);
  k->setCost(positions * columns,
             byteCount(ids) + byteCount(x) + byteCount(sums));
  RegType row = k->row(width, k->f32());
  auto [column, bounds] = columnsOf(*k);
  Value out = k->arg(2);
  k->loop(0, rows, 1, [&](Value r) {
    k->store(k->full(row, 0.0), out, {r, column}, bounds);
  });
  k->loop(0, positions, 1, [&](Value p) {
    Value id = k->toIndex(k->loadScalar(k->i32(), k->arg(0), {p}));
    Value sum = k->map({k->load(row, out, {id, column}, bounds),
                        k->load(row, k->arg(1), {p, column}, bounds)},
                       k->f32(), [](ScalarBuilder &s, ValueRange a) {
                         return s.add(a[0], a[1]);
                       });
    k->store(sum, out, {id, column}, bounds);
  });
  Value result = context.dispatch(op, *k, {op.getIds(), op.getX()}, {sums})[0];
  if (sums != y) {
    auto rounding = context.kernel(
        op.getLoc(), "scatter_add",
        {BufType::global({rows, columns}, sums.getElement())},
        {BufType::global({rows, columns}, y.getElement())}, programs);
    rounding->setCost(0, byteCount(sums) + byteCount(y));
    auto [from, exist] = columnsOf(*rounding);
    rounding->loop(0, rows, 1, [&](Value r) {
      rounding->store(rounding->load(row, rounding->arg(0), {r, from}, exist),
                      rounding->arg(1), {r, from}, exist);
    });
    result = context.dispatch(op, *rounding, {result}, {y})[0];
  }
  op.getY().replaceAllUsesWith(result);
  op->erase();
  return success();
}

// Row i goes to slot (position + i) mod capacity; all other slots keep what the
// ring holds there, and cost nothing.
LogicalResult scheduleAppend(ScheduleContext &context, bb::AppendOp op) {
  auto ring = cast<bb::GraphTensorType>(op.getRing().getType()),
       rows = cast<bb::GraphTensorType>(op.getRows().getType());
  int64_t batch = *ring.dim(0).constant(), slots = *ring.dim(1).constant(),
          fresh = *rows.dim(1).constant();
  int64_t width = elementCount(ring) / batch / slots;
  int64_t tile = std::min<int64_t>(context.target.lanes * 4,
                                   llvm::alignTo(width, context.target.lanes));
  int64_t share = llvm::divideCeil(
      batch * fresh, programsFor(context.target, batch * fresh, width));
  auto k = context.kernel(
      op.getLoc(), "append",
      {BufType::global({batch, slots, width}, ring.getElement()),
       BufType::global({batch, fresh, width}, rows.getElement()),
       flatBuffer(cast<bb::GraphTensorType>(op.getAt().getType()))},
      {BufType::global({batch, slots, width}, ring.getElement())},
      llvm::divideCeil(batch * fresh, share));
  k->setVector(vectorFor(context.target, {ring, rows}, width, 1));
  k->setCost(0, byteCount(rows) + batch * fresh * width * byteCount(ring) /
                                      elementCount(ring));
  Value at = k->rem(
      k->toIndex(k->loadScalar(k->i32(), k->arg(2), {k->index(0)})), slots);
  Value begin = k->mul(k->program(), share),
        end = k->min(k->index(batch * fresh), k->add(begin, share));
  k->loop(begin, end, 1, [&](Value i) {
    Value b = k->div(i, fresh), row = k->rem(i, fresh);
    Value slot = k->rem(k->add(at, row), slots);
    auto piece = [&](Value offset, int64_t n) {
      RegType type = k->row(llvm::alignTo(n, context.target.lanes), k->f32());
      Values bounds;
      if (n % context.target.lanes)
        bounds.push_back(k->index(n));
      k->store(k->load(type, k->arg(1), {b, row, offset}, bounds), k->arg(3),
               {b, slot, offset}, bounds);
    };
    int64_t whole = width / tile * tile;
    if (whole)
      k->loop(0, whole, tile, [&](Value offset) { piece(offset, tile); });
    if (whole < width)
      piece(k->index(whole), width - whole);
  });
  Values y = context.dispatch(op, *k, {op.getRing(), op.getRows(), op.getAt()},
                              {ring}, {0}, /*partial=*/true);
  op.getY().replaceAllUsesWith(y[0]);
  op->erase();
  return success();
}

} // namespace bitbyte::tile
