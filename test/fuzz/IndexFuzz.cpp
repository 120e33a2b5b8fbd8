#include "runtime/data/Index.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view text(reinterpret_cast<const char *>(data), size);
  auto index = bitbyte::DataIndex::parse(text, "fuzz");
  if (index) { // what is taken can be written and read again
    auto again = bitbyte::DataIndex::parse(index->toJson(), "fuzz");
    if (!again || again->contentHash() != index->contentHash())
      __builtin_trap();
  }
  return 0;
}
