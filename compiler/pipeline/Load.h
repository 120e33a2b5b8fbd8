//===- Load.h - Reads a spec and what it imports --------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/SourceMgr.h"

#include <memory>
#include <string>

namespace bitbyte::bb {

struct LoadedSpec {
  mlir::OwningOpRef<mlir::ModuleOp> module; ///< Null if it could not be read.
  std::string sourceHash; ///< Of the spec and its imports, in order.
};

/// Parses `path` ("-" is standard input), puts the ops of every imported file,
/// each once, in front of those that import it, and verifies the whole. A path
/// in `bb.import` counts from the folder of the importing file. Reports each
/// error at its place; `sources` owns the text.
LoadedSpec loadSpec(llvm::StringRef path, llvm::SourceMgr &sources,
                    mlir::MLIRContext *context);

} // namespace bitbyte::bb
