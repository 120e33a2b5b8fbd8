//===- Passes.td - Phase differentiate --------------------------*- tablegen -*-===//
include "mlir/Pass/PassBase.td"

def DifferentiatePass : Pass<"bb-differentiate", "mlir::ModuleOp"> {
  let summary = "Add the programs and states that train a model";
  let description = [{
    Every parameter becomes a named slice of one flat state per group, so that
    an optimizer step is one kernel per group and not one per parameter. With
    `train`, each `score` program gets a `micro` program (forward, backward, add
    to the gradient states) and the model gets `update` (clip, step, zero the
    gradients); with `gradients`, each parameter's gradient becomes a result of
    the program `gradients`. Where programs read parameters in 16 bits, the
    rounded copy is a derived state that `prepare` and `update` keep true.

    Gradients are made by the ops' own rules (`DifferentiableOpInterface`); the
    pass knows no op of the graph by name but `attention`, whose forward form
    keeps its row sums for the backward one.

    With a memory budget, the backward half computes activations again instead
    of keeping them, by an estimate on the graph. Such ops carry the mark
    `recompute`: they equal earlier ops and must stay apart from them.
  }];
  let dependentDialects = ["BBDialect"];
  let options = [
    Option<"train", "train", "bool", "false",
           "Add micro, update and, where something is derived, prepare">,
    Option<"gradients", "gradients", "bool", "false",
           "Add the program that returns the gradient of every parameter">,
    Option<"optimizer", "optimizer", "std::string", "\"adamw\"",
           "Name of the optimizer's block">,
    Option<"optimizerFile", "optimizer-file", "std::string", "\"\"",
           "Spec file that holds the optimizer's block">,
    Option<"memoryBudget", "memory-budget", "int64_t", "0",
           "Bytes that micro's activations should fit; 0: no bound">,
  ];
}
