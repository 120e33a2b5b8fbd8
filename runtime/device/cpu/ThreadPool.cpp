#include "runtime/device/cpu/ThreadPool.h"

#include <algorithm>
#include <chrono>
#include <climits>
#include <csignal>
#include <immintrin.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bitbyte {

/// Sleeps while `*word == seen`.
static void futexWait(std::atomic<uint32_t> &word, uint32_t seen) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
}
static void futexWake(std::atomic<uint32_t> &word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

/// Waits awake until `done()` or a few microseconds have passed: about what
/// going to sleep and waking up costs. Gives what `done()` gave last.
template <typename Done>
static bool spinUntil(Done done) {
  using Clock = std::chrono::steady_clock;
  auto end = Clock::now() + std::chrono::microseconds(5);
  do {
    for (int i = 0; i < 16; ++i) {
      if (done())
        return true;
      _mm_pause();
    }
  } while (Clock::now() < end);
  return done();
}

// Masked exceptions, round to nearest, flush to zero, denormals are zero.
FlushDenormals::FlushDenormals() : saved(_mm_getcsr()) { _mm_setcsr(0x9fc0); }
FlushDenormals::~FlushDenormals() { _mm_setcsr(saved); }

ThreadPool::ThreadPool(int threads) : parts(size_t(std::max(threads, 1))) {
  // Signals are for the caller's thread, which knows what to save.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (int worker = 1; worker < this->threads(); ++worker)
    workers.emplace_back([this, worker] { workerMain(worker); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ThreadPool::~ThreadPool() {
  stopping = true;
  epoch.fetch_add(1);
  futexWake(epoch);
  for (std::thread &worker : workers)
    worker.join();
}

void ThreadPool::workerMain(int worker) {
  FlushDenormals flush;
  uint32_t seen = 0;
  for (;;) {
    if (!spinUntil(
            [&] { return epoch.load(std::memory_order_acquire) != seen; })) {
      // `run` counts up first and looks for sleepers second; here it is the
      // other way round, so that one of the two sees the other.
      sleepers.fetch_add(1);
      while (epoch.load() == seen)
        futexWait(epoch, seen);
      sleepers.fetch_sub(1);
    }
    seen = epoch.load();
    if (stopping)
      return;
    if (join()) {
      work(worker);
      leave();
    }
  }
}

/// Enters the dispatch that is open, if one is.
bool ThreadPool::join() {
  uint32_t now = gate.load();
  while (now & open)
    if (gate.compare_exchange_weak(now, now + 1))
      return true;
  return false;
}

void ThreadPool::leave() {
  // The last one out of a closed dispatch wakes the caller.
  if (gate.fetch_sub(1) == 1 && callerSleeps.load())
    futexWake(gate);
}

void ThreadPool::work(int worker) {
  // The own part first, then what the others have left.
  for (size_t i = 0; i < parts.size(); ++i) {
    Part &part = parts[(size_t(worker) + i) % parts.size()];
    for (;;) {
      int64_t begin = part.next.fetch_add(chunk, std::memory_order_relaxed);
      if (begin >= part.end)
        break;
      body(context, worker, begin, std::min(begin + chunk, part.end));
    }
  }
}

void ThreadPool::run(int64_t programs, Body newBody, void *newContext) {
  if (workers.empty() || programs <= 1) {
    if (programs > 0)
      newBody(newContext, 0, 0, programs);
    return;
  }
  body = newBody;
  context = newContext;
  int64_t count = int64_t(parts.size());
  for (int64_t i = 0; i < count; ++i) {
    parts[size_t(i)].next.store(programs * i / count,
                                std::memory_order_relaxed);
    parts[size_t(i)].end = programs * (i + 1) / count;
  }
  // Eight chunks a worker: little waiting at the end, few calls.
  chunk = std::max<int64_t>(1, programs / (8 * count));

  gate.store(open);
  epoch.fetch_add(1);
  if (sleepers.load() != 0)
    futexWake(epoch);
  work(0);

  // Nothing is left to begin; whoever is inside finishes its chunk.
  gate.fetch_and(~open);
  auto done = [&] { return gate.load(std::memory_order_acquire) == 0; };
  if (spinUntil(done))
    return;
  callerSleeps = true;
  for (uint32_t now = gate.load(); now != 0; now = gate.load())
    futexWait(gate, now);
  callerSleeps = false;
}

} // namespace bitbyte
