//===- Machine.h - One LLVM module to x86 code ----------------------------===//
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

/// A level of x86-64. Not to be shared between threads.
class Machine {
public:
  static llvm::Expected<Machine> create(const tile::KernelTarget &target);
  Machine(Machine &&);
  ~Machine();

  /// Sets triple, data layout and the functions' attributes. First of all.
  void prepare(llvm::Module &module);
  void optimize(llvm::Module &module);
  /// An ELF object, or assembly.
  llvm::Expected<std::string> emit(llvm::Module &module, bool assembly);

private:
  explicit Machine(std::unique_ptr<llvm::TargetMachine> machine);
  std::unique_ptr<llvm::TargetMachine> machine;
};

} // namespace bitbyte::codegen
