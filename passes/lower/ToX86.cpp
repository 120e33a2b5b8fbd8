//===- ToX86.cpp - The phase `lower`: tile kernels to LLVM for CPUs -------===//
#include "passes/lower/ToX86.h"

#include "passes/lower/KernelLowering.h"

#include "mlir/Pass/Pass.h"

using namespace mlir;

namespace bitbyte::tile {

LLVM::LLVMFuncOp lowerKernel(KernelOp kernel, StringRef name,
                             const KernelTarget &target) {
  return KernelLowering(kernel, target).run(name);
}

namespace {

struct ToX86Pass final : PassWrapper<ToX86Pass, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ToX86Pass)

  ToX86Pass() = default;
  ToX86Pass(const ToX86Pass &) {}

  Option<std::string> targetName{*this, "target",
                                 llvm::cl::desc("level of the CPU"),
                                 llvm::cl::init("cpu-v3")};

  StringRef getArgument() const override { return "tile-to-x86"; }
  StringRef getDescription() const override {
    return "Lowers tile kernels to LLVM functions for x86";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<LLVM::LLVMDialect>();
  }

  void runOnOperation() override {
    std::optional<KernelTarget> target = KernelTarget::named(targetName);
    if (!target) {
      getOperation().emitError("there is no CPU target `") << targetName << "`";
      return signalPassFailure();
    }
    for (KernelOp kernel :
         llvm::make_early_inc_range(getOperation().getOps<KernelOp>())) {
      std::string name = kernel.getSymName().str();
      if (!lowerKernel(kernel, name, *target))
        return signalPassFailure();
      kernel.erase();
    }
  }
};

} // namespace

void registerToX86Pass() { PassRegistration<ToX86Pass>(); }

} // namespace bitbyte::tile
