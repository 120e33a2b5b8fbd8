#include "runtime/data/WindowSampler.h"

#include "runtime/data/WindowOrder.h"

#include <algorithm>
#include <vector>

namespace bitbyte {

Result<WindowSampler> WindowSampler::create(const Dataset &data,
                                            std::string split, uint64_t seed,
                                            int64_t T) {
  uint64_t bytes = data.splitBytes(split);
  if (T < 1 || bytes < static_cast<uint64_t>(T) + 1)
    return fail(ErrorKind::BadInput,
                "{}: split '{}' has {} bytes, a window of T = {} needs {}",
                data.directory(), split, bytes, T, T + 1);
  WindowSampler sampler;
  sampler.data = &data;
  sampler.split = std::move(split);
  sampler.seed = seed;
  sampler.T = T;
  // Window and shift take part in `bytes - 1` positions: each has a next byte.
  // One window fewer than fits leaves room for every shift below T.
  sampler.windows = std::max<uint64_t>(1, (bytes - T) / T);
  sampler.slack = std::min<uint64_t>(T - 1, bytes - 1 - sampler.windows * T);
  return sampler;
}

uint64_t WindowSampler::offsetOf(uint64_t ordinal) const {
  uint64_t epoch = ordinal / windows;
  WindowOrder order(seed, epoch, windows);
  return order(ordinal % windows) * T + epochOffset(seed, epoch, slack + 1);
}

Result<void> WindowSampler::batch(uint64_t cursor, std::span<uint8_t> inputs,
                                  std::span<uint8_t> next) const {
  if (inputs.size() != next.size() || inputs.size() % T != 0)
    return fail(ErrorKind::Failed,
                "a batch of {} and {} bytes is no [B, T] with T = {}",
                inputs.size(), next.size(), T);
  if (cursor % T != 0)
    return fail(ErrorKind::BadInput, "data cursor {} is no multiple of T = {}",
                cursor, T);
  std::vector<std::byte> window(T + 1);
  for (uint64_t row = 0; row < inputs.size() / T; ++row) {
    BB_TRY(data->read(split, offsetOf(cursor / T + row), window));
    auto bytes = reinterpret_cast<const uint8_t *>(window.data());
    std::copy_n(bytes, T, inputs.begin() + row * T);
    std::copy_n(bytes + 1, T, next.begin() + row * T);
  }
  return {};
}

} // namespace bitbyte
