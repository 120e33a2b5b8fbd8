//===- ThreadPool.h - Runs numbered programs on all threads ---------------===//
//
// Made for dispatches that last from microseconds to milliseconds on machines
// that are shared:
//
// * Workers wait for the next dispatch a few microseconds awake, then asleep.
// * Each worker owns a contiguous part of the programs, so that it meets the
//   data again that it wrote before; who is done helps the others.
// * A worker that the system keeps off its processor holds nobody up: `run`
//   waits for those only that have begun.
//===----------------------------------------------------------------------===//
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace bitbyte {

class ThreadPool {
public:
  /// `context` is what `run` was given; `worker` is in [0, threads).
  using Body = void (*)(void *context, int worker, int64_t begin, int64_t end);

  /// The caller of `run` is one of the threads.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return int(parts.size()); }

  /// Calls the body over [0, programs), each program once, and returns when all
  /// are done. Memory that the caller wrote is seen by the body, and back.
  void run(int64_t programs, Body body, void *context);

  /// Calls `body(worker, begin, end)`.
  template <typename Callable>
  void run(int64_t programs, Callable &&body) {
    run(
        programs,
        [](void *context, int worker, int64_t begin, int64_t end) {
          (*static_cast<std::remove_reference_t<Callable> *>(context))(
              worker, begin, end);
        },
        &body);
  }

private:
  /// What is left of one worker's part; alone on its cache line.
  struct alignas(64) Part {
    std::atomic<int64_t> next = 0;
    int64_t end = 0;
  };

  void workerMain(int worker);
  bool join();
  void leave();
  void work(int worker);

  std::vector<Part> parts;
  Body body = nullptr;
  void *context = nullptr;
  int64_t chunk = 1;

  /// Counts dispatches; workers sleep on it.
  alignas(64) std::atomic<uint32_t> epoch = 0;
  std::atomic<uint32_t> sleepers = 0;
  std::atomic<bool> stopping = false;
  /// The number of workers inside the dispatch, and `open` while they may
  /// enter.
  static constexpr uint32_t open = uint32_t(1) << 31;
  alignas(64) std::atomic<uint32_t> gate = 0;
  std::atomic<bool> callerSleeps = false;

  std::vector<std::thread> workers;
};

/// While it lives, the thread flushes denormal numbers to zero, as every worker
/// does; rounding is to nearest, exceptions are masked.
class FlushDenormals {
public:
  FlushDenormals();
  ~FlushDenormals();

private:
  unsigned saved;
};

} // namespace bitbyte
