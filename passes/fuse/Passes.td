//===- Passes.td - Phase fuse -----------------------------------*- tablegen -*-===//
include "mlir/Pass/PassBase.td"

def FusePass : Pass<"bb-fuse", "mlir::ModuleOp"> {
  let summary = "Group graph ops into the regions that become kernels";
  let description = [{
    Composite ops (norms, softmax, cross-entropy, linear) are decomposed, equal
    values are merged, and each value that must lie in memory becomes the root
    of a `bb.fused` region that holds everything between it and other values in
    memory. In memory lie: what programs return and write, operands and results
    of contractions, attention and scatters, sums over leading axes, and values
    with several readers that are dearer to compute twice than to store.
  }];
  let dependentDialects = ["BBDialect", "mlir::arith::ArithDialect",
                           "mlir::math::MathDialect"];
}
