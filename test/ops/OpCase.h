//===- OpCase.h - One row of the table of op cases ------------------------===//
//
// A row says how an op is written, at which sizes it is tried, and what each
// element of its result is. From that alone the tests run it through the
// interpreter and through its gradient.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "compiler/interpreter/Interpreter.h"

#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace bitbyte::bb::ops {

using Index = llvm::SmallVector<int64_t, 4>;

/// What a reference may look at: the inputs by name, and the sizes.
class Inputs {
public:
  std::map<std::string, Array> arrays;
  std::map<std::string, int64_t> sizes;

  const Array &operator[](const std::string &name) const {
    return arrays.at(name);
  }
  int64_t size(const std::string &name) const { return sizes.at(name); }
  /// The element that stands at `at` after broadcasting.
  double aligned(const std::string &name, const Index &at) const;
  /// Whether the row at hand passes this input.
  bool has(const std::string &name) const { return arrays.count(name); }
};

/// An element of result number `result`, at `at`.
using Element =
    std::function<double(const Inputs &in, const Index &at, unsigned result)>;

struct OpCase {
  std::string op; ///< The record's mnemonic: "rms_norm".
  /// Arguments and results of a program, in upper-case size names. `real` is
  /// f32, and bf16 in the bf16 variant; `in LO..HI` bounds the inputs, LO
  /// included (default: -1..1, for integers 0..5):
  ///   "%x: real[B, T, D] in 0.5..2, %ids: u8[B, T] in 0..V -> real[B, T, D]"
  std::string signature;
  /// The op, whose result is returned: "rms_norm %x, %g eps 1.0e-5"; or the
  /// lines of a program, the return included.
  std::string body;
  /// Values of the size names: "B=2 T=5 D=37". Odd sizes, 1, no multiples of a
  /// tile. The last one also serves the bf16 variant.
  std::vector<std::string> sizes;
  Element element;

  bool bf16 = false; ///< Also with `real` = bf16.
  /// Why nothing flows back, or why the rule refuses; empty: the gradient of
  /// every float input must equal finite differences.
  std::string noGradient = {};
  /// The gradient passes a rounding that finite differences see.
  bool straightThrough = false;
  /// Why fuse and tile refuse the row on every target.
  std::string noKernel = {};
  /// How far the interpreter may be from `element`.
  double formula = 1e-12;
  /// How far a kernel in f32 may be from float64, as a part of the largest
  /// element. Gradients may be four times as far, and in 16 bits
  /// `bf16Tolerance`, two units in the last place, is what counts.
  double tolerance = 1e-5;
  /// What the terms that cancel out in a result are about as large as.
  double scale = 1e-2;
};
constexpr double bf16Tolerance = 1.6e-2;

/// For rows of gradient ops: what the sum of `dy` times result 0 of `forward`
/// changes by with each element of the input that result r names; by
/// differences, and so for small sizes.
Element slopeOf(Element forward, std::vector<std::string> wanted);

std::vector<OpCase> elementwiseCases();
std::vector<OpCase> rowCases();
std::vector<OpCase> contractionCases();
std::vector<OpCase> attentionCases();
std::vector<OpCase> gatherCases();
std::vector<OpCase> viewCases();
std::vector<OpCase> scanCases();

/// Rows that are tried together, in a test of their own.
struct Family {
  std::string name;
  std::vector<OpCase> (*cases)();
};
const std::vector<Family> &families();
/// Of all families.
std::vector<OpCase> allCases();

/// A row at one size and one compute type: a program of its own.
struct Instance {
  struct Argument {
    std::string name, type; ///< "x", "f32[2, 5, 37]"
    double low, high;
  };
  std::string op, program; ///< The program's name: "rms_norm_3_1_bf16".
  OpCase row;
  std::map<std::string, int64_t> sizes;
  std::vector<Argument> arguments;
  std::string results; ///< "f32[2, 5, 37], ..."
  std::string body;
  bool isBf16 = false;

  /// The program, ready for bb-fuse: `program @name(...) -> ... { ... }`.
  std::string text() const;
  std::string describe() const;
};

/// All sizes of a row, in f32 and where it says so in bf16.
std::vector<Instance> instancesOf(const OpCase &row, unsigned number);
/// Of many rows.
std::vector<Instance> instancesOf(const std::vector<OpCase> &rows);

/// Values of the size names of a row, by chance, that its op takes; empty for
/// rows whose sizes are special.
std::string randomSizes(const OpCase &row, std::mt19937_64 &random);

/// Numbers for an argument, the same on every machine: floats as the type can
/// hold them, integers whole.
Array inputFor(const Instance::Argument &argument, mlir::Type type,
               uint64_t seed);
Inputs inputsFor(const Instance &instance, ProgramOp program);
/// In the order of the instance's arguments.
std::vector<Array> inputList(const Instance &instance, const Inputs &inputs);

/// Where two arrays differ most, beyond `tolerance` times the largest element,
/// or times `least` if that is more; empty if nowhere.
std::string difference(const Array &have, const Array &want, double tolerance,
                       double least = 1e-2);

/// `[low, high)`, from a generator whose sequence the standard fixes.
double uniform(std::mt19937_64 &random, double low, double high);

} // namespace bitbyte::bb::ops
