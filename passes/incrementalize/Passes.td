//===- Passes.td - Phase incrementalize -------------------------*- tablegen -*-===//
include "mlir/Pass/PassBase.td"

def IncrementalizePass : Pass<"bb-incrementalize", "mlir::ModuleOp"> {
  let summary = "Derive the programs that generate byte by byte";
  let description = [{
    Takes `logits.open`, whose stream name is still open, apart into one program
    per rate and phase. `after.R` runs when an item of R bytes is complete,
    `before.R` before its first byte is known; each handles one item. What an op
    must remember between items becomes a `cache` state. Where everything happens
    at the rate of bytes, `prefill` does the same for a chunk of bytes at once and
    returns the logits of the last one.

    The order of a step at a byte: `after.1`; `after.R` of each slower rate whose
    item just ended, fast to slow; `before.R` where an item begins, slow to fast;
    `before.1`.

    The rules are the ops' own (`IncrementalOpInterface`, `StreamOpInterface`).
  }];
  let dependentDialects = ["BBDialect"];
}
