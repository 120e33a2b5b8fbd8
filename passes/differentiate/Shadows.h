//===- Shadows.h - Rounded copies of parameters ---------------------------===//
#pragma once

#include "passes/differentiate/Groups.h"

namespace bitbyte::bb {

/// Where programs cast parameters to a 16-bit float, makes the copy a derived
/// flat state per group, written by a new program `prepare` and at the end of
/// `update` (null: nothing trains), and lets every program read that instead.
void addShadows(ModelOp model, llvm::ArrayRef<ParameterGroup> groups,
                ProgramOp update);

} // namespace bitbyte::bb
