#include "runtime/engine/KernelReplay.h"

#include "runtime/core/Float16.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace bitbyte {

bool ReplayedLaunch::holds() const {
  return problem.empty() && std::all_of(buffers.begin(), buffers.end(),
                                        [](const BufferDifference &d) {
                                          return d.worst <= d.bound;
                                        });
}

const BufferDifference *ReplayedLaunch::worst() const {
  const BufferDifference *found = nullptr;
  for (const BufferDifference &each : buffers)
    if (!found || each.worst * found->bound > found->worst * each.bound ||
        (each.worst > each.bound && found->worst <= found->bound))
      found = &each;
  return found;
}

namespace {

bool isFloat(DType type) {
  return type == DType::f32 || type == DType::bf16 || type == DType::f16;
}

/// Numbers of 16 bits are rounded, which one that is a little different does to
/// the next one; what a kernel makes of them in f32 is as far off.
double boundOf(DType type, const Kernel &kernel, std::string_view computeType) {
  if (!isFloat(type))
    return 0;
  for (DType each : kernel.bufferTypes)
    if (each == DType::bf16 || each == DType::f16)
      return 2e-2;
  return computeType == "tf32" ? 2e-3 : 1e-4;
}

template <typename Bits, typename Convert>
double floatDifference(std::span<const std::byte> want,
                       std::span<const std::byte> got, Convert convert) {
  size_t count = want.size() / sizeof(Bits);
  auto at = [&](std::span<const std::byte> bytes, size_t i) {
    Bits bits;
    std::memcpy(&bits, bytes.data() + i * sizeof(Bits), sizeof(Bits));
    return double(convert(bits));
  };
  double squares = 0;
  size_t finite = 0;
  for (size_t i = 0; i < count; ++i)
    if (double value = at(want, i); std::isfinite(value)) {
      squares += value * value;
      ++finite;
    }
  double usual = finite ? std::sqrt(squares / double(finite)) : 0;
  double worst = 0;
  for (size_t i = 0; i < count; ++i) {
    double w = at(want, i), g = at(got, i);
    if (w == g || (std::isnan(w) && std::isnan(g)))
      continue;
    if (!std::isfinite(w) || !std::isfinite(g))
      return std::numeric_limits<double>::infinity();
    worst = std::max(worst, std::abs(w - g) / std::max(std::abs(w), usual));
  }
  return worst;
}

double difference(DType type, std::span<const std::byte> want,
                  std::span<const std::byte> got) {
  if (type == DType::f32)
    return floatDifference<float>(want, got, [](float x) { return x; });
  if (type == DType::bf16)
    return floatDifference<uint16_t>(want, got, bf16ToFloat);
  if (type == DType::f16)
    return floatDifference<uint16_t>(want, got, f16ToFloat);
  size_t width = size_t(byteWidth(type)), wrong = 0;
  for (size_t i = 0; i + width <= want.size(); i += width)
    wrong += std::memcmp(&want[i], &got[i], width) != 0;
  return double(wrong) / double(std::max<size_t>(want.size() / width, 1));
}

} // namespace

Result<ReplayedLaunch> replay(Engine &engine, const KernelCorpus &corpus,
                              const RecordedLaunch &launch) {
  const std::vector<Kernel> &kernels = engine.variant().kernels;
  auto found =
      std::find_if(kernels.begin(), kernels.end(), [&](const Kernel &kernel) {
        return kernel.name == launch.kernel;
      });
  if (found == kernels.end() || found->hash != launch.hash)
    return fail(ErrorKind::BadInput,
                "{}: its kernel '{}' is not the one that was recorded: record "
                "anew, or take the artifact of the recording",
                engine.artifact().path, launch.kernel);
  const Kernel &kernel = *found;
  bool fits = launch.buffers.size() == kernel.bufferBytes.size() &&
              launch.scalars.size() == kernel.scalars;
  for (size_t i = 0; fits && i < launch.buffers.size(); ++i)
    fits = launch.buffers[i].bytes >= kernel.bufferBytes[i];
  if (!fits)
    return fail(ErrorKind::BadInput,
                "{}: kernel '{}' was recorded with other buffers than it takes",
                engine.artifact().path, launch.kernel);

  // Guards between the regions show what is written beside them.
  constexpr uint64_t alignment = 256;
  std::vector<uint64_t> starts;
  uint64_t size = alignment;
  for (const MemoryRegion &region : launch.regions) {
    starts.push_back(size);
    size += (region.bytes + alignment - 1) / alignment * alignment + alignment;
  }
  std::vector<std::byte> memory(size, std::byte(0xa5));
  for (auto start = starts.begin(); const MemoryRegion &region : launch.regions)
    if (std::byte *at = memory.data() + *start++; region.before.empty())
      std::memset(at, 0xff, region.bytes);
    else
      std::memcpy(at, corpus.content(region.before).data(), region.bytes);
  std::vector<std::byte> want = memory;
  for (auto start = starts.begin(); const MemoryRegion &region : launch.regions)
    if (std::byte *at = want.data() + *start++; !region.after.empty())
      std::memcpy(at, corpus.content(region.after).data(), region.bytes);

  std::vector<LaunchBuffer> places;
  for (const RegionBuffer &buffer : launch.buffers)
    places.push_back({starts[buffer.region] + buffer.offset, buffer.bytes});
  ReplayedLaunch result{launch.kernel, {}, {}};
  if (auto ran = engine.launchAlone(uint32_t(found - kernels.begin()), places,
                                    launch.scalars, memory);
      !ran) {
    result.problem = ran.error().message;
    return result;
  }
  for (size_t i = 0; i < places.size(); ++i) {
    if (!kernel.writes[i])
      continue;
    auto part = [&](std::vector<std::byte> &bytes) {
      return std::span(bytes).subspan(places[i].offset, places[i].bytes);
    };
    DType type = kernel.bufferTypes[i];
    result.buffers.push_back(
        {i, type, places[i].bytes / uint64_t(byteWidth(type)),
         difference(type, part(want), part(memory)),
         boundOf(type, kernel, engine.artifact().computeType)});
    // It was looked at: what is left must be the same to the last bit.
    std::ranges::copy(part(want), part(memory).begin());
  }
  if (auto at = std::ranges::mismatch(want, memory).in1; at != want.end()) {
    uint64_t offset = uint64_t(at - want.begin());
    result.problem = "it writes beside its buffers";
    for (size_t i = 0; i < places.size(); ++i)
      if (offset >= places[i].offset &&
          offset < places[i].offset + places[i].bytes)
        result.problem =
            fmt::format("it changes buffer {}, which it should only read", i);
  }
  return result;
}

} // namespace bitbyte
