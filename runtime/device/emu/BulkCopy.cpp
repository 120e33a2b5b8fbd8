//===- BulkCopy.cpp - cp.async.bulk, of runs of bytes and of boxes --------===//

#include "runtime/device/emu/BulkCopy.h"

#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Lanes.h"
#include "runtime/device/emu/Memory.h"
#include "runtime/device/emu/TensorMap.h"

#include <algorithm>

namespace bitbyte::emu {

static RaceChecker::Access accessAtIssue(const BulkJob &job, uint32_t actor,
                                         uint32_t epoch) {
  return {*job.warp, *job.op, job.order.seen, actor, epoch, -1, false};
}

//===----------------------------------------------------------------------===//
// Landing
//===----------------------------------------------------------------------===//

static void move(Block &block, BulkJob &job) {
  Warp &warp = *job.warp;
  for (const BulkPiece &piece : job.pieces) {
    std::byte *here = &block.shared[piece.shared];
    std::byte *there =
        piece.global
            ? reachGlobal(warp, *job.op, piece.global, piece.bytes,
                          int(job.lane), job.store ? Touch::Write : Touch::Read)
            : nullptr;
    if (job.store) {
      if (there)
        std::memcpy(there, here, piece.bytes);
    } else if (there) {
      std::memcpy(here, there, piece.bytes);
    } else {
      std::memset(here, 0, piece.bytes);
    }
  }
}

static void land(Block &block, BulkJob &job) {
  if (job.done)
    return;
  job.done = true;
  ++block.units.changes;
  if (!job.store && !job.bytes)
    return landArrival(block, job);
  move(block, job);
  if (job.store)
    return;
  for (Mbarrier &barrier : block.units.barriers) {
    if (barrier.offset != job.barrier)
      continue;
    if (block.options.checkShared)
      for (const BulkPiece &piece : job.pieces)
        block.races.endBulk(piece.shared, piece.bytes,
                            block.epochBase + barrier.phase + 1);
    barrier.bytes -= job.bytes;
    settle(block, barrier);
  }
}

void addJob(Block &block, std::shared_ptr<BulkJob> job) {
  if (block.options.schedule == Schedule::Eager)
    return land(block, *job);
  block.units.jobs.push_back(std::move(job));
}

void runJob(Block &block, size_t which) {
  std::shared_ptr<BulkJob> job = block.units.jobs[which];
  block.units.jobs.erase(block.units.jobs.begin() + long(which));
  land(block, *job);
}

void runSomeJobs(Block &block) {
  std::vector<std::shared_ptr<BulkJob>> &jobs = block.units.jobs;
  std::erase_if(jobs, [](const auto &job) { return job->done; });
  while (!jobs.empty() && (block.dice.next() & 1))
    runJob(block, block.dice.next() % jobs.size());
}

void startUnits(Block &block) {
  block.units = BlockUnits();
  const Kernel &kernel = block.kernel();
  for (Warp &warp : block.warps) {
    warp.units = WarpUnits();
    warp.units.fenced.fill(block.epochBase);
    if (!kernel.usesWarpgroups)
      continue;
    warp.units.touched.assign(kernel.registerBytes / 64 + 1, 0);
    warp.units.inFlight.assign(kernel.registerBytes / 64 + 1, 0);
  }
}

void finishUnits(Block &block) {
  while (!block.units.jobs.empty()) {
    BulkJob &job = *block.units.jobs.front();
    if (!job.done && !job.store)
      report(*job.warp, *job.op, "leftover",
             fmt::format("block {} ends before this copy of warp {} is done, "
                         "at {}",
                         block.number, job.warp->id,
                         place(block.kernel(), *job.op)));
    runJob(block, 0);
  }
}

//===----------------------------------------------------------------------===//
// Issue
//===----------------------------------------------------------------------===//

namespace {

/// A bad copy is not made.
bool refuse(Warp &warp, const Op &op, const std::string &what) {
  report(warp, op, "bad copy",
         fmt::format("warp {}: {}, at {}", warp.id, what,
                     place(warp.block->kernel(), op)));
  return false;
}

/// What it moves, checked: the shared side lies inside, the mbarrier is ready.
void issue(Warp &warp, const Op &op, std::shared_ptr<BulkJob> job) {
  Block &block = *warp.block;
  WarpUnits &units = warp.units;
  job->op = &op;
  job->warp = &warp;
  job->order = {warp.clock, units.fenced};
  for (const BulkPiece &piece : job->pieces) {
    uint32_t offset;
    if (!sharedOffset(warp, op, piece.shared, piece.bytes, int(job->lane),
                      offset))
      return;
  }
  bool check = block.options.checkShared;
  if (job->store) {
    job->group = units.bulkGroups[job->lane];
    job->epoch = ++units.bulkIssued;
    block.unitEpochs = std::max(block.unitEpochs, job->epoch);
    if (check)
      for (const BulkPiece &piece : job->pieces)
        block.races.readAsync(accessAtIssue(*job, firstStore + warp.id,
                                            block.epochBase + job->epoch),
                              piece.shared, piece.bytes, job->order.fenced);
    units.stores.push_back(job);
    ++warp.clock[warp.id];
    return addJob(block, std::move(job));
  }
  Mbarrier *barrier = findBarrier(
      warp, op, addressOf(warp, op.source, job->lane), int(job->lane));
  if (!barrier)
    return;
  job->barrier = barrier->offset;
  if (!barrier->fenced &&
      barrier->initEpoch > job->order.fenced[barrier->initWarp])
    report(warp, op, "missing fence",
           fmt::format("warp {} gives a copy an mbarrier with no "
                       "fence.mbarrier_init or fence.proxy.async since warp {} "
                       "made it, at {}",
                       warp.id, barrier->initWarp, place(block.kernel(), op)));
  if (check)
    for (const BulkPiece &piece : job->pieces)
      block.races.beginBulk(
          accessAtIssue(*job, warp.id, job->order.seen[warp.id]), piece.shared,
          piece.bytes, job->order.fenced, barrier->actor);
  addJob(block, std::move(job));
}

uint32_t sharedSide(uint64_t address) {
  if (address - sharedWindow < windowBytes)
    address -= sharedWindow;
  return uint32_t(std::min<uint64_t>(address, ~uint32_t(0)));
}

enum : uint8_t { Load = 0, Store = 1 };

/// A run of `op.a` bytes.
void copyRun(Warp &warp, const Op &op) {
  eachLane(warp.active, [&](uint32_t i) {
    auto job = std::make_shared<BulkJob>();
    job->lane = i;
    job->store = op.mode == Store;
    uint32_t shared = sharedSide(addressOf(warp, op.address, i));
    uint64_t global = warp.lanes<uint64_t>(op.b)[i] + uint64_t(op.imm);
    job->bytes = warp.lanes<uint32_t>(op.a)[i];
    if (job->bytes == 0 || (job->bytes | shared | global) % 16)
      return void(refuse(warp, op,
                         fmt::format("{} bytes between global {:#x} and shared "
                                     "{:#x} are no multiples of 16",
                                     job->bytes, global, shared)));
    job->pieces.push_back({shared, job->bytes, global});
    issue(warp, op, std::move(job));
  });
}

/// The map at a generic address, or nothing after a finding.
bool readMap(Warp &warp, const Op &op, uint64_t address, uint32_t lane,
             TensorMap &map) {
  Block &block = *warp.block;
  const std::byte *data = nullptr;
  if (address - paramWindow < windowBytes) {
    uint64_t at = address - paramWindow, size = block.kernel().parameterBytes;
    if (at < size && size - at >= 128)
      data = block.grid.parameters.data() + at;
  } else {
    data = reachGlobal(warp, op, address, 128, int(lane), Touch::Read);
  }
  if (!data || address % 64)
    return refuse(warp, op,
                  fmt::format("there is no tensor map at {:#x}", address));
  std::memcpy(&map, data, sizeof(map));
  if (map.magic != TensorMap::mark || !encodeTensorMap(map))
    return refuse(warp, op,
                  fmt::format("what lies at {:#x} is no tensor map", address));
  if (map.rank != op.count)
    return refuse(
        warp, op,
        fmt::format("the tensor map has {} axes, not {}", map.rank, op.count));
  return true;
}

/// The rows of a box, in pieces of 16 bytes where they are swizzled.
void addBox(BulkJob &job, const TensorMap &map, uint32_t shared,
            const int32_t *coordinates) {
  uint32_t rowBytes = uint32_t(map.box[0]) * map.elementBytes, rows = 1;
  for (uint32_t axis = 1; axis < map.rank; ++axis)
    rows *= map.box[axis];
  job.bytes = rows * rowBytes;
  uint32_t step = map.swizzle ? 16 : rowBytes;
  int64_t width = int64_t(map.sizes[0]) * map.elementBytes;
  for (uint32_t row = 0; row < rows; ++row) {
    uint64_t base = map.base;
    bool inside = true;
    uint32_t rest = row;
    for (uint32_t axis = 1; axis < map.rank; ++axis) {
      int64_t at = int64_t(coordinates[axis]) + rest % map.box[axis];
      rest /= map.box[axis];
      inside &= at >= 0 && at < int64_t(map.sizes[axis]);
      base += uint64_t(at) * map.strides[axis];
    }
    for (uint32_t x = 0; x < rowBytes; x += step) {
      uint32_t target = swizzled(shared + row * rowBytes + x, map.swizzle);
      int64_t from = int64_t(coordinates[0]) * map.elementBytes + x;
      // What lies outside is zero, and is not stored.
      int64_t begin = std::clamp<int64_t>(from, 0, width);
      int64_t end = std::clamp<int64_t>(from + step, 0, width);
      if (!inside)
        begin = end = from;
      auto add = [&](int64_t first, int64_t last, bool there) {
        if (last > first && (there || !job.store))
          job.pieces.push_back({target + uint32_t(first - from),
                                uint32_t(last - first),
                                there ? base + uint64_t(first) : 0});
      };
      if (begin >= end) {
        add(from, from + step, false);
        continue;
      }
      add(from, begin, false);
      add(begin, end, true);
      add(end, from + step, false);
    }
  }
}

void copyBox(Warp &warp, const Op &op) {
  const uint32_t *slots = &warp.block->kernel().lists[op.first];
  eachLane(warp.active, [&](uint32_t i) {
    TensorMap map;
    if (!readMap(warp, op, warp.lanes<uint64_t>(op.b)[i] + uint64_t(op.imm), i,
                 map))
      return;
    int32_t coordinates[5];
    for (uint32_t axis = 0; axis < op.count; ++axis)
      coordinates[axis] = warp.lanes<int32_t>(slots[axis])[i];
    uint32_t shared = sharedSide(addressOf(warp, op.address, i));
    // Swizzles repeat every 8 rows, and count from multiples of those.
    uint32_t align = 128;
    if (shared % align)
      return void(refuse(warp, op,
                         fmt::format("the box lies at shared {:#x}, no "
                                     "multiple of {}",
                                     shared, align)));
    auto job = std::make_shared<BulkJob>();
    job->lane = i;
    job->store = op.mode == Store;
    addBox(*job, map, shared, coordinates);
    issue(warp, op, std::move(job));
  });
}

void commit(Warp &warp, const Op &) {
  eachLane(warp.active, [&](uint32_t i) { ++warp.units.bulkGroups[i]; });
}

/// At most `op.imm` groups of each lane stay open.
void wait(Warp &warp, const Op &op) {
  Block &block = *warp.block;
  WarpUnits &units = warp.units;
  uint32_t &seen = warp.clock[firstStore + warp.id];
  std::erase_if(units.stores, [&](const std::shared_ptr<BulkJob> &job) {
    uint32_t committed = units.bulkGroups[job->lane];
    if (!(warp.active >> job->lane & 1) ||
        uint64_t(job->group) + uint64_t(op.imm) >= committed)
      return false;
    land(block, *job);
    seen = std::max(seen, block.epochBase + job->epoch);
    return true;
  });
}

/// The global side of a run: its address is kept apart from the shared one's.
void globalSide(Decoder &d, const Address &global) {
  if (global.narrow)
    return d.refuse("a global address has 64 bits");
  d.op.b = global.slot;
  d.op.imm = global.offset;
}

void takeTo(Decoder &d, bool &store, bool &known) {
  // Of the two spaces the target comes first, but both are known by now.
  bool group = d.take("bulk_group");
  bool barrier = d.take("mbarrier::complete_tx::bytes");
  bool global = d.take("global");
  bool shared = d.takeOneOf({"shared::cta", "shared::cluster"}) >= 0;
  store = group;
  known = global && shared && group != barrier;
}

} // namespace

void decodeBulkCopy(Decoder &d) {
  d.builder.kernel.usesUnits = true;
  if (d.take("commit_group")) {
    d.expect(0);
    d.op.run = commit;
    return;
  }
  if (d.take("wait_group")) {
    d.take("read");
    if (d.expect(1))
      d.op.imm = std::max<int64_t>(d.needNumber(0), 0);
    d.op.run = wait;
    return;
  }
  bool tensor = d.take("tensor"), prefetch = d.take("prefetch");
  tensor |= d.take("tensor");
  int rank = d.takeOneOf({"1d", "2d", "3d", "4d", "5d"}) + 1;
  d.take("tile");
  bool hint = d.take("L2::cache_hint");
  if (tensor != (rank > 0))
    return;
  std::vector<uint32_t> coordinates;
  if (prefetch) {
    d.take("L2");
    if (!d.take("global") || !d.expect((tensor ? 1 : 2) + size_t(hint)))
      return;
    if (tensor)
      d.tensorAddress(0, coordinates);
    else
      d.address(0, Space::Global);
    d.op.run = [](Warp &, const Op &) {};
    return;
  }
  bool store = false, known = false;
  takeTo(d, store, known);
  if (!known)
    return d.refuse("of the bulk copies only those between global and shared "
                    "memory of the block are known");
  // [target], [source], bytes, [mbarrier]; boxes have no bytes, stores no
  // mbarrier.
  if (!d.expect(2 + size_t(!tensor) + size_t(!store) + size_t(hint)))
    return;
  d.op.mode = store ? Store : Load;
  size_t shared = store ? 1 : 0, global = 1 - shared;
  d.op.address = d.address(shared, Space::Shared);
  globalSide(d, tensor ? d.tensorAddress(global, coordinates)
                       : d.address(global, Space::Global));
  if (!tensor)
    d.op.a = d.read(2, 32);
  if (!store)
    d.op.source = d.address(tensor ? 2 : 3, Space::Shared);
  if (hint)
    d.read(d.operands() - 1, 64);
  d.list(coordinates);
  if (tensor && coordinates.size() != size_t(rank))
    return d.refuse("the copy has another number of coordinates");
  d.op.run = tensor ? copyBox : copyRun;
}

} // namespace bitbyte::emu
