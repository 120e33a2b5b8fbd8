//===- WeightRules.h - How the published layout stores a parameter --------===//
#pragma once

#include "runtime/engine/Weights.h"

namespace bitbyte {

/// What each `*` of the pattern stands for; absent if the name does not match.
/// A `*` stands for at least one character, as few as will do.
std::optional<std::vector<std::string>> matchPattern(std::string_view pattern,
                                                     std::string_view name);

/// The pattern with its `*`s replaced, in order.
std::string fillPattern(std::string_view pattern,
                        std::span<const std::string> captures);

/// Whether a rule says to skip a tensor of this name.
bool isIgnored(const Artifact &artifact, std::string_view name);

} // namespace bitbyte
