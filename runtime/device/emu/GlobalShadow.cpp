#include "runtime/device/emu/GlobalShadow.h"

#include "runtime/device/emu/Execution.h"

#include <algorithm>

namespace bitbyte::emu {

static const char *verb(Touch touch) {
  return touch == Touch::Write ? "writes" : "reads";
}

GlobalShadow::Word &GlobalShadow::at(uint64_t address) {
  uint64_t page = address / pageBytes;
  if (page != lastPage) {
    std::unique_ptr<Word[]> &words = pages[page];
    if (!words)
      words = std::make_unique<Word[]>(pageBytes / granule);
    lastPage = page;
    lastWords = words.get();
  }
  return lastWords[address % pageBytes / granule];
}

void GlobalShadow::order(Warp &warp, const Op &op, int lane, Touch touch,
                         const Access &earlier, const char *what) {
  const Block &block = *warp.block;
  bool ordered = earlier.warp != warp.id
                     ? earlier.epoch <= warp.clock[earlier.warp]
                     : earlier.lane == lane || earlier.sync != warp.warpSyncs;
  if (ordered)
    return;
  const Kernel &kernel = block.kernel();
  std::string other =
      earlier.warp != warp.id   ? fmt::format("warp {}", earlier.warp)
      : earlier.lane == several ? "other lanes"
                                : fmt::format("lane {}", earlier.lane);
  report(warp, op, "race on global memory",
         fmt::format("warp {} lane {} of block {} {} what {} {} at {}, with no "
                     "barrier between, at {}",
                     warp.id, lane, block.number, verb(touch), other, what,
                     place(kernel, kernel.ops[earlier.op]), place(kernel, op)));
}

void GlobalShadow::touch(Warp &warp, const Op &op, uint64_t address,
                         uint32_t bytes, int lane, Touch touch) {
  if (touch == Touch::Atomic)
    return;
  Block &block = *warp.block;
  const Kernel &kernel = block.kernel();
  uint64_t me = block.number + 1;
  auto race = [&](uint64_t other, uint32_t with, const char *what) {
    report(warp, op, "race between blocks",
           fmt::format("block {} {} global memory that block {} {} at line {} "
                       "of the same launch, at {}",
                       block.number, verb(touch), other, what,
                       kernel.ops[with].line, place(kernel, op)));
  };
  Access now{warp.clock[warp.id], warp.warpSyncs,
             uint32_t(&op - kernel.ops.data()), uint8_t(warp.id), int8_t(lane)};
  for (uint64_t at = address & ~(granule - 1); at < address + bytes;
       at += granule) {
    Word &word = this->at(at);
    if (word.writer && word.writer != me)
      race(word.writer - 1, word.written.op, "writes");
    // Lanes that hold copies of one number write it together.
    else if (word.writer && lane >= 0 && word.written.lane >= 0 &&
             !(touch == Touch::Write && word.written.warp == warp.id &&
               word.written.op == now.op))
      order(warp, op, lane, touch, word.written, "writes");
    if (touch == Touch::Write) {
      if (word.reader && word.reader != me)
        race(word.reader == ~uint64_t(0) ? 0 : word.reader - 1,
             word.reads.empty() ? now.op : word.reads.front().op, "reads");
      else if (lane >= 0)
        for (const Access &read : word.reads)
          order(warp, op, lane, touch, read, "reads");
      word.writer = me;
      word.written = now;
      word.reads.clear();
      continue;
    }
    if (word.reader != me) {
      word.reader = word.reader ? ~uint64_t(0) : me;
      word.reads.clear();
    }
    if (lane < 0)
      continue;
    auto own =
        std::find_if(word.reads.begin(), word.reads.end(),
                     [&](const Access &read) { return read.warp == warp.id; });
    if (own == word.reads.end()) {
      word.reads.push_back(now);
    } else {
      bool same = own->sync != now.sync || own->lane == now.lane;
      *own = now;
      if (!same)
        own->lane = several;
    }
  }
}

} // namespace bitbyte::emu
