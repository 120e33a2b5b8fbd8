//===- OpsTest.cpp - Ops by their rows, two ways --------------------------===//
//
// For each row of the table: the interpreter against the row's own formula, and
// gradients against finite differences.
//
//===----------------------------------------------------------------------===//

#include "test/ops/Programs.h"

#include "passes/fuse/Fuse.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <gtest/gtest.h>
#include <set>

using namespace mlir;

namespace bitbyte::bb::ops {

namespace {

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

/// Ops without a row, and why: they compute no tensor from tensors. Nothing is
/// to be added here that computes.
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
    {"read", "structure: gradient cases read all their parameters"},
    {"write", "structure: decoding cases write all their caches"},
    {"fused", "structure: fuse makes it of rows, and it is run and compiled"},
    {"contract", "structure: inside fused"},
    {"reduce_over", "structure: inside fused"},
    {"index", "structure: inside fused"},
    {"at", "structure: inside fused"},
    {"emit", "structure: inside fused"},
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
  for (const Instance &instance : instancesOf(allCases())) {
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
      std::string wrong = difference(
          result, want, element.isBF16() ? 8e-3 : instance.row.formula);
      EXPECT_EQ(wrong, "") << "result " << r << " of " << instance.describe();
    }
  }
}

/// Regions compute in f32 what lies between their tensors, constants of fuse
/// are rounded to f32, and in 16 bits roundings in between fall away.
TEST_F(Ops, FuseKeepsWhatProgramsGive) {
  for (const Instance &instance : instancesOf(allCases())) {
    auto module = parse(instance);
    ASSERT_TRUE(module) << instance.describe();
    OwningOpRef<ModuleOp> fused = module->clone();
    PassManager passes(&context);
    passes.addPass(createFusePass());
    ASSERT_TRUE(succeeded(passes.run(*fused))) << instance.describe();
    auto program = modelOf(*module).lookupSymbol<ProgramOp>(instance.program);
    auto inputs = inputList(instance, inputsFor(instance, program));
    auto want = Interpreter(modelOf(*module)).run(instance.program, inputs);
    auto have = Interpreter(modelOf(*fused)).run(instance.program, inputs);
    ASSERT_TRUE(succeeded(want) && succeeded(have)) << instance.describe();
    for (auto [r, result] : llvm::enumerate(*want))
      EXPECT_EQ(difference((*have)[r], result,
                           instance.isBf16 ? bf16Tolerance : 1e-6),
                "")
          << "result " << r << " of " << instance.describe();
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
  for (const Instance &instance : instancesOf(allCases())) {
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
