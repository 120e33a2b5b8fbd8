//===- FakeEngine.h - A tiny model without compiler and kernels -----------===//
//
// For tests of what stands on the engine: trainer, checkpoints, evaluation,
// generation. The model has one parameter, `table` [vocab, vocab], and
//
//   logits(t) = table[byte(t)] + 0.5 table[byte(t - 1)]
//
// so that it trains, and a window's first position knows less than the others.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/engine/Engine.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

namespace bitbyte::test {

struct FakeOptions {
  uint64_t vocab = 16, context = 24, chunk = 4;
  bool positions = true;   ///< Whether the step programs take them.
  uint64_t logitsRows = 1; ///< B of the program `logits`.
  /// [B, T] of micro and score; the first is the one without a suffix.
  std::vector<std::pair<uint64_t, uint64_t>> shapes = {{2, 8}};
  bool dropout = false; ///< Whether micro takes `counter`, as masks do.
  Init init = {InitKind::normal, 0.5};
  std::string computeType = "f32";
};

std::shared_ptr<const Artifact> fakeArtifact(const FakeOptions &options = {});

class FakeEngine : public Engine {
public:
  explicit FakeEngine(const FakeOptions &options = {});

  const Artifact &artifact() const override { return *held; }
  const Variant &variant() const override { return held->variants[0]; }
  std::string describe() const override { return "fake"; }
  Result<void> run(const Program &program, std::span<const InputBytes> inputs,
                   std::span<const OutputBytes> outputs) override;
  Result<void> readState(std::string_view name,
                         std::span<std::byte> out) override;
  Result<void> writeState(std::string_view name,
                          std::span<const std::byte> in) override;
  Result<void> zeroStates(StateKind kind) override;
  Result<void> prepare() override { return {}; }
  Result<void> launchAlone(uint32_t, std::span<const LaunchBuffer>,
                           std::span<const int64_t>,
                           std::span<std::byte>) override {
    return fail(ErrorKind::Failed, "a fake engine has no kernels");
  }
  Result<void> reserve(std::span<const Program *const>) override { return {}; }
  void collectStepTimes(bool) override {}
  std::span<const double> stepSeconds() const override { return {}; }
  uint64_t allocatedBytes() const override { return 0; }

  /// Calls of `update`, counted from 1 over the engine's life, that find a
  /// gradient that is not finite.
  std::set<int> badUpdates;
  int updates = 0;
  /// Programs in the order they ran.
  std::vector<std::string> log;
  std::vector<int32_t> counters; ///< What each micro was given.
  /// Called before each program.
  std::function<void(const Program &)> onRun;

  std::vector<float> table, gradient, mean, square;
  int32_t count = 0; ///< optimizer.step

private:
  /// Of the byte after `byte`, which `before` (-1: none) precedes.
  void logits(int byte, int before, float *out) const;
  /// -log p(next); with `seed`, adds seed times the gradient.
  float nats(int byte, int before, int next, float seed);
  void update(std::span<const InputBytes> inputs,
              std::span<const OutputBytes> outputs);
  std::span<std::byte> stateBytes(std::string_view name);

  std::shared_ptr<const Artifact> held;
  uint64_t vocab;
  std::vector<uint8_t> cache; ///< Bytes by position.
  int64_t seen = 0;           ///< How many of them there are.
};

} // namespace bitbyte::test
