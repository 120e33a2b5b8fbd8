#include "runtime/device/cpu/Machine.h"

#include "runtime/core/ControlGroup.h"

#include <algorithm>
#include <cpuid.h>
#include <cstring>
#include <fstream>
#include <sched.h>
#include <unistd.h>

namespace bitbyte {

namespace {

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf = 0) {
  Registers r;
  if (__get_cpuid_max(leaf & 0x80000000, nullptr) >= leaf)
    __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
  return r;
}

/// The register states that the operating system saves (XCR0).
unsigned long savedStates() {
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

constexpr bool all(unsigned long value, unsigned long bits) {
  return (value & bits) == bits;
}
template <typename... Bits>
constexpr unsigned bits(Bits... number) {
  return ((1u << number) | ...);
}

} // namespace

std::vector<std::string> cpuTargets() {
  Registers base = cpuid(1), more = cpuid(7), extended = cpuid(0x80000001);
  Registers latest = cpuid(7, 1);

  // fma, movbe, osxsave, avx, f16c; lzcnt; bmi1, avx2, bmi2; xmm and ymm state
  bool v3 = all(base.ecx, bits(12, 22, 27, 28, 29)) &&
            all(extended.ecx, bits(5)) && all(more.ebx, bits(3, 5, 8)) &&
            all(savedStates(), 0x6);
  // avx512 f, dq, cd, bw, vl; opmask and zmm state
  bool v4 =
      v3 && all(more.ebx, bits(16, 17, 28, 30, 31)) && all(savedStates(), 0xe6);
  // avx512 vnni and bf16
  bool bf16 = v4 && all(more.ecx, bits(11)) && all(latest.eax, bits(5));

  std::vector<std::string> targets;
  if (bf16)
    targets.push_back("cpu-v4bf16");
  if (v4)
    targets.push_back("cpu-v4");
  if (v3)
    targets.push_back("cpu-v3");
  return targets;
}

std::string cpuName() {
  char name[49] = {};
  for (unsigned i = 0; i < 3; ++i) {
    Registers r = cpuid(0x80000002 + i);
    std::memcpy(name + 16 * i, &r, 16);
  }
  std::string text = name;
  text.erase(0, std::min(text.find_first_not_of(' '), text.size()));
  text.erase(text.find_last_not_of(' ') + 1);
  return text.empty() ? "unknown processor" : text;
}

int availableThreads(const std::string &root) {
  int threads = int(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    threads = CPU_COUNT(&set);

  auto quota = [&](const std::string &folder, bool unified) {
    double quota = -1, period = 0;
    if (unified) {
      std::ifstream(folder + "/cpu.max") >> quota >> period; // "max" fails
    } else {
      std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
      std::ifstream(folder + "/cpu.cfs_period_us") >> period;
    }
    if (quota > 0 && period > 0)
      threads = std::min(threads, int(quota / period + 0.5));
  };
  visitControlGroups("cpu", quota, root);
  return std::max(threads, 1);
}

} // namespace bitbyte
