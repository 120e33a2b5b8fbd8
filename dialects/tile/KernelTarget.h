//===- KernelTarget.h - What schedules and lowerings know of a machine ----===//
#pragma once

#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>

namespace bitbyte::tile {

/// One level of a machine's instruction set.
struct KernelTarget {
  llvm::StringRef name; ///< as in `--targets`: "cpu-v3"
  int64_t lanes;        ///< f32 elements of a vector register; of a warp
  int64_t registers;    ///< vector registers; a thread's
  int64_t mmaRows;      ///< rows of the micro-tile of a product in scratch
  int64_t mmaColumns;   ///< columns of it, a multiple of `lanes`
  int64_t panelRows;    ///< the micro-tile of a product of packed panels, which
  int64_t panelColumns; ///< are long: the fewest loads per multiplication
  int64_t
      scratchBytes; ///< what a program may allocate and stay in L2; on a
                    ///< GPU a block's shared memory, on every one from sm_80
  bool hasBf16;     ///< rounds to bf16 in hardware
  bool isGpu = false;
  int64_t accessBytes = 0; ///< the widest access of a GPU's thread

  static KernelTarget cpuV3() {
    return {"cpu-v3", 8, 16, 6, 16, 6, 16, 256 << 10, false};
  }
  static KernelTarget cpuV4() {
    return {"cpu-v4", 16, 32, 12, 32, 8, 48, 512 << 10, false};
  }
  static KernelTarget cpuV4Bf16() {
    return {"cpu-v4bf16", 16, 32, 12, 32, 8, 48, 512 << 10, true};
  }

  /// NVIDIA GPUs from sm_80 on.
  static KernelTarget cuda() {
    return {"cuda", 32, 255, 16, 32, 0, 0, 99 << 10, true, true, 16};
  }

  /// The target that `--targets` calls `name`.
  static std::optional<KernelTarget> named(llvm::StringRef name) {
    for (const KernelTarget &target : {cpuV3(), cpuV4(), cpuV4Bf16(), cuda()})
      if (target.name == name)
        return target;
    return std::nullopt;
  }
};

} // namespace bitbyte::tile
