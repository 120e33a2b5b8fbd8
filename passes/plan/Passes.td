//===- Passes.td - Phase plan ---------------------------------------------===//
#ifndef BITBYTE_PASSES_PLAN_TD
#define BITBYTE_PASSES_PLAN_TD

include "mlir/Pass/PassBase.td"

def PlanPass : Pass<"bb-plan", "::mlir::ModuleOp"> {
  let summary = "Gives every value a buffer and every program an order";
  let description = [{
    Replaces each `bb.model` by `plan.state`, `plan.constant` and `plan.program`
    ops. Programs hold `read`, `write`, `constant`, `reshape`, `tile.dispatch` and
    `return` when they come here.

    * A state lies in the space of its kind, a slice inside its flat state.
    * A `read` is the state's place. What a `write` stores is computed there, if
      nothing reads the old value afterwards; else it is copied there at the end.
    * A result takes over the memory of an operand that ends with its dispatch,
      where the kernel allows that (`inplace`).
    * Everything else gets an offset in the arena, close to the least possible size.

    Then a checker that knows nothing of these decisions runs each planned program
    on a memory of names, and compares it with its source.
  }];
  let dependentDialects = ["::bitbyte::plan::PlanDialect"];
}

#endif // BITBYTE_PASSES_PLAN_TD
