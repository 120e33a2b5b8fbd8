//===- Passes.td - Phase quantize -------------------------------*- tablegen -*-===//
include "mlir/Pass/PassBase.td"

def QuantizePass : Pass<"bb-quantize", "mlir::ModuleOp"> {
  let summary = "Choose which values live in which encoding";
  let description = [{
    A rule `PATTERN=ENCODING` names parameters or caches by a pattern in which
    `*` stands for any text, and the encoding that they are stored in. Without a
    rule every value keeps the type that the spec gave it, and the pass changes
    nothing.

    The targets have kernels for plain float and integer elements only, so an
    encoding is refused here, where the rule can be named, and not by a kernel
    that nobody can relate to it.
  }];
  let dependentDialects = ["BBDialect"];
  let options = [
    ListOption<"rules", "rules", "std::string",
               "PATTERN=ENCODING, for example layers.*.weight=int8/row">,
  ];
}
