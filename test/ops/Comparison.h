//===- Comparison.h - Programs on a device, against the interpreter -------===//
#pragma once

#include "test/ops/Compiled.h"
#include "test/ops/Programs.h"

#include <set>

namespace bitbyte::bb::ops {

/// One program to be run, with all that it is given.
struct Trial {
  std::string what, program;
  std::vector<Array> inputs;
  std::map<std::string, Array> states = {};
  double tolerance = 1e-5, scale = 1e-2;
  size_t first = 0; ///< Results before it are of no interest.
};

/// Collects programs, compiles them as one artifact for one target, and runs
/// each there and in the interpreter. What goes wrong fails the running test.
class Comparison {
public:
  /// "cpu-v3" and the like, or "cuda".
  Comparison(mlir::MLIRContext &context, std::string target)
      : context(context), target(std::move(target)) {}

  /// The row's program, unless the target says that it has no schedule for it.
  void add(const Instance &instance);
  /// The gradients of a weighted sum of the row's results.
  void addGradients(const Instance &instance);
  void run();

private:
  /// Leaves out what has no schedule for the target, by its own words: on a
  /// processor only rows that say so.
  bool takes(mlir::ModuleOp alone, const Instance &instance);
  bool isGpu() const { return target == "cuda"; }
  void nameTheGuilty(mlir::ModuleOp module);

  mlir::MLIRContext &context;
  std::string target, text;
  std::vector<Trial> trials;
  std::set<std::string> refused;
};

} // namespace bitbyte::bb::ops
