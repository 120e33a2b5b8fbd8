//===- bb-opt.cpp - Runs passes and phases on IR text ---------------------===//
#include "compiler/pipeline/RegisterPasses.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  bitbyte::registerDialectsAndPasses(registry);
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "BitByte: passes on IR text\n", registry));
}
