//===- Check.h - Kernels of a program against its meaning -----------------===//
//
// A case is a program of graph ops. After fuse its regions are evaluated in
// float64, after tile its kernels run on this machine, or on the emulator for
// `cuda`, and the results must agree.
//
//===----------------------------------------------------------------------===//
#pragma once

#include <cstdint>
#include <string>

/// Runs `program ...` (its text) both ways and compares; returns how many
/// dispatches it took, the packing of operands included; 0 where this machine
/// has no such target. `tolerance` is of each result's largest entry;
/// `schedule` is the emulator's, which has all its checks on.
int64_t check(const std::string &text, double tolerance = 2e-5,
              const std::string &target = "cpu-v3",
              const std::string &schedule = "lazy");
