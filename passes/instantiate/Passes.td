//===- Passes.td - Phase instantiate ----------------------------*- tablegen -*-===//
include "mlir/Pass/PassBase.td"

def InstantiatePass : Pass<"bb-instantiate", "mlir::ModuleOp"> {
  let summary = "Bind the config, inline blocks, unroll repeats";
  let description = [{
    A spec is generic over its config; after this pass a model holds states and
    straight-line programs of whole-number shapes. Config values come, in this
    order of strength, from `set`, the preset, the spec's defaults. Blocks are
    inlined, repeats unrolled, ifs decided. Each parameter becomes a state under
    its full name, the path of scopes, and a `read` where it is used.

    `shape` adds a copy of `score` at other values of the batch and stream names.
    `decode` adds `logits.open`, whose stream name stays open, for
    incrementalize.
  }];
  let dependentDialects = ["BBDialect"];
  let options = [
    Option<"preset", "preset", "std::string", "\"\"", "Preset of the model">,
    ListOption<"sets", "set", "std::string", "NAME=VALUE, config values">,
    ListOption<"shapes", "shape", "std::string",
               "B=64;T=256: a further shape of score">,
    Option<"dtype", "dtype", "std::string", "\"f32\"",
           "What `real` becomes: f32 or bf16">,
    Option<"decode", "decode", "bool", "false",
           "Add logits with an open stream">,
  ];
}
