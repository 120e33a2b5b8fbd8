//===- KernelCorpus.h - Launches of kernels, to be done again elsewhere ---===//
//
// One device runs a model and records the first launch of each kernel: what lay
// in its buffers before and after. Another device, or a later compiler, does
// the same launches alone and compares.
//
// The file is a safetensors file: the metadata hold the launches as JSON, and
// the tensors, u8 and named by the hash of their bytes, what regions of memory
// held. A kernel's output is mostly another one's input, so most are there
// once.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/artifact/Artifact.h"
#include "runtime/core/Error.h"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace bitbyte {

/// Bytes that lie together: one buffer, or several that overlap.
struct MemoryRegion {
  uint64_t bytes = 0;
  /// Names of contents. `before` is empty where the launch does not depend on
  /// it, `after` where the launch changes nothing.
  std::string before, after;
};

/// A buffer of a launch, inside a region.
struct RegionBuffer {
  uint32_t region = 0;
  uint64_t offset = 0, bytes = 0;
};

struct RecordedLaunch {
  std::string kernel, hash; ///< As in the artifact.
  std::vector<int64_t> scalars;
  std::vector<MemoryRegion> regions;
  std::vector<RegionBuffer> buffers; ///< In the kernel's order.
};

class KernelCorpus {
public:
  /// BadInput if it is no corpus, or one whose launches do not fit together.
  static Result<KernelCorpus> open(const std::string &path);

  std::span<const RecordedLaunch> launches() const { return list; }
  /// Of a name that a region has.
  std::span<const std::byte> content(const std::string &name) const;

  /// Whether this kernel's launch is here. BadInput if there is one of another
  /// kernel of the same name.
  Result<bool> has(const Kernel &kernel) const;
  /// The name under which the bytes are kept from now on.
  std::string keep(std::vector<std::byte> bytes);
  void add(RecordedLaunch launch);
  Result<void> write(const std::string &path) const;

private:
  Result<void> read(const std::string &path, const std::string &text);

  std::string path; ///< For messages.
  std::vector<RecordedLaunch> list;
  std::map<std::string, size_t> byKernel;
  std::map<std::string, std::vector<std::byte>> contents;
};

} // namespace bitbyte
