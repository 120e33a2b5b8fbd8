#include "runtime/device/cpu/CpuMemory.h"

#include "runtime/core/File.h"

#include <cerrno>
#include <sys/mman.h>

namespace bitbyte {

static constexpr uint64_t hugePage = uint64_t(2) << 20;

Result<DeviceMemory> allocateMemory(uint64_t bytes) {
  if (bytes == 0)
    return DeviceMemory{};
  // Room for moving the start to the next huge page.
  uint64_t slack = bytes >= hugePage ? hugePage : 0;
  void *mapped = mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    return fail(ErrorKind::NoDevice, "cannot allocate {} of memory: {}",
                formatBytes(bytes), systemError(errno));
  auto *data = static_cast<std::byte *>(mapped);
  if (slack) {
    data += -reinterpret_cast<uintptr_t>(data) % hugePage;
    // Refused where huge pages are switched off, which costs speed only.
    madvise(data, bytes, MADV_HUGEPAGE);
  }
  return DeviceMemory{std::shared_ptr<void>(mapped,
                                            [bytes, slack](void *start) {
                                              munmap(start, bytes + slack);
                                            }),
                      data, bytes};
}

} // namespace bitbyte
