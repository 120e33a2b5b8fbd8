//===- BBOps.cpp - Shape rules of the graph ops ---------------------------===//
#include "dialects/bb/BBChecks.h"
#include "dialects/bb/BBShapeRules.h"
#include "dialects/bb/Nearest.h"
#include "llvm/ADT/StringExtras.h"
#include <map>
using namespace mlir;
using namespace bitbyte::bb;
#include "dialects/bb/BBInterfaces.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/bb/BBOps.cpp.inc"

LogicalResult bitbyte::bb::fail(Loc loc, const Twine &message, ValueRange notes,
                                ArrayRef<StringRef> names) {
  if (!loc)
    return failure();
  InFlightDiagnostic d = emitError(*loc) << message;
  for (auto [v, n] : llvm::zip(notes, names))
    d.attachNote(v.getLoc()) << n << " " << type(v).str() << " comes from here";
  return failure();
}
LogicalResult bitbyte::bb::sameShape(StringRef, Loc, ValueRange x,
                                     Types &types) {
  types.push_back(x[0].getType());
  return success();
}
LogicalResult bitbyte::bb::broadcastShapes(StringRef name, Loc loc,
                                           ValueRange x, Types &types) {
  GraphTensorType a = type(x[0]), b = type(x[1]);
  bool swap = a.getRank() < b.getRank();
  GraphTensorType big = swap ? b : a, small = swap ? a : b;
  SmallVector<DimAttr> dims(big.getShape());
  for (int64_t i = 1; i <= small.getRank(); ++i) {
    DimAttr p = big.dim(-i), q = small.dim(-i);
    if (p == q || q.isWhole(1))
      continue;
    if (p.isWhole(1)) {
      dims[dims.size() - i] = q;
      continue;
    }
    return fail(loc,
                "'" + name + "' cannot match " + a.str() + " with " + b.str() +
                    ": '" + p.str() + "' is not '" + q.str() + "'",
                x, {"a", "b"});
  }
  Type e = a.getElement();
  if (e != b.getElement()) {
    bool f32 =
        isa<Float32Type>(a.getElement()) || isa<Float32Type>(b.getElement());
    bool real = isa<RealType>(a.getElement()) || isa<RealType>(b.getElement());
    bool floats = isa<FloatType, RealType>(a.getElement()) &&
                  isa<FloatType, RealType>(b.getElement());
    if (!floats || !(f32 || real))
      return fail(loc,
                  "'" + name + "' cannot mix " + a.str() + " with " + b.str());
    e = f32 ? Type(Float32Type::get(e.getContext()))
            : Type(RealType::get(e.getContext()));
  }
  types.push_back(GraphTensorType::get(a.getContext(), dims, e));
  return success();
}
LogicalResult bitbyte::bb::compareShapes(StringRef name, Loc loc, ValueRange x,
                                         Types &types) {
  if (failed(broadcastShapes(name, loc, x, types)))
    return failure();
  types[0] = cast<GraphTensorType>(types[0]).of(
      IntegerType::get(types[0].getContext(), 1));
  return success();
}
LogicalResult bitbyte::bb::selectShape(StringRef name, Loc loc, ValueRange x,
                                       Types &types) {
  if (!type(x[0]).getElement().isInteger(1))
    return fail(loc, "'" + name + "' chooses by i1, but the condition is " +
                         type(x[0]).str());
  SmallVector<Type> values;
  if (failed(broadcastShapes(name, loc, x.drop_front(), values)))
    return failure();
  GraphTensorType y = cast<GraphTensorType>(values[0]), c = type(x[0]);
  bool wider = c.getRank() > y.getRank();
  SmallVector<DimAttr> dims(wider ? c.getShape() : y.getShape());
  GraphTensorType small = wider ? y : c;
  for (int64_t i = 1; i <= small.getRank(); ++i) {
    DimAttr &p = dims[dims.size() - i];
    DimAttr q = small.dim(-i);
    if (p == q || q.isWhole(1))
      continue;
    if (p.isWhole(1)) {
      p = q;
      continue;
    }
    return fail(loc, "'" + name + "' cannot match the condition " + c.str() +
                         " with " + y.str() + ": '" + p.str() + "' is not '" +
                         q.str() + "'");
  }
  types.push_back(y.with(dims));
  return success();
}
LogicalResult bitbyte::bb::normShape(StringRef name, Loc loc, ValueRange x,
                                     Types &types) {
  for (Value g : x.drop_front())
    if (type(g).getRank() != 1 || type(g).dim(0) != type(x[0]).dim(-1))
      return fail(loc,
                  "'" + name + "' needs a weight of [" +
                      type(x[0]).dim(-1).str() + "], but it is " +
                      type(g).str(),
                  x.take_front(2), {"x", "weight"});
  types.push_back(x[0].getType());
  return success();
}

RULE(CastOp) {
  types.push_back(type(op.getX()).of(op.getTo()));
  return success();
}
RULE(CrossEntropyOp) {
  GraphTensorType z = type(op.getLogits()),
                  t = type(op.getTarget()); // [.., V], [..]
  if (z.getShape().drop_back() != t.getShape())
    return fail(loc, "'bb.cross_entropy' needs one target for each row of "
                     "logits, but logits are " +
                         z.str() + " and targets " + t.str());
  types.push_back(t.of(Float32Type::get(ctx)));
  return success();
}
RULE(LinearOp) {
  GraphTensorType x = type(op.getX()),
                  w = type(op.getW()); // [.., in], [out, in]
  if (w.getRank() != 2)
    return fail(loc, "'bb.linear' needs a weight of [out, in], but it is " +
                         w.str());
  if (x.dim(-1) != w.dim(1))
    return fail(loc,
                "'bb.linear' contracts '" + x.dim(-1).str() +
                    "' of the input " + x.str() + " with '" + w.dim(1).str() +
                    "' of the weight " + w.str(),
                {op.getX(), op.getW()}, {"input", "weight"});
  if (op.getBias() && (type(op.getBias()).getRank() != 1 ||
                       type(op.getBias()).dim(0) != w.dim(0)))
    return fail(loc, "'bb.linear' needs a bias of [" + w.dim(0).str() +
                         "], but it is " + type(op.getBias()).str());
  SmallVector<DimAttr> dims(x.getShape());
  dims.back() = w.dim(0);
  types.push_back(x.with(dims));
  return success();
}
RULE(AttentionOp) {
  GraphTensorType q = type(op.getQ()), k = type(op.getK()),
                  v = type(
                      op.getV()); // [B, Tq, H, D], [B, Tk, G, D], [B, Tk, G, E]
  if (q.getRank() != 4 || k.getRank() != 4 || v.getRank() != 4)
    return fail(
        loc, "'bb.attention' needs [B, T, heads, width] three times, but got " +
                 q.str() + ", " + k.str() + ", " + v.str());
  if (q.dim(0) != k.dim(0) || q.dim(3) != k.dim(3))
    return fail(loc,
                "'bb.attention' cannot score q " + q.str() + " against k " +
                    k.str(),
                {op.getQ(), op.getK()}, {"q", "k"});
  if (k.getShape().take_front(3) != v.getShape().take_front(3))
    return fail(loc, "'bb.attention' needs a value for each key, but k is " +
                         k.str() + " and v " + v.str());
  types.push_back(q.with({q.dim(0), q.dim(1), q.dim(2), v.dim(3)}));
  if (op.getLse())
    types.push_back(GraphTensorType::get(ctx, {q.dim(0), q.dim(2), q.dim(1)},
                                         Float32Type::get(ctx)));
  return success();
}
RULE(AttentionGradOp) {
  types.append({op.getQ().getType(), op.getK().getType(), op.getV().getType()});
  return success();
}
RULE(QuantizeOp) {
  GraphTensorType x = type(op.getX());
  auto q = dyn_cast<QuantType>(op.getTo());
  int64_t block;
  if (!q)
    return fail(loc, "'bb.quantize' needs an encoding such as nf4/64");
  if (!q.getBlock().getValue().getAsInteger(10, block) && x.getRank() &&
      neverWhole(x.dim(-1) / DimAttr::get(ctx, block)))
    return fail(loc, "'bb.quantize' to " + elementName(q) +
                         " needs blocks that divide the last axis of " +
                         x.str());
  types.push_back(x.of(q));
  return success();
}
RULE(DequantizeOp) {
  if (!isa<QuantType>(type(op.getX()).getElement()))
    return fail(loc, "'bb.dequantize' needs a quantized operand, but it is " +
                         type(op.getX()).str());
  types.push_back(type(op.getX()).of(op.getTo()));
  return success();
}
RULE(FillOp) {
  SmallVector<DimAttr> d;
  for (Attribute a : op.getOf())
    d.push_back(cast<DimAttr>(a));
  types.push_back(GraphTensorType::get(ctx, d, op.getTo()));
  return success();
}
RULE(ReduceOp) {
  GraphTensorType x = type(op.getX());
  static const StringRef known[] = {"sum", "mean", "max", "absmax"};
  if (!llvm::is_contained(known, op.getBy()))
    return fail(loc, "'bb.reduce' cannot reduce by '" + op.getBy() + "'" +
                         hintOrList(op.getBy(), known));
  SmallVector<bool> drop(x.getRank());
  for (Attribute a : op.getAxes()) {
    auto i = cast<DimAttr>(a).constant();
    if (!i || *i < -x.getRank() || *i >= x.getRank())
      return fail(loc, "'bb.reduce' has no such axis in " + x.str());
    drop[*i < 0 ? *i + x.getRank() : *i] = true;
  }
  SmallVector<DimAttr> d;
  for (int64_t i = 0; i < x.getRank(); ++i)
    if (!drop[i])
      d.push_back(x.dim(i));
    else if (op.getKeep())
      d.push_back(DimAttr::get(ctx, 1));
  types.push_back(x.with(d));
  return success();
}
RULE(EinsumOp) {
  auto [in, out] = op.getAs().split("->");
  auto [l, r] = in.split(',');
  GraphTensorType a = type(op.getA()), b = type(op.getB());
  if ((int64_t)l.size() != a.getRank() || (int64_t)r.size() != b.getRank())
    return fail(loc, "'bb.einsum' \"" + op.getAs() + "\" does not fit " +
                         a.str() + " and " + b.str());
  std::map<char, DimAttr> at;
  for (auto [s, t] : {std::pair(l, a), std::pair(r, b)})
    for (auto [i, c] : llvm::enumerate(s)) {
      auto [it, fresh] = at.try_emplace(c, t.dim(i));
      if (!fresh && it->second != t.dim(i))
        return fail(loc,
                    "'bb.einsum' \"" + op.getAs() + "\" gives '" + Twine(c) +
                        "' two sizes: '" + it->second.str() + "' and '" +
                        t.dim(i).str() + "'",
                    {op.getA(), op.getB()}, {"a", "b"});
    }
  SmallVector<DimAttr> d;
  for (char c : out) {
    if (!at.count(c))
      return fail(loc, "'bb.einsum' \"" + op.getAs() + "\" names '" + Twine(c) +
                           "' on the right only");
    d.push_back(at[c]);
  }
  types.push_back(GraphTensorType::get(
      ctx, d, op.getInto() ? *op.getInto() : a.getElement()));
  return success();
}
RULE(ScatterAddOp) {
  GraphTensorType x = type(op.getX());
  types.push_back(
      GraphTensorType::get(ctx, {op.getRows(), x.dim(-1)},
                           op.getInto() ? *op.getInto() : x.getElement()));
  return success();
}
RULE(OneHotOp) {
  SmallVector<DimAttr> d(type(op.getIds()).getShape());
  d.push_back(op.getOf());
  types.push_back(GraphTensorType::get(ctx, d, Float32Type::get(ctx)));
  return success();
}
RULE(EmbedOp) {
  GraphTensorType ids = type(op.getIds()), t = type(op.getTable());
  SmallVector<DimAttr> dims(ids.getShape());
  dims.push_back(t.dim(-1));
  types.push_back(t.with(dims));
  return success();
}
RULE(AppendOp) {
  types.push_back(op.getRing().getType());
  return success();
}
RULE(AtStartOp) {
  if (op.getPeriod() &&
      failed(checkAbove0(loc, "bb.at_start", "period", *op.getPeriod())))
    return failure();
  types.push_back(op.getRest().getType());
  return success();
}
RULE(PickOp) {
  SmallVector<DimAttr> d(type(op.getRing()).getShape());
  d[1] = DimAttr::get(ctx, 1);
  types.push_back(type(op.getRing()).with(d));
  return success();
}
LogicalResult DropoutOp::verify() {
  if (std::optional<double> p = evaluate(getP()); p && !(*p >= 0 && *p < 1))
    return emitOpError() << "drops with probability " << *p
                         << ", which is not in 0 <= p < 1";
  if (!getSeed() != !getCounter())
    return emitOpError("takes 'seed' and 'counter' together");
  for (Value number : {getSeed(), getCounter()})
    if (number && (type(number).getRank() != 0 ||
                   !type(number).getElement().isInteger(32)))
      return emitOpError() << "takes seeds and counters i32[], not "
                           << type(number).str();
  return success();
}
RULE(PositionsOp) {
  if (op.getPeriod() &&
      failed(checkAbove0(loc, "bb.positions", "period", *op.getPeriod())))
    return failure();
  types.push_back(
      GraphTensorType::get(ctx, {op.getOf()}, IntegerType::get(ctx, 32)));
  return success();
}
static DimAttr product(MLIRContext *ctx, ArrayRef<DimAttr> dims) {
  DimAttr p = DimAttr::get(ctx, 1);
  for (DimAttr d : dims)
    p = p * d;
  return p;
}
RULE(ReshapeOp) {
  GraphTensorType x = type(op.getX());
  SmallVector<DimAttr> to;
  for (Attribute a : op.getTo())
    to.push_back(cast<DimAttr>(a));
  DimAttr from = product(ctx, x.getShape()), want = product(ctx, to);
  if (from != want)
    return fail(loc, "'bb.reshape' from " + x.str() + " to " + shapeStr(to) +
                         " changes the number of elements: '" + from.str() +
                         "' is not '" + want.str() + "'");
  types.push_back(x.with(to));
  return success();
}
RULE(IsFiniteOp) {
  types.push_back(type(op.getX()).of(IntegerType::get(ctx, 1)));
  return success();
}
RULE(TransposeOp) {
  GraphTensorType x = type(op.getX());
  SmallVector<DimAttr> dims;
  SmallVector<bool> seen(x.getRank());
  for (Attribute a : op.getBy()) {
    auto i = cast<DimAttr>(a).constant();
    if (!i || *i < 0 || *i >= x.getRank() || seen[*i])
      return fail(loc, "'bb.transpose' needs a permutation of the " +
                           Twine(x.getRank()) + " axes of " + x.str());
    seen[*i] = true;
    dims.push_back(x.dim(*i));
  }
  if ((int64_t)dims.size() != x.getRank())
    return fail(loc, "'bb.transpose' needs a permutation of the " +
                         Twine(x.getRank()) + " axes of " + x.str());
  types.push_back(x.with(dims));
  return success();
}
RULE(BroadcastOp) {
  GraphTensorType x = type(op.getX());
  SmallVector<DimAttr> to;
  for (Attribute a : op.getTo())
    to.push_back(cast<DimAttr>(a));
  if ((int64_t)to.size() < x.getRank())
    return fail(loc, "'bb.broadcast' cannot drop axes of " + x.str());
  for (int64_t i = 1; i <= x.getRank(); ++i)
    if (DimAttr q = x.dim(-i); q != to[to.size() - i] && !q.isWhole(1))
      return fail(loc, "'bb.broadcast' cannot stretch '" + q.str() + "' of " +
                           x.str() + " to '" + to[to.size() - i].str() + "'");
  types.push_back(x.with(to));
  return success();
}
static FailureOr<int64_t> axisOf(Loc loc, StringRef name, GraphTensorType x,
                                 DimAttr axis) {
  auto i = axis.constant();
  if (!i || *i < -x.getRank() || *i >= x.getRank())
    return fail(loc, "'" + name + "' has no such axis in " + x.str());
  return *i < 0 ? *i + x.getRank() : *i;
}
RULE(SliceOp) {
  GraphTensorType x = type(op.getX());
  auto axis = axisOf(loc, "bb.slice", x, op.getAxis());
  if (failed(axis))
    return failure();
  SmallVector<DimAttr> dims(x.getShape());
  auto end = (op.getFrom() + op.getSize()).constant(),
       have = dims[*axis].constant();
  if (end && have && *end > *have)
    return fail(loc, "'bb.slice' ends at " + Twine(*end) +
                         ", but the axis of " + x.str() + " has " +
                         Twine(*have));
  dims[*axis] = op.getSize();
  types.push_back(x.with(dims));
  return success();
}
RULE(PadOp) {
  GraphTensorType x = type(op.getX());
  auto axis = axisOf(loc, "bb.pad", x, op.getAxis());
  if (failed(axis))
    return failure();
  SmallVector<DimAttr> dims(x.getShape());
  dims[*axis] = op.getBefore() + dims[*axis] + op.getAfter();
  types.push_back(x.with(dims));
  return success();
}
RULE(SplitOp) {
  GraphTensorType x = type(op.getX());
  DimAttr sum = DimAttr::get(ctx, 0);
  for (Attribute a : op.getInto()) {
    SmallVector<DimAttr> dims(x.getShape());
    dims.back() = cast<DimAttr>(a);
    sum = sum + dims.back();
    types.push_back(x.with(dims));
  }
  if (sum != x.dim(-1))
    return fail(loc, "'bb.split' parts add up to '" + sum.str() +
                         "', but the last axis of " + x.str() + " is '" +
                         x.dim(-1).str() + "'");
  return success();
}
RULE(ConcatOp) {
  GraphTensorType first = type(op.getParts()[0]);
  DimAttr sum = DimAttr::get(ctx, 0);
  for (Value v : op.getParts()) {
    if (type(v).getShape().drop_back() != first.getShape().drop_back())
      return fail(loc, "'bb.concat' cannot join " + first.str() + " and " +
                           type(v).str() + " on the last axis");
    sum = sum + type(v).dim(-1);
  }
  SmallVector<DimAttr> dims(first.getShape());
  dims.back() = sum;
  types.push_back(first.with(dims));
  return success();
}
RULE(ShiftOp) {
  if (op.getPeriod() &&
      failed(checkAbove0(loc, "bb.shift", "period", *op.getPeriod())))
    return failure();
  types.push_back(op.getX().getType());
  return success();
}
RULE(PatchOp) {
  GraphTensorType x = type(op.getX());
  if (failed(checkDivides(loc, "bb.patch", op.getBy(), x, 1)))
    return failure();
  types.push_back(
      x.with({x.dim(0), x.dim(1) / op.getBy(), x.dim(2) * op.getBy()}));
  return success();
}
RULE(UnpatchOp) {
  GraphTensorType x = type(op.getX());
  if (failed(checkDivides(loc, "bb.unpatch", op.getBy(), x, 2)))
    return failure();
  types.push_back(
      x.with({x.dim(0), x.dim(1) * op.getBy(), x.dim(2) / op.getBy()}));
  return success();
}
