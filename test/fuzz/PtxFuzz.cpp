#include "runtime/device/emu/Program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  (void)bitbyte::emu::Module::parse(std::move(text), "fuzz.ptx");
  return 0;
}
