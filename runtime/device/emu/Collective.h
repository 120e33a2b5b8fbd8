//===- Collective.h - What the lanes of a warp must do together -----------===//
#pragma once

#include "runtime/device/emu/Execution.h"

namespace bitbyte::emu {

/// A finding if live lanes of `members` are not here.
void wantLanes(Warp &warp, const Op &op, uint32_t members);

} // namespace bitbyte::emu
