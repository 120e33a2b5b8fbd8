#include "runtime/engine/KernelCorpus.h"

#include "runtime/core/Hash.h"
#include "runtime/core/Safetensors.h"

#include <nlohmann/json.hpp>

namespace bitbyte {

using nlohmann::ordered_json;

static constexpr const char *formatKey = "kernel_corpus", *formatVersion = "1",
                            *launchesKey = "launches";

Result<KernelCorpus> KernelCorpus::open(const std::string &path) {
  BB_ASSIGN(Safetensors file, Safetensors::open(path));
  auto version = file.metadata().find(formatKey);
  auto launches = file.metadata().find(launchesKey);
  if (version == file.metadata().end() || version->second != formatVersion ||
      launches == file.metadata().end())
    return fail(ErrorKind::BadInput,
                "{}: no recorded launches of kernels (--record-kernels writes "
                "them), or those of another version",
                path);
  KernelCorpus corpus;
  corpus.path = path;
  for (const StoredTensor &tensor : file.tensors())
    corpus.contents[tensor.name].assign(tensor.bytes.begin(),
                                        tensor.bytes.end());
  BB_TRY(corpus.read(path, launches->second));
  return corpus;
}

Result<void> KernelCorpus::read(const std::string &path,
                                const std::string &text) {
  auto bad = [&](const std::string &kernel, std::string_view what) {
    return fail(ErrorKind::BadInput, "{}: the launch of kernel '{}': {}", path,
                kernel, what);
  };
  std::vector<RecordedLaunch> launches;
  try {
    for (const ordered_json &entry : ordered_json::parse(text)) {
      RecordedLaunch launch;
      entry.at("kernel").get_to(launch.kernel);
      entry.at("hash").get_to(launch.hash);
      entry.at("scalars").get_to(launch.scalars);
      for (const ordered_json &region : entry.at("regions"))
        launch.regions.push_back({region.at(0).get<uint64_t>(),
                                  region.at(1).get<std::string>(),
                                  region.at(2).get<std::string>()});
      for (const ordered_json &buffer : entry.at("buffers"))
        launch.buffers.push_back({buffer.at(0).get<uint32_t>(),
                                  buffer.at(1).get<uint64_t>(),
                                  buffer.at(2).get<uint64_t>()});
      launches.push_back(std::move(launch));
    }
  } catch (const ordered_json::exception &error) {
    return fail(ErrorKind::BadInput, "{}: its list of launches: {}", path,
                error.what());
  }
  for (RecordedLaunch &launch : launches) {
    if (byKernel.contains(launch.kernel))
      return bad(launch.kernel, "it is there twice");
    for (const MemoryRegion &region : launch.regions) {
      if (region.before.empty() && region.after.empty())
        return bad(launch.kernel, "a region without content");
      for (const std::string &name : {region.before, region.after}) {
        auto found = contents.find(name);
        if (!name.empty() && found == contents.end())
          return bad(launch.kernel, fmt::format("content {} is missing", name));
        if (!name.empty() && found->second.size() != region.bytes)
          return bad(launch.kernel,
                     fmt::format("content {} has {} bytes, its region {}", name,
                                 found->second.size(), region.bytes));
      }
    }
    for (const RegionBuffer &buffer : launch.buffers)
      if (buffer.region >= launch.regions.size() ||
          buffer.offset > launch.regions[buffer.region].bytes ||
          buffer.bytes > launch.regions[buffer.region].bytes - buffer.offset)
        return bad(launch.kernel, "a buffer outside of its region");
    add(std::move(launch));
  }
  return {};
}

std::span<const std::byte>
KernelCorpus::content(const std::string &name) const {
  return contents.at(name);
}

Result<bool> KernelCorpus::has(const Kernel &kernel) const {
  auto found = byKernel.find(kernel.name);
  if (found == byKernel.end())
    return false;
  if (list[found->second].hash != kernel.hash)
    return fail(ErrorKind::BadInput,
                "{}: holds launches of another artifact: its kernel '{}' is "
                "not this one's",
                path, kernel.name);
  return true;
}

std::string KernelCorpus::keep(std::vector<std::byte> bytes) {
  std::string name = hash128(bytes).hex();
  contents.try_emplace(name, std::move(bytes));
  return name;
}

void KernelCorpus::add(RecordedLaunch launch) {
  byKernel[launch.kernel] = list.size();
  list.push_back(std::move(launch));
}

Result<void> KernelCorpus::write(const std::string &path) const {
  ordered_json launches = ordered_json::array();
  for (const RecordedLaunch &launch : list) {
    ordered_json regions = ordered_json::array(),
                 buffers = ordered_json::array();
    for (const MemoryRegion &region : launch.regions)
      regions.push_back({region.bytes, region.before, region.after});
    for (const RegionBuffer &buffer : launch.buffers)
      buffers.push_back({buffer.region, buffer.offset, buffer.bytes});
    launches.push_back({{"kernel", launch.kernel},
                        {"hash", launch.hash},
                        {"scalars", launch.scalars},
                        {"regions", std::move(regions)},
                        {"buffers", std::move(buffers)}});
  }
  SafetensorsWriter writer;
  writer.note(formatKey, formatVersion);
  writer.note(launchesKey, launches.dump());
  for (const auto &[name, bytes] : contents)
    writer.add(name, StoredType::u8, {bytes.size()}, bytes);
  return writer.write(path);
}

} // namespace bitbyte
