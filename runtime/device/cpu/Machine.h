//===- Machine.h - What this processor can do -----------------------------===//
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bitbyte {

/// "cpu-v4bf16", "cpu-v4", "cpu-v3": what this processor and its operating
/// system run, best first. Empty below x86-64-v3.
std::vector<std::string> cpuTargets();

/// "AMD EPYC 7742 64-Core Processor"
std::string cpuName();

/// Threads that this process may run at once: the processors of its affinity
/// mask, or fewer where a control group limits its share of time. `root` stands
/// before /proc and /sys.
int availableThreads(const std::string &root = "");

} // namespace bitbyte
