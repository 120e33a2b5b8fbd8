//===- Decompose.cpp - Composite ops in terms of simple ones --------------===//
//
// Statistics are computed in f32 whatever the compute type. The forms equal
// those of the gradient rules, so that merging equal values shares them between
// forward and backward.
//
//===----------------------------------------------------------------------===//
#include "dialects/bb/BBChecks.h"
#include "passes/fuse/Fuse.h"

using namespace mlir;
using namespace bitbyte::bb;

static GraphTensorType type(Value v) {
  return cast<GraphTensorType>(v.getType());
}

namespace {
class Decomposer {
public:
  Decomposer(Operation *op) : b(op), loc(op->getLoc()) {}

  Value rmsNorm(RmsNormOp op) {
    Value x = wide(op.getX());
    if (op.getGroups() && !op.getGroups()->isWhole(1)) {
      GraphTensorType whole = type(x);
      SmallVector<Attribute> split(whole.getShape().begin(),
                                   whole.getShape().end());
      split.back() = *op.getGroups();
      split.push_back(whole.dim(-1) / *op.getGroups());
      Value y = normalise(ReshapeOp::create(b, loc, x, b.getArrayAttr(split)),
                          op.getEps());
      SmallVector<Attribute> back(whole.getShape().begin(),
                                  whole.getShape().end());
      Value flat = ReshapeOp::create(b, loc, y, b.getArrayAttr(back));
      return narrow(MulOp::create(b, loc, flat, op.getG()), op.getX());
    }
    return narrow(MulOp::create(b, loc, normalise(x, op.getEps()), op.getG()),
                  op.getX());
  }

  Value layerNorm(LayerNormOp op) {
    Value x = wide(op.getX());
    Value centred = SubOp::create(b, loc, x, lastAxis(x, "mean"));
    Value y = MulOp::create(b, loc, normalise(centred, op.getEps()), op.getG());
    if (op.getB())
      y = AddOp::create(b, loc, y, op.getB());
    return narrow(y, op.getX());
  }

  Value softmax(SoftmaxOp op) {
    Value e = shifted(wide(op.getX()));
    return narrow(DivOp::create(b, loc, e, lastAxis(e, "sum")), op.getX());
  }

  /// log sum exp(z) - z[target]
  Value crossEntropy(CrossEntropyOp op) {
    Value z = wide(op.getLogits());
    Value top = lastAxis(z, "max");
    Value e = ExpOp::create(b, loc, SubOp::create(b, loc, z, top));
    Value lse =
        AddOp::create(b, loc, LogOp::create(b, loc, lastAxis(e, "sum")), top);
    Value hit = MulOp::create(
        b, loc, z, OneHotOp::create(b, loc, op.getTarget(), type(z).dim(-1)));
    Value nats = SubOp::create(b, loc, lse, lastAxis(hit, "sum"));
    SmallVector<Attribute> to(type(op.getTarget()).getShape().begin(),
                              type(op.getTarget()).getShape().end());
    return ReshapeOp::create(b, loc, nats, b.getArrayAttr(to));
  }

  Value linear(LinearOp op) {
    std::string rows =
        StringRef("abcdefgh").take_front(type(op.getX()).getRank() - 1).str();
    Value y = EinsumOp::create(b, loc, op.getX(), op.getW(),
                               rows + "i,oi->" + rows + "o", TypeAttr());
    return op.getBias() ? Value(AddOp::create(b, loc, y, op.getBias())) : y;
  }

  /// Neighbours as one item, and back: the same elements in the same order.
  Value renamed(Operation *op) {
    ArrayRef<DimAttr> to = type(op->getResult(0)).getShape();
    return ReshapeOp::create(
        b, loc, op->getOperand(0),
        b.getArrayAttr(SmallVector<Attribute>(to.begin(), to.end())));
  }

  /// Parts of the last axis, each for itself.
  void split(SplitOp op) {
    int64_t from = 0;
    for (OpResult part : op.getParts()) {
      DimAttr size = type(part).dim(-1);
      if (!part.use_empty())
        part.replaceAllUsesWith(SliceOp::create(
            b, loc, op.getX(),
            DimAttr::get(b.getContext(), type(part).getRank() - 1),
            DimAttr::get(b.getContext(), from), size));
      from += *size.constant();
    }
  }

private:
  /// x / sqrt(mean(x^2) + eps)
  Value normalise(Value x, Attribute eps) {
    Value mean = lastAxis(SquareOp::create(b, loc, x), "mean");
    Value shiftedMean =
        ScaleOp::create(b, loc, mean, b.getF64FloatAttr(1.0), eps);
    return MulOp::create(b, loc, x, RsqrtOp::create(b, loc, shiftedMean));
  }
  Value shifted(Value x) {
    return ExpOp::create(b, loc, SubOp::create(b, loc, x, lastAxis(x, "max")));
  }
  Value lastAxis(Value x, StringRef by) {
    Attribute axis = DimAttr::get(b.getContext(), type(x).getRank() - 1);
    return ReduceOp::create(b, loc, x, by, b.getArrayAttr(axis), /*keep=*/true);
  }
  Value wide(Value x) {
    if (type(x).getElement().isF32())
      return x;
    return CastOp::create(b, loc, x, b.getF32Type());
  }
  Value narrow(Value y, Value like) {
    if (type(y).getElement() == type(like).getElement())
      return y;
    return CastOp::create(b, loc, y, type(like).getElement());
  }

  OpBuilder b;
  Location loc;
};
} // namespace

LogicalResult bitbyte::bb::decompose(ProgramOp program) {
  for (Operation &op : llvm::make_early_inc_range(program.getBody().front())) {
    Operation *before = op.getPrevNode();
    Decomposer d(&op);
    Value y;
    if (auto norm = dyn_cast<RmsNormOp>(op)) {
      if (failed(checkGroups(norm)))
        return failure();
      y = d.rmsNorm(norm);
    }
    if (auto norm = dyn_cast<LayerNormOp>(op))
      y = d.layerNorm(norm);
    else if (auto softmax = dyn_cast<SoftmaxOp>(op))
      y = d.softmax(softmax);
    else if (auto loss = dyn_cast<CrossEntropyOp>(op))
      y = d.crossEntropy(loss);
    else if (auto linear = dyn_cast<LinearOp>(op))
      y = d.linear(linear);
    else if (isa<PatchOp, UnpatchOp>(op))
      y = d.renamed(&op);
    else if (auto dropout = dyn_cast<DropoutOp>(op);
             dropout && !dropout.getSeed())
      y = dropout.getX(); // not in training
    else if (auto split = dyn_cast<SplitOp>(op))
      d.split(split);
    if (!y)
      continue;
    if (op.hasAttr(recomputeMark))
      for (Operation *part = before ? before->getNextNode()
                                    : &op.getBlock()->front();
           part != &op; part = part->getNextNode())
        part->setAttr(recomputeMark, UnitAttr::get(op.getContext()));
    op.getResult(0).replaceAllUsesWith(y);
    op.erase();
  }
  return success();
}
