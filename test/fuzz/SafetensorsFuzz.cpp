#include "runtime/core/Safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto bytes = std::as_bytes(std::span(data, size));
  auto file = bitbyte::Safetensors::parse(bytes, "fuzz");
  if (file)
    for (const bitbyte::StoredTensor &tensor : file->tensors())
      (void)bitbyte::toFloats(tensor); // reads all its bytes
  return 0;
}
