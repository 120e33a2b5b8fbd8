//===- RegionBuilder.cpp - Scalar code of a region, pulled from its root --===//
#include "passes/fuse/RegionBuilder.h"
#include "passes/fuse/ScalarCode.h"

using namespace mlir;
using namespace bitbyte::bb;

static GraphTensorType type(Value v) {
  return cast<GraphTensorType>(v.getType());
}
static int64_t extent(GraphTensorType t, int64_t axis) {
  return *t.dim(axis).constant();
}
static int64_t whole(Attribute dim) { return *cast<DimAttr>(dim).constant(); }

bool bitbyte::bb::isInlinable(Operation *op) {
  return isa<NegOp, ExpOp, SquareOp, SigmoidOp, TanhOp, SiluOp, GeluOp, ReluOp,
             SoftplusOp, SqrtOp, RsqrtOp, LogOp, AbsOp, RoundOp, StopGradientOp,
             IsFiniteOp, AddOp, SubOp, MulOp, DivOp, MinOp, MaxOp, RemOp, LtOp,
             LeOp, EqOp, SelectOp, ScaleOp, CastOp, FillOp, PositionsOp,
             OneHotOp, EmbedOp, BroadcastOp, ReshapeOp, TransposeOp, SliceOp,
             SplitOp, ConcatOp, ShiftOp, PadOp, PickOp, AtStartOp, ReduceOp,
             EinsumOp, RopeOp, DropoutOp>(op);
}

RegionBuilder::RegionBuilder(Operation *at, function_ref<bool(Value)> inMemory)
    : outer(at), b(at->getContext()), loc(at->getLoc()), inMemory(inMemory) {}

AffineExpr RegionBuilder::newDim(StringRef name, int64_t size) {
  if (size == 1)
    return b.getAffineConstantExpr(0);
  std::string unique = name.str();
  for (int i = 1; llvm::is_contained(dimNames, b.getStringAttr(unique)); ++i)
    unique = name.str() + std::to_string(i);
  dimNames.push_back(b.getStringAttr(unique));
  dimSizes.push_back(size);
  return b.getAffineDimExpr(dimSizes.size() - 1);
}

FailureOr<Value> RegionBuilder::build(Value root) {
  auto t = type(root);
  static const char *names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
  OperationState state(loc, FusedOp::getOperationName());
  body = new Block;
  state.addRegion()->push_back(body);
  b.setInsertionPointToEnd(body);

  Index index;
  Operation *op = root.getDefiningOp();
  if (auto rope = dyn_cast<RopeOp>(op)) {
    // The pair's halves are a dim of their own, so that all reads are affine.
    for (int64_t i = 0; i + 1 < t.getRank(); ++i)
      index.push_back(newDim(names[i], extent(t, i)));
    AffineExpr half = newDim("s", 2), pair = newDim("i", extent(t, -1) / 2);
    index.push_back(rope.getPairs() ? pair * 2 + half
                                    : half * (extent(t, -1) / 2) + pair);
    index.push_back(half); // for the rule only
    index.push_back(pair);
  } else {
    for (int64_t i = 0; i < t.getRank(); ++i)
      index.push_back(newDim(names[i], extent(t, i)));
    if (t.getRank())
      rowDim = index.back();
  }
  Value y = isa<RopeOp>(op)
                ? compute(op, 0, index)
                : compute(op, cast<OpResult>(root).getResultNumber(), index);
  index.resize(t.getRank());
  if (failed_ || !y) {
    for (Region *r : {state.regions[0].get()})
      r->dropAllReferences();
    return failure();
  }
  EmitOp::create(b, loc, y);
  // Maps were made while dims were still being added: bring all to one width.
  for (Attribute &m : maps)
    if (auto map = dyn_cast<AffineMapAttr>(m))
      m = AffineMapAttr::get(AffineMap::get(
          dimSizes.size(), 0, map.getValue().getResults(), b.getContext()));
  maps.push_back(AffineMapAttr::get(
      AffineMap::get(dimSizes.size(), 0, index, b.getContext())));
  state.addOperands(inputs);
  state.addAttribute("dim_names", b.getArrayAttr(dimNames));
  state.addAttribute("dim_sizes", b.getDenseI64ArrayAttr(dimSizes));
  state.addAttribute("maps", b.getArrayAttr(maps));
  state.addTypes(root.getType());
  return outer.create(state)->getResult(0);
}

Value RegionBuilder::fail(Operation *op) {
  if (!failed_)
    op->emitOpError("cannot be part of a kernel: fuse has no rule for it");
  failed_ = true;
  return {};
}

//===-- leaves -----------------------------------------------------------===//

Value RegionBuilder::f32(double v) {
  return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(v));
}
Value RegionBuilder::i32(int64_t v) {
  return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(v));
}

Value RegionBuilder::read(Value v, ArrayRef<AffineExpr> index) {
  inputs.push_back(v);
  maps.push_back(AffineMapAttr::get(
      AffineMap::get(dimSizes.size(), 0, index, b.getContext())));
  return body->addArgument(scalarOf(type(v)), loc);
}
Value RegionBuilder::whole(Value v) {
  for (auto [i, input] : llvm::enumerate(inputs))
    if (input == v && isa<UnitAttr>(maps[i]))
      return body->getArgument(i);
  inputs.push_back(v);
  maps.push_back(b.getUnitAttr());
  return body->addArgument(v.getType(), loc);
}
Value RegionBuilder::readAt(Value v, ArrayRef<Value> index) {
  return AtOp::create(b, loc, scalarOf(type(v)), whole(v), index);
}

Value RegionBuilder::indexValue(AffineExpr e) {
  if (auto c = dyn_cast<AffineConstantExpr>(e))
    return i32(c.getValue());
  if (auto d = dyn_cast<AffineDimExpr>(e))
    return IndexOp::create(b, loc, b.getI32Type(), d.getPosition());
  auto binary = cast<AffineBinaryOpExpr>(e);
  Value l = indexValue(binary.getLHS()), r = indexValue(binary.getRHS());
  switch (e.getKind()) {
  case AffineExprKind::Add:
    return arith::AddIOp::create(b, loc, l, r);
  case AffineExprKind::Mul:
    return arith::MulIOp::create(b, loc, l, r);
  case AffineExprKind::Mod:
    return arith::RemSIOp::create(b, loc, l, r);
  default:
    return arith::DivSIOp::create(b, loc, l, r);
  }
}

RegionBuilder::Index RegionBuilder::aligned(Value operand,
                                            ArrayRef<AffineExpr> index) {
  auto t = type(operand);
  Index out;
  for (int64_t i = 0; i < t.getRank(); ++i)
    out.push_back(extent(t, i) == 1 ? b.getAffineConstantExpr(0)
                                    : index[index.size() - t.getRank() + i]);
  return out;
}

Value RegionBuilder::scalar(Value v, ArrayRef<AffineExpr> index) {
  std::vector<void *> key;
  for (AffineExpr e : index)
    key.push_back(const_cast<void *>(e.getAsOpaquePointer()));
  Value &known = made[{v.getAsOpaquePointer(), key}];
  if (known)
    return known;
  Value y = inMemory(v) ? read(v, index)
                        : compute(v.getDefiningOp(),
                                  cast<OpResult>(v).getResultNumber(), index);
  made[{v.getAsOpaquePointer(), key}] = y;
  return y;
}

//===-- rules ------------------------------------------------------------===//

Value RegionBuilder::compute(Operation *op, unsigned result,
                             ArrayRef<AffineExpr> index) {
  if (auto fill = dyn_cast<FillOp>(op)) {
    double v = *evaluate(fill.getValue());
    Type t = scalarOf(type(fill.getY()));
    if (isa<FloatType>(t))
      return f32(v);
    return arith::ConstantOp::create(b, loc, b.getIntegerAttr(t, (int64_t)v));
  }
  if (auto p = dyn_cast<PositionsOp>(op)) {
    Value at = p.getAt() ? scalar(p.getAt(), {}) : Value();
    Value i = indexValue(index[0]);
    if (at)
      i = arith::AddIOp::create(b, loc, i, at);
    if (p.getPeriod() && !p.getPeriod()->isWhole(0))
      i = arith::RemSIOp::create(b, loc, i, i32(*p.getPeriod()->constant()));
    return i;
  }
  if (auto hot = dyn_cast<OneHotOp>(op)) {
    Value id = scalar(hot.getIds(), index.drop_back());
    Value hit = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, id,
                                      indexValue(index.back()));
    return arith::UIToFPOp::create(b, loc, b.getF32Type(), hit);
  }
  if (auto embed = dyn_cast<EmbedOp>(op)) {
    Value id = scalar(embed.getIds(), index.drop_back());
    return id ? readAt(embed.getTable(), {id, indexValue(index.back())})
              : Value();
  }
  if (auto r = dyn_cast<ReshapeOp>(op)) { // only axes of 1 come and go
    Index from, some;
    for (auto [i, e] : llvm::enumerate(index))
      if (extent(type(r.getY()), i) != 1)
        some.push_back(e);
    unsigned next = 0;
    for (int64_t i = 0; i < type(r.getX()).getRank(); ++i)
      from.push_back(extent(type(r.getX()), i) == 1 ? b.getAffineConstantExpr(0)
                                                    : some[next++]);
    return scalar(r.getX(), from);
  }
  if (auto t = dyn_cast<TransposeOp>(op)) {
    Index from(index.size());
    for (auto [i, axis] : llvm::enumerate(t.getBy()))
      from[::whole(axis)] = index[i];
    return scalar(t.getX(), from);
  }
  if (auto s = dyn_cast<SliceOp>(op)) {
    Index from(index);
    int64_t axis = *s.getAxis().constant();
    AffineExpr &e = from[axis < 0 ? axis + (int64_t)from.size() : axis];
    e = e + *s.getFrom().constant();
    return scalar(s.getX(), from);
  }
  if (auto s = dyn_cast<SplitOp>(op)) {
    Index from(index);
    int64_t before = 0;
    for (unsigned i = 0; i < result; ++i)
      before += ::whole(s.getInto()[i]);
    from.back() = from.back() + before;
    return scalar(s.getX(), from);
  }
  if (auto c = dyn_cast<ConcatOp>(op))
    return concat(c, index);
  if (auto s = dyn_cast<ShiftOp>(op))
    return shift(s, index);
  if (auto p = dyn_cast<PadOp>(op))
    return pad(p, index);
  if (auto p = dyn_cast<PickOp>(op))
    return pick(p, index);
  if (auto s = dyn_cast<AtStartOp>(op))
    return atStart(s, index);
  if (auto r = dyn_cast<ReduceOp>(op))
    return reduce(r, index);
  if (auto e = dyn_cast<EinsumOp>(op))
    return contract(e, index);
  if (auto r = dyn_cast<RopeOp>(op))
    return rope(r, index);
  if (auto d = dyn_cast<DropoutOp>(op))
    return dropout(d, index);
  return elementwise(op, index);
}

Value RegionBuilder::reduce(ReduceOp op, ArrayRef<AffineExpr> index) {
  auto t = type(op.getX());
  SmallVector<bool> gone(t.getRank());
  for (Attribute a : op.getAxes()) {
    int64_t axis = ::whole(a);
    gone[axis < 0 ? axis + t.getRank() : axis] = true;
  }
  Index from;
  SmallVector<int64_t> over;
  double count = 1;
  unsigned next = 0;
  for (int64_t i = 0; i < t.getRank(); ++i) {
    if (!gone[i]) {
      from.push_back(index[next++]);
      continue;
    }
    next += op.getKeep();
    count *= extent(t, i);
    AffineExpr e;
    auto row = dyn_cast_or_null<AffineDimExpr>(rowDim);
    bool last = i + 1 == t.getRank();
    if (last && row && dimSizes[row.getPosition()] == extent(t, i) &&
        llvm::none_of(index, [&](AffineExpr x) {
          return x.isFunctionOfDim(row.getPosition());
        })) {
      e = rowDim;
    } else {
      e = newDim("r", extent(t, i));
      if (last)
        rowDim = e;
    }
    from.push_back(e);
    if (auto d = dyn_cast<AffineDimExpr>(e))
      over.push_back(d.getPosition());
  }
  Value x = scalar(op.getX(), from);
  if (!x)
    return {};
  StringRef by = op.getBy();
  if (by == "absmax")
    x = unaryF<math::AbsFOp>(b, loc, x);
  if (!over.empty())
    x = ReduceOverOp::create(b, loc, x.getType(),
                             by == "max" || by == "absmax" ? "max" : "add", x,
                             over);
  return by == "mean" ? mulF(b, loc, x, f32(1 / count)) : x;
}

Value RegionBuilder::contract(EinsumOp op, ArrayRef<AffineExpr> index) {
  auto [in, out] = op.getAs().split("->");
  auto [left, right] = in.split(',');
  std::map<char, AffineExpr> dims;
  SmallVector<int64_t> over;
  for (auto [i, letter] : llvm::enumerate(out))
    dims[letter] = index[i];
  for (auto [letters, v] :
       {std::pair(left, op.getA()), std::pair(right, op.getB())})
    for (auto [i, letter] : llvm::enumerate(letters)) {
      if (dims.count(letter))
        continue;
      AffineExpr e = dims[letter] = newDim("k", extent(type(v), i));
      if (auto d = dyn_cast<AffineDimExpr>(e))
        over.push_back(d.getPosition());
    }
  auto operand = [&](StringRef letters, Value v) {
    Index at;
    for (auto [i, letter] : llvm::enumerate(letters))
      at.push_back(extent(type(v), i) == 1 ? b.getAffineConstantExpr(0)
                                           : dims[letter]);
    return inMemory(v) ? read(v, at) : scalar(v, at); // a slice
  };
  Value x = operand(left, op.getA()), y = operand(right, op.getB());
  // The right-hand operand is the one with the result's last axis.
  if (!out.empty() && !right.contains(out.back()) && left.contains(out.back()))
    std::swap(x, y);
  return ContractOp::create(b, loc, TypeRange{b.getF32Type()}, x, ValueRange{y},
                            over)
      .getResult(0);
}

/// cos or sin of position times frequency, f32 [rows, width / 2], in double.
Value RegionBuilder::table(StringRef name, RopeOp op, bool sine) {
  int64_t half = extent(type(op.getX()), -1) / 2,
          rows = extent(type(op.getX()), 1);
  if (op.getAt())
    for (Attribute a : op->getParentOfType<ModelOp>().getConfig())
      if (auto c = ::cast<ConfigAttr>(a); c.getName() == "context")
        rows = *::cast<DimAttr>(c.getValue()).constant();
  double theta = *evaluate(op.getTheta());
  std::vector<float> values(rows * half);
  for (int64_t p = 0; p < rows; ++p)
    for (int64_t i = 0; i < half; ++i) {
      double angle = p * std::pow(theta, -double(i) / double(half));
      values[p * half + i] = sine ? std::sin(angle) : std::cos(angle);
    }
  return constant(name,
                  DenseElementsAttr::get(
                      RankedTensorType::get({rows, half}, outer.getF32Type()),
                      ArrayRef(values)));
}

Value RegionBuilder::constant(StringRef name, DenseElementsAttr value) {
  for (auto known : outer.getBlock()->getOps<ConstantOp>())
    if (known.getValue() == value &&
        known->isBeforeInBlock(&*outer.getInsertionPoint()))
      return known.getY();
  SmallVector<DimAttr> shape;
  for (int64_t size : value.getType().getShape())
    shape.push_back(DimAttr::get(b.getContext(), size));
  auto t = GraphTensorType::get(b.getContext(), shape, value.getElementType());
  OpBuilder top = OpBuilder::atBlockBegin(outer.getBlock());
  return ConstantOp::create(top, loc, t, name, value);
}

// q'[i] = q[i] cos - q[i + D/2] sin, q'[i + D/2] = q[i + D/2] cos + q[i] sin:
// the half s of the result reads its own half and the other, with a sign.
Value RegionBuilder::rope(RopeOp op, ArrayRef<AffineExpr> index) {
  unsigned rank = type(op.getX()).getRank();
  AffineExpr s = index[rank], i = index[rank + 1];
  int64_t half = extent(type(op.getX()), -1) / 2;
  Index own(index.take_front(rank)), other(own);
  AffineExpr flipped = 1 - s;
  other.back() = op.getPairs() ? i * 2 + flipped : flipped * half + i;
  Value x = scalar(op.getX(), own), y = scalar(op.getX(), other);
  if (!x || !y)
    return {};
  Value cosine, sine;
  if (op.getAt()) {
    Value row = arith::AddIOp::create(b, loc, scalar(op.getAt(), {}),
                                      indexValue(index[1]));
    cosine = readAt(table("rope_cos", op, false), {row, indexValue(i)});
    sine = readAt(table("rope_sin", op, true), {row, indexValue(i)});
  } else {
    cosine = read(table("rope_cos", op, false), {index[1], i});
    sine = read(table("rope_sin", op, true), {index[1], i});
  }
  Value first = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                      indexValue(s), i32(0));
  double sign = op.getInverse() ? 1 : -1;
  Value signedSine =
      mulF(b, loc, sine,
           arith::SelectOp::create(b, loc, first, f32(sign), f32(-sign)));
  return addF(b, loc, mulF(b, loc, x, cosine), mulF(b, loc, y, signedSine));
}

// Reads outside a part are clamped to it and then not chosen.
static Value clamp(OpBuilder &b, Location loc, Value i, Value top) {
  Value zero = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  return arith::MinSIOp::create(b, loc, arith::MaxSIOp::create(b, loc, i, zero),
                                top);
}

Value RegionBuilder::concat(ConcatOp op, ArrayRef<AffineExpr> index) {
  Value last = indexValue(index.back()), y;
  int64_t end = 0;
  SmallVector<Value> at;
  for (AffineExpr e : index.drop_back())
    at.push_back(indexValue(e));
  at.push_back({});
  for (Value part : op.getParts()) {
    int64_t size = extent(type(part), -1);
    at.back() = clamp(b, loc, arith::SubIOp::create(b, loc, last, i32(end)),
                      i32(size - 1));
    Value x = readAt(part, at);
    Value here = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, last,
                                       i32(end));
    y = y ? arith::SelectOp::create(b, loc, here, x, y).getResult() : x;
    end += size;
  }
  return y;
}

Value RegionBuilder::pad(PadOp op, ArrayRef<AffineExpr> index) {
  int64_t axis = *op.getAxis().constant(), before = *op.getBefore().constant();
  if (axis < 0)
    axis += index.size();
  SmallVector<Value> at;
  for (AffineExpr e : index)
    at.push_back(indexValue(e));
  int64_t size = extent(type(op.getX()), axis);
  Value i = arith::SubIOp::create(b, loc, at[axis], i32(before));
  at[axis] = clamp(b, loc, i, i32(size - 1));
  Value inside =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, i, at[axis]);
  Value x = readAt(op.getX(), at);
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(x.getType()));
  return arith::SelectOp::create(b, loc, inside, x, zero);
}

/// The slot of a position: the ring is read at it modulo the capacity.
Value RegionBuilder::pick(PickOp op, ArrayRef<AffineExpr> index) {
  SmallVector<Value> at;
  for (AffineExpr e : index)
    at.push_back(indexValue(e));
  at[1] = arith::RemSIOp::create(b, loc, scalar(op.getAt(), {}),
                                 i32(extent(type(op.getRing()), 1)));
  return readAt(op.getRing(), at);
}

Value RegionBuilder::atStart(AtStartOp op, ArrayRef<AffineExpr> index) {
  Value phase = scalar(op.getAt(), {});
  if (op.getPeriod())
    phase =
        arith::RemSIOp::create(b, loc, phase, i32(*op.getPeriod()->constant()));
  Value start =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, phase, i32(0));
  Value first = scalar(op.getFirst(), aligned(op.getFirst(), index)),
        rest = scalar(op.getRest(), index);
  return first && rest
             ? arith::SelectOp::create(b, loc, start, first, rest).getResult()
             : Value();
}

Value RegionBuilder::shift(ShiftOp op, ArrayRef<AffineExpr> index) {
  SmallVector<Value> at;
  for (AffineExpr e : index)
    at.push_back(indexValue(e));
  Value t = at[1], phase = t;
  if (op.getPeriod() && !op.getPeriod()->isWhole(0))
    phase = arith::RemSIOp::create(b, loc, t, i32(*op.getPeriod()->constant()));
  at[1] = clamp(b, loc, arith::SubIOp::create(b, loc, t, i32(1)),
                i32(extent(type(op.getX()), 1) - 1));
  Value first = scalar(op.getFirst(), aligned(op.getFirst(), index));
  if (!first)
    return {};
  Value start =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, phase, i32(0));
  return arith::SelectOp::create(b, loc, start, first, readAt(op.getX(), at));
}
