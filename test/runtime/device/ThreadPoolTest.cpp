#include "runtime/device/cpu/ThreadPool.h"
#include "runtime/device/cpu/Peak.h"

#include <chrono>
#include <gtest/gtest.h>
#include <numeric>
#include <sys/resource.h>

using namespace bitbyte;

TEST(ThreadPool, RunsEachProgramOnce) {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (int64_t programs : {0, 1, 2, 5, 64, 1000}) {
      std::vector<int> times(size_t(programs), 0); // a race shows in tsan
      pool.run(programs, [&](int worker, int64_t begin, int64_t end) {
        ASSERT_GE(worker, 0);
        ASSERT_LT(worker, threads);
        for (int64_t i = begin; i < end; ++i)
          ++times[size_t(i)];
      });
      EXPECT_EQ(times, std::vector<int>(size_t(programs), 1)) << threads;
    }
  }
}

TEST(ThreadPool, DispatchesInARowSeeEachOthersWrites) {
  ThreadPool pool(4);
  constexpr int64_t programs = 40;
  std::vector<int64_t> values(programs, 0), next(programs, 0);
  for (int round = 0; round < 5000; ++round) {
    pool.run(programs, [&](int, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        next[size_t(i)] = values[size_t((i + 1) % programs)] + 1;
    });
    std::swap(values, next);
  }
  EXPECT_EQ(values, std::vector<int64_t>(programs, 5000));
}

TEST(ThreadPool, OnePerWorkerNumberAtATime) {
  ThreadPool pool(3);
  std::vector<std::atomic<int>> inside(3);
  std::atomic<bool> shared = false;
  for (int round = 0; round < 500; ++round)
    pool.run(30, [&](int worker, int64_t, int64_t) {
      if (inside[size_t(worker)]++ != 0)
        shared = true; // two threads with one worker's scratch
      inside[size_t(worker)]--;
    });
  EXPECT_FALSE(shared);
}

TEST(ThreadPool, WorkersSleepBetweenDispatches) {
  ThreadPool pool(4);
  pool.run(8, [](int, int64_t, int64_t) {});
  auto cpuSeconds = [] {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  };
  double before = cpuSeconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LT(cpuSeconds() - before,
            0.02); // three awake ones would take 0.1 or more
}

TEST(ThreadPool, EveryThreadFlushesDenormals) {
  ThreadPool pool(2);
  volatile float tiny = 1e-39f; // below the smallest normal number
  auto half = [&] { return tiny * 0.5f; };
  EXPECT_NE(half(), 0.0f);
  {
    FlushDenormals flush;
    EXPECT_EQ(half(), 0.0f);
    std::vector<float> results(200, 1);
    for (int round = 0; round < 50; ++round)
      pool.run(200, [&](int, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          results[size_t(i)] = half();
      });
    EXPECT_EQ(results, std::vector<float>(200, 0));
  }
  EXPECT_NE(half(), 0.0f); // the caller's own setting is back
}

TEST(Peak, IsMeasured) {
  ThreadPool pool(1);
  EXPECT_GT(peakFlops(pool, "cpu-v3", false, 1), 1e8);
  EXPECT_GT(peakBandwidth(pool, 1), 1e7);
}
