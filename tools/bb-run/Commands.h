//===- Commands.h - The commands of bb-run --------------------------------===//
//
// A command is one file. It adds its options, a help text with an example, and
// what it does:
//
//   void addInfo(CLI::App &app, Action &action) {
//     auto options = std::make_shared<Options>();
//     CLI::App *command = addCommand(app, "info", "Shows a file",
//                                    "bb-run info s.bba");
//     command->add_option("FILE", options->path, "What to show")->required();
//     command->callback([=, &action] {
//       action = [=] { return info(*options); };
//     });
//   }
//
// Results go to stdout, everything else to stderr; `main` prints the error.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/engine/Engine.h"

#include <CLI/CLI.hpp>
#include <functional>

namespace bitbyte {

/// What the command line asks for; set by the command that was named.
using Action = std::function<Result<void>()>;

/// A command, with examples (a line each) at the end of its help.
CLI::App *addCommand(CLI::App &app, const std::string &name,
                     const std::string &what, const std::string &examples);
/// --device and --threads.
void addDeviceOptions(CLI::App &command, EngineOptions &options);
/// Opens the artifact and makes an engine for it.
Result<std::unique_ptr<Engine>> openEngine(const std::string &artifactPath,
                                           const EngineOptions &options);
/// The program of this name; a Usage error that lists those there are.
Result<const Program *> findProgram(const Variant &variant,
                                    const std::string &name);
/// "-" as the path of standard input. (For output, AtomicFile knows it.)
std::string inputPath(const std::string &path);

void addBench(CLI::App &app, Action &action);
void addCompare(CLI::App &app, Action &action);
void addDoctor(CLI::App &app, Action &action);
void addEval(CLI::App &app, Action &action);
void addExec(CLI::App &app, Action &action);
void addExport(CLI::App &app, Action &action);
void addGenerate(CLI::App &app, Action &action);
void addImport(CLI::App &app, Action &action);
void addInfo(CLI::App &app, Action &action);
void addReplay(CLI::App &app, Action &action);
void addTrain(CLI::App &app, Action &action);

} // namespace bitbyte
