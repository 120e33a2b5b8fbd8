//===- Harness.h - Compiles kernels from text and runs them here ----------===//
#pragma once

#include "compiler/codegen/Codegen.h"
#include "dialects/tile/TileOps.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bitbyte::codegen {

/// The kernels of a text, compiled for this machine and loaded.
class Loaded {
public:
  /// Aborts the test with the diagnostics where anything fails.
  explicit Loaded(const std::string &text, std::string target = "cpu-v3");
  ~Loaded();

  /// Runs all programs of a kernel, in two parts, on buffers in order.
  void run(const std::string &name, std::vector<void *> buffers);
  int64_t scratchBytes(const std::string &name) const;
  const std::vector<char> &bytes() const { return library.bytes; }

private:
  using Function = void (*)(void *const *, const int64_t *, void *, int64_t,
                            int64_t);
  struct Entry {
    Function function;
    int64_t programs;
    int64_t scratchBytes;
  };
  std::map<std::string, Entry> entries;
  Library library;
  void *handle = nullptr;
};

/// Whether this machine can run code of `target`.
bool canRun(const std::string &target);

/// Floats between -1 and 1 that depend on the index and a seed alone.
std::vector<float> noise(size_t count, unsigned seed = 1);
/// With rounding to nearest even, as the hardware does it.
uint16_t toBf16(float value);
float fromBf16(uint16_t bits);

} // namespace bitbyte::codegen
