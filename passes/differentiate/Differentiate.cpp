//===- Differentiate.cpp - Phase: from a scoring model to a training one --===//
#include "passes/differentiate/Differentiate.h"

#include "passes/differentiate/Backward.h"
#include "passes/differentiate/Groups.h"
#include "passes/differentiate/Programs.h"
#include "passes/differentiate/Recompute.h"
#include "passes/differentiate/Shadows.h"
#include "passes/differentiate/Update.h"

using namespace mlir;
using namespace bitbyte;

namespace bitbyte::bb {
#define GEN_PASS_DEF_DIFFERENTIATEPASS
#include "passes/differentiate/Passes.h.inc"
} // namespace bitbyte::bb

using namespace bitbyte::bb;

/// The closed forms of @score: `score`, `score.B64T256`, ...
static SmallVector<ProgramOp> scorePrograms(ModelOp model) {
  SmallVector<ProgramOp> scores;
  for (ProgramOp program : model.getOps<ProgramOp>())
    if (program.getSymName().split('.').first == "score")
      scores.push_back(program);
  return scores;
}

/// `score.B64T256` -> `micro.B64T256`.
static std::string renamed(ProgramOp score, StringRef base) {
  return (base + score.getSymName().drop_front(strlen("score"))).str();
}

namespace {
/// A program with a backward half that does not end yet in what it is for.
struct Derived {
  ProgramOp program;
  Backward backward;
};
} // namespace

/// Lets the dropouts of a program drop: the host gives the seed of the run and
/// counts the calls.
static void armDropouts(ProgramOp program) {
  SmallVector<DropoutOp> dropouts(
      program.getBody().front().getOps<DropoutOp>());
  if (dropouts.empty())
    return;
  auto number = GraphTensorType::get(
      program.getContext(), {}, IntegerType::get(program.getContext(), 32));
  Value seed = addArgument(program, "seed", number);
  Value counter = addArgument(program, "counter", number);
  for (DropoutOp dropout : dropouts) {
    dropout.getSeedMutable().assign(seed);
    dropout.getCounterMutable().assign(counter);
  }
}

/// A copy of `score` whose loss is weighted by a number of the host.
static FailureOr<Derived> startMicro(ProgramOp score, Operation *after) {
  ProgramOp program = copyProgram(score, renamed(score, "micro"), after);
  Value weight = addArgument(program, "weight", scalarType(score.getContext()));
  armDropouts(program);
  FailureOr<Backward> backward = appendBackward(program, weight);
  if (failed(backward))
    return failure();
  return Derived{program, std::move(*backward)};
}

/// Adds the gradients to their states and returns the loss. Each is added where
/// it is made, so that nothing of it lives longer.
static void finishMicro(Derived &micro, int64_t memoryBudget) {
  auto model = micro.program->getParentOfType<ModelOp>();
  OpBuilder b(micro.program.getContext());
  for (auto &[name, gradient] : micro.backward.gradients) {
    std::string state = ("gradient." + name.getValue()).str();
    Location loc = gradient.getLoc();
    b.setInsertionPointAfterValue(gradient);
    Value old = readState(b, loc, model, state);
    writeState(b, loc, state, AddOp::create(b, loc, gradient, old));
  }
  setResults(micro.program, micro.backward.loss, {"loss"});
  simplify(micro.program);
  if (memoryBudget > 0)
    recompute(micro.program, memoryBudget);
}

/// A copy of `score` whose loss is the mean of the nats.
static FailureOr<Derived> startGradients(ProgramOp score, Operation *after) {
  ProgramOp program = copyProgram(score, renamed(score, "gradients"), after);
  double count = 1;
  Value nats = program.getBody().front().getTerminator()->getOperand(0);
  for (DimAttr dim : cast<GraphTensorType>(nats.getType()).getShape())
    count *= *dim.constant();
  OpBuilder b = atEnd(program);
  Value weight = makeFill(b, program.getLoc(), 1 / count,
                          scalarType(program.getContext()));
  FailureOr<Backward> backward = appendBackward(program, weight);
  if (failed(backward))
    return failure();
  return Derived{program, std::move(*backward)};
}

/// Returns the loss and the gradient of every parameter: zeros for those that
/// the loss does not depend on.
static void finishGradients(Derived &gradients, ArrayRef<StateOp> parameters) {
  SmallVector<Value> values{gradients.backward.loss};
  SmallVector<std::string> names{"loss"};
  OpBuilder b = atEnd(gradients.program);
  for (StateOp parameter : parameters) {
    Value gradient =
        gradients.backward.gradients.lookup(parameter.getSymNameAttr());
    if (!gradient)
      gradient = makeFill(b, parameter.getLoc(), 0,
                          cast<GraphTensorType>(parameter.getType()));
    values.push_back(gradient);
    names.push_back(("gradient." + parameter.getSymName()).str());
  }
  setResults(gradients.program, values, names);
  simplify(gradients.program);
}

static LogicalResult differentiateModel(ModelOp model,
                                        const DifferentiateOptions &options) {
  SmallVector<StateOp> parameters;
  for (StateOp state : model.getOps<StateOp>())
    if (state.getKind() == StateKind::Parameter)
      parameters.push_back(state);
  SmallVector<ProgramOp> scores = scorePrograms(model);
  if (scores.empty() && (options.train || options.gradients))
    return model.emitOpError()
           << "has no program @score, from which training is derived";

  // Backward halves come first: they tell which parameters can learn at all.
  SmallVector<Derived> micros, gradients;
  llvm::StringSet<> reached;
  Operation *last = scores.empty() ? nullptr : scores.back();
  auto keep = [&](FailureOr<Derived> derived, SmallVectorImpl<Derived> &to) {
    if (failed(derived))
      return failure();
    for (auto &[name, gradient] : derived->backward.gradients)
      reached.insert(name.getValue());
    last = derived->program;
    to.push_back(std::move(*derived));
    return success();
  };
  if (options.train)
    for (ProgramOp score : scores)
      if (failed(keep(startMicro(score, last), micros)))
        return failure();
  if (options.gradients)
    for (ProgramOp score : scores)
      if (failed(keep(startGradients(score, last), gradients)))
        return failure();
  if ((options.train || options.gradients) && reached.empty())
    return scores.front().emitOpError()
           << "cannot be differentiated: it depends on no parameter";

  bool learns = options.train || options.gradients;
  SmallVector<ParameterGroup> groups =
      groupParameters(model, learns ? &reached : nullptr);
  for (ParameterGroup &group : groups)
    makeMasters(group);

  ProgramOp update;
  if (options.train) {
    FailureOr<Optimizer> optimizer =
        Optimizer::load(model, options.optimizer, options.optimizerFile);
    if (failed(optimizer))
      return failure();
    for (const ParameterGroup &group : groups)
      if (!group.frozen())
        makeSlices(group, "gradient", StateKind::Gradient,
                   Float32Type::get(model.getContext()), /*saved=*/false);
    for (Derived &micro : micros)
      finishMicro(micro, options.memoryBudget);
    update = addUpdate(model, groups, *optimizer);
  }
  for (Derived &program : gradients)
    finishGradients(program, parameters);
  addShadows(model, groups, update);
  return success();
}

LogicalResult bb::differentiate(ModuleOp module,
                                const DifferentiateOptions &options) {
  for (ModelOp model : module.getOps<ModelOp>())
    if (failed(differentiateModel(model, options)))
      return failure();
  return success();
}

namespace {
struct Differentiate : bb::impl::DifferentiatePassBase<Differentiate> {
  using DifferentiatePassBase::DifferentiatePassBase;

  void runOnOperation() override {
    bb::DifferentiateOptions options;
    options.train = train;
    options.gradients = gradients;
    options.optimizer = optimizer;
    options.optimizerFile = optimizerFile;
    options.memoryBudget = memoryBudget;
    if (failed(bb::differentiate(getOperation(), options)))
      signalPassFailure();
  }
};
} // namespace
