//===- Passes.td - Phase tile -----------------------------------*- tablegen -*-===//
include "mlir/Pass/PassBase.td"

def TilePass : Pass<"bb-tile", "mlir::ModuleOp"> {
  let summary = "Turn fused regions and anchors into kernels and dispatches";
  let description = [{
    Each region becomes one or more `tile.dispatch`es of `tile.kernel`s at the
    head of the module, by the schedule of its anchor. Kernels of equal text are
    made once: equal layers cost one.
  }];
  let dependentDialects = ["TileDialect", "mlir::arith::ArithDialect",
                           "mlir::math::MathDialect", "mlir::scf::SCFDialect"];
  let options = [
    Option<"targetName", "target", "std::string", "\"cpu-v3\"",
           "Machine: cpu-v3, cpu-v4, cpu-v4bf16, cuda">,
  ];
}
