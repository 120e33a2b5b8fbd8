//===- ControlFlow.h - Where lanes that took different ways meet again ----===//
#pragma once

#include "runtime/device/emu/Program.h"

namespace bitbyte::emu {

/// Sets `join` of each branch to its immediate post-dominator: the first
/// instruction that all ways from there must pass, `nowhere` if that is the
/// exit.
void findJoins(Kernel &kernel);

} // namespace bitbyte::emu
