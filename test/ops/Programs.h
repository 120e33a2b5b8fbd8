//===- Programs.h - Models made of rows -----------------------------------===//
#pragma once

#include "test/ops/OpCase.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace bitbyte::bb::ops {

/// Every dialect that the phases up to tile need.
void loadDialects(mlir::MLIRContext &context);

/// `bb.model @table() { ... }` around the text of programs and states; null
/// after diagnostics.
mlir::OwningOpRef<mlir::ModuleOp> parseModel(mlir::MLIRContext &context,
                                             const std::string &body);
ModelOp modelOf(mlir::ModuleOp module);

/// What a row looks like to differentiate: float inputs are parameters, the
/// results are weighted with further inputs and summed up to one number, so
/// that every element matters and each differently.
struct GradientCase {
  const Instance *instance = nullptr;
  ProgramOp program;                   ///< Returns the number, f32[].
  std::vector<std::string> parameters; ///< Names of inputs.
  std::vector<Array> inputs;           ///< Of the program.
  std::map<std::string, Array> states; ///< By their names in the model.
  std::string stateOf(const std::string &parameter) const {
    return instance->program + "." + parameter;
  }
};

/// Adds states and a program to a model that holds the instance's own.
GradientCase addGradientCase(ModelOp model, const Instance &instance);

/// A copy of the program after appendBackward, which takes one input more, the
/// `weight` of the number, and returns the number and the gradients in the
/// order of `parameters`; zeros where the number does not depend on one. Fails
/// with what the rule reports.
mlir::FailureOr<ProgramOp> differentiate(const GradientCase &one);

} // namespace bitbyte::bb::ops
