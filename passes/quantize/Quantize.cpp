//===- Quantize.cpp - Phase: which values live in which format ------------===//
#include "passes/quantize/Quantize.h"

#include "dialects/bb/BBDialect.h"

using namespace mlir;
using namespace bitbyte;

namespace bitbyte::bb {
#define GEN_PASS_DEF_QUANTIZEPASS
#include "passes/quantize/Passes.h.inc"
} // namespace bitbyte::bb

LogicalResult bb::quantize(ModuleOp module, const QuantizeOptions &options) {
  for (StringRef rule : options.rules) {
    auto [pattern, encoding] = rule.split('=');
    if (pattern.empty() || encoding.empty())
      return module.emitError() << "quantize rule '" << rule
                                << "' is not of the form PATTERN=ENCODING";
    return module.emitError()
           << "quantize rule '" << rule
           << "': no target has kernels for values in encoding '" << encoding
           << "'";
  }
  return success();
}

namespace {
struct Quantize : bb::impl::QuantizePassBase<Quantize> {
  using QuantizePassBase::QuantizePassBase;

  void runOnOperation() override {
    bb::QuantizeOptions options;
    llvm::append_range(options.rules, rules);
    if (failed(bb::quantize(getOperation(), options)))
      signalPassFailure();
  }
};
} // namespace
