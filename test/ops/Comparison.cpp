//===- Comparison.cpp - Programs on a device, against the interpreter -----===//

#include "test/ops/Comparison.h"

#include <gtest/gtest.h>

using namespace mlir;

namespace bitbyte::bb::ops {

bool Comparison::takes(ModuleOp alone, const Instance &instance) {
  bool mayRefuse = !instance.row.noKernel.empty() || isGpu();
  std::string refusal = mayRefuse ? refusalOf(alone, target) : "";
  EXPECT_TRUE(instance.row.noKernel.empty() || !refusal.empty())
      << "has kernels after all, which the row denies\n"
      << instance.describe();
  if (refusal.empty())
    return true;
  EXPECT_NE(refusal.find("has no schedule for " + target), std::string::npos)
      << refusal << "\n"
      << instance.describe();
  refused.insert(refusal);
  return false;
}

void Comparison::add(const Instance &instance) {
  auto alone = parseModel(context, instance.text());
  ASSERT_TRUE(alone) << instance.describe();
  if (!takes(*alone, instance))
    return;
  text += instance.text();
  // A gradient op's products are of rounded numbers that forward made.
  double in16Bits = llvm::StringRef(instance.op).ends_with("_grad") ? 2 : 1;
  auto program = modelOf(*alone).lookupSymbol<ProgramOp>(instance.program);
  trials.push_back({.what = instance.describe(),
                    .program = instance.program,
                    .inputs = inputList(instance, inputsFor(instance, program)),
                    .tolerance = instance.isBf16 ? in16Bits * bf16Tolerance
                                                 : instance.row.tolerance,
                    .scale = instance.row.scale});
}

void Comparison::addGradients(const Instance &instance) {
  auto alone = parseModel(context, instance.text());
  ASSERT_TRUE(alone) << instance.describe();
  ModelOp model = modelOf(*alone);
  GradientCase one = addGradientCase(model, instance);
  auto program = differentiate(one);
  ASSERT_TRUE(succeeded(program)) << instance.describe();
  std::string name = program->getSymName().str();
  one.program.erase(); // only the gradients are of interest here
  model.lookupSymbol<ProgramOp>(instance.program).erase();
  if (!takes(*alone, instance))
    return;
  for (Operation &op : model.getBody().front()) {
    llvm::raw_string_ostream out(text);
    op.print(out);
    out << "\n";
  }
  one.inputs.push_back(Array({}, 1));
  trials.push_back({.what = "gradients of " + instance.describe(),
                    .program = name,
                    .inputs = one.inputs,
                    .states = one.states,
                    .tolerance = instance.isBf16 ? 2 * bf16Tolerance
                                                 : 4 * instance.row.tolerance,
                    .scale = instance.row.scale,
                    .first = 1}); // the loss is a sum whose terms cancel out
}

/// Compiles the programs one by one: each that fails says so.
void Comparison::nameTheGuilty(ModuleOp module) {
  for (const Trial &trial : trials) {
    OwningOpRef<ModuleOp> alone = module.clone();
    for (auto program : llvm::make_early_inc_range(
             modelOf(*alone).getBody().getOps<ProgramOp>()))
      if (program.getSymName() != trial.program)
        program.erase();
    std::string why;
    EXPECT_TRUE(Compiled::compile(*alone, target, why)) << why << "\n"
                                                        << trial.what;
  }
}

void Comparison::run() {
  for (const std::string &refusal : refused)
    std::cout << "left out: " << refusal << "\n";
  if (trials.empty())
    return;
  auto module = parseModel(context, text);
  ASSERT_TRUE(module) << text;
  std::string error;
  auto compiled = Compiled::compile(*module, target, error);
  if (!compiled)
    nameTheGuilty(*module);
  ASSERT_TRUE(compiled) << error;
  for (const Trial &trial : trials) {
    Interpreter interpreter(modelOf(*module));
    for (const auto &[name, value] : trial.states) {
      ASSERT_TRUE(succeeded(interpreter.setState(name, value)));
      ASSERT_EQ(compiled->setState(name, value), "");
    }
    auto want = interpreter.run(trial.program, trial.inputs);
    ASSERT_TRUE(succeeded(want)) << trial.what;
    auto have = compiled->run(trial.program, trial.inputs, error);
    EXPECT_EQ(have.size(), want->size()) << error << "\n" << trial.what;
    for (size_t r = trial.first; r < have.size() && r < want->size(); ++r)
      EXPECT_EQ(difference(have[r], (*want)[r], trial.tolerance, trial.scale),
                "")
          << "result " << r << " of " << trial.what;
  }
}

} // namespace bitbyte::bb::ops
