//===- bb-reduce.cpp - Makes IR text that shows a failure small -----------===//
#include "compiler/pipeline/RegisterPasses.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Reducer/ReductionPatternInterface.h"
#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"

using namespace mlir;
using namespace bitbyte;

namespace {

/// y = op(.., x, ..)  ->  x, where both have one type and the test still finds
/// what it looks for.
struct BypassOp final : RewritePattern {
  BypassOp(MLIRContext *context, Tester &tester)
      : RewritePattern(MatchAnyOpTypeTag(), /*benefit=*/1, context),
        tester(tester) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    if (!isa<bb::DifferentiableOpInterface>(op) || op->getNumResults() != 1)
      return rewriter.notifyMatchFailure(op, "no op of the graph");
    for (Value operand : op->getOperands())
      if (operand.getType() == op->getResult(0).getType() &&
          staysInteresting(op, operand)) {
        rewriter.replaceOp(op, operand);
        return success();
      }
    return rewriter.notifyMatchFailure(op, "no operand may stand for it");
  }

private:
  bool staysInteresting(Operation *op, Value operand) const {
    IRMapping map;
    OwningOpRef<ModuleOp> copy =
        cast<ModuleOp>(op->getParentOfType<ModuleOp>()->clone(map));
    Operation *now = map.lookup(op);
    now->getResult(0).replaceAllUsesWith(map.lookup(operand));
    now->erase();
    return succeeded(verify(*copy)) &&
           tester.isInteresting(*copy).first == Tester::Interestingness::True;
  }

  Tester &tester;
};

struct BBReduction final : DialectReductionPatternInterface {
  explicit BBReduction(Dialect *dialect)
      : DialectReductionPatternInterface(dialect) {}
  void populateReductionPatterns(RewritePatternSet &) const override {}
  void populateReductionPatternsWithTester(RewritePatternSet &patterns,
                                           Tester &tester) const override {
    patterns.add<BypassOp>(patterns.getContext(), tester);
  }
};

} // namespace

int main(int argc, char **argv) {
  DialectRegistry registry;
  registerDialectsAndPasses(registry);
  registry.addExtension(+[](MLIRContext *, bb::BBDialect *dialect) {
    dialect->addInterfaces<BBReduction>();
  });
  MLIRContext context(registry);
  context.printOpOnDiagnostic(false);
  // Without a handler a warning, as that nothing can be reduced, is not shown.
  context.getDiagEngine().registerHandler([](Diagnostic &diagnostic) {
    bool warning = diagnostic.getSeverity() == DiagnosticSeverity::Warning;
    if (warning || diagnostic.getSeverity() == DiagnosticSeverity::Error)
      llvm::errs() << diagnostic.getLocation()
                   << (warning ? ": warning: " : ": error: ")
                   << diagnostic.str() << "\n";
    return success();
  });
  return failed(mlirReduceMain(argc, argv, context));
}
