//===- Instantiate.h - From a spec to straight-line programs --------------===//
#pragma once

#include "dialects/bb/BBOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <memory>

namespace bitbyte::bb {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/instantiate/Passes.h.inc"

/// One `--set name=value`.
struct Override {
  std::string name;
  mlir::Attribute value; ///< DimAttr, FloatAttr, StringAttr or an expression
};

struct InstantiateOptions {
  std::string preset;
  llvm::SmallVector<Override> overrides;
  /// What `real` becomes: f32 or bf16. Parameters are stored in f32.
  mlir::Type compute;
  /// Further values of batch and stream names: `--shape B=64,T=256`. Each adds
  /// a copy of @score, named `score.B64T256`.
  llvm::SmallVector<llvm::SmallVector<std::pair<std::string, int64_t>>> shapes;
  /// Adds `logits.open` (B = 1, stream names left open), from which
  /// incrementalize derives decoding, and `logits.B1T<context>`.
  bool decode = false;
};

/// Puts the ops of imported files in the place of the imports, each file once.
/// Paths count from the importing file, the first of which is at `path`. `load`
/// gives the module of a file, or null after saying at the location why not.
mlir::LogicalResult resolveImports(
    mlir::ModuleOp module, llvm::StringRef path,
    llvm::function_ref<mlir::OwningOpRef<mlir::ModuleOp>(llvm::StringRef,
                                                         mlir::Location)>
        load);

/// Checks every call against its callee, in symbols, whether used or not.
mlir::LogicalResult checkCalls(mlir::ModuleOp module);

/// Makes the instantiated model beside `model`: config values bound, blocks
/// inlined, repeats unrolled, ifs decided, parameters turned into states. The
/// caller erases `model`.
mlir::FailureOr<ModelOp> instantiate(ModelOp model,
                                     const InstantiateOptions &options);

/// `B=8,T=1024,rope_theta=1e4,tied=true` as overrides; an error names the part.
mlir::FailureOr<llvm::SmallVector<Override>>
parseOverrides(mlir::MLIRContext *context, llvm::StringRef text);

/// The phase, with values that have been parsed already.
std::unique_ptr<mlir::Pass>
createInstantiatePass(const InstantiateOptions &options);

} // namespace bitbyte::bb
