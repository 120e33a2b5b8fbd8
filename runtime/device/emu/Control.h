//===- Control.h - Branches, exits and reconvergence ----------------------===//
#pragma once

#include "runtime/device/emu/Program.h"

namespace bitbyte::emu {

void branch(Warp &warp, const Op &op);
void branchIndexed(Warp &warp, const Op &op);
void leave(Warp &warp, const Op &op);

/// Steps to the next instruction, and back to other lanes at a join.
void advance(Warp &warp);
/// Goes on with what lies on top of the stack; ends the warp if nothing does.
void resume(Warp &warp);

} // namespace bitbyte::emu
