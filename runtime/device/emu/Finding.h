//===- Finding.h - What the checker found ---------------------------------===//
#pragma once

#include "runtime/device/emu/Program.h"

#include <set>
#include <tuple>

namespace bitbyte::emu {

/// "kernel 'k', a.ptx:42: shared memory race: ..."
struct Finding {
  std::string kind; ///< "race", "out of bounds", ...
  std::string kernel;
  uint32_t line = 0;   ///< In the PTX.
  std::string message; ///< One sentence or two, with both accesses.

  std::string text(const std::string &path) const;
};

/// The findings of a launch: each kind once per instruction, up to a limit.
class Findings {
public:
  explicit Findings(size_t limit) : limit(limit) {}

  void add(const Kernel &kernel, const Op &op, std::string_view kind,
           std::string message);
  bool full() const { return found.size() >= limit; }
  bool empty() const { return found.empty(); }
  const std::vector<Finding> &all() const { return found; }
  void append(Findings other);

private:
  size_t limit;
  std::vector<Finding> found;
  std::set<std::pair<uint32_t, std::string>> seen;
};

/// "line 42 (bar.sync 0;), at m.mlir:10:4"
std::string place(const Kernel &kernel, const Op &op);

} // namespace bitbyte::emu
