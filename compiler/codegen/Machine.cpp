//===- Machine.cpp - One LLVM module to machine code ----------------------===//
#include "compiler/codegen/Machine.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"

#include <mutex>

extern "C" {
void LLVMInitializeX86TargetInfo();
void LLVMInitializeX86Target();
void LLVMInitializeX86TargetMC();
void LLVMInitializeX86AsmPrinter();
void LLVMInitializeNVPTXTargetInfo();
void LLVMInitializeNVPTXTarget();
void LLVMInitializeNVPTXTargetMC();
void LLVMInitializeNVPTXAsmPrinter();
}

namespace bitbyte::codegen {

/// No option of LLVM is set here: options are global, and lld resets them all
/// each time it runs.
static void initialize() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
}

Machine::Machine(std::unique_ptr<llvm::TargetMachine> machine, bool isGpu)
    : machine(std::move(machine)), isGpu(isGpu) {}
Machine::Machine(Machine &&) = default;
Machine::~Machine() = default;

llvm::Expected<Machine> Machine::create(const tile::KernelTarget &target) {
  initialize();
  llvm::Triple triple(target.isGpu ? "nvptx64-nvidia-cuda"
                                   : "x86_64-unknown-linux-gnu");
  std::string error;
  const llvm::Target *backend =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!backend)
    return llvm::createStringError(error);
  // Wide registers are wanted where tiles are made for them.
  llvm::StringRef cpu = target.lanes == 16 ? "x86-64-v4" : "x86-64-v3";
  llvm::StringRef features = target.hasBf16 ? "-prefer-256-bit,+avx512bf16"
                             : target.lanes == 16 ? "-prefer-256-bit"
                                                  : "";
  if (target.isGpu) { // the oldest PTX that has what kernels use
    cpu = "sm_80";
    features = "+ptx80";
  }
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard; // `contract` decides
  std::unique_ptr<llvm::TargetMachine> machine(backend->createTargetMachine(
      triple, cpu, features, options, llvm::Reloc::PIC_, {},
      llvm::CodeGenOptLevel::Default));
  if (!machine)
    return llvm::createStringError("LLVM has no machine for " + cpu);
  return Machine(std::move(machine), target.isGpu);
}

void Machine::prepare(llvm::Module &module) {
  module.setTargetTriple(machine->getTargetTriple());
  module.setDataLayout(machine->createDataLayout());
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", machine->getTargetCPU());
    function.addFnAttr("target-features", machine->getTargetFeatureString());
    if (!isGpu) {
      function.addFnAttr("min-legal-vector-width", "512");
      function.addFnAttr("prefer-vector-width", "512");
    }
    function.addFnAttr(llvm::Attribute::NoUnwind);
    // Kernels run with subnormals flushed.
    function.addFnAttr("denormal-fp-math", "preserve-sign,preserve-sign");
  }
}

/// The one lane that a constant mask lets through, or nothing.
static std::optional<unsigned> onlyLane(llvm::Value *mask) {
  auto *lanes = llvm::dyn_cast<llvm::Constant>(mask);
  auto *type = llvm::dyn_cast<llvm::FixedVectorType>(mask->getType());
  std::optional<unsigned> only;
  for (unsigned i = 0; lanes && type && i < type->getNumElements(); ++i) {
    llvm::Constant *lane = lanes->getAggregateElement(i);
    if (lane && lane->isZeroValue())
      continue;
    if (!lane || !lane->isOneValue() || only)
      return std::nullopt;
    only = i;
  }
  return only;
}

/// Makes masked stores of one element plain ones. LLVM 22 does it itself, but
/// for AVX-512 and 16-bit elements that are cut from wider ones it stores four
/// bytes, over the element behind.
static void storeSingleLanes(llvm::Function &function) {
  for (llvm::Instruction &i :
       llvm::make_early_inc_range(llvm::instructions(function))) {
    auto *store = llvm::dyn_cast<llvm::IntrinsicInst>(&i);
    if (!store || store->getIntrinsicID() != llvm::Intrinsic::masked_store)
      continue;
    std::optional<unsigned> lane = onlyLane(store->getArgOperand(2));
    if (!lane)
      continue;
    llvm::IRBuilder<> b(store);
    llvm::Value *x = b.CreateExtractElement(store->getArgOperand(0), *lane);
    b.CreateAlignedStore(x,
                         b.CreateConstInBoundsGEP1_64(
                             x->getType(), store->getArgOperand(1), *lane),
                         llvm::Align(x->getType()->getScalarSizeInBits() / 8));
    store->eraseFromParent();
  }
}

void Machine::optimize(llvm::Module &module) {
  llvm::LoopAnalysisManager lam;
  llvm::FunctionAnalysisManager fam;
  llvm::CGSCCAnalysisManager cgam;
  llvm::ModuleAnalysisManager mam;
  llvm::PassBuilder builder(machine.get());
  builder.registerModuleAnalyses(mam);
  builder.registerCGSCCAnalyses(cgam);
  builder.registerFunctionAnalyses(fam);
  builder.registerLoopAnalyses(lam);
  builder.crossRegisterProxies(lam, fam, cgam, mam);
  // The code is vectors already, and loops are unrolled as they should be: what
  // is left is tidying. The full pipeline takes four times as long.
  llvm::ModulePassManager passes;
  llvm::cantFail(builder.parsePassPipeline(
      passes,
      "function(early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,"
      "loop-mssa(licm),gvn,"
      "instcombine<no-verify-fixpoint>,simplifycfg,adce)"));
  passes.run(module, mam);
  if (!isGpu)
    for (llvm::Function &function : module)
      storeSingleLanes(function);
}

llvm::Expected<std::string> Machine::emit(llvm::Module &module, bool assembly) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  auto type = assembly || isGpu ? llvm::CodeGenFileType::AssemblyFile
                                : llvm::CodeGenFileType::ObjectFile;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, type))
    return llvm::createStringError("LLVM cannot emit code for " +
                                   machine->getTargetCPU());
  passes.run(module);
  return std::string(bytes.begin(), bytes.end());
}

} // namespace bitbyte::codegen
