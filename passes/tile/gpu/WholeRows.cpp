//===- WholeRows.cpp - Region code on tiles that hold whole rows ----------===//
#include "passes/tile/gpu/WholeRows.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/IRMapping.h"

#include <cmath>

using namespace mlir;

namespace bitbyte::tile {

bool WholeRows::canWrite(const Region &region, unsigned column) {
  bb::FusedOp op = region.op;
  return llvm::all_of(op.getBody().front(), [&](Operation &o) {
    if (auto reduce = dyn_cast<bb::ReduceOverOp>(o))
      return region.over(reduce.getOver()) == SmallVector<unsigned>{column};
    if (auto index = dyn_cast<bb::IndexOp>(o))
      return region.over({int64_t(index.getDim())}) ==
                 SmallVector<unsigned>{column} &&
             region.members[column].size() == 1;
    return !isa<bb::AtOp>(o);
  });
}

void WholeRows::write(Value product, Value of, Value first, Value count) {
  values.clear();
  type = cast<RegType>(product.getType());
  m = first;
  exist = count;
  values[of] = product;
  bb::FusedOp op = region.op;
  Values results; // all reads come before the first write
  for (auto [v, access] :
       llvm::zip_equal(op.emit().getValues(), region.outputs))
    results.push_back(lift(get(v), access.coefficients[columnDim] ? 2 : 1));
  for (auto [i, y] : llvm::enumerate(results)) {
    bool isRow = cast<RegType>(y.getType()).getRank() == 1;
    k.store(y, k.arg(firstOutput + i),
            isRow ? Values{m} : Values{m, k.index(0)}, bounds(isRow ? 1 : 2));
  }
}

Value WholeRows::get(Value v) {
  Value &known = values[v];
  if (known)
    return known;
  Value made;
  if (auto argument = dyn_cast<BlockArgument>(v))
    made = load(argument);
  else if (auto reduce = v.getDefiningOp<bb::ReduceOverOp>())
    made = sum(reduce);
  else if (v.getDefiningOp<bb::IndexOp>())
    made = k.iota(type.withElement(k.i32()), 1);
  else
    made = apply(v.getDefiningOp());
  return values[v] = made; // `known` may have moved
}

Values WholeRows::bounds(int64_t rank) {
  int64_t columns = region.sizes[columnDim];
  bool isRagged = rank == 2 && columns % type.getShape()[1];
  if (!exist && !isRagged)
    return {};
  Values result{exist ? exist : k.index(type.getShape()[0])};
  if (rank == 2)
    result.push_back(k.index(columns));
  return result;
}

Value WholeRows::load(BlockArgument argument) {
  const LinearAccess &access = *region.inputs[argument.getArgNumber()];
  Value buffer = k.arg(place[argument.getArgNumber()]);
  RegType tile = type.withElement(argument.getType());
  bool along = access.coefficients[rowDim],
       across = access.coefficients[columnDim];
  if (along && across)
    return k.load(tile, buffer, {m, k.index(0)}, bounds(2));
  if (along)
    return k.load(tile.drop(1), buffer, {m}, bounds(1));
  if (!across)
    return k.loadScalar(argument.getType(), buffer, {k.index(0)});
  Values end = bounds(2);
  return k.broadcast(k.load(tile.drop(0), buffer, {k.index(0)},
                            ValueRange(end).take_back(!end.empty())),
                     tile, 0);
}

Value WholeRows::sum(bb::ReduceOverOp op) {
  bool isMax = op.getBy() == "max";
  Value x = lift(get(op.getX()), 2);
  if (int64_t columns = region.sizes[columnDim];
      columns % type.getShape()[1]) // what lies behind the end must not count
    x = k.map({x, k.iota(type.withElement(k.i32()), 1)}, k.f32(),
              [&](ScalarBuilder &s, ValueRange a) {
                return s.select(s.less(a[1], s.integer(columns)), a[0],
                                s.constant(isMax ? -INFINITY : 0.0));
              });
  return k.reduce(isMax ? Combiner::Max : Combiner::Add, x, 1);
}

Value WholeRows::lift(Value v, int64_t rank) {
  auto have = dyn_cast<RegType>(v.getType());
  if (have && have.getRank() == rank)
    return v;
  RegType wanted = (rank == 2 ? type : type.drop(1))
                       .withElement(have ? have.getElementType() : v.getType());
  return have ? k.broadcast(v, wanted, 1) : k.full(wanted, v);
}

Value WholeRows::apply(Operation *op) {
  Values operands, tiles;
  int64_t rank = 0;
  for (Value v : op->getOperands()) {
    operands.push_back(get(v));
    if (auto tile = dyn_cast<RegType>(operands.back().getType()))
      rank = std::max<int64_t>(rank, tile.getRank());
  }
  if (!rank) {
    IRMapping map;
    map.map(op->getOperands(), operands);
    return k.builder.clone(*op, map)->getResult(0);
  }
  SmallVector<unsigned> which;
  for (auto [i, v] : llvm::enumerate(operands))
    if (isa<RegType>(v.getType())) {
      which.push_back(i);
      tiles.push_back(lift(v, rank));
    }
  return k.map(tiles, op->getResult(0).getType(),
               [&](ScalarBuilder &s, ValueRange a) {
                 for (auto [i, x] : llvm::zip_equal(which, a))
                   operands[i] = x;
                 IRMapping map;
                 map.map(op->getOperands(), operands);
                 return s.builder.clone(*op, map)->getResult(0);
               });
}

} // namespace bitbyte::tile
