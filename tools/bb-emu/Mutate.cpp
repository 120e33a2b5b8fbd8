#include "tools/bb-emu/Arguments.h"

#include "runtime/device/emu/Mutation.h"

#include <cstdio>

namespace bitbyte {

Result<int> mutate(const Call &call, emu::Options options) {
  auto run = [&](const emu::Kernel &variant,
                 const emu::Options &how) -> Result<emu::Trial> {
    Call here = call;
    BB_ASSIGN(emu::Outcome outcome, here.run(variant, how));
    std::vector<std::byte> results;
    for (const Argument &argument : here.arguments)
      results.insert(results.end(), argument.bytes.begin(),
                     argument.bytes.end());
    return emu::Trial{std::move(outcome.findings), outcome.instructions,
                      std::move(results), std::move(outcome.worked)};
  };
  BB_ASSIGN(std::vector<emu::Mutant> mutants,
            emu::mutate(*call.kernel, options, run));
  std::vector<std::string> schedules = emu::mutationSchedules();
  size_t caught = 0;
  std::string survivors;
  for (const emu::Mutant &mutant : mutants) {
    std::string how;
    for (size_t i = 0; i < schedules.size(); ++i)
      if (!mutant.noticed[i].empty())
        how += fmt::format(" {}: {};", schedules[i], mutant.noticed[i]);
    fmt::print("without {}:{}\n", mutant.where,
               mutant.caught() ? how
               : mutant.idle   ? " not noticed: it had no copies to order"
                               : " not noticed");
    caught += mutant.caught();
    if (!mutant.caught())
      survivors += fmt::format("  {}\n", mutant.where);
  }
  fmt::print("caught {} of {} deletions{}\n{}", caught, mutants.size(),
             survivors.empty() ? "" : "; survivors:", survivors);
  return survivors.empty() ? 0 : 1;
}

} // namespace bitbyte
