//===- ToX86.cpp - The phase `lower`: tile kernels to LLVM for CPUs -------===//
#include "passes/lower/ToX86.h"

#include "passes/lower/X86Lowering.h"

#include "mlir/Pass/Pass.h"

using namespace mlir;

namespace bitbyte::tile {

//===-- The function
//-------------------------------------------------------===//

LLVM::LLVMFuncOp X86Lowering::run(StringRef name) {
  Type pointer = emit.pointer(), i64 = emit.integer(64);
  auto type =
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(kernel.getContext()),
                                  {pointer, pointer, pointer, i64, i64});
  function = LLVM::LLVMFuncOp::create(emit.builder, emit.loc, name, type);
  Builder attributes(kernel.getContext());
  function->setAttr("tile.scratch_bytes",
                    attributes.getI64IntegerAttr(scratchPlan.bytes));
  function.setNoUnwind(true);
  for (unsigned i : {0, 1, 2}) {
    function.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(),
                        attributes.getUnitAttr());
    function.setArgAttr(i, LLVM::LLVMDialect::getNoCaptureAttrName(),
                        attributes.getUnitAttr());
  }

  Block *entry = function.addEntryBlock(emit.builder);
  emit.builder.setInsertionPointToStart(entry);
  Value buffers = entry->getArgument(0);
  scratch = entry->getArgument(2);
  Value begin = entry->getArgument(3), end = entry->getArgument(4);
  for (BlockArgument argument : kernel.getBody().getArguments()) {
    Value slot = emit.move(buffers, {}, argument.getArgNumber(), 8);
    lowered[argument] = {emit.load(pointer, slot, 8)};
  }

  // for (program = begin; program < end; ++program) { ... }
  Block *body = addBlock(i64), *exit = addBlock({});
  jumpIf(emit.icmp(LLVM::ICmpPredicate::slt, begin, end), body, begin, exit,
         {});
  emit.builder.setInsertionPointToEnd(body);
  program = body->getArgument(0);
  if (failed(lowerBlock(kernel.getBody().front()))) {
    function.erase();
    return {};
  }
  Value next = emit.add(program, emit.i64(1));
  jumpIf(emit.icmp(LLVM::ICmpPredicate::slt, next, end), body, next, exit, {});
  emit.builder.setInsertionPointToEnd(exit);
  LLVM::ReturnOp::create(emit.builder, emit.loc, ValueRange());
  return function;
}

LLVM::LLVMFuncOp lowerKernel(KernelOp kernel, StringRef name,
                             const KernelTarget &target) {
  return X86Lowering(kernel, target).run(name);
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
