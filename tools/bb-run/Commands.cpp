#include "tools/bb-run/Commands.h"

#include <sstream>

namespace bitbyte {

CLI::App *addCommand(CLI::App &app, const std::string &name,
                     const std::string &what, const std::string &examples) {
  CLI::App *command = app.add_subcommand(name, what);
  std::string footer =
      examples.find('\n') == std::string::npos ? "Example:" : "Examples:";
  std::istringstream lines(examples);
  for (std::string line; std::getline(lines, line);)
    footer += "\n  " + line;
  command->footer(footer);
  return command;
}

void addDeviceOptions(CLI::App &command, EngineOptions &options) {
  command.add_option("--device", options.device, "auto, cpu, cuda or emu")
      ->check(CLI::IsMember({"auto", "cpu", "cuda", "emu"}))
      ->capture_default_str();
  command
      .add_option("--threads", options.threads,
                  "CPU threads (default: what affinity and CPU quota allow)")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--device-sync", options.sync,
                   "Wait after each kernel, so that a failure names it");
  command
      .add_option("--device-patience", options.patience,
                  "Seconds until a kernel of a GPU counts as hanging")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  command
      .add_option("--emu-schedule", options.emuSchedule,
                  "When the emulator does asynchronous work, and in which "
                  "order threads run: eager, lazy, random or random:SEED")
      ->capture_default_str();
  command
      .add_option("--emu-checks", options.emuChecks,
                  "What the emulator checks beside bounds: off, shared (races "
                  "and uninitialised reads of shared memory), all (also races "
                  "on global memory)")
      ->check(CLI::IsMember({"off", "shared", "all"}))
      ->capture_default_str();
  command.add_option("--emu-mutants", options.emuMutants,
                     "Also delete each synchronising instruction of each "
                     "kernel in turn, run what is left on the emulator, and "
                     "write to this file what was noticed");
  command.add_option("--record-kernels", options.recordKernels,
                     "Keep the first launch of each kernel, with all that it "
                     "reads and writes, in this file, or add it to what the "
                     "file has: bb-run replay does it again elsewhere");
}

Result<std::unique_ptr<Engine>> openEngine(const std::string &artifactPath,
                                           const EngineOptions &options) {
  BB_ASSIGN(auto artifact, Artifact::open(inputPath(artifactPath)));
  return Engine::create(std::move(artifact), options);
}

Result<const Program *> findProgram(const Variant &variant,
                                    const std::string &name) {
  if (const Program *program = variant.program(name))
    return program;
  std::string names;
  for (const Program &program : variant.programs)
    names += (names.empty() ? "" : ", ") + program.name;
  return fail(ErrorKind::Usage,
              "there is no program '{}'; the artifact has: {}", name, names);
}

std::string inputPath(const std::string &path) {
  return path == "-" ? "/dev/stdin" : path;
}

} // namespace bitbyte
