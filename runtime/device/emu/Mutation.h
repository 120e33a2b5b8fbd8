//===- Mutation.h - Would anybody notice a missing barrier? ---------------===//
#pragma once

#include "runtime/device/emu/Executor.h"

#include <functional>

namespace bitbyte::emu {

/// One run of a kernel from the same state as every other.
struct Trial {
  Findings findings;
  uint64_t instructions = 0;
  std::vector<std::byte> results; ///< All that it may have written.
  std::vector<bool> worked;       ///< See Outcome.
};
using RunTrial =
    std::function<Result<Trial>(const Kernel &kernel, const Options &options)>;

/// A kernel without one of its synchronising instructions.
struct Mutant {
  uint32_t line = 0;
  std::string where; ///< "line 42 (bar.sync 0;)", with the source's place.
  /// By schedule: the kind of finding, "wrong result", or empty if nothing was
  /// noticed.
  std::vector<std::string> noticed;
  /// It orders copies, and in no schedule there were any: nobody can notice.
  bool idle = false;
  bool caught() const;
};

/// The schedules' names: eager, lazy, random:1, random:2.
std::vector<std::string> mutationSchedules();

/// Deletes each synchronising instruction in turn and runs what is left in all
/// schedules. Failed if the kernel itself has findings, or results that depend
/// on the schedule.
Result<std::vector<Mutant>> mutate(const Kernel &kernel, Options options,
                                   const RunTrial &run);

} // namespace bitbyte::emu
