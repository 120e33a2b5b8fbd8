//===- ToX86.cpp - The phase `lower`: tile kernels to LLVM for CPUs -------===//
#include "passes/lower/ToX86.h"

#include "passes/lower/X86Lowering.h"

#include "passes/lower/Passes.h"

using namespace mlir;

namespace bitbyte::tile {
#define GEN_PASS_DEF_TOX86PASS
#include "passes/lower/Passes.h.inc"

//===-- The function ------------------------------------------------------===//

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
    lowered[argument] = {firstOf(argument, emit.load(pointer, slot, 8))};
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

struct ToX86 final : tile::impl::ToX86PassBase<ToX86> {
  using ToX86PassBase::ToX86PassBase;

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

} // namespace bitbyte::tile
