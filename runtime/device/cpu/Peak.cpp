#include "runtime/device/cpu/Peak.h"

#include "runtime/device/cpu/CpuMemory.h"

#include <chrono>
#include <immintrin.h>

namespace bitbyte {

namespace {

double now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

// Twelve independent sums hide the latency of two pipes; the constants keep the
// values finite and normal.
__attribute__((target("avx2,fma"))) void multiplyAdd256(int64_t count) {
  __m256 sums[12], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-3f);
  for (__m256 &sum : sums)
    sum = _mm256_set1_ps(1);
  for (int64_t i = 0; i < count; ++i)
    for (__m256 &sum : sums)
      asm volatile("vfmadd213ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
}

__attribute__((target("avx512f"))) void multiplyAdd512(int64_t count) {
  __m512 sums[12], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);
  for (__m512 &sum : sums)
    sum = _mm512_set1_ps(1);
  for (int64_t i = 0; i < count; ++i)
    for (__m512 &sum : sums)
      asm volatile("vfmadd213ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
}

// Sixteen lanes of two products each.
__attribute__((target("avx512f"))) void multiplyAddBf16(int64_t count) {
  __m512 sums[12], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);
  for (__m512 &sum : sums)
    sum = _mm512_set1_ps(1);
  for (int64_t i = 0; i < count; ++i)
    for (__m512 &sum : sums)
      asm volatile("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
}

/// The best of `rounds` of `run`, which does twelve multiply-adds of `lanes`
/// products each as often as it is told.
double bestFlops(ThreadPool &pool, void (*run)(int64_t), int lanes,
                 int rounds) {
  // Sixteen programs per thread, so that who starts late is made up for.
  constexpr int64_t count = 6'000;
  int64_t programs = int64_t(pool.threads()) * 16;
  double flops = double(programs) * double(count) * 12 * 2 * lanes, best = 0;
  for (int round = 0; round < rounds; ++round) {
    double start = now();
    pool.run(programs, [&](int, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        run(count);
    });
    best = std::max(best, flops / (now() - start));
  }
  return best;
}

} // namespace

double peakFlops(ThreadPool &pool, std::string_view target, bool bf16,
                 int rounds) {
  if (!target.starts_with("cpu-v4"))
    return bestFlops(pool, multiplyAdd256, 8, rounds);
  double best = bestFlops(pool, multiplyAdd512, 16, rounds);
  // The instructions for bf16 are not faster on every machine that has them.
  if (bf16 && target == "cpu-v4bf16")
    best = std::max(best, bestFlops(pool, multiplyAddBf16, 32, rounds));
  return best;
}

double peakBandwidth(ThreadPool &pool, int rounds) {
  constexpr uint64_t bytes = uint64_t(64) << 20, block = uint64_t(1) << 20;
  auto memory = allocateMemory(bytes);
  if (!memory)
    return 0;
  auto *values = reinterpret_cast<uint64_t *>(memory->data);
  double best = 0;
  for (int round = 0; round <= rounds; ++round) {
    double start = now();
    pool.run(int64_t(bytes / block), [&](int, int64_t begin, int64_t end) {
      uint64_t first = uint64_t(begin) * block / 8,
               last = uint64_t(end) * block / 8;
      for (uint64_t i = first; i < last; ++i)
        values[i] += uint64_t(round) + i;
    });
    if (round > 0) // the first touches the pages
      best = std::max(best, 2.0 * double(bytes) / (now() - start));
  }
  return best;
}

} // namespace bitbyte
