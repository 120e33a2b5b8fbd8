#ifndef DIALECTS_BB_BBDIALECT_H
#define DIALECTS_BB_BBDIALECT_H
#include "dialects/bb/BBDialect.h.inc"
#include "dialects/bb/BBEnums.h.inc"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpImplementation.h"
#define GET_ATTRDEF_CLASSES
#include "dialects/bb/BBAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/bb/BBTypes.h.inc"

namespace bitbyte::bb {
/// What a config name stands for: a DimAttr (whole number), FloatAttr,
/// StringAttr.
using Env = llvm::DenseMap<mlir::StringAttr, mlir::Attribute>;

/// Replaces names by their values. Names without a value stay.
mlir::Attribute substitute(mlir::Attribute expr, const Env &env);
/// a op b, `op` one of + - * /: a DimAttr of two of them, else a number.
mlir::Attribute combine(mlir::MLIRContext *context, char op, mlir::Attribute a,
                        mlir::Attribute b);
/// `ceildiv(a, b)` and its like, folded where both are known.
DimAttr applyFn(mlir::MLIRContext *context, llvm::StringRef fn,
                llvm::ArrayRef<DimAttr> arguments);
/// The value of a real expression, if it is closed.
std::optional<double> evaluate(mlir::Attribute expr);
/// A dim that can never be whole, like 500/8, or nullptr.
bool neverWhole(DimAttr dim);
void collectSymbols(mlir::Attribute expr,
                    llvm::SmallVectorImpl<mlir::StringAttr> &out);

mlir::ParseResult parseExpr(mlir::AsmParser &p,
                            mlir::Attribute &out); // Dim, Float or Num
mlir::ParseResult parseDim(mlir::AsmParser &p, DimAttr &out);
mlir::ParseResult parseDims(mlir::AsmParser &p,
                            llvm::SmallVectorImpl<DimAttr> &out);
void printExpr(llvm::raw_ostream &os, mlir::Attribute expr);
mlir::ParseResult parseElement(mlir::AsmParser &p, mlir::Type &out,
                               bool optional);
std::string elementName(mlir::Type t);
mlir::ParseResult parseShape(mlir::AsmParser &p, mlir::Type &out);
std::string shapeStr(llvm::ArrayRef<DimAttr> dims);
} // namespace bitbyte::bb
#endif
