//===- Peak.h - How fast this machine is at best, measured ----------------===//
#pragma once

#include "runtime/device/cpu/ThreadPool.h"

#include <string_view>

namespace bitbyte {

/// Multiply-adds (counted as two; of bf16 pairs where asked for and the target
/// has them) in registers with the widest instructions of
/// a target ("cpu-v3": 256 bits), on all threads, in flop/s: the best of
/// `rounds`, of about a millisecond each.
double peakFlops(ThreadPool &pool, std::string_view target, bool bf16 = false,
                 int rounds = 40);

/// Bytes read and written per second when a block far larger than the caches is
/// updated in place by all threads: the best of `rounds`.
double peakBandwidth(ThreadPool &pool, int rounds = 5);

} // namespace bitbyte
