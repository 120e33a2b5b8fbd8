//===- BBStreamRules.cpp - Look-ahead and decoding, op by op --------------===//
//
// In the order of BBOps.td. A rule names its state by what it holds; rings are
// [B, capacity, ...], and item i lies in slot i mod capacity.
//
//===----------------------------------------------------------------------===//
#include "dialects/bb/BBDecode.h"

using namespace mlir;
using namespace bitbyte::bb;

static GraphTensorType type(Value v) {
  return cast<GraphTensorType>(v.getType());
}
static int64_t valueOr(std::optional<DimAttr> dim, int64_t otherwise) {
  return dim ? dim->constant().value_or(otherwise) : otherwise;
}
/// `type` with `items` along axis 1, for the cache of a sequence.
static GraphTensorType withItems(DecodeBuilder &d, GraphTensorType type,
                                 int64_t items) {
  SmallVector<DimAttr> dims(type.getShape());
  dims[1] = DimAttr::get(type.getContext(), items);
  return type.with(dims);
}
static LogicalResult missing(Operation *op) {
  return op->emitOpError("cannot be decoded step by step");
}

/// Whether the sequence axis of an op, axis 1, runs along the stream. Where it
/// is another axis that does, the op treats all moments alike.
static bool alongStream(const StreamAnalysis &s, Value x) {
  return s.axis(x) == 1u;
}

//===-- rows: they must not run along the stream --------------------------===//

static int64_t aheadOfRow(const StreamAnalysis &s, Value x, int64_t operands) {
  auto axis = s.axis(x);
  return axis && int64_t(*axis) + 1 == type(x).getRank()
             ? StreamAnalysis::always
             : operands;
}
int64_t RmsNormOp::lookAhead(const StreamAnalysis &s, int64_t operands) {
  return aheadOfRow(s, getX(), operands);
}
int64_t LayerNormOp::lookAhead(const StreamAnalysis &s, int64_t operands) {
  return aheadOfRow(s, getX(), operands);
}
int64_t SoftmaxOp::lookAhead(const StreamAnalysis &s, int64_t operands) {
  return aheadOfRow(s, getX(), operands);
}
int64_t ReduceOp::lookAhead(const StreamAnalysis &s, int64_t operands) {
  auto time = s.axis(getX());
  for (Attribute a : getAxes()) {
    int64_t axis = *cast<DimAttr>(a).constant();
    if (time && *time == axis + (axis < 0 ? type(getX()).getRank() : 0))
      return StreamAnalysis::always;
  }
  return operands;
}
int64_t EinsumOp::lookAhead(const StreamAnalysis &s, int64_t operands) {
  auto [in, out] = getAs().split("->");
  auto [left, right] = in.split(',');
  for (auto [letters, x] : {std::pair(left, getA()), std::pair(right, getB())})
    if (auto time = s.axis(x); time && !out.contains(letters[*time]))
      return StreamAnalysis::always;
  return operands;
}

//===-- attention ---------------------------------------------------------===//

int64_t AttentionOp::lookAhead(const StreamAnalysis &s, int64_t operands) {
  for (Value x : {getQ(), getK(), getV()}) // a product along the stream
    if (s.axis(x) == 3u)
      return StreamAnalysis::always;
  int64_t period = s.period(getK());
  // No time axis: the keys of another sequence.
  if (getCausal() || period == 0 || !alongStream(s, getK()))
    return operands;
  int64_t block = valueOr(getBlock(), 0);
  return block && period > 0 ? operands + (block - 1) * period
                             : StreamAnalysis::always;
}
LogicalResult AttentionOp::decode(DecodeBuilder &d) {
  if (!alongStream(d.streams, getK()))
    return d.clone(*this);
  if (getValid())
    return emitOpError("cannot be decoded with 'valid' on keys of the stream");
  if (!getCausal())
    return emitOpError("sees keys that come later in its block, so that its "
                       "result cannot be made byte by byte; say 'causal'");
  int64_t window = valueOr(getWindow(), 0), block = valueOr(getBlock(), 0);
  int64_t slots = block    ? block
                  : window ? window + d.largestStep() - 1
                           : d.capacity(getK());
  auto ring = [&](Value rows, StringRef what) -> Value {
    Value fresh = d.in(rows);
    if (!fresh)
      return {};
    auto stored = withItems(d, type(fresh), slots);
    auto state = d.state(*this, what, stored);
    Value all = AppendOp::create(d, getLoc(), d.read(getLoc(), state, stored),
                                 fresh, d.position());
    d.write(getLoc(), state, all);
    return all;
  };
  Value q = d.in(getQ()), k = ring(getK(), "k"), v = ring(getV(), "v");
  Value buckets = getBuckets() ? d.in(getBuckets()) : Value();
  if (!q || !k || !v || (getBuckets() && !buckets))
    return failure();
  auto now = AttentionOp::create(d, getLoc(), q, k, v, buckets, Value(),
                                 d.position(), getCausal(), getWindowAttr(),
                                 getBlockAttr(), getScaleAttr(), false);
  d.result(getY(), now.getY());
  return success();
}
int64_t AttentionOp::chunkDivides() { return valueOr(getBlock(), 0); }

int64_t RopeOp::lookAhead(const StreamAnalysis &s, int64_t operands) {
  return aheadOfRow(s, getX(), operands);
}
LogicalResult RopeOp::decode(DecodeBuilder &d) {
  if (!alongStream(d.streams, getX()))
    return d.clone(*this);
  Value x = d.in(getX());
  if (!x)
    return failure();
  d.result(getY(), RopeOp::create(d, getLoc(), x, d.position(), getTheta(),
                                  getPairs(), getInverse()));
  return success();
}

//===-- scan and convolution ----------------------------------------------===//

LogicalResult ConvOp::decode(DecodeBuilder &d) {
  Value x = d.in(getX()), w = d.in(getW());
  Value bias = getBias() ? d.in(getBias()) : Value();
  if (!x || !w || (getBias() && !bias))
    return failure();
  auto taps = type(w).dim(1).constant();
  if (!taps)
    return missing(*this);
  auto stored = withItems(d, type(x), *taps - 1);
  auto state = d.state(*this, "tail", stored);
  auto now = ConvOp::create(d, getLoc(), x, w, bias,
                            d.read(getLoc(), state, stored), getSilu());
  d.write(getLoc(), state, now.getTail());
  d.result(getY(), now.getY());
  return success();
}
/// What a scan of either kind has in one step: operands now, and its state.
template <typename Op, typename Create>
static LogicalResult decodeScan(DecodeBuilder &d, Op op, GraphTensorType stored,
                                Create create) {
  FlatSymbolRefAttr state = d.state(op, "scan", stored);
  Op step = create(d.read(op.getLoc(), state, stored));
  d.write(op.getLoc(), state, step.getStates());
  d.result(op.getY(), step.getY());
  return success();
}
static LogicalResult operandsNow(DecodeBuilder &d, ValueRange operands,
                                 SmallVectorImpl<Value> &now) {
  for (Value v : operands)
    if (!now.emplace_back(d.in(v)))
      return failure();
  return success();
}
LogicalResult SelectiveScanOp::decode(DecodeBuilder &d) {
  SmallVector<Value> now;
  if (failed(operandsNow(d, {getX(), getDt(), getA(), getB(), getC()}, now)))
    return failure();
  Value skip, gate;
  if ((getSkip() && !(skip = d.in(getSkip()))) ||
      (getGate() && !(gate = d.in(getGate()))))
    return failure();
  GraphTensorType a = type(now[2]); // [D, N]
  auto stored = GraphTensorType::get(getContext(),
                                     {type(now[0]).dim(0), a.dim(1), a.dim(0)},
                                     Float32Type::get(getContext()));
  return decodeScan(d, *this, stored, [&](Value from) {
    return SelectiveScanOp::create(d, getLoc(), now[0], now[1], now[2], now[3],
                                   now[4], skip, gate, from, DimAttr());
  });
}
LogicalResult SsdOp::decode(DecodeBuilder &d) {
  SmallVector<Value> now;
  if (failed(operandsNow(d, {getX(), getDt(), getA(), getB(), getC()}, now)))
    return failure();
  GraphTensorType x = type(now[0]), b = type(now[3]);
  auto stored = GraphTensorType::get(getContext(),
                                     {x.dim(0), x.dim(2), b.dim(3), x.dim(3)},
                                     Float32Type::get(getContext()));
  return decodeScan(d, *this, stored, [&](Value from) {
    return SsdOp::create(d, getLoc(), now[0], now[1], now[2], now[3], now[4],
                         from, getChunkAttr(), false);
  });
}

//===-- gather, views, positions ------------------------------------------===//

int64_t EmbedOp::lookAhead(const StreamAnalysis &s, int64_t operands) {
  // A table with a row for each position is read at any of them.
  return s.axis(getTable()) ? StreamAnalysis::always : operands;
}
int64_t TransposeOp::lookAhead(const StreamAnalysis &, int64_t operands) {
  return operands;
}
LogicalResult PositionsOp::decode(DecodeBuilder &d) {
  if (!d.streams.axis(getY())) // of another axis: the same at every moment
    return d.clone(*this);
  d.result(getY(), PositionsOp::create(d, getLoc(), d.position(),
                                       d.bind(getOf()), getPeriodAttr()));
  return success();
}

//===-- shift, patches: between what is known before and after an item ----===//

int64_t ShiftOp::lookAhead(const StreamAnalysis &s, int64_t operands) {
  return alongStream(s, getX())
             ? operands - std::max<int64_t>(s.period(getX()), 0)
             : operands;
}
LogicalResult ShiftOp::decode(DecodeBuilder &d) {
  if (!alongStream(d.streams, getX()))
    return d.clone(*this);
  // The step that makes a row leaves it for the step that reads it, which runs
  // when the next item begins.
  GraphTensorType row;
  FlatSymbolRefAttr state;
  auto keep = [&]() -> LogicalResult {
    Value x = d.in(getX());
    if (!x)
      return failure();
    row = type(x);
    state = d.state(*this, "last", row);
    d.write(getLoc(), state, x);
    return success();
  };
  if (failed(d.where(getX(), keep)))
    return failure();
  Value first = d.in(getFirst());
  if (!first)
    return failure();
  d.result(getY(),
           AtStartOp::create(d, getLoc(), first, d.read(getLoc(), state, row),
                             d.position(), getPeriodAttr()));
  return success();
}

int64_t PatchOp::lookAhead(const StreamAnalysis &s, int64_t operands) {
  if (!alongStream(s, getX()))
    return StreamAnalysis::always;
  return operands +
         (valueOr(getBy(), 1) - 1) * std::max<int64_t>(s.period(getX()), 1);
}
LogicalResult PatchOp::decode(DecodeBuilder &d) {
  // The fast side fills a ring of one patch, the slow side takes it whole.
  GraphTensorType ring;
  FlatSymbolRefAttr state;
  auto fill = [&]() -> LogicalResult {
    Value x = d.in(getX());
    if (!x)
      return failure();
    ring = withItems(d, type(x), valueOr(getBy(), 1));
    state = d.state(*this, "patch", ring);
    d.write(getLoc(), state,
            AppendOp::create(d, getLoc(), d.read(getLoc(), state, ring), x,
                             d.position()));
    return success();
  };
  if (failed(d.where(getX(), fill)))
    return failure();
  d.result(getY(), PatchOp::create(d, getLoc(), d.read(getLoc(), state, ring),
                                   getByAttr()));
  return success();
}

int64_t UnpatchOp::lookAhead(const StreamAnalysis &s, int64_t operands) {
  return alongStream(s, getX()) ? operands : StreamAnalysis::always;
}
LogicalResult UnpatchOp::decode(DecodeBuilder &d) {
  // The slow side leaves its row, the fast side picks its slice.
  GraphTensorType row;
  FlatSymbolRefAttr state;
  auto leave = [&]() -> LogicalResult {
    Value x = d.in(getX());
    if (!x)
      return failure();
    row = type(x);
    state = d.state(*this, "unpatch", row);
    d.write(getLoc(), state, x);
    return success();
  };
  if (failed(d.where(getX(), leave)))
    return failure();
  Value rows =
      UnpatchOp::create(d, getLoc(), d.read(getLoc(), state, row), getByAttr());
  d.result(getY(), PickOp::create(d, getLoc(), rows, d.position()));
  return success();
}
