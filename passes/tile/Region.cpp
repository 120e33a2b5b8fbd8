//===- Region.cpp - A fused region as a schedule sees it ------------------===//
#include "passes/tile/Region.h"

#include "mlir/IR/Matchers.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace bitbyte::tile {

FailureOr<Region> Region::of(bb::FusedOp op) {
  Region r;
  r.op = op;
  r.sizes.assign(op.getDimSizes().begin(), op.getDimSizes().end());
  for (unsigned d = 0; d < r.sizes.size(); ++d)
    r.members.push_back({d});
  for (unsigned i = 0; i < op.getNumOperands(); ++i) {
    AffineMap map = op.inputMap(i);
    if (!map) {
      r.inputs.push_back(std::nullopt);
      continue;
    }
    auto access = linearAccess(
        map, cast<bb::GraphTensorType>(op.getOperand(i).getType()));
    if (!access)
      return op.emitOpError()
             << "reads operand " << i << " through a map that is not linear";
    r.inputs.push_back(access);
  }
  for (unsigned i = 0; i < op.getNumResults(); ++i) {
    auto access = linearAccess(
        op.outputMap(i), cast<bb::GraphTensorType>(op.getResult(i).getType()));
    if (!access)
      return op.emitOpError()
             << "writes result " << i << " through a map that is not linear";
    r.outputs.push_back(*access);
  }
  r.merge();
  r.computeDomains();
  return r;
}

// Dims d and d + 1 are one where each step along d is a whole row of d + 1 for
// every access, no code asks for their index, and reductions take both or none.
void Region::merge() {
  auto indexed = [&](unsigned dim) {
    bool found = false;
    op.getBody().walk([&](bb::IndexOp i) {
      found |= llvm::is_contained(members[dim], i.getDim());
    });
    return found;
  };
  auto together = [&](ArrayRef<int64_t> over, unsigned d) {
    return llvm::is_contained(over, members[d].front()) ==
           llvm::is_contained(over, members[d + 1].front());
  };
  for (unsigned d = 0; d + 1 < sizes.size();) {
    bool ok = !indexed(d) && !indexed(d + 1);
    auto fits = [&](const LinearAccess &a) {
      return a.coefficients[d] == sizes[d + 1] * a.coefficients[d + 1];
    };
    for (auto &input : inputs)
      ok &= !input || fits(*input);
    for (auto &output : outputs)
      ok &= fits(output);
    op.getBody().walk(
        [&](bb::ReduceOverOp r) { ok &= together(r.getOver(), d); });
    op.getBody().walk(
        [&](bb::ContractOp c) { ok &= together(c.getOver(), d); });
    if (!ok) {
      ++d;
      continue;
    }
    sizes[d] *= sizes[d + 1];
    sizes.erase(sizes.begin() + d + 1);
    members[d].append(members[d + 1]);
    members.erase(members.begin() + d + 1);
    for (auto &input : inputs)
      if (input)
        input->coefficients.erase(input->coefficients.begin() + d);
    for (auto &output : outputs)
      output.coefficients.erase(output.coefficients.begin() + d);
  }
}

SmallVector<unsigned> Region::over(ArrayRef<int64_t> original) const {
  SmallVector<unsigned> dims;
  for (unsigned d = 0; d < members.size(); ++d)
    if (llvm::is_contained(original, members[d].front()))
      dims.push_back(d);
  return dims;
}

void Region::computeDomains() {
  Block &body = op.getBody().front();
  for (auto [i, argument] : llvm::enumerate(body.getArguments())) {
    uint64_t bits = 0;
    if (inputs[i])
      for (unsigned d = 0; d < sizes.size(); ++d)
        bits |= uint64_t(varies(*inputs[i], d)) << d;
    domains[argument] = bits;
  }
  for (Operation &o : body) {
    uint64_t bits = 0;
    for (Value v : o.getOperands())
      bits |= domains.lookup(v);
    auto remove = [&](ArrayRef<int64_t> dims) {
      for (unsigned d : over(dims))
        bits &= ~(uint64_t(1) << d);
    };
    if (auto i = dyn_cast<bb::IndexOp>(o)) {
      for (unsigned d = 0; d < members.size(); ++d)
        if (llvm::is_contained(members[d], i.getDim()))
          bits = uint64_t(1) << d;
    } else if (auto r = dyn_cast<bb::ReduceOverOp>(o)) {
      remove(r.getOver());
    } else if (auto c = dyn_cast<bb::ContractOp>(o)) {
      remove(c.getOver());
    }
    for (Value v : o.getResults())
      domains[v] = bits;
  }
}

SmallVector<Operation *> Region::slice(ValueRange values,
                                       function_ref<bool(Value)> known) const {
  llvm::SetVector<Operation *> needed;
  SmallVector<Value> todo(values);
  while (!todo.empty()) {
    Value v = todo.pop_back_val();
    Operation *o = v.getDefiningOp();
    if (!o || known(v) || !needed.insert(o))
      continue;
    todo.append(o->operand_begin(), o->operand_end());
  }
  SmallVector<Operation *> ordered(needed.begin(), needed.end());
  llvm::sort(ordered,
             [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  return ordered;
}

SmallVector<Value>
Region::emitted(KernelBuilder &k, ValueRange tiles, ValueRange of,
                const llvm::DenseMap<Value, Value> &scalars) const {
  bb::FusedOp op = this->op; // accessors of ops are not const
  ValueRange values = op.emit().getValues();
  SmallVector<Operation *> code =
      slice(values, [&](Value v) { return llvm::is_contained(of, v); });
  SmallVector<Type> elements(values.getTypes());
  return k.map(tiles, elements, [&](ScalarBuilder &s, ValueRange arguments) {
    IRMapping map;
    map.map(of, arguments);
    for (auto &[key, value] : scalars)
      map.map(key, value);
    for (Operation *o : code)
      s.builder.clone(*o, map);
    Values y;
    for (Value v : values)
      y.push_back(map.lookup(v));
    return y;
  });
}

SmallVector<int64_t> Region::inplace() const {
  bb::FusedOp op = this->op;
  SmallVector<int64_t> chosen(op.getNumResults(), -1);
  auto fits = [&](unsigned i, unsigned output) {
    Value v = op.getOperand(i);
    if (v.getType() != op.getResult(output).getType() ||
        llvm::is_contained(chosen, i))
      return false;
    for (unsigned j = 0; j < op.getNumOperands(); ++j)
      if (op.getOperand(j) == v &&
          (!inputs[j] ||
           inputs[j]->coefficients != outputs[output].coefficients ||
           inputs[j]->constant != outputs[output].constant))
        return false;
    return true;
  };
  auto choose = [&](function_ref<bool(Value operand, Value result)> wanted) {
    for (unsigned output = 0; output < op.getNumResults(); ++output)
      for (unsigned i = 0; i < op.getNumOperands() && chosen[output] < 0; ++i)
        if (wanted(op.getOperand(i), op.getResult(output)) && fits(i, output))
          chosen[output] = i;
  };
  auto sameState = [](Value operand, Value result) {
    auto read = operand.getDefiningOp<bb::ReadOp>();
    return read && llvm::any_of(result.getUsers(), [&](Operation *user) {
             auto write = dyn_cast<bb::WriteOp>(user);
             return write && write.getState() == read.getState();
           });
  };
  choose(sameState);
  choose([](Value operand, Value) {
    return operand.hasOneUse() && !operand.getDefiningOp<bb::ReadOp>();
  });
  choose([](Value, Value) { return true; });
  return chosen;
}

int64_t Region::traffic() const {
  bb::FusedOp op = this->op;
  // Of a tensor in parts no more than the parts, and no byte twice.
  llvm::DenseMap<Value, int64_t> reached;
  for (auto [i, v] : llvm::enumerate(op.getInputs())) {
    auto type = cast<bb::GraphTensorType>(v.getType());
    int64_t whole = elementCount(type), count = inputs[i] ? 1 : whole;
    if (inputs[i])
      for (auto [d, size] : llvm::enumerate(sizes))
        if (inputs[i]->coefficients[d])
          count *= size;
    reached[v] = std::min(whole, reached[v] + count);
  }
  int64_t bytes = 0;
  for (auto [v, count] : reached) {
    auto type = cast<bb::GraphTensorType>(v.getType());
    bytes += byteCount(type) / elementCount(type) * count;
  }
  for (Type t : op->getResultTypes())
    bytes += byteCount(cast<bb::GraphTensorType>(t));
  return bytes;
}

int64_t Region::flops() const {
  bb::FusedOp op = this->op;
  int64_t count = 0;
  for (Operation &o : op.getBody().front()) {
    bool floats = o.getNumResults() && isa<FloatType>(o.getResult(0).getType());
    if (!floats || isa<bb::AtOp, arith::ConstantOp, arith::SelectOp>(o))
      continue;
    uint64_t bits = domains.lookup(o.getResult(0));
    if (isa<bb::ReduceOverOp, bb::ContractOp>(o))
      for (Value v : o.getOperands())
        bits |= domains.lookup(v);
    int64_t n = isa<bb::ContractOp>(o) ? 2 * o.getNumResults() : 1;
    for (unsigned d = 0; d < sizes.size(); ++d)
      if (bits >> d & 1)
        n *= sizes[d];
    count += n;
  }
  return count;
}

//===-- RegionEmitter -----------------------------------------------------===//

void RegionEmitter::setLane(unsigned dim, Value offset, RegType type,
                            Value exist) {
  lane = dim;
  laneOffset = offset;
  laneType = type;
  bound = exist;
}
void RegionEmitter::reset() { values.clear(); }

void RegionEmitter::hoist(unsigned dim, uint64_t set) {
  noLane();
  reset();
  bb::FusedOp op = region.op;
  auto known = [&](Value v) { return fixed.contains(v); };
  for (Operation &o : op.getBody().front()) {
    bool alongLanes = isa<bb::EmitOp, bb::ReduceOverOp>(o) ||
                      region.domain(o.getResult(0)) >> dim & 1;
    if (!alongLanes)
      continue;
    for (Value v : o.getOperands()) {
      uint64_t varies = region.domain(v);
      if (known(v) || isa<bb::GraphTensorType>(v.getType()) ||
          varies >> dim & 1 || varies & ~set ||
          v.getDefiningOp<arith::ConstantOp>() ||
          llvm::any_of(region.slice({v}, known),
                       llvm::IsaPred<bb::ReduceOverOp>))
        continue;
      fixed[v] = get(v);
    }
  }
}

Value RegionEmitter::address(const LinearAccess &access) {
  Value at = k.index(access.constant);
  for (unsigned d = 0; d < coordinates.size(); ++d)
    if (access.coefficients[d] && !(laneType && lane == d))
      at = k.add(at, k.mul(coordinates[d], access.coefficients[d]));
  return at;
}

Value RegionEmitter::loadInput(BlockArgument argument) {
  unsigned i = argument.getArgNumber();
  const LinearAccess &access = *region.inputs[i];
  Value memory = buffer(i), at = address(access);
  int64_t step = laneType ? access.coefficients[*lane] : 0;
  if (step == 0)
    return k.loadScalar(argument.getType(), memory, {at});
  RegType type = laneType.withElement(argument.getType());
  SmallVector<Value> bounds;
  if (bound)
    bounds.push_back(bound);
  at = k.add(at, k.mul(laneOffset, step));
  if (step == 1)
    return k.load(type, memory, {at}, bounds);
  Value base = k.toI32(at);
  Value index = k.map({k.iota(laneType.withElement(k.i32()), 0)}, k.i32(),
                      [&](ScalarBuilder &s, ValueRange a) {
                        return s.add(s.mul(a[0], s.integer(step)), base);
                      });
  return k.gather(type, memory, {index}, bounds);
}

Value RegionEmitter::lift(Value v, RegType type) {
  auto have = dyn_cast<RegType>(v.getType());
  if (have && have.getRank() == type.getRank())
    return v;
  if (have)
    return k.broadcast(v, type.withElement(have.getElementType()), 0);
  return k.full(type.withElement(v.getType()), v);
}

Value RegionEmitter::apply(Operation *op, ArrayRef<Value> operands) {
  // Rows if any operand is one, else rank-0 tiles if any is, else scalars.
  RegType shape;
  for (Value v : operands)
    if (auto t = dyn_cast<RegType>(v.getType());
        t && (!shape || t.getRank() > shape.getRank()))
      shape = t;
  if (!shape) {
    IRMapping map;
    for (auto [old, now] : llvm::zip(op->getOperands(), operands))
      map.map(old, now);
    return k.builder.clone(*op, map)->getResult(0);
  }
  SmallVector<Value> tiles, order;
  for (Value v : operands)
    if (isa<RegType>(v.getType()) && !llvm::is_contained(order, v)) {
      order.push_back(v);
      tiles.push_back(lift(v, shape));
    }
  return k.map(
      tiles, op->getResult(0).getType(), [&](ScalarBuilder &s, ValueRange a) {
        IRMapping map;
        for (auto [old, now] : llvm::zip(op->getOperands(), operands)) {
          auto *at = llvm::find(order, now);
          map.map(old, at == order.end() ? now : a[at - order.begin()]);
        }
        return s.builder.clone(*op, map)->getResult(0);
      });
}

Value RegionEmitter::emitOp(Operation *op) {
  if (auto i = dyn_cast<bb::IndexOp>(op)) {
    unsigned dim = 0;
    while (!llvm::is_contained(region.members[dim], i.getDim()))
      ++dim;
    if (!laneType || lane != dim)
      return k.toI32(coordinates[dim]);
    Value base = k.toI32(laneOffset);
    return k.map(
        {k.iota(laneType.withElement(k.i32()), 0)}, k.i32(),
        [&](ScalarBuilder &s, ValueRange a) { return s.add(a[0], base); });
  }
  if (auto at = dyn_cast<bb::AtOp>(op))
    return emitAt(at);
  SmallVector<Value> operands;
  for (Value v : op->getOperands())
    operands.push_back(get(v));
  return apply(op, operands);
}

/// `from` where `index` is the coordinate along a dim of `members`, less `from`
/// and kept inside an axis of `size`: how the parts of a concat are read.
static std::optional<int64_t> partOf(Value index, int64_t size,
                                     ArrayRef<unsigned> members) {
  APInt top, zero, from;
  auto low = index.getDefiningOp<arith::MinSIOp>();
  if (!low || !matchPattern(low.getRhs(), m_ConstantInt(&top)) ||
      top.getSExtValue() != size - 1)
    return std::nullopt;
  auto high = low.getLhs().getDefiningOp<arith::MaxSIOp>();
  if (!high || !matchPattern(high.getRhs(), m_ConstantInt(&zero)) ||
      !zero.isZero())
    return std::nullopt;
  auto less = high.getLhs().getDefiningOp<arith::SubIOp>();
  if (!less || !matchPattern(less.getRhs(), m_ConstantInt(&from)))
    return std::nullopt;
  auto along = less.getLhs().getDefiningOp<bb::IndexOp>();
  if (!along || !llvm::is_contained(members, along.getDim()))
    return std::nullopt;
  return from.getSExtValue();
}

// A tile that lies inside the part is one load, one beside it repeats the
// nearest element; only one across the edge is gathered.
Value RegionEmitter::emitPart(bb::AtOp at, int64_t from) {
  auto type = cast<bb::GraphTensorType>(at.getSource().getType());
  Value memory = buffer(cast<BlockArgument>(at.getSource()).getArgNumber());
  int64_t size = *type.dim(-1).constant(), width = laneType.getShape().back();
  Value row = k.index(0);
  for (auto [axis, index] : llvm::enumerate(at.getIndices().drop_back()))
    row = k.add(k.mul(row, *type.dim(axis).constant()), k.toIndex(get(index)));
  row = k.mul(row, size);
  Value start = k.sub(laneOffset, from), end = k.add(start, width);
  RegType tile = laneType.withElement(at.getY().getType());
  SmallVector<Value> bounds;
  if (bound)
    bounds.push_back(bound);
  auto both = [&](Value a, Value b) -> Value {
    return arith::AndIOp::create(k.builder, k.loc, a, b);
  };
  Value inside =
      both(k.less(k.index(-1), start), k.less(end, k.index(size + 1)));
  Value across = both(k.less(start, k.index(size)), k.less(k.index(0), end));
  return k.branch(
      inside, {tile},
      [&] {
        return SmallVector<Value>{
            k.load(tile, memory, {k.add(row, start)}, bounds)};
      },
      [&] {
        return k.branch(
            across, {tile},
            [&] {
              // What is made in here is not there outside.
              auto known = values;
              SmallVector<Value> made{emitGather(at)};
              values = known;
              return made;
            },
            [&] {
              Value nearest =
                  k.max(k.min(start, k.index(size - 1)), k.index(0));
              return SmallVector<Value>{
                  k.full(tile, k.loadScalar(at.getY().getType(), memory,
                                            {k.add(row, nearest)}))};
            });
      })[0];
}

Value RegionEmitter::emitAt(bb::AtOp at) {
  auto type = cast<bb::GraphTensorType>(at.getSource().getType());
  ValueRange indices = at.getIndices();
  if (laneType && !indices.empty() &&
      llvm::none_of(indices.drop_back(),
                    [&](Value v) { return region.domain(v) >> *lane & 1; }))
    if (auto from = partOf(indices.back(), *type.dim(-1).constant(),
                           region.members[*lane]))
      return emitPart(at, *from);
  return emitGather(at);
}

// The buffer is flat: the indices fold into one.
Value RegionEmitter::emitGather(bb::AtOp at) {
  Value memory = buffer(cast<BlockArgument>(at.getSource()).getArgNumber());
  auto type = cast<bb::GraphTensorType>(at.getSource().getType());
  SmallVector<Value> indices(at.getIndices()), operands;
  // A row at a computed place, read along the lanes: one load.
  auto last = indices.empty() ? bb::IndexOp()
                              : indices.back().getDefiningOp<bb::IndexOp>();
  bool whole = laneType && last &&
               llvm::is_contained(region.members[*lane], last.getDim()) &&
               llvm::none_of(ArrayRef(indices).drop_back(), [&](Value v) {
                 return region.domain(v) >> *lane & 1;
               });
  if (whole)
    indices.pop_back();
  for (Value v : indices)
    operands.push_back(get(v));
  Value linear;
  bool rows =
      llvm::any_of(operands, [](Value v) { return isa<RegType>(v.getType()); });
  for (auto [axis, index] : llvm::enumerate(operands)) {
    int64_t size = *type.dim(axis).constant();
    auto join = [&](ScalarBuilder &s, Value sum, Value i) {
      return s.add(s.mul(sum, s.integer(size)), i);
    };
    if (!linear) {
      linear = index;
    } else if (!isa<RegType>(linear.getType()) &&
               !isa<RegType>(index.getType())) {
      ScalarBuilder s(k.builder, k.loc);
      linear = join(s, linear, index);
    } else {
      RegType t = laneType.withElement(k.i32());
      linear = k.map(
          {lift(linear, t), lift(index, t)}, k.i32(),
          [&](ScalarBuilder &s, ValueRange a) { return join(s, a[0], a[1]); });
    }
  }
  SmallVector<Value> bounds;
  if (bound)
    bounds.push_back(bound);
  if (whole && !rows) {
    Value row = linear ? k.mul(k.toIndex(linear), *type.dim(-1).constant())
                       : k.index(0);
    return k.load(laneType.withElement(at.getY().getType()), memory,
                  {k.add(row, laneOffset)}, bounds);
  }
  if (!rows)
    return k.loadScalar(at.getY().getType(), memory, {k.toIndex(linear)});
  RegType t = laneType.withElement(at.getY().getType());
  return k.gather(t, memory, {lift(linear, laneType.withElement(k.i32()))},
                  bounds);
}

Value RegionEmitter::get(Value v) {
  if (Value known = fixed.lookup(v))
    return known;
  if (Value known = values.lookup(v))
    return known;
  auto argument = dyn_cast<BlockArgument>(v);
  Value made = argument ? loadInput(argument) : emitOp(v.getDefiningOp());
  values[v] = made;
  return made;
}
Value RegionEmitter::row(Value v) { return lift(get(v), laneType); }

void RegionEmitter::store(unsigned output, Value v) {
  Value buffer = k.arg(firstOutput + output);
  const LinearAccess &access = region.outputs[output];
  Value at = address(access), y = get(v);
  if (!laneType || access.coefficients[*lane] == 0) {
    if (isa<RegType>(y.getType()))
      k.store(y, buffer, {at});
    else
      k.storeScalar(y, buffer, {at});
    return;
  }
  SmallVector<Value> bounds;
  if (bound)
    bounds.push_back(bound);
  k.store(lift(y, laneType), buffer, {k.add(at, laneOffset)}, bounds);
}

} // namespace bitbyte::tile
