#include "tools/bb-emu/Arguments.h"

#include "runtime/device/emu/Control.h"
#include "runtime/device/emu/Lexer.h"

#include <cstdio>

namespace bitbyte {

namespace {

struct Plan {
  const char *name;
  emu::Schedule schedule;
  uint64_t seed;
};
constexpr Plan plans[] = {{"eager", emu::Schedule::Eager, 1},
                          {"lazy", emu::Schedule::Lazy, 1},
                          {"random:1", emu::Schedule::Random, 1},
                          {"random:2", emu::Schedule::Random, 2}};

/// What a barrier leaves where it stood: nothing, but the next instruction.
void skip(emu::Warp &warp, const emu::Op &) { emu::advance(warp); }
void nothing(emu::Warp &, const emu::Op &) {}

bool sameBuffers(const Call &a, const Call &b) {
  for (size_t i = 0; i < a.arguments.size(); ++i)
    if (a.arguments[i].bytes != b.arguments[i].bytes)
      return false;
  return true;
}

} // namespace

Result<int> mutate(const Call &call, emu::Options options) {
  const emu::Kernel &kernel = *call.kernel;
  auto runAs = [&](const emu::Kernel &variant, const Plan &plan,
                   Call &out) -> Result<emu::Outcome> {
    out = call;
    options.schedule = plan.schedule;
    options.seed = plan.seed;
    return out.run(variant, options);
  };

  Call expected;
  uint64_t longest = 0;
  for (const Plan &plan : plans) {
    Call here;
    BB_ASSIGN(emu::Outcome outcome, runAs(kernel, plan, here));
    for (const emu::Finding &finding : outcome.findings.all())
      fmt::print(stderr, "{}\n", finding.text(kernel.module->path));
    if (!outcome.findings.empty())
      return fail(ErrorKind::Failed,
                  "the kernel itself has findings in schedule {}", plan.name);
    if (&plan == plans)
      expected = here;
    else if (!sameBuffers(expected, here))
      return fail(ErrorKind::Failed,
                  "the kernel's results differ between schedules eager and {}",
                  plan.name);
    longest = std::max(longest, outcome.instructions);
  }
  // A mutant that runs much longer than the kernel hangs.
  options.instructionLimit = 100 * longest + 100'000;

  size_t count = 0, caught = 0;
  std::vector<std::string> survivors;
  for (size_t i = 0; i < kernel.ops.size(); ++i) {
    if (!kernel.ops[i].synchronises)
      continue;
    emu::Kernel mutant = kernel;
    mutant.ops[i].run = mutant.ops[i].jumps ? skip : nothing;
    ++count;
    std::string how;
    for (const Plan &plan : plans) {
      Call here;
      BB_ASSIGN(emu::Outcome outcome, runAs(mutant, plan, here));
      if (!outcome.findings.empty())
        how += fmt::format(" {}: {};", plan.name,
                           outcome.findings.all().front().kind);
      else if (!sameBuffers(expected, here))
        how += fmt::format(" {}: wrong result;", plan.name);
    }
    caught += !how.empty();
    std::string where = fmt::format(
        "line {} ({})", kernel.ops[i].line,
        emu::lineOf(kernel.module->text, kernel.ops[i].line).substr(0, 80));
    if (how.empty())
      survivors.push_back(where);
    fmt::print("without {}:{}\n", where, how.empty() ? " not noticed" : how);
  }
  fmt::print("caught {} of {} deletions{}\n", caught, count,
             survivors.empty() ? "" : "; survivors:");
  for (const std::string &survivor : survivors)
    fmt::print("  {}\n", survivor);
  return survivors.empty() ? 0 : 1;
}

} // namespace bitbyte
