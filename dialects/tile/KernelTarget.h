//===- KernelTarget.h - What schedules and lowerings know of a machine ----===//
#pragma once

#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>

namespace bitbyte::tile {

/// One level of a machine's instruction set.
struct KernelTarget {
  llvm::StringRef name; ///< as in `--targets`: "cpu-v3"
  int64_t lanes;        ///< f32 elements of a vector register
  int64_t registers;    ///< vector registers
  int64_t mmaRows;      ///< rows of the micro-tile of a product
  int64_t mmaColumns;   ///< columns of it, a multiple of `lanes`
  int64_t scratchBytes; ///< what a program may allocate and stay in L2
  bool hasBf16;         ///< rounds to bf16 and multiplies it in hardware

  static KernelTarget cpuV3() {
    return {"cpu-v3", 8, 16, 6, 16, 256 << 10, false};
  }
  static KernelTarget cpuV4() {
    return {"cpu-v4", 16, 32, 12, 32, 512 << 10, false};
  }
  static KernelTarget cpuV4Bf16() {
    return {"cpu-v4bf16", 16, 32, 12, 32, 512 << 10, true};
  }

  /// The target that `--targets` calls `name`.
  static std::optional<KernelTarget> named(llvm::StringRef name) {
    for (const KernelTarget &target : {cpuV3(), cpuV4(), cpuV4Bf16()})
      if (target.name == name)
        return target;
    return std::nullopt;
  }
};

} // namespace bitbyte::tile
