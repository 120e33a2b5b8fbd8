//===- TestFailure.h - A pass that fails on purpose -----------------------===//
#pragma once

namespace bitbyte::bb {

/// `--bb-test-failure`: fails, or with `crash` crashes. bbc runs it at the end
/// of the phase that its hidden option --test-failure names.
void registerTestFailurePass();

} // namespace bitbyte::bb
