#include "runtime/device/emu/RaceChecker.h"

#include "runtime/device/emu/Execution.h"

#include <algorithm>

namespace bitbyte::emu {

void RaceChecker::prepare(uint32_t sharedBytes, uint32_t granule,
                          uint32_t readers) {
  actors = readers;
  shift = uint32_t(std::countr_zero(granule));
  granules.assign((sharedBytes >> shift) + 1, {});
  reads.assign(granules.size() * actors, {});
}

static std::string name(uint32_t actor) {
  if (actor >= firstBarrier)
    return "a bulk copy";
  if (actor >= firstStore)
    return fmt::format("a bulk store of warp {}", actor - firstStore);
  if (actor >= firstWarpgroup)
    return fmt::format("the tensor cores of warps {} to {}",
                       4 * (actor - firstWarpgroup),
                       4 * (actor - firstWarpgroup) + 3);
  return fmt::format("warp {}", actor);
}

/// A finding is told once for each instruction, but a racing kernel has it for
/// thousands of granules: no text is made for those.
static bool isTold(const RaceChecker::Access &access, std::string_view kind) {
  const Findings &findings = access.warp.block->findings;
  return findings.full() ||
         std::any_of(findings.all().begin(), findings.all().end(),
                     [&](const Finding &f) {
                       return f.line == access.op.line && f.kind == kind;
                     });
}

void RaceChecker::race(const Access &access, uint32_t offset,
                       std::string_view what, uint32_t otherActor,
                       uint32_t otherOp, std::string_view other) {
  if (isTold(access, "race"))
    return;
  const Kernel &kernel = access.warp.block->kernel();
  std::string who = name(access.actor);
  if (access.lane >= 0)
    who += fmt::format(" lane {}", access.lane);
  report(access.warp, access.op, "race",
         fmt::format("{} {} shared offset {} at {}, not ordered after {} by {} "
                     "at {}",
                     who, what, offset - sharedStart, place(kernel, access.op),
                     other, name(otherActor),
                     place(kernel, kernel.ops[otherOp])));
}

void RaceChecker::read(const Access &access, uint32_t offset, uint32_t bytes) {
  const Op *ops = access.warp.block->kernel().ops.data();
  uint32_t first = offset >> shift, last = (offset + bytes - 1) >> shift;
  for (uint32_t i = first; i <= last; ++i) {
    const Granule &granule = granules[i];
    if (granule.stamp != stamp) {
      if (!isTold(access, "uninitialised read"))
        report(
            access.warp, access.op, "uninitialised read",
            fmt::format("{} reads shared offset {}, which nothing wrote, at {}",
                        name(access.actor), (i << shift) - sharedStart,
                        place(access.warp.block->kernel(), access.op)));
    } else if (granule.pending) {
      race(access, i << shift, "reads", granule.actor, granule.op,
           "an asynchronous copy that was not waited for");
    } else if (granule.actor != access.actor) {
      if (granule.epoch > access.clock[granule.actor] &&
          !(granule.atomic && access.atomic))
        race(access, i << shift, "reads", granule.actor, granule.op,
             "the write");
    } else if (granule.lane != access.lane && granule.lane >= 0 &&
               granule.warpSync == access.warp.warpSyncs &&
               !(granule.atomic && access.atomic)) {
      race(access, i << shift, "reads", granule.actor, granule.op,
           fmt::format("the write of lane {}", granule.lane));
    }
    Read &mine = reads[i * actors + access.actor];
    bool among = mine.epoch == access.epoch &&
                 mine.warpSync == access.warp.warpSyncs &&
                 mine.lane != access.lane && mine.lane != -1;
    mine = {access.epoch, uint32_t(&access.op - ops), access.warp.warpSyncs,
            among ? several : int8_t(access.lane)};
  }
}

void RaceChecker::write(const Access &access, uint32_t offset, uint32_t bytes,
                        const std::byte *data) {
  const Block &block = *access.warp.block;
  uint32_t op = uint32_t(&access.op - block.kernel().ops.data());
  uint32_t first = offset >> shift, last = (offset + bytes - 1) >> shift;
  for (uint32_t i = first; i <= last; ++i) {
    Granule &granule = granules[i];
    bool known = granule.stamp == stamp;
    bool together = granule.atomic && access.atomic;
    if (known && granule.pending) {
      race(access, i << shift, "writes", granule.actor, granule.op,
           "an asynchronous copy that was not waited for");
    } else if (known && granule.actor != access.actor) {
      if (granule.epoch > access.clock[granule.actor] && !together)
        race(access, i << shift, "writes", granule.actor, granule.op,
             "the write");
    } else if (known && granule.lane != access.lane && granule.lane >= 0 &&
               granule.warpSync == access.warp.warpSyncs && !together) {
      uint32_t at = std::max(i << shift, offset);
      uint32_t end = std::min((i + 1) << shift, offset + bytes);
      if (granule.op != op || !data ||
          std::memcmp(&block.shared[at], data + (at - offset), end - at) != 0)
        race(access, i << shift, "writes", granule.actor, granule.op,
             fmt::format("the write of lane {}", granule.lane));
    }
    const Read *read = &reads[i * actors];
    for (uint32_t actor = 0; actor < actors; ++actor)
      if (read[actor].epoch > access.clock[actor] && actor != access.actor &&
          !together)
        race(access, i << shift, "writes", actor, read[actor].op, "the read");
    if (access.actor < actors && access.lane >= 0 && !together)
      if (const Read &mine = read[access.actor];
          known && mine.epoch == access.epoch &&
          mine.warpSync == access.warp.warpSyncs && mine.lane != -1 &&
          mine.lane != access.lane)
        race(access, i << shift, "writes", access.actor, mine.op,
             mine.lane == several
                 ? std::string("the read of other lanes")
                 : fmt::format("the read of lane {}", mine.lane));
    granule = {access.epoch, access.warp.warpSyncs, op,
               stamp,        uint8_t(access.actor), int8_t(access.lane),
               false,        access.atomic};
  }
}

void RaceChecker::beginCopy(const Access &access, uint32_t offset,
                            uint32_t bytes) {
  write(access, offset, bytes);
  for (uint32_t i = offset >> shift; i <= (offset + bytes - 1) >> shift; ++i)
    granules[i].pending = true;
}

void RaceChecker::endCopy(const Access &access, uint32_t offset,
                          uint32_t bytes) {
  for (uint32_t i = offset >> shift; i <= (offset + bytes - 1) >> shift; ++i)
    granules[i].pending = false;
  write(access, offset, bytes);
}

void RaceChecker::wantFence(const Access &access, uint32_t offset,
                            const Granule &granule, const Clock &fenced,
                            const char *what) {
  if (granule.stamp != stamp || granule.actor >= maxWarps ||
      granule.epoch <= fenced[granule.actor] || isTold(access, "missing fence"))
    return;
  const Kernel &kernel = access.warp.block->kernel();
  report(access.warp, access.op, "missing fence",
         fmt::format("warp {} has the asynchronous proxy {} shared offset {} "
                     "at {}, with no fence.proxy.async since {} wrote it at {}",
                     access.warp.id, what, offset - sharedStart,
                     place(kernel, access.op), name(granule.actor),
                     place(kernel, kernel.ops[granule.op])));
}

void RaceChecker::readAsync(const Access &access, uint32_t offset,
                            uint32_t bytes, const Clock &fenced) {
  read(access, offset, bytes);
  uint32_t first = offset >> shift, last = (offset + bytes - 1) >> shift;
  for (uint32_t i = first; i <= last; ++i)
    wantFence(access, i << shift, granules[i], fenced, "read");
}

void RaceChecker::beginBulk(const Access &access, uint32_t offset,
                            uint32_t bytes, const Clock &fenced,
                            uint32_t actor) {
  uint32_t first = offset >> shift, last = (offset + bytes - 1) >> shift;
  for (uint32_t i = first; i <= last; ++i)
    wantFence(access, i << shift, granules[i], fenced, "write");
  write(access, offset, bytes);
  for (uint32_t i = first; i <= last; ++i) {
    granules[i].actor = uint8_t(actor);
    granules[i].epoch = ~uint32_t(0);
    granules[i].pending = true;
  }
}

void RaceChecker::endBulk(uint32_t offset, uint32_t bytes, uint32_t epoch) {
  for (uint32_t i = offset >> shift; i <= (offset + bytes - 1) >> shift; ++i) {
    granules[i].pending = false;
    granules[i].epoch = epoch;
  }
}

} // namespace bitbyte::emu
