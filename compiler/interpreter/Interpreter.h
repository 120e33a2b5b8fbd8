//===- Interpreter.h - Runs bb programs in float64 ------------------------===//
//
// The oracle: every op of the graph as a plain loop over doubles, slow and
// obvious, one function for each op, one file for a family.
//
//   Interpreter model(modelOp);
//   model.setState("model.norm.weight", weights);
//   FailureOr<std::vector<Array>> nats = model.run("score", {bytes, next});
//
// f32 stands for the real numbers here and is not rounded, so that a gradient
// can be compared with finite differences. What the graph keeps in 16 bits is
// rounded to them (to nearest even), and integers wrap as they do in memory.
//===----------------------------------------------------------------------===//
#pragma once

#include "compiler/interpreter/Array.h"
#include "dialects/bb/BBOps.h"
#include "llvm/ADT/StringMap.h"

#include <map>
#include <string>
#include <vector>

namespace bitbyte::bb {

/// The values of one run of a program, by SSA value.
class Frame {
public:
  const Array &operator[](mlir::Value value) const { return values.at(value); }
  /// An optional operand: null if absent.
  const Array *find(mlir::Value value) const {
    return value ? &values.at(value) : nullptr;
  }
  /// Takes the elements as the value's type keeps them (`conform`).
  void set(mlir::Value value, Array array);

private:
  struct Less {
    bool operator()(mlir::Value a, mlir::Value b) const {
      return a.getAsOpaquePointer() < b.getAsOpaquePointer();
    }
  };
  std::map<mlir::Value, Array, Less> values;
};

/// Computes the results of one op; fails with a diagnostic at the op, for
/// example where an index is outside its table.
using Loop = llvm::LogicalResult (*)(mlir::Operation *, Frame &);
using Loops = llvm::StringMap<Loop>;

/// The loop of every op that has one, by the op's name ("bb.linear").
const Loops &allLoops();

class Interpreter {
public:
  /// The model is instantiated and borrowed. States are zero until they are
  /// set, whatever their init says.
  explicit Interpreter(ModelOp model) : model(model) {}

  /// A slice reads and writes its part of the flat state. There must be a state
  /// of this name.
  Array state(llvm::StringRef name) const;
  /// Fails where there is no such state, or its shape is another.
  llvm::LogicalResult setState(llvm::StringRef name, Array value);

  /// Runs a program: reads see the states before it, its writes are kept.
  mlir::FailureOr<std::vector<Array>> run(ProgramOp program,
                                          llvm::ArrayRef<Array> inputs);
  mlir::FailureOr<std::vector<Array>> run(llvm::StringRef program,
                                          llvm::ArrayRef<Array> inputs);

private:
  void store(StateOp op, const Array &value);

  ModelOp model;
  std::map<std::string, Array, std::less<>> states; ///< No slices.
};

/// The closed shape of a value after instantiate.
Shape shapeOf(mlir::Type type);
inline Shape shapeOf(mlir::Value value) { return shapeOf(value.getType()); }

/// Rounds to what an element type can hold: bf16 and f16 to nearest even,
/// integers towards zero and modulo their width.
void conform(Array &array, mlir::Type element);

} // namespace bitbyte::bb
