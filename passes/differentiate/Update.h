//===- Update.h - The program that takes one optimizer step ---------------===//
#pragma once

#include "passes/differentiate/Groups.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace bitbyte::bb {

/// An optimizer's block. Its tensors are the parameter, its gradient and the
/// moments; its scalars are the numbers that the host gives at run time:
///
///   bb.block @adamw(%p: f32[N], %g: f32[N], %m: f32[N], %v: f32[N],
///                   %lr: f32[], ...) -> f32[N], f32[N], f32[N]
///
/// It returns the parameter and the moments after the step.
class Optimizer {
public:
  /// Reads the block `name` of a spec file and checks its form; what is wrong
  /// is reported.
  static mlir::FailureOr<Optimizer> load(ModelOp model, llvm::StringRef name,
                                         llvm::StringRef path);

  const std::vector<std::string> &moments() const { return momentNames; }
  const std::vector<std::string> &numbers() const { return numberNames; }
  mlir::Type momentElement(size_t moment) const;

  /// Inlines the block; `arguments` in its order, all tensors [N].
  llvm::SmallVector<mlir::Value> inlineAt(mlir::OpBuilder &b,
                                          mlir::ValueRange arguments) const;

private:
  llvm::LogicalResult check();

  mlir::OwningOpRef<mlir::ModuleOp> file;
  mutable BlockOp block; // accessors of ops are not const
  std::vector<std::string> momentNames, numberNames;
};

/// Adds the moments, the counter `optimizer.step` and the program `update`,
/// which takes the optimizer's numbers and `clip`, and returns `grad_norm`
/// before clipping and `ok`, 1 if the step was taken. The groups have masters
/// and gradients.
ProgramOp addUpdate(ModelOp model, llvm::ArrayRef<ParameterGroup> groups,
                    const Optimizer &optimizer);

} // namespace bitbyte::bb
