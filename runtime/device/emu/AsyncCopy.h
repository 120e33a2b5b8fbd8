//===- AsyncCopy.h - cp.async and its groups ------------------------------===//
#pragma once

#include "runtime/device/emu/Execution.h"

namespace bitbyte::emu {

/// Moves the bytes of a copy, unless that happened already; `finish` also ends
/// the time in which nobody may touch its target.
void doCopy(Warp &warp, LaneCopy &copy, bool finish);

} // namespace bitbyte::emu
