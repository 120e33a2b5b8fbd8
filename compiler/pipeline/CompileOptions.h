//===- CompileOptions.h - What a person asks of bbc -----------------------===//
#pragma once

#include "compiler/pipeline/Phases.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bitbyte::bb {

using NameValues = std::vector<std::pair<std::string, std::string>>;

enum class ReportFormat { none, text, json };

/// Mirrors the options of bbc, which documents each (`bbc --help`).
struct CompileOptions {
  std::string spec; ///< Path of the model spec.
  std::string output;
  std::string preset;
  NameValues config; ///< --set, in order.
  std::string computeType = "f32";
  std::vector<std::string> targets;  ///< Resolved: "cpu-v3", never "cpu".
  std::vector<std::string> gpuArchs; ///< --gpu-arch; empty: what bbc chooses.
  std::vector<std::string>
      programs; ///< "train", "score", ...; empty: all that the spec allows.
  std::vector<NameValues>
      shapes; ///< --shape: further values of the batch and stream names.
  std::string optimizer = "adamw";
  NameValues defaults; ///< --default: numbers of a run, over the optimizer's.
  int64_t memoryBudget = 0; ///< In bytes; 0: none.
  ReportFormat report = ReportFormat::none;
  std::optional<Phase> stopAfter;
  std::string dumpPhases, dumpKernels; ///< Folders; empty: no dump.
  std::string cache;                   ///< Folder; empty: no cache.
  unsigned threads = 1;
  bool cubins = true;               ///< Beside PTX, where ptxas is present.
  std::optional<Phase> testFailure; ///< Fails at its end: for tests.
  bool testCrash = false;           ///< Crashes instead.
};

} // namespace bitbyte::bb
