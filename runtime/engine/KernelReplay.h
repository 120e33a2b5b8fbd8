//===- KernelReplay.h - Recorded launches, done again and compared --------===//
#pragma once

#include "runtime/engine/Engine.h"
#include "runtime/engine/KernelCorpus.h"

namespace bitbyte {

/// How far what a kernel wrote is from what was recorded.
struct BufferDifference {
  size_t buffer = 0; ///< Its number among the kernel's.
  DType type = DType::f32;
  uint64_t elements = 0;
  /// Floats: the largest error, over the recorded number or, where that is
  /// larger, the root of the mean square of the buffer's recorded numbers.
  /// Others: the share of elements that differ.
  double worst = 0;
  double bound = 0;
};

struct ReplayedLaunch {
  std::string kernel;
  std::vector<BufferDifference> buffers; ///< Those that the kernel writes.
  /// If not empty: why it could not run, or what it should have left alone.
  std::string problem;

  bool holds() const;
  /// The difference that is largest for its bound; null if there is none.
  const BufferDifference *worst() const;
};

/// Does a recorded launch again, in memory that holds nothing else. BadInput if
/// it does not fit the engine's kernel of its name.
Result<ReplayedLaunch> replay(Engine &engine, const KernelCorpus &corpus,
                              const RecordedLaunch &launch);

} // namespace bitbyte
