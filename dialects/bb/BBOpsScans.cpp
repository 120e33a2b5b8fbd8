//===- BBOpsScans.cpp - Shape rules of convolution and scans --------------===//
#include "dialects/bb/BBChecks.h"
#include "dialects/bb/BBShapeRules.h"

using namespace mlir;
using namespace bitbyte::bb;

static LogicalResult checkConvBias(Loc loc, StringRef name, GraphTensorType w,
                                   Value bias) {
  if (bias && (type(bias).getRank() != 1 || type(bias).dim(0) != w.dim(0)))
    return fail(loc, "'" + name + "' needs a bias of [" + w.dim(0).str() +
                         "], but it is " + type(bias).str());
  return success();
}
RULE(ConvOp) {
  GraphTensorType x = type(op.getX()), w = type(op.getW()); // [B, T, D], [D, K]
  if (x.getRank() != 3 || w.getRank() != 2 || x.dim(-1) != w.dim(0))
    return fail(loc,
                "'bb.conv' needs [B, T, D] and a weight of [D, taps], but they "
                "are " +
                    x.str() + " and " + w.str(),
                {op.getX(), op.getW()}, {"input", "weight"});
  if (failed(checkConvBias(loc, "bb.conv", w, op.getBias())))
    return failure();
  types.push_back(x);
  if (op.getFrom()) {
    GraphTensorType from = type(op.getFrom());
    SmallVector<DimAttr> rows{x.dim(0), w.dim(1) - DimAttr::get(ctx, 1),
                              x.dim(2)};
    if (from.getShape() != ArrayRef(rows))
      return fail(loc, "'bb.conv' continues from rows of " + shapeStr(rows) +
                           ", but they are " + from.str());
    types.push_back(from);
  }
  return success();
}
RULE(ConvGradOp) {
  GraphTensorType w = type(op.getW());
  if (failed(checkConvBias(loc, "bb.conv_grad", w, op.getBias())))
    return failure();
  if (op.getBias() && !op.getSilu())
    return fail(loc, "'bb.conv_grad' takes a bias with 'silu' alone");
  Type f32 = Float32Type::get(ctx);
  types.append({op.getX().getType(), w.of(f32), w.with({w.dim(0)}).of(f32)});
  return success();
}

/// States before each chunk: `chunk` divides `length` rounded up. Where the
/// length has a name yet, so has their number.
static FailureOr<DimAttr> chunksOf(Loc loc, StringRef name, DimAttr length,
                                   DimAttr chunk) {
  auto t = length.constant(), n = chunk.constant();
  if (!t || !n || *n < 1) {
    (void)fail(loc, "'" + name +
                        "' saves states of whole chunks, but the length "
                        "is '" +
                        length.str() + "' and the chunk '" + chunk.str() + "'");
    return failure();
  }
  return DimAttr::get(length.getContext(), llvm::divideCeil(*t, *n));
}
/// The second result of a scan: the state at the end, or those before chunks.
static LogicalResult statesOf(Loc loc, StringRef name, DimAttr length,
                              ArrayRef<DimAttr> state, Value from,
                              DimAttr chunk, SmallVectorImpl<Type> &types) {
  MLIRContext *ctx = length.getContext();
  if (from && chunk)
    return fail(loc, "'" + name +
                         "' gives the state at the end for 'from', or "
                         "those before chunks for 'save', not both");
  if (from) {
    if (type(from).getShape() != state || !type(from).getElement().isF32())
      return fail(loc, "'" + name + "' starts from a state f32 " +
                           shapeStr(state) + ", but it is " + type(from).str());
    types.push_back(from.getType());
  }
  if (chunk) {
    FailureOr<DimAttr> chunks = chunksOf(loc, name, length, chunk);
    if (failed(chunks))
      return failure();
    SmallVector<DimAttr> dims(state);
    dims.insert(dims.begin() + 1, *chunks);
    types.push_back(GraphTensorType::get(ctx, dims, Float32Type::get(ctx)));
  }
  return success();
}
RULE(SelectiveScanOp) {
  GraphTensorType x = type(op.getX()), dt = type(op.getDt()),
                  a = type(op.getA()), b = type(op.getB()), c = type(op.getC());
  if (x.getRank() != 3 || x.getShape() != dt.getShape())
    return fail(
        loc,
        "'bb.selective_scan' needs x and dt of [B, T, D], but they are " +
            x.str() + " and " + dt.str(),
        {op.getX(), op.getDt()}, {"x", "dt"});
  if (a.getRank() != 2 || a.dim(0) != x.dim(2))
    return fail(loc, "'bb.selective_scan' needs a of [" + x.dim(2).str() +
                         ", state], but it is " + a.str());
  SmallVector<DimAttr> rows{x.dim(0), x.dim(1), a.dim(1)};
  if (b.getShape() != ArrayRef(rows) || c.getShape() != ArrayRef(rows))
    return fail(loc, "'bb.selective_scan' needs b and c of " + shapeStr(rows) +
                         ", but they are " + b.str() + " and " + c.str());
  if (Value skip = op.getSkip())
    if (type(skip).getShape() != x.getShape().take_back() ||
        !type(skip).getElement().isF32())
      return fail(loc, "'bb.selective_scan' needs a skip f32 [" +
                           x.dim(2).str() + "], but it is " + type(skip).str());
  if (Value gate = op.getGate())
    if (type(gate).getShape() != x.getShape())
      return fail(loc,
                  "'bb.selective_scan' needs a gate of the shape of x, but "
                  "they are " +
                      type(gate).str() + " and " + x.str(),
                  {gate, op.getX()}, {"gate", "x"});
  types.push_back(x);
  return statesOf(loc, "bb.selective_scan", x.dim(1),
                  {x.dim(0), a.dim(1), x.dim(2)}, op.getFrom(),
                  op.getSave().value_or(DimAttr()), types);
}
RULE(SelectiveScanGradOp) {
  Type f32 = Float32Type::get(ctx);
  types.append({op.getX().getType(), op.getDt().getType(),
                type(op.getA()).of(f32), type(op.getB()).of(f32),
                type(op.getC()).of(f32)});
  if (op.getSkip())
    types.push_back(type(op.getSkip()).of(f32));
  if (op.getGate())
    types.push_back(op.getGate().getType());
  return success();
}
RULE(SsdOp) {
  if (failed(checkAbove0(loc, "bb.ssd", "chunk", op.getChunk())))
    return failure();
  GraphTensorType x = type(op.getX()), dt = type(op.getDt()),
                  a = type(op.getA()), b = type(op.getB()), c = type(op.getC());
  if (x.getRank() != 4 || dt.getShape() != x.getShape().drop_back())
    return fail(
        loc,
        "'bb.ssd' needs x of [B, T, H, P] and dt of [B, T, H], but they "
        "are " +
            x.str() + " and " + dt.str(),
        {op.getX(), op.getDt()}, {"x", "dt"});
  if (a.getRank() != 1 || a.dim(0) != x.dim(2))
    return fail(loc, "'bb.ssd' needs a of [" + x.dim(2).str() +
                         "], but it is " + a.str());
  if (b.getRank() != 4 || b.getShape() != c.getShape() ||
      b.getShape().take_front(2) != x.getShape().take_front(2))
    return fail(loc, "'bb.ssd' needs b and c of [" + x.dim(0).str() + ", " +
                         x.dim(1).str() + ", groups, state], but they are " +
                         b.str() + " and " + c.str());
  if (auto h = x.dim(2).constant(), g = b.dim(2).constant();
      h && g && (*g < 1 || *h % *g))
    return fail(loc, "'bb.ssd' shares " + Twine(*g) + " groups among " +
                         Twine(*h) + " heads, which they must divide");
  types.push_back(x);
  return statesOf(loc, "bb.ssd", x.dim(1),
                  {x.dim(0), x.dim(2), b.dim(3), x.dim(3)}, op.getFrom(),
                  op.getSave() ? op.getChunk() : DimAttr(), types);
}
RULE(SsdGradOp) {
  Type f32 = Float32Type::get(ctx);
  types.append({op.getX().getType(), type(op.getDt()).of(f32),
                type(op.getA()).of(f32), type(op.getB()).of(f32),
                type(op.getC()).of(f32)});
  return success();
}
