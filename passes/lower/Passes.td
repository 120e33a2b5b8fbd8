//===- Passes.td - Phase lower ----------------------------------*- tablegen -*-===//
include "mlir/Pass/PassBase.td"

def ToX86Pass : Pass<"tile-to-x86", "mlir::ModuleOp"> {
  let summary = "Lower tile kernels to LLVM functions for x86";
  let description = [{
    Each kernel becomes one function that runs a range of its programs, one
    vector register at a time: tiles are unrolled, layouts say which element
    lies in which lane. bbc lowers the same way, but kernel by kernel and on
    several threads.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
  let options = [
    Option<"targetName", "target", "std::string", "\"cpu-v3\"",
           "Machine level: cpu-v3, cpu-v4, cpu-v4bf16">,
  ];
}

def ToNvvmPass : Pass<"tile-to-nvvm", "mlir::ModuleOp"> {
  let summary = "Lower tile kernels to LLVM functions for NVIDIA GPUs";
  let description = [{
    Each kernel becomes one function whose blocks run a program each. The digits
    of a layout say which thread holds which element in which register; scratch
    is the dynamic shared memory of the block.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}
