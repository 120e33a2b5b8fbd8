//===- TestFailure.cpp - A pass that fails on purpose ---------------------===//

#include "compiler/pipeline/TestFailure.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

using namespace mlir;
using namespace bitbyte;

namespace {

struct TestFailure final : PassWrapper<TestFailure, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TestFailure)

  TestFailure() = default;
  TestFailure(const TestFailure &other) : PassWrapper(other) {}

  StringRef getArgument() const override { return "bb-test-failure"; }
  StringRef getDescription() const override {
    return "Fails on purpose, to test what happens then";
  }
  void runOnOperation() override {
    if (crash)
      LLVM_BUILTIN_TRAP;
    getOperation().emitError("bb-test-failure was asked to fail");
    signalPassFailure();
  }

  Option<bool> crash{*this, "crash",
                     llvm::cl::desc("crash instead of failing")};
};

} // namespace

void bb::registerTestFailurePass() { PassRegistration<TestFailure>(); }
