//===- Programs.cpp - Models made of rows ---------------------------------===//

#include "test/ops/Programs.h"

#include "dialects/tile/TileOps.h"
#include "passes/differentiate/Backward.h"
#include "passes/differentiate/Programs.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Parser/Parser.h"

using namespace mlir;

namespace bitbyte::bb::ops {

void loadDialects(MLIRContext &context) {
  context.loadDialect<BBDialect, tile::TileDialect, arith::ArithDialect,
                      math::MathDialect, scf::SCFDialect>();
}

OwningOpRef<ModuleOp> parseModel(MLIRContext &context,
                                 const std::string &body) {
  return parseSourceString<ModuleOp>("bb.model @table() {\n" + body + "}\n",
                                     &context);
}

ModelOp modelOf(ModuleOp module) { return *module.getOps<ModelOp>().begin(); }

static GraphTensorType tensorOf(Value value) {
  return cast<GraphTensorType>(value.getType());
}

/// sum of y * weight, in f32.
static Value weighted(OpBuilder &b, Location loc, Value y, Value weight) {
  if (!tensorOf(y).getElement().isF32())
    y = CastOp::create(b, loc, y, b.getF32Type());
  Value product = MulOp::create(b, loc, y, weight);
  SmallVector<Attribute> axes;
  for (int64_t i = 0; i < tensorOf(y).getRank(); ++i)
    axes.push_back(DimAttr::get(b.getContext(), i));
  return ReduceOp::create(b, loc, product, "sum", b.getArrayAttr(axes),
                          /*keep=*/false);
}

GradientCase addGradientCase(ModelOp model, const Instance &instance) {
  GradientCase made;
  made.instance = &instance;
  auto forward = model.lookupSymbol<ProgramOp>(instance.program);
  Inputs inputs = inputsFor(instance, forward);
  std::string name = instance.program + ".loss";
  made.program = copyProgram(forward, name, forward);
  Block &body = made.program.getBody().front();
  Location loc = made.program.getLoc();

  OpBuilder states(forward);
  OpBuilder b = OpBuilder::atBlockBegin(&body);
  unsigned kept = 0;
  SmallVector<Attribute> names;
  for (const Instance::Argument &argument : instance.arguments) {
    BlockArgument value = body.getArgument(kept);
    if (!isa<FloatType>(tensorOf(value).getElement())) {
      made.inputs.push_back(inputs[argument.name]);
      names.push_back(b.getStringAttr(argument.name));
      ++kept;
      continue;
    }
    std::string state = made.stateOf(argument.name);
    StateOp::create(states, loc, states.getStringAttr(state),
                    TypeAttr::get(value.getType()),
                    StateKindAttr::get(b.getContext(), StateKind::Parameter),
                    InitAttr(), StringAttr(), FlatSymbolRefAttr(),
                    IntegerAttr(), UnitAttr());
    auto read = ReadOp::create(b, loc, value.getType(),
                               FlatSymbolRefAttr::get(b.getContext(), state));
    value.replaceAllUsesWith(read.getY());
    body.eraseArgument(kept);
    made.parameters.push_back(argument.name);
    made.states[state] = inputs[argument.name];
  }

  Operation *end = body.getTerminator();
  b.setInsertionPoint(end);
  Value sum;
  for (auto [i, y] : llvm::enumerate(end->getOperands())) {
    if (!isa<FloatType>(tensorOf(y).getElement()))
      continue;
    GraphTensorType type = tensorOf(y).of(b.getF32Type());
    Value weight = body.addArgument(type, loc);
    names.push_back(b.getStringAttr("weight" + std::to_string(i)));
    made.inputs.push_back(
        inputFor({"weight", "", -1, 1}, type, uint64_t(77 + i)));
    Value part = weighted(b, loc, y, weight);
    sum = sum ? AddOp::create(b, loc, sum, part).getResult() : part;
  }
  made.program.setArgNamesAttr(b.getArrayAttr(names));
  if (sum)
    setResults(made.program, sum, {"loss"});
  return made;
}

FailureOr<ProgramOp> differentiate(const GradientCase &one) {
  ProgramOp loss = one.program; // names of ops are not const
  ProgramOp program =
      copyProgram(loss, (one.instance->program + ".gradients").c_str(), loss);
  Value weight =
      addArgument(program, "weight", scalarType(program.getContext()));
  FailureOr<Backward> backward = appendBackward(program, weight);
  if (failed(backward)) {
    program.erase();
    return failure();
  }
  OpBuilder b = atEnd(program);
  SmallVector<Value> values = {backward->loss};
  std::vector<std::string> names = {"loss"};
  auto model = program->getParentOfType<ModelOp>();
  for (const std::string &parameter : one.parameters) {
    std::string state = one.stateOf(parameter);
    Value gradient = backward->gradients.lookup(b.getStringAttr(state));
    if (!gradient) {
      auto type =
          cast<GraphTensorType>(model.lookupSymbol<StateOp>(state).getType());
      gradient = makeFill(b, program.getLoc(), 0, type.of(b.getF32Type()));
    }
    values.push_back(gradient);
    names.push_back(parameter);
  }
  setResults(program, values, names);
  return program;
}

} // namespace bitbyte::bb::ops
