#include "runtime/engine/KernelRecorder.h"

#include <algorithm>
#include <filesystem>
#include <numeric>

namespace bitbyte {

Result<KernelRecorder> KernelRecorder::create(const std::string &path) {
  KernelRecorder recorder;
  recorder.path = path;
  if (std::filesystem::exists(path)) {
    BB_ASSIGN(recorder.corpus, KernelCorpus::open(path));
  }
  return recorder;
}

Result<bool> KernelRecorder::wants(const Kernel &kernel) const {
  BB_ASSIGN(bool has, corpus.has(kernel));
  return !has;
}

Result<void> KernelRecorder::save() {
  if (isNew)
    BB_TRY(corpus.write(path));
  isNew = false;
  return {};
}

namespace {

/// A region where it lies on the device.
struct Place {
  std::byte *data = nullptr;
  uint64_t bytes = 0;
  bool isRead = false, isWritten = false;
  std::vector<std::byte> before{}, after{};
};

Result<std::vector<std::byte>> read(Device &device, const Place &place) {
  std::vector<std::byte> bytes(place.bytes);
  BB_TRY(device.download(bytes, place.data));
  BB_TRY(device.finish());
  return bytes;
}

Result<void> write(Device &device, const Place &place,
                   std::span<const std::byte> bytes) {
  BB_TRY(device.upload(place.data, bytes));
  return device.finish();
}

} // namespace

Result<void> KernelRecorder::launch(Device &device, uint32_t number,
                                    const Kernel &kernel,
                                    std::span<void *const> buffers,
                                    std::span<const uint64_t> bytes,
                                    std::span<const int64_t> scalars) {
  RecordedLaunch recorded{
      kernel.name, kernel.hash, {scalars.begin(), scalars.end()}, {}, {}};
  // Buffers that overlap share a region: those of results that take the place
  // of operands, and slices.
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), 0);
  auto start = [&](size_t i) { return static_cast<std::byte *>(buffers[i]); };
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(start(a), a) < std::pair(start(b), b);
  });
  std::vector<Place> places;
  recorded.buffers.resize(buffers.size());
  for (size_t i : order) {
    if (places.empty() || start(i) >= places.back().data + places.back().bytes)
      places.push_back({.data = start(i)});
    Place &place = places.back();
    uint64_t offset = uint64_t(start(i) - place.data);
    place.bytes = std::max(place.bytes, offset + bytes[i]);
    (kernel.writes[i] ? place.isWritten : place.isRead) = true;
    recorded.buffers[i] = {uint32_t(places.size() - 1), offset, bytes[i]};
  }

  auto run = [&]() -> Result<void> {
    device.limitBuffers(bytes);
    BB_TRY(device.launch(number, buffers, scalars));
    return device.finish();
  };
  for (Place &place : places) {
    BB_ASSIGN(place.before, read(device, place));
  }
  BB_TRY(run());
  for (Place &place : places) {
    BB_ASSIGN(place.after, read(device, place));
  }

  // A kernel that only writes a region leaves the same everywhere whatever the
  // region held. First this is tried of all such regions, then of those that
  // passed, since one that changed can have changed others. What is not written
  // may be constant memory, and holds what it held.
  std::vector<bool> isFree(places.size());
  for (size_t i = 0; i < places.size(); ++i)
    isFree[i] = places[i].isWritten && !places[i].isRead;
  for (bool holds = false; !holds;) {
    for (size_t i = 0; i < places.size(); ++i) {
      std::vector<std::byte> anything(places[i].bytes, std::byte(0xff));
      if (places[i].isWritten)
        BB_TRY(
            write(device, places[i], isFree[i] ? anything : places[i].before));
    }
    BB_TRY(run());
    holds = true;
    std::vector<bool> passed(isFree);
    for (size_t i = 0; i < places.size(); ++i) {
      BB_ASSIGN(std::vector<std::byte> again, read(device, places[i]));
      bool same = again == places[i].after;
      holds &= same;
      passed[i] = isFree[i] && same;
    }
    // One that passed may have spoilt those that were not free to begin with.
    if (!holds && passed == isFree) {
      if (std::ranges::find(isFree, true) == isFree.end())
        return fail(ErrorKind::Failed,
                    "kernel '{}' makes different results of the same memory",
                    kernel.name);
      passed.assign(places.size(), false);
    }
    isFree = passed;
  }
  for (size_t i = 0; i < places.size(); ++i) {
    const Place &place = places[i];
    if (place.isWritten)
      BB_TRY(write(device, place, place.after));
    bool changed = isFree[i] || place.after != place.before;
    recorded.regions.push_back(
        {place.bytes, isFree[i] ? std::string() : corpus.keep(place.before),
         changed ? corpus.keep(place.after) : std::string()});
  }
  corpus.add(std::move(recorded));
  isNew = true;
  return {};
}

} // namespace bitbyte
