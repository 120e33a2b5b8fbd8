//===- Doctor.cpp - bb-run doctor: what this machine can do ---------------===//

#include "runtime/core/Memory.h"
#include "runtime/device/cpu/Machine.h"
#include "runtime/device/cpu/Peak.h"
#include "runtime/device/cuda/CudaDevice.h"
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

/// A line for each GPU: what it is, or why it cannot be used.
std::vector<std::string> describeGpus(const CudaReport &report) {
  std::vector<std::string> lines;
  for (const CudaReport::Gpu &gpu : report.gpus)
    lines.push_back(gpu.trouble.empty()
                        ? fmt::format("{}, sm_{}, {}", gpu.name, gpu.arch,
                                      formatBytes(gpu.bytes))
                        : gpu.trouble);
  return lines;
}

nlohmann::json toJson(const Result<CudaReport> &report) {
  if (!report)
    return {{"trouble", report.error().message}};
  nlohmann::json gpus = nlohmann::json::array();
  for (const CudaReport::Gpu &gpu : report->gpus)
    gpus.push_back(gpu.trouble.empty()
                       ? nlohmann::json{{"name", gpu.name},
                                        {"arch", gpu.arch},
                                        {"memory_bytes", gpu.bytes}}
                       : nlohmann::json{{"trouble", gpu.trouble}});
  return {{"version", report->version}, {"gpus", gpus}};
}

Result<void> doctor(bool json) {
  std::vector<std::string> targets = cpuTargets();
  int threads = availableThreads();
  MemoryRoom room = memoryRoom();
  std::string driver = firstLine("/proc/driver/nvidia/version", "");
  Result<CudaReport> cuda = cudaReport();
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
        {"cuda", toJson(cuda)},
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
  if (!cuda) {
    line("cuda", "no: " + cuda.error().message);
  } else {
    line("cuda", "driver for CUDA " + cuda->version);
    for (const std::string &gpu : describeGpus(*cuda))
      line("GPU", gpu);
  }
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
