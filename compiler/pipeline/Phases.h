//===- Phases.h - The phases of the compiler, in order --------------------===//
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <optional>

namespace bitbyte::bb {

/// From `instantiate` to `fuse` a phase runs once per model, the later ones
/// once per variant (docs/architecture.md says what each does).
enum class Phase {
  instantiate,
  quantize,
  differentiate,
  incrementalize,
  fuse,
  tile,
  plan,
  lower
};

inline constexpr llvm::StringRef phaseNames[] = {
    "instantiate", "quantize", "differentiate", "incrementalize",
    "fuse",        "tile",     "plan",          "lower"};

inline llvm::StringRef nameOf(Phase phase) {
  return phaseNames[static_cast<int>(phase)];
}

inline std::optional<Phase> phaseOf(llvm::StringRef name) {
  for (int i = 0; i < int(std::size(phaseNames)); ++i)
    if (phaseNames[i] == name)
      return static_cast<Phase>(i);
  return std::nullopt;
}

} // namespace bitbyte::bb
