//===- Groups.h - Parameters as slices of flat states ---------------------===//
#pragma once

#include "dialects/bb/BBOps.h"
#include "llvm/ADT/StringSet.h"

namespace bitbyte::bb {

/// Slices start at multiples of this many elements, so that a block of an
/// 8-bit encoding never holds parts of two parameters.
constexpr int64_t kSliceAlign = 256;

/// One optimizer group: parameters whose masters, gradients and moments lie in
/// one flat state each.
struct ParameterGroup {
  std::string name; ///< "decay", "no_decay", "frozen"
  llvm::SmallVector<StateOp> parameters;
  llvm::SmallVector<int64_t> offsets; ///< of each parameter, in elements
  int64_t elements = 0;               ///< of the flat state, padding included

  bool frozen() const { return name == "frozen"; }
};

/// The groups of a model, in the order decay, no_decay, frozen, without empty
/// ones. `reached` null: nothing trains, and groups are those of the spec.
llvm::SmallVector<ParameterGroup>
groupParameters(ModelOp model, const llvm::StringSet<> *reached);

/// Makes `@master.GROUP` and turns the group's parameters into slices of it.
void makeMasters(ParameterGroup &group);

/// Makes the flat state `@PREFIX.GROUP` of element type `element` with a slice
/// `PREFIX.NAME` for each parameter.
void makeSlices(const ParameterGroup &group, llvm::StringRef prefix,
                StateKind kind, mlir::Type element, bool saved);

/// Makes the saved counter `name`, i32[].
void makeCounter(ModelOp model, llvm::StringRef name);

/// "master.decay", "optimizer.m.no_decay".
inline std::string flatName(llvm::StringRef prefix,
                            const ParameterGroup &group) {
  return (prefix + "." + group.name).str();
}

/// The type of a group's flat state.
GraphTensorType flatType(const ParameterGroup &group, mlir::Type element);

} // namespace bitbyte::bb
