//===- CheckpointFuzz.cpp - Any JSON as a checkpoint's manifest -----------===//
//
// The manifest's own hash hides its content from a fuzzer, so each input that
// is an object gets the hash that fits.
//===----------------------------------------------------------------------===//
#include "runtime/core/Hash.h"
#include "runtime/train/Checkpoint.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <unistd.h>

using namespace bitbyte;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::string folder = [] {
    std::string name = std::filesystem::temp_directory_path() /
                       ("checkpoint-fuzz." + std::to_string(getpid()));
    std::filesystem::create_directory(name);
    std::ofstream(name + "/weights.safetensors") << "weights";
    return name;
  }();
  auto manifest = nlohmann::json::parse(data, data + size, nullptr, false);
  if (manifest.is_object()) {
    manifest.erase("manifest_hash");
    std::string text = manifest.dump();
    manifest["manifest_hash"] = hash128(std::as_bytes(std::span(text))).hex();
  }
  std::string text =
      manifest.is_object()
          ? manifest.dump()
          : std::string(reinterpret_cast<const char *>(data), size);
  std::ofstream(folder + "/manifest.json", std::ios::binary) << text;
  (void)openCheckpoint(folder);
  return 0;
}
