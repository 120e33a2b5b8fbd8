//===- Commands.h - What bb-data does, one function per command -----------===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bitbyte {

struct DataCommand {
  std::vector<std::string> inputs;
  std::string name;      ///< of a recipe
  std::string directory; ///< -o, or the one to show
  std::string field, separator, cache;
  uint64_t shardBytes = uint64_t(256) << 20;
  uint64_t bytes = 16 << 20;
  uint64_t seed = 0;
  bool raw = false, noSplit = false, strict = false, json = false;
};

Result<void> runPack(const DataCommand &command);
Result<void> runSynth(const DataCommand &command);
Result<void> runRecipe(const DataCommand &command);
Result<void> runInfo(const DataCommand &command);

} // namespace bitbyte
