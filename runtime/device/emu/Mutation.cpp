#include "runtime/device/emu/Mutation.h"

#include "runtime/device/emu/Control.h"

#include <algorithm>

namespace bitbyte::emu {

namespace {

struct Plan {
  const char *name;
  Schedule schedule;
  uint64_t seed;
};
constexpr Plan plans[] = {{"eager", Schedule::Eager, 1},
                          {"lazy", Schedule::Lazy, 1},
                          {"random:1", Schedule::Random, 1},
                          {"random:2", Schedule::Random, 2}};

/// What a barrier leaves where it stood: nothing, but the next instruction.
void skip(Warp &warp, const Op &) { advance(warp); }
void nothing(Warp &, const Op &) {}

} // namespace

bool Mutant::caught() const {
  return std::any_of(noticed.begin(), noticed.end(),
                     [](const std::string &how) { return !how.empty(); });
}

std::vector<std::string> mutationSchedules() {
  std::vector<std::string> names;
  for (const Plan &plan : plans)
    names.push_back(plan.name);
  return names;
}

Result<std::vector<Mutant>> mutate(const Kernel &kernel, Options options,
                                   const RunTrial &run) {
  auto runAs = [&](const Kernel &variant, const Plan &plan) {
    options.schedule = plan.schedule;
    options.seed = plan.seed;
    return run(variant, options);
  };
  std::vector<std::byte> expected;
  std::vector<bool> worked(kernel.ops.size());
  uint64_t longest = 0;
  for (const Plan &plan : plans) {
    BB_ASSIGN(Trial trial, runAs(kernel, plan));
    if (!trial.findings.empty())
      return fail(ErrorKind::Failed,
                  "the kernel itself has findings in schedule {}: {}",
                  plan.name,
                  trial.findings.all().front().text(kernel.module->path));
    if (&plan == plans)
      expected = std::move(trial.results);
    else if (expected != trial.results)
      return fail(ErrorKind::Failed,
                  "kernel '{}': its results differ between schedules eager and "
                  "{}",
                  kernel.name, plan.name);
    longest = std::max(longest, trial.instructions);
    for (size_t i = 0; i < worked.size(); ++i)
      worked[i] = worked[i] || trial.worked[i];
  }
  // A mutant that runs much longer than the kernel hangs.
  options.instructionLimit = 20 * longest + 100'000;
  options.maxFindings = 1;

  std::vector<Mutant> mutants;
  for (size_t i = 0; i < kernel.ops.size(); ++i) {
    if (!kernel.ops[i].synchronises)
      continue;
    Kernel variant = kernel;
    variant.ops[i].run = variant.ops[i].jumps ? skip : nothing;
    Mutant &mutant = mutants.emplace_back();
    mutant.line = kernel.ops[i].line;
    mutant.where = place(kernel, kernel.ops[i]);
    mutant.idle = kernel.ops[i].ofCopies && !worked[i];
    for (const Plan &plan : plans) {
      BB_ASSIGN(Trial trial, runAs(variant, plan));
      mutant.noticed.push_back(!trial.findings.empty()
                                   ? trial.findings.all().front().kind
                               : trial.results != expected ? "wrong result"
                                                           : "");
    }
  }
  return mutants;
}

} // namespace bitbyte::emu
