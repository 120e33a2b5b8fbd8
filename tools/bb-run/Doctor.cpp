//===- Doctor.cpp - bb-run doctor: what this machine can do ---------------===//

#include "runtime/core/Memory.h"
#include "runtime/device/cpu/Machine.h"
#include "runtime/device/cpu/Peak.h"
#include "tools/bb-run/Commands.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>
#include <unistd.h>

namespace bitbyte {

namespace {

std::string firstLine(const std::string &path, const std::string &otherwise) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) ? line : otherwise;
}

Result<void> doctor(bool json) {
  std::vector<std::string> targets = cpuTargets();
  int threads = availableThreads();
  MemoryRoom room = memoryRoom();
  std::string driver = firstLine("/proc/driver/nvidia/version", "");
  std::error_code error;
  auto disk = std::filesystem::space(".", error);
  utsname system{};
  uname(&system);
  std::string pages =
      firstLine("/sys/kernel/mm/transparent_hugepage/enabled", "absent");

  double peak = 0, bandwidth = 0;
  if (!targets.empty()) {
    ThreadPool pool(threads);
    peak = peakFlops(pool, targets[0]) / 1e9;
    bandwidth = peakBandwidth(pool) / 1e9;
  }
  if (json) {
    nlohmann::json report = {
        {"version", BB_VERSION},
        {"system", fmt::format("{} {}", system.sysname, system.release)},
        {"cpu", cpuName()},
        {"targets", targets},
        {"threads", threads},
        {"peak_gflops", peak},
        {"bandwidth_gb_s", bandwidth},
        {"memory_bytes", room.bytes},
        {"memory_limit", room.limit},
        {"huge_pages", pages},
        {"disk_free_bytes", error ? 0 : disk.available},
        {"nvidia_driver", driver},
    };
    fmt::print("{}\n", report.dump(2));
    return {};
  }
  auto line = [](const char *what, const std::string &value) {
    fmt::print("{:<12} {}\n", what, value);
  };
  line("bb-run", BB_VERSION);
  line("system", fmt::format("{} {}", system.sysname, system.release));
  line("processor", cpuName());
  line("targets", targets.empty()
                      ? "none: below x86-64-v3 (AVX2, FMA)"
                      : fmt::format("{}", fmt::join(targets, ", ")));
  line("threads", fmt::format("{} of {} processors", threads,
                              sysconf(_SC_NPROCESSORS_ONLN)));
  line("peak",
       fmt::format("{:.1f} GFLOP/s, {:.1f} GB/s updating memory in place", peak,
                   bandwidth));
  line("memory", fmt::format("{} ({})", formatBytes(room.bytes), room.limit));
  line("huge pages", pages);
  line("disk", error ? "unknown" : formatBytes(disk.available) + " free here");
  line("NVIDIA", driver.empty() ? "no driver loaded" : driver);
  if (targets.empty())
    return fail(ErrorKind::NoDevice, "no target of bbc runs on this machine");
  return {};
}

} // namespace

void addDoctor(CLI::App &app, Action &action) {
  auto json = std::make_shared<bool>(false);
  CLI::App *command = addCommand(app, "doctor", "Show what this machine can do",
                                 "bb-run doctor --json");
  command->add_flag("--json", *json, "Print JSON");
  command->callback(
      [json, &action] { action = [json] { return doctor(*json); }; });
}

} // namespace bitbyte
