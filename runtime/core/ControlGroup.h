//===- ControlGroup.h - Limits that a container sets ----------------------===//
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bitbyte {

/// Calls `visit` with each folder of this process's control group and its
/// parents that governs `controller` ("memory", "cpu"), for both versions of
/// the interface; `unified` is version 2. `root` stands before /proc and /sys.
void visitControlGroups(
    std::string_view controller,
    const std::function<void(const std::string &folder, bool unified)> &visit,
    const std::string &root = "");

/// The whole number that a file begins with; absent for "max" or no file.
std::optional<uint64_t> numberIn(const std::string &path);

/// The number after `key` in a file of "key value" lines, as in /proc/meminfo.
std::optional<uint64_t> numberAfter(const std::string &path,
                                    std::string_view key);

} // namespace bitbyte
