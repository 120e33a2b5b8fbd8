#include "runtime/train/RunConfig.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view text(reinterpret_cast<const char *>(data), size);
  bitbyte::RunConfig config;
  // What is taken can be written and read again; half of the inputs are --set.
  if (size % 2 != 0 ? !config.set(text) : !config.readText(text, "fuzz"))
    return 0;
  if (!config.resolve()) // fills what only a run can write
    return 0;
  bitbyte::RunConfig again;
  if (!again.readText(config.toToml(), "again") ||
      again.toToml() != config.toToml())
    __builtin_trap();
  return 0;
}
