//===- CpuMemory.h - Large blocks on huge pages ---------------------------===//
#pragma once

#include "runtime/device/Device.h"

namespace bitbyte {

/// Zeroed memory, aligned to a page or, from 2 MiB on, to a huge page, which
/// the system is asked to use. Pages are taken when they are first touched.
Result<DeviceMemory> allocateMemory(uint64_t bytes);

} // namespace bitbyte
