//===- Compiled.h - Programs as machine code, run by the engine -----------===//
//
// The rest of the way that a model goes: fuse, tile, plan, lower, an artifact,
// and the engine on a device. One artifact holds a whole table of programs, so
// that LLVM runs once.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "compiler/interpreter/Interpreter.h"

#include "mlir/IR/BuiltinOps.h"

#include <memory>
#include <string>
#include <vector>

namespace bitbyte::bb::ops {

/// All levels of this machine's processor ("cpu-v3" and the like), and "cuda",
/// which runs on the emulator.
std::vector<std::string> testedTargets();
/// The end of a test's name: "X86v3", "Emulated".
std::string placeName(const std::string &target);

/// What fuse and tile say against a program, alone in its model; empty if they
/// take it.
std::string refusalOf(mlir::ModuleOp module, const std::string &target);

class Compiled {
public:
  /// Takes a copy of the module, which has one model of closed shapes. The text
  /// of the first error instead where a phase or the engine fails.
  static std::unique_ptr<Compiled>
  compile(mlir::ModuleOp module, const std::string &target, std::string &error);
  ~Compiled();

  /// The results in order; none and an error's text where a kernel fails.
  std::vector<Array> run(const std::string &program,
                         llvm::ArrayRef<Array> inputs, std::string &error);
  /// States keep what they are given, and what programs write.
  std::string setState(const std::string &name, const Array &value);

private:
  Compiled();
  struct Loaded;
  std::unique_ptr<Loaded> loaded;
};

} // namespace bitbyte::bb::ops
