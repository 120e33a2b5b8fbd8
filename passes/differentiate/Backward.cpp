//===- Backward.cpp - The gradient of a program's loss --------------------===//
#include "passes/differentiate/Backward.h"

#include "passes/differentiate/Programs.h"

using namespace mlir;
using namespace bitbyte::bb;

static GraphTensorType tensorOf(Value value) {
  return cast<GraphTensorType>(value.getType());
}

static double elementsOf(GraphTensorType type) {
  double count = 1;
  for (DimAttr dim : type.getShape())
    count *= *dim.constant();
  return count;
}

static Value sumOfAll(OpBuilder &b, Location loc, Value x) {
  SmallVector<Attribute> axes;
  for (int64_t i = 0; i < tensorOf(x).getRank(); ++i)
    axes.push_back(DimAttr::get(b.getContext(), i));
  return ReduceOp::create(b, loc, x, "sum", b.getArrayAttr(axes),
                          /*keep=*/false);
}

/// The ops of a program before its return. Marks the values that lead from a
/// parameter: only those get gradients.
static SmallVector<Operation *> markWanted(ProgramOp program,
                                           GradientBuilder &g) {
  auto model = program->getParentOfType<ModelOp>();
  SmallVector<Operation *> order;
  for (Operation &op : program.getBody().front().without_terminator()) {
    order.push_back(&op);
    bool want = llvm::any_of(op.getOperands(),
                             [&](Value operand) { return g.wanted(operand); });
    if (auto read = dyn_cast<ReadOp>(op)) {
      auto state = model.lookupSymbol<StateOp>(read.getState());
      want = state && state.getKind() == StateKind::Parameter;
    }
    if (!want)
      continue;
    for (Value result : op.getResults())
      if (isa<FloatType>(tensorOf(result).getElement()))
        g.wanting.insert(result);
  }
  return order;
}

FailureOr<Backward> bitbyte::bb::appendBackward(ProgramOp program,
                                                Value weight) {
  Operation *ret = program.getBody().front().getTerminator();
  Location loc = ret->getLoc();
  GradientBuilder g(program.getContext());
  g.setInsertionPoint(ret);
  SmallVector<Operation *> order = markWanted(program, g);

  auto isF32 = [](Value value) { return tensorOf(value).getElement().isF32(); };
  if (ret->getNumOperands() < 1 || ret->getNumOperands() > 2 ||
      !llvm::all_of(ret->getOperands(), isF32) ||
      (ret->getNumOperands() == 2 && tensorOf(ret->getOperand(1)).getRank()))
    return program.emitOpError()
           << "must return its nats in f32, and after them at most an "
              "auxiliary loss f32[], to be differentiated";
  Value nats = ret->getOperand(0);
  ArrayRef<DimAttr> shape = tensorOf(nats).getShape();
  Backward result;
  result.loss = MulOp::create(g, loc, sumOfAll(g, loc, nats), weight);
  g.add(loc, nats,
        BroadcastOp::create(g, loc, weight,
                            g.getArrayAttr(SmallVector<Attribute>(
                                shape.begin(), shape.end()))));
  if (ret->getNumOperands() == 2) {
    Value aux = ret->getOperand(1);
    Value seed = ScaleOp::create(g, loc, weight,
                                 g.getF64FloatAttr(elementsOf(tensorOf(nats))),
                                 Attribute());
    result.loss =
        AddOp::create(g, loc, result.loss, MulOp::create(g, loc, aux, seed));
    g.add(loc, aux, seed);
  }

  for (Operation *op : llvm::reverse(order)) {
    bool reached = llvm::any_of(
        op->getResults(), [&](Value value) { return g.of(value) != nullptr; });
    if (!reached || isa<ReadOp>(op))
      continue;
    auto rule = dyn_cast<DifferentiableOpInterface>(op);
    if (!rule)
      return op->emitOpError("has no gradient rule");
    if (failed(rule.differentiate(g)))
      return failure();
  }

  // A parameter may be read more than once: its gradients add up.
  for (Operation *op : order) {
    auto read = dyn_cast<ReadOp>(op);
    Value gradient = read ? g.of(read.getY()) : Value();
    if (!gradient)
      continue;
    Value &sum = result.gradients[read.getStateAttr().getAttr()];
    sum = sum ? AddOp::create(g, loc, sum, gradient).getResult() : gradient;
  }
  return result;
}
