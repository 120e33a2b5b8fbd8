//===- RunConfig.h - What a training run is told --------------------------===//
//
//   RunConfig config;
//   BB_TRY(config.readFile("run.toml"));
//   BB_TRY(config.set("optimizer.lr=3e-4"));
//   BB_TRY(config.resolve());
//
// Keys, types, ranges and help stand in one table (`RunConfig::keys`).
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bitbyte {

/// From `step` on (counted from 0), batches are [B, T].
struct CurriculumEntry {
  int64_t step = 0, T = 0, B = 0;
  bool operator==(const CurriculumEntry &) const = default;
};

/// -1 stands for "not given" until `resolve`.
struct RunConfig {
  // [train]
  int64_t steps = 1000;
  int64_t seed = 1;
  int64_t accumulate = 1;
  int64_t evalEvery = 250;
  int64_t evalBytes = 65536;
  int64_t checkpointEvery = 250;
  int64_t keep = 3;
  int64_t logEvery = 1;
  int64_t sampleBytes = 256;
  double minutes = 0;
  // [optimizer]
  std::string schedule = "cosine";
  double lr = 1e-3;
  double minLr = -1;
  int64_t warmup = -1;
  int64_t decaySteps = -1;
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weightDecay = 0.1, clip = 1;
  // [data]
  std::string split = "train";
  std::string evalSplit = "val";
  std::vector<CurriculumEntry> curriculum;
  // [guard]
  int64_t maxSkips = 10;

  /// Whether a resumed run may have another value.
  enum class Change {
    freely,    ///< Does not touch the numbers of training.
    whenAsked, ///< With --allow-change KEY; recorded.
    never,
  };
  struct Key {
    using Member = std::variant<int64_t RunConfig::*, double RunConfig::*,
                                std::string RunConfig::*,
                                std::vector<CurriculumEntry> RunConfig::*>;
    std::string_view section, name;
    Member member;
    double least = 0, most = 0; ///< Of numbers.
    Change change = Change::never;
    std::string_view help;
    std::vector<std::string_view> words = {}; ///< Of text with a fixed set.

    std::string fullName() const; ///< "train.steps"
  };
  static std::span<const Key> keys();
  static const Key *findKey(std::string_view fullName);

  /// Takes what the file says. BadInput "FILE:LINE:COL: error: ..." for an
  /// unknown key (with the nearest one), a wrong type, a value out of range.
  /// The section [run], which a finished run's config.toml has, is passed over.
  Result<void> readFile(const std::string &path);
  Result<void> readText(std::string_view text, const std::string &path);
  /// "section.key=value" of the command line; Usage if it is wrong.
  Result<void> set(std::string_view assignment);

  /// Fills what was not given from the rest, and checks what keys mean
  /// together. Idempotent.
  Result<void> resolve();

  /// The reverse: what `resolve` would fill in just so counts as not given, so
  /// that a changed step count moves what follows from it.
  void unresolve();

  /// The value as TOML: `1e-05`, `"cosine"`, `[{step = 0, T = 64, B = 8}]`.
  std::string valueText(const Key &key) const;
  /// All sections with a comment for each key.
  std::string toToml() const;
};

/// "text" as TOML writes it, quotes included.
std::string tomlText(std::string_view text);

/// The candidate with the fewest edits from `word`, if it is near; else "".
std::string_view nearestWord(std::string_view word,
                             std::span<const std::string_view> candidates);

} // namespace bitbyte
