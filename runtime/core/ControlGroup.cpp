#include "runtime/core/ControlGroup.h"

#include <cstdlib>
#include <fstream>

namespace bitbyte {

/// Whether a comma-separated list has the name.
static bool lists(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    size_t end = std::min(list.find(','), list.size());
    if (list.substr(0, end) == name)
      return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

void visitControlGroups(
    std::string_view controller,
    const std::function<void(const std::string &folder, bool unified)> &visit,
    const std::string &root) {
  // Lines are "ID:controllers:path"; version 2 names no controllers.
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos)
      continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    bool unified = controllers.empty();
    if (!unified && !lists(controllers, controller))
      continue;
    std::string mount = root + "/sys/fs/cgroup";
    if (!unified)
      mount += "/" + std::string(controller);
    for (std::string group = line.substr(second + 1);;) {
      visit(group == "/" ? mount : mount + group, unified);
      size_t slash = group.rfind('/');
      if (group == "/" || slash == std::string::npos)
        break;
      group = slash == 0 ? "/" : group.substr(0, slash);
    }
  }
}

std::optional<uint64_t> numberIn(const std::string &path) {
  std::ifstream file(path);
  uint64_t value;
  if (file >> value)
    return value;
  return std::nullopt;
}

std::optional<uint64_t> numberAfter(const std::string &path,
                                    std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key))
      return std::strtoull(line.c_str() + key.size(), nullptr, 10);
  return std::nullopt;
}

} // namespace bitbyte
