#include "runtime/device/emu/EmuDevice.h"

#include "runtime/device/emu/Mutation.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace bitbyte {

Result<void> readSchedule(const std::string &text, emu::Options &options) {
  std::string_view name = text;
  size_t colon = name.find(':');
  if (colon != std::string_view::npos) {
    std::string_view seed = name.substr(colon + 1);
    auto [end, problem] =
        std::from_chars(seed.data(), seed.data() + seed.size(), options.seed);
    if (problem != std::errc() || end != seed.data() + seed.size())
      return fail(ErrorKind::Usage, "'{}' is no seed of a schedule", seed);
    name = name.substr(0, colon);
  }
  if (name == "random")
    options.schedule = emu::Schedule::Random;
  else if (colon == std::string_view::npos && name == "eager")
    options.schedule = emu::Schedule::Eager;
  else if (colon == std::string_view::npos && name == "lazy")
    options.schedule = emu::Schedule::Lazy;
  else
    return fail(ErrorKind::Usage,
                "schedule '{}' is none of eager, lazy, random, random:SEED",
                text);
  return {};
}

Result<std::unique_ptr<EmuDevice>>
EmuDevice::create(const std::string &schedule, const std::string &checks) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("x86-64-v3"))
    return fail(ErrorKind::NoDevice,
                "the emulator needs a processor of level x86-64-v3: this one "
                "lacks AVX2 or FMA");
  auto device = std::make_unique<EmuDevice>();
  BB_TRY(readSchedule(schedule, device->options));
  if (checks != "off" && checks != "shared" && checks != "all")
    return fail(ErrorKind::Usage, "checks '{}' are none of off, shared, all",
                checks);
  device->options.checkShared = checks != "off";
  device->options.checkGlobal = checks == "all";
  device->optionText = schedule + ", checks " + checks;
  return device;
}

std::string EmuDevice::describe() const {
  return "emulated PTX, " + optionText;
}

//===----------------------------------------------------------------------===//
// Memory: what lies before and behind a block cannot be read
//===----------------------------------------------------------------------===//

Result<DeviceMemory> EmuDevice::allocate(uint64_t bytes) {
  uint64_t page = uint64_t(sysconf(_SC_PAGESIZE));
  uint64_t inner = (bytes + page - 1) / page * page;
  uint64_t outer = inner + 2 * page;
  MemoryRoom room = memoryRoom();
  auto refuse = [&] {
    return fail(ErrorKind::NoDevice,
                "the emulated device cannot hold {}: {} are left by {}",
                formatBytes(bytes), formatBytes(room.bytes), room.limit);
  };
  if (bytes > room.bytes)
    return refuse();
  void *mapped = mmap(nullptr, outer, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    return refuse();
  std::shared_ptr<void> owner(mapped,
                              [outer](void *start) { munmap(start, outer); });
  std::byte *data = static_cast<std::byte *>(mapped) + page;
  if (inner && mprotect(data, inner, PROT_READ | PROT_WRITE) != 0)
    return refuse();
  std::erase_if(regions, [](const Region &r) {
    return r.owner.expired() && !r.readOnly;
  });
  regions.push_back({owner, data, bytes, false});
  return DeviceMemory{std::move(owner), data, bytes};
}

Result<DeviceMemory> EmuDevice::constants(std::span<const std::byte> bytes) {
  regions.push_back({{}, bytes.data(), bytes.size(), true});
  return DeviceMemory{nullptr, const_cast<std::byte *>(bytes.data()),
                      bytes.size()};
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

Result<void> EmuDevice::load(std::span<const CodeModule> code,
                             std::span<const CodeKernel> entries,
                             const std::string &path) {
  // A module holds one kernel or all; which are wanted say the entries. Other
  // formats lie beside the PTX for real devices.
  std::vector<const emu::Module *> parsed;
  for (size_t i = 0; i < code.size(); ++i) {
    parsed.push_back(nullptr);
    if (code[i].format != "ptx")
      continue;
    std::string text(reinterpret_cast<const char *>(code[i].code.data()),
                     code[i].code.size());
    while (!text.empty() && text.back() == '\0')
      text.pop_back();
    std::string name = path;
    for (const CodeKernel &kernel : entries)
      if (kernel.module == i) {
        name = fmt::format("{}({}.ptx)", path, kernel.symbol);
        break;
      }
    BB_ASSIGN(auto module, emu::Module::parse(std::move(text), name));
    parsed.back() = module.get();
    modules.push_back(std::move(module));
  }
  for (const CodeKernel &entry : entries) {
    if (entry.module >= parsed.size() || !parsed[entry.module])
      return fail(ErrorKind::BadInput,
                  "{}: kernel '{}' has no PTX, which the emulator runs", path,
                  entry.name);
    Loaded loaded;
    loaded.kernel = parsed[entry.module]->find(entry.symbol);
    if (!loaded.kernel)
      return fail(ErrorKind::BadInput,
                  "{}: kernel '{}' has no entry '{}' in its PTX", path,
                  entry.name, entry.symbol);
    loaded.name = entry.name;
    loaded.programs = entry.programs;
    loaded.threads =
        entry.threads ? entry.threads : loaded.kernel->requiredThreads[0];
    loaded.sharedBytes = uint32_t(entry.scratchBytes);
    if (entry.programs >= uint64_t(1) << 31)
      return fail(ErrorKind::BadInput,
                  "{}: kernel '{}' has {} programs; a grid holds 2^31 - 1",
                  path, entry.name, entry.programs);
    std::vector<std::byte> parameters(loaded.kernel->parameterBytes);
    emu::Grid grid{*loaded.kernel,
                   {1, 1, 1},
                   {loaded.threads, 1, 1},
                   loaded.sharedBytes,
                   parameters};
    if (auto fits = emu::checkGrid(grid); !fits)
      return fail(ErrorKind::BadInput, "{}: {}", path, fits.error().message);
    kernels.push_back(loaded);
  }
  return {};
}

void EmuDevice::limitBuffers(std::span<const uint64_t> bytes) {
  limits.assign(bytes.begin(), bytes.end());
}

emu::AddressSpace EmuDevice::memoryOf(std::span<void *const> buffers) {
  emu::AddressSpace memory;
  auto constant = [&](const void *data) {
    auto *at = static_cast<const std::byte *>(data);
    return std::any_of(regions.begin(), regions.end(), [&](const Region &r) {
      return r.readOnly && at >= r.data && at < r.data + r.bytes;
    });
  };
  if (limits.size() == buffers.size())
    for (size_t i = 0; i < buffers.size(); ++i)
      memory.add(buffers[i], limits[i], constant(buffers[i]));
  else
    for (const Region &region : regions)
      if (region.readOnly || !region.owner.expired())
        memory.add(region.data, region.bytes, region.readOnly);
  limits.clear();
  return memory;
}

Result<void> EmuDevice::launch(uint32_t index, std::span<void *const> buffers,
                               std::span<const int64_t> scalars) {
  const Loaded &loaded = kernels[index];
  const emu::Kernel &kernel = *loaded.kernel;
  emu::AddressSpace memory = memoryOf(buffers);
  for (const auto &variable : kernel.module->variables)
    memory.add(variable->storage.data(), variable->storage.size() * 8,
               variable->readOnly);
  std::vector<std::byte> parameters(kernel.parameterBytes);
  if (kernel.parameters.size() != buffers.size() + scalars.size())
    return fail(ErrorKind::BadInput,
                "{}: kernel '{}' takes {} parameters, but its call gives {} "
                "buffers and {} scalars",
                kernel.module->path, kernel.name, kernel.parameters.size(),
                buffers.size(), scalars.size());
  for (size_t i = 0; i < kernel.parameters.size(); ++i) {
    const void *value = i < buffers.size()
                            ? static_cast<const void *>(&buffers[i])
                            : &scalars[i - buffers.size()];
    std::memcpy(&parameters[kernel.parameters[i].offset], value,
                std::min<size_t>(8, kernel.parameters[i].bytes));
  }
  emu::Grid grid{kernel,
                 {uint32_t(loaded.programs), 1, 1},
                 {loaded.threads, 1, 1},
                 loaded.sharedBytes,
                 parameters};
  if (mutants.is_open() && mutated.insert(&kernel).second)
    BB_TRY(mutate(loaded, grid, memory));
  emu::Options current = options;
  current.seed = options.seed * 1000003 + launches++;
  emu::Outcome outcome = emu::execute(grid, current, memory);
  executed += outcome.instructions;
  if (outcome.findings.empty())
    return {};
  std::string text;
  for (const emu::Finding &finding : outcome.findings.all())
    text += (text.empty() ? "" : "\n") + finding.text(kernel.module->path);
  return tl::unexpected(Error{ErrorKind::Failed, std::move(text)});
}

Result<void> EmuDevice::mutateInto(const std::string &path) {
  mutants.open(path);
  if (!mutants)
    return fail(ErrorKind::Failed, "{}: cannot be written", path);
  return {};
}

Result<void> EmuDevice::mutate(const Loaded &loaded, const emu::Grid &grid,
                               const emu::AddressSpace &memory) {
  auto save = [&] {
    std::vector<std::byte> bytes;
    for (const emu::AddressSpace::Range &range : memory.all())
      if (!range.readOnly)
        bytes.insert(bytes.end(), reinterpret_cast<std::byte *>(range.begin),
                     reinterpret_cast<std::byte *>(range.end));
    return bytes;
  };
  std::vector<std::byte> before = save();
  auto restore = [&] {
    const std::byte *from = before.data();
    for (const emu::AddressSpace::Range &range : memory.all())
      if (!range.readOnly) {
        uint64_t bytes = range.end - range.begin;
        std::memcpy(reinterpret_cast<std::byte *>(range.begin), from, bytes);
        from += bytes;
      }
  };
  auto run = [&](const emu::Kernel &variant,
                 const emu::Options &how) -> Result<emu::Trial> {
    emu::Grid here{variant,
                   {grid.blocks[0], 1, 1},
                   {grid.threads[0], 1, 1},
                   grid.dynamicShared,
                   grid.parameters};
    emu::Outcome outcome = emu::execute(here, how, memory);
    emu::Trial trial{std::move(outcome.findings), outcome.instructions, save(),
                     std::move(outcome.worked)};
    restore();
    return trial;
  };
  emu::Options how = options;
  how.sampleBlocks = 4;
  BB_ASSIGN(std::vector<emu::Mutant> all,
            emu::mutate(*loaded.kernel, how, run));
  std::vector<std::string> schedules = emu::mutationSchedules();
  for (const emu::Mutant &mutant : all) {
    std::string noticed;
    for (size_t i = 0; i < schedules.size(); ++i)
      noticed += fmt::format("{}\"{}\": \"{}\"", i ? ", " : "", schedules[i],
                             mutant.noticed[i]);
    std::string where;
    for (char c : mutant.where)
      where += c == '"' || c == '\\' ? '\'' : uint8_t(c) < 32 ? ' ' : c;
    mutants << fmt::format("{{\"kernel\": \"{}\", \"where\": \"{}\", "
                           "\"noticed\": {{{}}}, \"idle\": {}}}\n",
                           loaded.name, where, noticed, mutant.idle);
  }
  mutants << fmt::format("{{\"kernel\": \"{}\", \"mutants\": {}}}\n",
                         loaded.name, all.size());
  if (!mutants.flush())
    return fail(ErrorKind::Failed, "the list of mutants cannot be written");
  return {};
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

Result<void> EmuDevice::copy(std::byte *target, const std::byte *source,
                             uint64_t bytes) {
  std::memmove(target, source, bytes);
  return {};
}
Result<void> EmuDevice::zero(std::byte *target, uint64_t bytes) {
  std::memset(target, 0, bytes);
  return {};
}
Result<void> EmuDevice::upload(std::byte *target,
                               std::span<const std::byte> source) {
  return copy(target, source.data(), source.size());
}
Result<void> EmuDevice::download(std::span<std::byte> target,
                                 const std::byte *source) {
  return copy(target.data(), source, target.size());
}

} // namespace bitbyte
