#include "runtime/core/Memory.h"

#include "runtime/core/ControlGroup.h"

#include <algorithm>
#include <fmt/format.h>
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

/// Limit minus use, the least over this process's control groups.
static std::optional<uint64_t> controlGroupRoom() {
  std::optional<uint64_t> room;
  visitControlGroups("memory", [&](const std::string &folder, bool unified) {
    auto limit =
        numberIn(folder + (unified ? "/memory.max" : "/memory.limit_in_bytes"));
    auto used = numberIn(
        folder + (unified ? "/memory.current" : "/memory.usage_in_bytes"));
    // Version 1 writes "no limit" as a number near 2^63.
    if (!limit || !used || *limit >= uint64_t(1) << 60)
      return;
    // The page cache counts as use, but gives way.
    uint64_t cache =
        numberAfter(folder + "/memory.stat",
                    unified ? "inactive_file " : "total_inactive_file ")
            .value_or(0);
    uint64_t held = *used - std::min(*used, cache);
    uint64_t left = *limit - std::min(*limit, held);
    room = std::min(room.value_or(left), left);
  });
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
