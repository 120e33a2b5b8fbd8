//===- Initialize.h - Initial values of a model ---------------------------===//
#pragma once

#include "runtime/engine/Engine.h"

#include <span>
#include <vector>

namespace bitbyte {

/// The initial values of one parameter, row-major. They depend on seed, name,
/// shape and init only: neither on the device nor on the other parameters.
///
///   zeros, ones, constant(a)
///   normal(a)            mean 0, standard deviation a
///   uniform(a, b)        in [a, b)
///   kaiming_uniform(a)   in [-r, r), r = a / sqrt(fan in); fan in = product of
///                        all axes but the first
///   log_range            ln(i + 1) at position i of the last axis
///   softplus_inverse(a, b)  softplus of it is log-uniform in [a, b), at least
///                        1e-4
std::vector<float> initialValues(uint64_t seed, std::string_view name,
                                 std::span<const uint64_t> shape,
                                 const Init &init);

/// Fills every parameter, zeroes moments, gradients and counters, and runs
/// `prepare`.
Result<void> initializeModel(Engine &engine, uint64_t seed);

} // namespace bitbyte
