//===- Arguments.h - A kernel's arguments from the command line -----------===//
#pragma once

#include "runtime/device/emu/Executor.h"

#include <string>
#include <vector>

namespace bitbyte {

/// A buffer, a scalar or a tensor map, as the command line gives it:
/// "f32[64x32]=random:7", "u8[100]=file:in.bin", "f32[10]", "u32=5",
/// "map=0,64x64,128": of argument 0 in boxes of 64 x 64, with a swizzle.
struct Argument {
  std::string type;
  bool buffer = false;
  std::vector<uint64_t> sizes;      ///< Of a buffer, or of a map's box.
  uint32_t mapped = 0, swizzle = 0; ///< Of a map.
  std::vector<std::byte> bytes;     ///< Of a buffer; else the value.
  uint64_t elementBytes = 0;

  static Result<Argument> parse(const std::string &text);
  uint64_t count() const { return bytes.size() / elementBytes; }
  /// An element as text: "1.5", "-3".
  std::string element(uint64_t index) const;
};

/// A kernel, and all that one call of it needs.
struct Call {
  const emu::Kernel *kernel = nullptr;
  uint32_t blocks[3] = {1, 1, 1}, threads[3] = {32, 1, 1};
  uint32_t sharedBytes = 0;
  std::vector<Argument> arguments;

  /// Runs it on its buffers. Usage if the kernel does not fit the arguments.
  Result<emu::Outcome> run(const emu::Kernel &variant,
                           const emu::Options &options);
};

/// Deletes each synchronising instruction in turn, runs what is left in several
/// schedules, and prints which deletions nothing noticed. 0 if there are none.
Result<int> mutate(const Call &call, emu::Options options);

} // namespace bitbyte
