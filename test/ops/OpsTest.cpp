//===- OpsTest.cpp - Ops by their rows, two ways
//----------------------------------===//
//
// For each row of the table: the interpreter against the row's own formula, and
// gradients against finite differences.
//
//===----------------------------------------------------------------------===//

#include "test/ops/Programs.h"

#include "mlir/IR/Diagnostics.h"

#include <cmath>
#include <gtest/gtest.h>
#include <set>

using namespace mlir;

namespace bitbyte::bb::ops {

namespace {

/// Where two arrays differ most, beyond `tolerance` times the largest element;
/// empty if nowhere.
std::string difference(const Array &have, const Array &want, double tolerance) {
  if (have.shape != want.shape)
    return "shapes differ";
  double scale = 1e-2; // of numbers that are 0 but for rounding
  for (double x : want.data)
    if (std::isfinite(x))
      scale = std::max(scale, std::fabs(x));
  for (int64_t i = 0; i < want.size(); ++i) {
    bool equal = have[i] == want[i] ||
                 (std::isnan(have[i]) && std::isnan(want[i])) ||
                 std::fabs(have[i] - want[i]) <= tolerance * scale;
    if (!equal)
      return "element " + std::to_string(i) + " of " +
             std::to_string(want.size()) + " is " + std::to_string(have[i]) +
             ", not " + std::to_string(want[i]) + " (largest " +
             std::to_string(scale) + ")";
  }
  return "";
}

std::vector<Array> inputList(const Instance &instance, const Inputs &inputs) {
  std::vector<Array> list;
  for (const Instance::Argument &argument : instance.arguments)
    list.push_back(inputs[argument.name]);
  return list;
}

/// Visits every index of a shape, row-major.
template <typename Visit>
void forEach(const Shape &shape, Visit visit) {
  Index at(shape.size(), 0);
  for (int64_t i = 0; i < elementCount(shape); ++i) {
    visit(i, at);
    for (size_t axis = shape.size(); axis-- > 0;) {
      if (++at[axis] < shape[axis])
        break;
      at[axis] = 0;
    }
  }
}

class Ops : public testing::Test {
protected:
  Ops() { loadDialects(context); }

  /// One model of all these programs; null after diagnostics.
  OwningOpRef<ModuleOp> parse(ArrayRef<Instance> instances) {
    std::string text;
    for (const Instance &instance : instances)
      text += instance.text();
    return parseModel(context, text);
  }

  MLIRContext context;
};

} // namespace

//===----------------------------------------------------------------------===//
// The table is complete
//===----------------------------------------------------------------------===//

/// Ops without a row, and why: they compute no tensor from tensors, or what
/// stands in for one today. Nothing is to be added here that computes.
static const std::map<std::string, std::string> exempt = {
    {"model", "structure"},
    {"preset", "structure"},
    {"import", "structure"},
    {"import_rule", "structure"},
    {"block", "structure"},
    {"program", "structure"},
    {"call", "structure: inlined by instantiate"},
    {"repeat", "structure: unrolled by instantiate"},
    {"if", "structure: decided by instantiate"},
    {"return", "structure"},
    {"yield", "structure"},
    {"param", "structure: a read after instantiate"},
    {"state", "structure"},
    {"read", "a state's value: every gradient case reads its parameters"},
    {"write", "a state's value: the golden training cases write all of them"},
    {"fused", "made by fuse from rows of this table, and compiled with them"},
    {"contract", "inside fused"},
    {"reduce_over", "inside fused"},
    {"index", "inside fused"},
    {"at", "inside fused"},
    {"emit", "inside fused"},
    {"fake_quant", "no encoding has codes yet: quantize refuses them"},
    {"quantize", "no encoding has codes yet"},
    {"dequantize", "no encoding has codes yet"},
    {"attention_grad", "no row: attention's own rows differentiate into it"},
    {"conv", "no row: differences of a whole model in test/train/scans.test"},
    {"conv_grad", "no row: as conv"},
    {"selective_scan", "no row: as conv, and the golden Mamba"},
    {"selective_scan_grad", "no row: as conv, and the golden Mamba"},
    {"ssd", "no row: as conv, and the golden Mamba-2"},
    {"ssd_grad", "no row: as conv, and the golden Mamba-2"},
    {"embed", "no row: test/passes/tile compares its kernel"},
    {"scatter_add", "no row: the golden gradients of embeddings"},
    {"one_hot", "no row: test/passes/tile compares its kernel"},
    {"append", "no row: the golden greedy bytes with a cache"},
    {"pick", "no row: test/passes/incrementalize has its text only"},
    {"at_start", "no row: test/passes/incrementalize has its text only"},
    {"positions", "no row: test/passes/tile compares its kernel"},
    {"reshape", "no row: free of code"},
    {"transpose", "no row: test/passes/tile compares its kernel"},
    {"broadcast", "no row: the seed of every gradient case"},
    {"slice", "no row: test/passes/tile compares its kernel"},
    {"pad", "no row: test/passes/tile compares its kernel"},
    {"split", "no row: test/passes/tile compares its kernel"},
    {"concat", "no row: test/passes/tile compares its kernel"},
    {"shift", "no row: test/passes/tile compares its kernel"},
    {"patch", "no row: test/passes/incrementalize has its text only"},
    {"unpatch", "no row: test/passes/incrementalize has its text only"},
};

TEST_F(Ops, EveryOpHasARow) {
  std::set<std::string> rows;
  for (const OpCase &row : allCases())
    rows.insert(row.op);
  std::set<std::string> known;
  for (RegisteredOperationName name : context.getRegisteredOperations()) {
    if (name.getDialectNamespace() != BBDialect::getDialectNamespace())
      continue;
    std::string op = name.stripDialect().str();
    known.insert(op);
    bool hasRow = rows.count(op);
    EXPECT_TRUE(hasRow || exempt.count(op))
        << "bb." << op
        << " has no row in test/ops: docs/guides/add-an-op.md says how to add "
           "one";
    EXPECT_FALSE(hasRow && exempt.count(op))
        << "bb." << op << " has a row: take it off the list of exempt ops";
  }
  for (const std::string &op : rows)
    EXPECT_TRUE(known.count(op)) << "there is no op bb." << op;
  for (const auto &[op, why] : exempt)
    EXPECT_TRUE(known.count(op)) << "there is no op bb." << op;
}

//===----------------------------------------------------------------------===//
// Interpreter
//===----------------------------------------------------------------------===//

TEST_F(Ops, InterpreterGivesWhatTheRowSays) {
  for (const Instance &instance : allInstances()) {
    auto module = parse(instance);
    ASSERT_TRUE(module) << instance.describe();
    auto program = modelOf(*module).lookupSymbol<ProgramOp>(instance.program);
    Inputs inputs = inputsFor(instance, program);
    Interpreter interpreter(modelOf(*module));
    auto results = interpreter.run(program, inputList(instance, inputs));
    ASSERT_TRUE(succeeded(results)) << instance.describe();
    Operation *end = program.getBody().front().getTerminator();
    for (auto [r, result] : llvm::enumerate(*results)) {
      Array want(result.shape);
      forEach(result.shape, [&, r = r](int64_t i, const Index &at) {
        want[i] = instance.row.element(inputs, at, r);
      });
      Type element =
          cast<GraphTensorType>(end->getOperand(r).getType()).getElement();
      conform(want, element);
      // In 16 bits two ways of rounding may end on neighbours.
      std::string wrong =
          difference(result, want, element.isBF16() ? 8e-3 : 1e-12);
      EXPECT_EQ(wrong, "") << "result " << r << " of " << instance.describe();
    }
  }
}

//===----------------------------------------------------------------------===//
// Gradients
//===----------------------------------------------------------------------===//

namespace {

/// The number of a gradient case at some values of its parameters.
double lossAt(ModelOp model, const GradientCase &one,
              const std::map<std::string, Array> &states) {
  Interpreter interpreter(model);
  for (const auto &[name, value] : states)
    EXPECT_TRUE(succeeded(interpreter.setState(name, value)));
  auto result = interpreter.run(one.program, one.inputs);
  EXPECT_TRUE(succeeded(result));
  return succeeded(result) ? (*result)[0][0] : NAN;
}

/// The slope of the number along `direction` of one parameter: central
/// differences, narrow enough that a kink rarely lies between the two sides.
double slope(ModelOp model, const GradientCase &one, const std::string &state,
             const Array &direction) {
  constexpr double h = 1e-5;
  double sides[2];
  for (int side : {0, 1}) {
    auto states = one.states;
    for (int64_t i = 0; i < direction.size(); ++i)
      states[state][i] += (side ? h : -h) * direction[i];
    sides[side] = lossAt(model, one, states);
  }
  return (sides[1] - sides[0]) / (2 * h);
}

/// Random directions: each has a part in every element.
constexpr int directions = 3;

} // namespace

TEST_F(Ops, GradientsAreFiniteDifferences) {
  for (const Instance &instance : allInstances()) {
    if (instance.isBf16 || !instance.row.noGradient.empty())
      continue;
    auto module = parse(instance);
    ASSERT_TRUE(module) << instance.describe();
    ModelOp model = modelOf(*module);
    GradientCase one = addGradientCase(model, instance);
    ASSERT_FALSE(one.parameters.empty())
        << "no float input: say in noGradient why there is no gradient\n"
        << instance.describe();
    auto program = differentiate(one);
    ASSERT_TRUE(succeeded(program)) << instance.describe();
    Interpreter interpreter(model);
    for (const auto &[name, value] : one.states)
      ASSERT_TRUE(succeeded(interpreter.setState(name, value)));
    std::vector<Array> inputs = one.inputs;
    inputs.push_back(Array({}, 1));
    auto results = interpreter.run(*program, inputs);
    ASSERT_TRUE(succeeded(results)) << instance.describe();
    std::mt19937_64 random(5);
    for (auto [p, parameter] : llvm::enumerate(one.parameters)) {
      const Array &gradient = (*results)[p + 1];
      for (int d = 0; d < directions; ++d) {
        Array direction(gradient.shape);
        double along = 0, size = 0;
        for (int64_t i = 0; i < gradient.size(); ++i) {
          direction[i] = uniform(random, 0.1, 1) * (random() % 2 ? 1 : -1);
          along += direction[i] * gradient[i];
          size += std::fabs(direction[i] * gradient[i]);
        }
        double want = slope(model, one, one.stateOf(parameter), direction);
        EXPECT_NEAR(along, want, 1e-6 * std::max(size, 1e-2))
            << "d/d" << parameter << " of " << instance.describe();
      }
    }
  }
}

TEST_F(Ops, OpsWithoutAGradientGiveNoneOrRefuse) {
  for (const OpCase &row : allCases()) {
    if (row.noGradient.empty() || row.straightThrough)
      continue;
    Instance instance = instancesOf(row, 0).back();
    auto module = parse(instance);
    ASSERT_TRUE(module) << instance.describe();
    ModelOp model = modelOf(*module);
    GradientCase one = addGradientCase(model, instance);
    auto program = modelOf(*module).lookupSymbol<ProgramOp>(instance.program);
    bool returnsFloats =
        llvm::any_of(program.getBody().front().getTerminator()->getOperands(),
                     [](Value value) {
                       return isa<FloatType>(
                           cast<GraphTensorType>(value.getType()).getElement());
                     });
    if (!returnsFloats || one.parameters.empty())
      continue; // there is nothing that could flow
    ScopedDiagnosticHandler silent(&context,
                                   [](Diagnostic &) { return success(); });
    auto gradients = differentiate(one);
    if (failed(gradients))
      continue; // refused
    Interpreter interpreter(model);
    for (const auto &[name, value] : one.states)
      ASSERT_TRUE(succeeded(interpreter.setState(name, value)));
    std::vector<Array> inputs = one.inputs;
    inputs.push_back(Array({}, 1));
    auto results = interpreter.run(*gradients, inputs);
    ASSERT_TRUE(succeeded(results)) << instance.describe();
    for (const Array &gradient : llvm::drop_begin(*results))
      for (double x : gradient.data)
        EXPECT_EQ(x, 0) << instance.describe() << "has a gradient after all, "
                        << "which the row denies: " << row.noGradient;
  }
}

} // namespace bitbyte::bb::ops
