//===- Memory.h - How much memory this process may take -------------------===//
#pragma once

#include <cstdint>
#include <string>

namespace bitbyte {

/// Bytes that can be had without swapping: the least of what the machine has
/// available, what the control groups leave, and the address-space limit.
/// `limit` names the one that decides.
struct MemoryRoom {
  uint64_t bytes = 0;
  std::string limit;
};
MemoryRoom memoryRoom();

/// "512 B", "1.5 KiB", "23.4 GiB".
std::string formatBytes(uint64_t bytes);

} // namespace bitbyte
