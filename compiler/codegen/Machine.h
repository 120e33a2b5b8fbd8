//===- Machine.h - One LLVM module to machine code ------------------------===//
#pragma once

#include "dialects/tile/KernelTarget.h"

#include "llvm/Support/Error.h"

#include <memory>
#include <string>

namespace llvm {
class Module;
class TargetMachine;
} // namespace llvm

namespace bitbyte::codegen {

/// A level of x86-64, or NVPTX. Not to be shared between threads.
class Machine {
public:
  static llvm::Expected<Machine> create(const tile::KernelTarget &target);
  Machine(Machine &&);
  ~Machine();

  /// Sets triple, data layout and the functions' attributes. First of all.
  void prepare(llvm::Module &module);
  void optimize(llvm::Module &module);
  /// An ELF object, or assembly; of a GPU always PTX.
  llvm::Expected<std::string> emit(llvm::Module &module, bool assembly);

private:
  Machine(std::unique_ptr<llvm::TargetMachine> machine, bool isGpu);
  std::unique_ptr<llvm::TargetMachine> machine;
  bool isGpu;
};

} // namespace bitbyte::codegen
