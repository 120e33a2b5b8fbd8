#include "runtime/device/emu/Executor.h"

#include "runtime/device/emu/Control.h"
#include "runtime/device/emu/Lanes.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace bitbyte::emu {

void report(Warp &warp, const Op &op, std::string_view kind,
            std::string message) {
  warp.block->findings.add(warp.block->kernel(), op, kind, std::move(message));
}

static uint32_t product(const uint32_t (&sizes)[3]) {
  return sizes[0] * sizes[1] * sizes[2];
}

Result<void> checkGrid(const Grid &grid) {
  const Kernel &kernel = grid.kernel;
  uint64_t threads =
      uint64_t(grid.threads[0]) * grid.threads[1] * grid.threads[2];
  if (threads == 0 || threads > 32 * maxWarps)
    return fail(ErrorKind::Usage,
                "kernel '{}': {} threads in a block; there may be 1 to {}",
                kernel.name, threads, 32 * maxWarps);
  if (kernel.requiredThreads[0] &&
      !std::equal(grid.threads, grid.threads + 3, kernel.requiredThreads))
    return fail(ErrorKind::Usage,
                "kernel '{}' requires blocks of {}x{}x{} threads, not {}x{}x{}",
                kernel.name, kernel.requiredThreads[0],
                kernel.requiredThreads[1], kernel.requiredThreads[2],
                grid.threads[0], grid.threads[1], grid.threads[2]);
  if (kernel.maximalThreads && threads > kernel.maximalThreads)
    return fail(ErrorKind::Usage,
                "kernel '{}' takes up to {} threads in a block, not {}",
                kernel.name, kernel.maximalThreads, threads);
  constexpr uint64_t most = 228 << 10;
  uint64_t shared =
      kernel.dynamicStart + uint64_t(grid.dynamicShared) - sharedStart;
  if (shared > most)
    return fail(ErrorKind::Usage,
                "kernel '{}': {} bytes of shared memory; no device has more "
                "than {}",
                kernel.name, shared, most);
  if (grid.parameters.size() != kernel.parameterBytes)
    return fail(ErrorKind::Usage,
                "kernel '{}' has {} bytes of parameters, {} were given",
                kernel.name, kernel.parameterBytes, grid.parameters.size());
  return {};
}

Block::Block(const Grid &grid, const Options &options, AddressSpace &memory,
             Findings &findings)
    : grid(grid), options(options), memory(memory), findings(findings) {
  uint32_t count = (product(grid.threads) + 31) / 32;
  warps.resize(count);
  worked.resize(grid.kernel.ops.size());
  // Nothing may be reached behind the last variable.
  shared.resize(grid.dynamicShared
                    ? grid.kernel.dynamicStart + grid.dynamicShared
                    : std::max(grid.kernel.sharedBytes, sharedStart));
  local.resize(uint64_t(count) * 32 * grid.kernel.localBytes);
  if (options.checkShared)
    races.prepare(uint32_t(shared.size()), grid.kernel.sharedGranule,
                  grid.kernel.usesUnits ? firstBarrier : count);
}

namespace {

/// Runs the blocks of a grid, one after another.
class Executor {
public:
  Executor(const Grid &grid, const Options &options, AddressSpace memory)
      : grid(grid), options(options), memory(std::move(memory)),
        findings(options.maxFindings), shadow(grid.kernel.globalGranule),
        block(grid, options, this->memory, findings) {
    size_t bytes = grid.kernel.registerBytes;
    // A page more: vectors may be read a little beyond a slot.
    registers.resize((block.warps.size() * bytes + 4096) / 64);
    for (size_t i = 0; i < block.warps.size(); ++i) {
      Warp &warp = block.warps[i];
      warp.id = uint32_t(i);
      warp.block = &block;
      warp.registers = registers[0].bytes + i * bytes;
      fillConstants(warp);
    }
    if (options.checkGlobal)
      block.shadow = &shadow;
  }

  Outcome run() {
    // Subnormals and rounding are those of the text, not of the caller.
    unsigned control = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(0x1f80);
    uint64_t count = uint64_t(grid.blocks[0]) * grid.blocks[1] * grid.blocks[2];
    if (uint64_t sample = options.sampleBlocks; sample && count > sample) {
      for (uint64_t i = 0; i < sample && !findings.full() && !block.hung; ++i)
        runBlock(i * (count - 1) / std::max<uint64_t>(sample - 1, 1));
      count = 0;
    }
    // A random schedule also takes the blocks in another order.
    uint64_t step = 1;
    if (options.schedule == Schedule::Random && count > 2) {
      step = Dice{options.seed}.next() % count | 1;
      while (std::gcd(step, count) != 1)
        step += 2;
    }
    for (uint64_t i = 0; i < count && !findings.full() && !block.hung; ++i)
      runBlock((unsigned __int128)(i)*step % count);
    __builtin_ia32_ldmxcsr(control);
    return {std::move(findings), instructions, std::move(block.worked)};
  }

private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };

  template <class F>
  void fill(Warp &warp, uint32_t slot, bool wide, F value) {
    for (uint32_t i = 0; i < 32; ++i)
      if (wide)
        warp.lanes<uint64_t>(slot)[i] = value(i);
      else
        warp.lanes<uint32_t>(slot)[i] = uint32_t(value(i));
  }

  /// Nobody writes them, so once for all blocks. Other registers hold what
  /// cannot be a sensible number: NaNs.
  void fillConstants(Warp &warp) {
    std::memset(warp.registers, 0xff, grid.kernel.registerBytes);
    for (const Constant &constant : grid.kernel.constants)
      fill(warp, constant.slot, constant.wide,
           [&](uint32_t) { return constant.value; });
  }

  uint64_t special(const Warp &warp, Special which, uint32_t lane) const {
    uint32_t thread = warp.id * 32 + lane;
    const uint32_t *size = grid.threads;
    switch (which) {
    case Special::TidX:
      return thread % size[0];
    case Special::TidY:
      return thread / size[0] % size[1];
    case Special::TidZ:
      return thread / size[0] / size[1];
    case Special::NtidX:
    case Special::NtidY:
    case Special::NtidZ:
      return size[int(which) - int(Special::NtidX)];
    case Special::CtaidX:
    case Special::CtaidY:
    case Special::CtaidZ:
      return block.index[int(which) - int(Special::CtaidX)];
    case Special::NctaidX:
    case Special::NctaidY:
    case Special::NctaidZ:
      return grid.blocks[int(which) - int(Special::NctaidX)];
    case Special::LaneId:
      return lane;
    case Special::WarpId:
      return warp.id;
    case Special::NwarpId:
      return block.warps.size();
    case Special::NsmId:
    case Special::ClusterNctaRank:
      return 1;
    case Special::LanemaskEq:
      return 1u << lane;
    case Special::LanemaskLe:
      return ~uint32_t(0) >> (31 - lane);
    case Special::LanemaskLt:
      return (1u << lane) - 1;
    case Special::LanemaskGe:
      return ~uint32_t(0) << lane;
    case Special::LanemaskGt:
      return ~uint32_t(0) << lane << 1;
    case Special::DynamicSharedSize:
      return grid.dynamicShared;
    case Special::TotalSharedSize:
      return block.shared.size() - sharedStart;
    default: // clocks: time does not pass here
      return 0;
    }
  }

  void startBlock(uint64_t number) {
    block.number = number;
    block.index[0] = uint32_t(number % grid.blocks[0]);
    block.index[1] = uint32_t(number / grid.blocks[0] % grid.blocks[1]);
    block.index[2] = uint32_t(number / grid.blocks[0] / grid.blocks[1]);
    block.dice = {options.seed * 0x2545f4914f6cdd1d + number};
    std::memset(block.shared.data(), 0xcd, block.shared.size());
    block.races.nextBlock();
    for (NamedBarrier &barrier : block.barriers)
      barrier = NamedBarrier();
    uint32_t threads = product(grid.threads);
    // Epochs go on from block to block: what earlier blocks did is seen.
    uint32_t base = block.epochBase + std::exchange(block.unitEpochs, 0) + 1;
    for (const Warp &warp : block.warps)
      for (uint32_t epoch : warp.clock)
        base = std::max(base, epoch);
    block.epochBase = base;
    if (grid.kernel.usesUnits)
      startUnits(block);
    for (Warp &warp : block.warps) {
      uint32_t here = std::min(32u, threads - 32 * warp.id);
      warp.live = warp.active = ~uint32_t(0) >> (32 - here);
      warp.pc = 0;
      warp.join = nowhere;
      warp.state = WarpState::Running;
      warp.stack.assign(1, {0, nowhere, warp.live});
      warp.clock.fill(base);
      warp.clock[warp.id] = base + 1;
      warp.blockedAt = nowhere;
      warp.copiesIssued = 0;
      ++warp.warpSyncs;
      warp.copies.clear();
      std::fill_n(warp.copyGroups, 32, 0u);
      warp.instructions = 0;
      for (const SpecialSlot &slot : grid.kernel.specials)
        fill(warp, slot.slot, slot.wide,
             [&](uint32_t i) { return special(warp, slot.special, i); });
    }
  }

  /// Runs a warp until it waits, ends, or has run `budget` instructions.
  template <bool watchesRegisters>
  void step(Warp &warp, uint64_t budget) {
    const Op *ops = grid.kernel.ops.data();
    uint64_t done = 0;
    while (warp.state == WarpState::Running && done < budget) {
      if (warp.pc >= grid.kernel.ops.size()) { // falls off the end: a return
        warp.live &= ~warp.active;
        resume(warp);
        continue;
      }
      const Op &op = ops[warp.pc];
      ++done;
      if constexpr (watchesRegisters)
        checkRegisters(warp, op);
      if (op.jumps) {
        op.run(warp, op);
        if (warp.retry) {
          warp.retry = false;
          break;
        }
        continue;
      }
      if (op.guard == noSlot) {
        op.run(warp, op);
      } else {
        uint32_t all = warp.active, mask = warp.mask(op.guard);
        warp.active &= op.guardNot ? ~mask : mask;
        if (warp.active)
          op.run(warp, op);
        warp.active = all;
      }
      if (warp.retry) {
        warp.retry = false;
        break;
      }
      advance(warp);
    }
    warp.instructions += done;
  }

  void runBlock(uint64_t number) {
    startBlock(number);
    uint32_t idle = 0;
    for (;;) {
      bool progress = false;
      size_t count = block.warps.size(), done = 0;
      bool random = options.schedule == Schedule::Random;
      size_t first = random ? block.dice.next() % count : 0;
      for (size_t i = 0; i < count; ++i) {
        Warp &warp = block.warps[(first + i) % count];
        if (warp.state == WarpState::Blocked)
          warp.state = WarpState::Running;
        if (warp.state == WarpState::Running) {
          uint64_t before = warp.instructions;
          uint32_t changes = block.units.changes;
          uint64_t budget = random ? 1 + block.dice.next() % 200 : 1 << 16;
          budget = std::min(budget, options.instructionLimit - before + 1);
          if (grid.kernel.usesWarpgroups)
            step<true>(warp, budget);
          else
            step<false>(warp, budget);
          // A warp that looks at an mbarrier and branches back got nowhere.
          bool blocked = warp.state == WarpState::Blocked;
          progress |= !blocked || warp.pc != warp.blockedAt ||
                      changes != block.units.changes ||
                      warp.instructions > before + 256;
          warp.blockedAt = blocked ? warp.pc : nowhere;
          if (warp.instructions > options.instructionLimit)
            return hang(warp, fmt::format("does not end: {} instructions of "
                                          "warp {} in block {}",
                                          warp.instructions, warp.id, number));
        }
        done += warp.state == WarpState::Done;
        if (findings.full())
          return;
      }
      if (done == count)
        break;
      releaseBarriers(block, progress);
      if (grid.kernel.usesUnits) {
        if (random)
          runSomeJobs(block);
        if (!progress && !block.units.jobs.empty()) {
          runJob(block, 0);
          progress = true;
        }
      }
      idle = progress ? 0 : idle + 1;
      if (idle > 3)
        return hang(block.warps[0],
                    fmt::format("block {} cannot go on", number));
    }
    if (grid.kernel.usesUnits)
      finishUnits(block);
    for (const Warp &warp : block.warps)
      instructions += warp.instructions;
  }

  /// Says where every warp stands.
  void hang(Warp &, std::string what) {
    block.hung = true;
    const Kernel &kernel = grid.kernel;
    const Op *where = nullptr;
    std::string warpsText;
    Warp *culprit = &block.warps[0];
    for (Warp &warp : block.warps) {
      const Op &op =
          kernel.ops[std::min<size_t>(warp.pc, kernel.ops.size() - 1)];
      const char *state = warp.state == WarpState::Done        ? "has ended"
                          : warp.state == WarpState::AtBarrier ? "waits at"
                                                               : "is at";
      warpsText += fmt::format("; warp {} {}", warp.id, state);
      if (warp.state == WarpState::Done)
        continue;
      warpsText += " " + place(kernel, op);
      if (!where) {
        where = &op;
        culprit = &warp;
      }
    }
    report(*culprit, where ? *where : kernel.ops[0], "hang", what + warpsText);
  }

  const Grid &grid;
  const Options &options;
  AddressSpace memory;
  Findings findings;
  GlobalShadow shadow;
  Block block;
  std::vector<Line> registers;
  uint64_t instructions = 0;
};

} // namespace

Outcome execute(const Grid &grid, const Options &options,
                const AddressSpace &memory) {
  return Executor(grid, options, memory).run();
}

} // namespace bitbyte::emu
