//===- Update.cpp - The program that takes one optimizer step -------------===//
#include "passes/differentiate/Update.h"

#include "mlir/IR/AttrTypeSubElements.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Parser/Parser.h"
#include "passes/differentiate/Programs.h"

using namespace mlir;
using namespace bitbyte::bb;

static GraphTensorType tensorOf(Value value) {
  return cast<GraphTensorType>(value.getType());
}

//===----------------------------------------------------------------------===//
// Optimizer
//===----------------------------------------------------------------------===//

FailureOr<Optimizer> Optimizer::load(ModelOp model, StringRef name,
                                     StringRef path) {
  Optimizer result;
  result.file =
      parseSourceFile<ModuleOp>(path, ParserConfig(model.getContext()));
  if (!result.file)
    return model.emitOpError()
           << "cannot be trained: no optimizer can be read from '" << path
           << "'";
  for (BlockOp block : result.file->getOps<BlockOp>())
    if (block.getSymName() == name)
      result.block = block;
  if (!result.block)
    return model.emitOpError()
           << "cannot be trained: '" << path << "' has no block @" << name;
  if (failed(result.check()))
    return failure();
  return result;
}

LogicalResult Optimizer::check() {
  Block &body = block.getBody().front();
  auto refuse = [&](Location at, const Twine &why) -> LogicalResult {
    return emitError(at) << "@" << block.getSymName()
                         << " is no optimizer: " << why;
  };
  for (BlockArgument argument : body.getArguments()) {
    GraphTensorType type = tensorOf(argument);
    std::string name = block.argName(argument.getArgNumber()).str();
    if (type.getRank() == 0)
      numberNames.push_back(name);
    else if (!numberNames.empty())
      return refuse(argument.getLoc(),
                    "tensor %" + name + " stands after a number");
    else if (type.getRank() != 1 || !type.dim(0).bareSymbol() ||
             type.getShape() != tensorOf(body.getArgument(0)).getShape())
      return refuse(argument.getLoc(), "tensor %" + name + " is " + type.str() +
                                           ", not of the one flat shape [N]");
    else if (argument.getArgNumber() >= 2)
      momentNames.push_back(name);
  }
  if (body.getNumArguments() < 2 + numberNames.size())
    return refuse(block.getLoc(), "it takes no parameter and gradient");
  auto ret = cast<ReturnOp>(body.getTerminator());
  if (ret.getNumOperands() != 1 + momentNames.size())
    return refuse(ret.getLoc(), "it must return the parameter and its " +
                                    Twine(momentNames.size()) + " moments");
  for (auto [i, value] : llvm::enumerate(ret.getOperands()))
    if (value.getType() != body.getArgument(i == 0 ? 0 : i + 1).getType())
      return refuse(ret.getLoc(),
                    "result " + Twine(i) +
                        " is not of the type of the argument that it replaces");
  for (Operation &op : body)
    if (op.getNumRegions() || isa<CallOp, ParamOp>(op))
      return refuse(op.getLoc(),
                    "its body must be a straight line of graph ops");
  return success();
}

Type Optimizer::momentElement(size_t moment) const {
  return tensorOf(block->getRegion(0).getArgument(2 + moment)).getElement();
}

SmallVector<Value> Optimizer::inlineAt(OpBuilder &b,
                                       ValueRange arguments) const {
  Block &body = block->getRegion(0).front();
  // [N] becomes the size of the tensors.
  Env env;
  env[tensorOf(body.getArgument(0)).dim(0).bareSymbol()] =
      tensorOf(arguments.front()).dim(0);
  AttrTypeReplacer replacer;
  replacer.addReplacement(
      [&](DimAttr dim) -> std::optional<std::pair<Attribute, WalkResult>> {
        return std::make_pair(substitute(dim, env), WalkResult::skip());
      });
  IRMapping map;
  map.map(body.getArguments(), arguments);
  for (Operation &op : body.without_terminator()) {
    Operation *copy = b.clone(op, map);
    replacer.replaceElementsIn(copy, /*replaceAttrs=*/true,
                               /*replaceLocs=*/false, /*replaceTypes=*/true);
  }
  SmallVector<Value> results;
  for (Value value : body.getTerminator()->getOperands())
    results.push_back(map.lookup(value));
  return results;
}

//===----------------------------------------------------------------------===//
// update
//===----------------------------------------------------------------------===//

constexpr StringLiteral kStepState = "optimizer.step";

/// "optimizer.m", the prefix of the states of a moment.
static std::string momentPrefix(StringRef moment) {
  return ("optimizer." + moment).str();
}

namespace {
/// Makes the ops of `update`, which has no line in the spec.
class UpdateBuilder {
public:
  UpdateBuilder(ModelOp model, const Optimizer &optimizer)
      : model(model), optimizer(optimizer), program(make(model, optimizer)),
        b(atEnd(program)), loc(model.getLoc()) {
    for (BlockArgument argument : program.getBody().getArguments())
      inputs[program.argName(argument.getArgNumber())] = argument;
  }

  ProgramOp build(ArrayRef<ParameterGroup> groups) {
    Value norm = globalNorm(groups);
    Value ok = IsFiniteOp::create(b, loc, norm);
    Value factor = clipFactor(norm);
    for (const ParameterGroup &group : groups)
      step(group, factor, ok);

    Value applied = CastOp::create(b, loc, ok, b.getI32Type());
    Value steps = readState(b, loc, model, kStepState);
    writeState(b, loc, kStepState, AddOp::create(b, loc, steps, applied));
    setResults(program, {norm, applied}, {"grad_norm", "ok"});
    return program;
  }

private:
  static ProgramOp make(ModelOp model, const Optimizer &optimizer) {
    std::vector<std::string> names = optimizer.numbers();
    names.push_back("clip");
    return makeProgram(model, "update", names);
  }

  /// sqrt(sum of squares) over all gradients, in a fixed order: within each
  /// row of the flat state, then over the rows, then over the groups. Rows let
  /// many workers share the first sum.
  Value globalNorm(ArrayRef<ParameterGroup> groups) {
    Value total;
    for (const ParameterGroup &group : groups) {
      ArrayAttr rows = dims({group.elements / kSliceAlign, kSliceAlign});
      Value flat = read("gradient", group);
      Value x = ReshapeOp::create(b, loc, flat, rows);
      Value squares = SquareOp::create(b, loc, x);
      Value perRow = ReduceOp::create(b, loc, squares, "sum", dims({1}), false);
      Value sum = ReduceOp::create(b, loc, perRow, "sum", dims({0}), false);
      total = total ? AddOp::create(b, loc, total, sum).getResult() : sum;
    }
    return SqrtOp::create(b, loc, total);
  }
  ArrayAttr dims(ArrayRef<int64_t> values) {
    return b.getArrayAttr(llvm::map_to_vector(values, [&](int64_t value) {
      return Attribute(DimAttr::get(b.getContext(), value));
    }));
  }

  /// min(1, clip / (norm + 1e-6)); 1 where clip is 0 or less.
  Value clipFactor(Value norm) {
    Value one = number(1), clip = inputs["clip"];
    Value above = ScaleOp::create(b, loc, norm, b.getF64FloatAttr(1),
                                  b.getF64FloatAttr(1e-6));
    Value limit = DivOp::create(b, loc, clip, above);
    limit = MinOp::create(b, loc, limit, one);
    Value clips = LtOp::create(b, loc, number(0), clip);
    return SelectOp::create(b, loc, clips, limit, one);
  }

  /// One group. What a step changes keeps its old value unless `ok`: a factor
  /// of 0 would not do, because 0 * NaN is NaN. Gradients start again at zero.
  void step(const ParameterGroup &group, Value factor, Value ok) {
    SmallVector<std::string> states{"master"};
    for (StringRef moment : optimizer.moments())
      states.push_back(momentPrefix(moment));
    SmallVector<Value> old;
    for (StringRef state : states)
      old.push_back(read(state, group));

    Value gradient = MulOp::create(b, loc, read("gradient", group), factor);
    SmallVector<Value> arguments{old.front(), gradient};
    arguments.append(old.begin() + 1, old.end());
    for (StringRef name : optimizer.numbers())
      arguments.push_back(
          name == "decay" && group.name != "decay" ? number(0) : inputs[name]);
    SmallVector<Value> stepped = optimizer.inlineAt(b, arguments);
    for (auto [state, before, after] : llvm::zip(states, old, stepped))
      writeState(b, loc, flatName(state, group),
                 SelectOp::create(b, loc, ok, after, before));
    writeState(b, loc, flatName("gradient", group),
               makeFill(b, loc, 0, flatType(group, b.getF32Type())));
  }

  Value read(StringRef prefix, const ParameterGroup &group) {
    return readState(b, loc, model, flatName(prefix, group));
  }
  Value number(double value) {
    return makeFill(b, loc, value, scalarType(b.getContext()));
  }

  ModelOp model;
  const Optimizer &optimizer;
  ProgramOp program;
  OpBuilder b;
  Location loc;
  llvm::StringMap<Value> inputs;
};
} // namespace

ProgramOp bitbyte::bb::addUpdate(ModelOp model, ArrayRef<ParameterGroup> groups,
                                 const Optimizer &optimizer) {
  SmallVector<ParameterGroup> trained;
  for (const ParameterGroup &group : groups)
    if (!group.frozen())
      trained.push_back(group);
  for (const ParameterGroup &group : trained)
    for (auto [i, moment] : llvm::enumerate(optimizer.moments()))
      makeSlices(group, momentPrefix(moment), StateKind::Moment,
                 optimizer.momentElement(i), /*saved=*/true);
  makeCounter(model, kStepState);
  ProgramOp update = UpdateBuilder(model, optimizer).build(trained);
  simplify(update);
  return update;
}
