//===- bbc.cpp - Compiles a model spec into one artifact ------------------===//

#include "compiler/pipeline/Pipeline.h"
#include "tools/bbc/Options.h"

#include "llvm/Support/InitLLVM.h"

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  auto parsed = bitbyte::bb::parseCommandLine(argc, argv);
  if (auto *code = std::get_if<int>(&parsed))
    return *code;
  return static_cast<int>(bitbyte::bb::compile(std::get<0>(parsed)));
}
