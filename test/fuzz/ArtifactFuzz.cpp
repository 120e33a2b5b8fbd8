//===- ArtifactFuzz.cpp - Any bytes as an artifact's table ----------------===//
//
// Hashes hide the table from a fuzzer, so each input is a table (or starts as
// the toy's) in a file whose hashes fit.
//===----------------------------------------------------------------------===//
#include "runtime/artifact/Artifact.h"
#include "runtime/core/File.h"
#include "test/runtime/ArtifactBuilder.h"

#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

using namespace bitbyte;

static void open(std::span<const std::byte> file) {
  static int memory = memfd_create("fuzz", MFD_CLOEXEC);
  static std::string path = "/proc/self/fd/" + std::to_string(memory);
  if (ftruncate(memory, 0) != 0 ||
      pwrite(memory, file.data(), file.size(), 0) != ssize_t(file.size()))
    std::abort();
  (void)Artifact::open(path);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::vector<std::byte> toy = test::encode(test::toyArtifact());
  // Pairs of (position u16, byte) change the toy; else the input is the table.
  std::vector<std::byte> file = toy;
  if (size % 3 == 0) {
    for (size_t i = 0; i + 2 < size; i += 3)
      file[64 + (data[i] | data[i + 1] << 8) % (file.size() - 64)] =
          std::byte(data[i + 2]);
  } else {
    file.resize(64 + size);
    std::memcpy(file.data() + 64, data, size);
    uint64_t numbers[] = {file.size(), 64, size};
    std::memcpy(file.data() + 16, numbers, sizeof(numbers));
  }
  test::rehash(file);
  open(file);
  return 0;
}
