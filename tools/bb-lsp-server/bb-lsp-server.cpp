//===- bb-lsp-server.cpp - Serves editors with what the parser knows ------===//
#include "dialects/bb/BBOps.h"
#include "dialects/plan/PlanDialect.h"
#include "dialects/tile/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<bitbyte::bb::BBDialect, bitbyte::tile::TileDialect,
                  bitbyte::plan::PlanDialect, mlir::arith::ArithDialect,
                  mlir::math::MathDialect>();
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
}
