//===- Options.h - The command line of bbc --------------------------------===//
#pragma once

#include "compiler/pipeline/CompileOptions.h"

#include <variant>

namespace bitbyte::bb {

/// What to compile, or the exit code where there is nothing left to do (a usage
/// error was reported, or help was asked for).
std::variant<CompileOptions, int> parseCommandLine(int argc, char **argv);

} // namespace bitbyte::bb
