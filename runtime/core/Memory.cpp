#include "runtime/core/Memory.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <optional>
#include <sys/resource.h>

namespace bitbyte {

std::string formatBytes(uint64_t bytes) {
  if (bytes < 1024)
    return fmt::format("{} B", bytes);
  double value = double(bytes);
  int unit = -1;
  do {
    value /= 1024;
    ++unit;
  } while (value >= 1024 && unit < 4);
  constexpr const char *units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  return fmt::format("{:.{}f} {}", value, value < 10 ? 2 : 1, units[unit]);
}

/// The number after `key` in a file of "key value" lines, such as
/// /proc/meminfo.
static std::optional<uint64_t> numberAfter(const char *path,
                                           std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key))
      return std::strtoull(line.c_str() + key.size(), nullptr, 10);
  return std::nullopt;
}

static std::optional<uint64_t> numberIn(const std::string &path) {
  std::ifstream file(path);
  uint64_t value;
  if (file >> value)
    return value;
  return std::nullopt; // absent, or "max"
}

/// Limit minus use of this process's control groups and their parents.
static std::optional<uint64_t> controlGroupRoom() {
  std::optional<uint64_t> room;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos)
      continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    bool unified = controllers.empty();
    if (!unified && controllers != "memory")
      continue;
    std::string root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    std::string group = line.substr(second + 1);
    for (;;) {
      std::string folder = root + (group == "/" ? "" : group);
      auto limit = numberIn(
          folder + (unified ? "/memory.max" : "/memory.limit_in_bytes"));
      auto used = numberIn(
          folder + (unified ? "/memory.current" : "/memory.usage_in_bytes"));
      // Version 1 writes "no limit" as a number near 2^63.
      if (limit && used && *limit < uint64_t(1) << 60) {
        // The page cache counts as use, but gives way.
        std::string statistics = folder + "/memory.stat";
        uint64_t cache =
            numberAfter(statistics.c_str(),
                        unified ? "inactive_file " : "total_inactive_file ")
                .value_or(0);
        uint64_t held = *used - std::min(*used, cache);
        uint64_t left = *limit - std::min(*limit, held);
        room = std::min(room.value_or(left), left);
      }
      if (group.empty() || group == "/")
        break;
      group.resize(group.rfind('/'));
    }
  }
  return room;
}

MemoryRoom memoryRoom() {
  MemoryRoom room{UINT64_MAX, "no limit"};
  auto consider = [&](std::optional<uint64_t> bytes, const char *limit) {
    if (bytes && *bytes < room.bytes)
      room = {*bytes, limit};
  };
  if (auto kib = numberAfter("/proc/meminfo", "MemAvailable:"))
    consider(*kib * 1024, "available memory");
  consider(controlGroupRoom(), "the control group's memory limit");
  rlimit space{};
  if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
    if (auto kib = numberAfter("/proc/self/status", "VmSize:"))
      consider(space.rlim_cur - std::min<uint64_t>(space.rlim_cur, *kib * 1024),
               "the address-space limit (ulimit -v)");
  return room;
}

} // namespace bitbyte
