//===- ToyEngine.h - An engine for the toy artifact -----------------------===//
#pragma once

#include "runtime/engine/Engine.h"
#include "test/runtime/ArtifactBuilder.h"
#include "test/runtime/core/TemporaryFolder.h"

#include <gmock/gmock.h>

namespace bitbyte::test {

struct ToyEngine : testing::Test {
  void SetUp() override { engine = make(2); }

  std::unique_ptr<Engine> make(int threads,
                               const fb::ArtifactT &tables = toyArtifact()) {
    write(folder / "toy.bba", tables);
    auto artifact = Artifact::open(folder / "toy.bba");
    EXPECT_TRUE(artifact) << artifact.error().message;
    auto engine =
        Engine::create(*artifact, {.device = "cpu", .threads = threads});
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
  }

  std::vector<float> state(std::string_view name, size_t count) {
    std::vector<float> values(count);
    auto result =
        engine->readState(name, std::as_writable_bytes(std::span(values)));
    EXPECT_TRUE(result) << result.error().message;
    return values;
  }
  void setState(std::string_view name, const std::vector<float> &values) {
    auto result = engine->writeState(name, std::as_bytes(std::span(values)));
    EXPECT_TRUE(result) << result.error().message;
  }
  const Program &program(std::string_view name) {
    return *engine->program(name);
  }

  TemporaryFolder folder;
  std::unique_ptr<Engine> engine;
};

/// Why something failed, which it must.
template <typename T>
std::string messageOf(const Result<T> &result) {
  return result ? "did not fail" : result.error().message;
}

} // namespace bitbyte::test
