//===- Programs.h - Making and trimming programs --------------------------===//
#pragma once

#include "dialects/bb/BBOps.h"

namespace bitbyte::bb {

/// f32[]: a number that the host gives or gets.
GraphTensorType scalarType(mlir::MLIRContext *context);

/// An empty program at the end of a model: arguments f32[], no results.
ProgramOp makeProgram(ModelOp model, llvm::StringRef name,
                      llvm::ArrayRef<std::string> arguments);

/// A copy of `program` under a new name, right after `after`.
ProgramOp copyProgram(ProgramOp program, llvm::StringRef name,
                      mlir::Operation *after);

/// One more argument, at the end.
mlir::Value addArgument(ProgramOp program, llvm::StringRef name,
                        GraphTensorType type);

/// Where new ops of a program go: before its return.
mlir::OpBuilder atEnd(ProgramOp program);

/// Lets the program return other values, under other names.
void setResults(ProgramOp program, mlir::ValueRange values,
                llvm::ArrayRef<std::string> names);

/// Reads and writes a state of the program's model by name.
mlir::Value readState(mlir::OpBuilder &b, mlir::Location loc, ModelOp model,
                      llvm::StringRef state);
void writeState(mlir::OpBuilder &b, mlir::Location loc, llvm::StringRef state,
                mlir::Value value);

/// value of an f32 tensor of one repeated number.
mlir::Value makeFill(mlir::OpBuilder &b, mlir::Location loc, double value,
                     GraphTensorType type);

/// Removes what no result or write needs, and computes equal values once.
void simplify(ProgramOp program);

} // namespace bitbyte::bb
