//===- Memory.cpp - ld, st and the way to memory --------------------------===//

#include "runtime/device/emu/Memory.h"

#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Lanes.h"

#include <algorithm>

namespace bitbyte::emu {

RaceChecker::Access accessOf(Warp &warp, const Op &op, int lane, bool atomic) {
  return {warp, op, warp.clock, warp.id, warp.clock[warp.id], lane, atomic};
}

//===----------------------------------------------------------------------===//
// One lane
//===----------------------------------------------------------------------===//

static std::string laneText(const Warp &warp, int lane) {
  return lane < 0 ? fmt::format("warp {}", warp.id)
                  : fmt::format("thread {}", warp.id * 32 + uint32_t(lane));
}

static const char *verb(Touch touch) {
  return touch == Touch::Read    ? "reads"
         : touch == Touch::Write ? "writes"
                                 : "updates";
}

bool sharedOffset(Warp &warp, const Op &op, uint64_t address, uint32_t bytes,
                  int lane, uint32_t &offset) {
  Block &block = *warp.block;
  if (address - sharedWindow < windowBytes)
    address -= sharedWindow;
  if (address >= sharedStart && address < block.shared.size() &&
      bytes <= block.shared.size() - address) {
    offset = uint32_t(address);
    return true;
  }
  report(warp, op, "out of bounds",
         fmt::format("{} accesses {} bytes at shared offset {}, outside of the "
                     "block's {}, at {}",
                     laneText(warp, lane), bytes,
                     int64_t(address) - int64_t(sharedStart),
                     block.shared.size() - sharedStart,
                     place(block.kernel(), op)));
  return false;
}

std::byte *reachGlobal(Warp &warp, const Op &op, uint64_t address,
                       uint32_t bytes, int lane, Touch touch) {
  Block &block = *warp.block;
  const AddressSpace::Range *range = block.memory.find(address, bytes);
  if (!range) {
    const AddressSpace::Range *near = block.memory.nearest(address);
    std::string where = "there is no buffer";
    if (near && address >= near->begin)
      where = fmt::format(
          "{} bytes behind the start of buffer {}, which has {}",
          address - near->begin, near->number, near->end - near->begin);
    else if (near)
      where = fmt::format("{} bytes before buffer {}", near->begin - address,
                          near->number);
    report(warp, op, "out of bounds",
           fmt::format("{} of block {} {} {} bytes at global {:#x} ({}) at {}",
                       laneText(warp, lane), block.number, verb(touch), bytes,
                       address, where, place(block.kernel(), op)));
    return nullptr;
  }
  if (range->readOnly && touch != Touch::Read) {
    report(warp, op, "out of bounds",
           fmt::format("{} of block {} {} buffer {}, which is read-only, at {}",
                       laneText(warp, lane), block.number, verb(touch),
                       range->number, place(block.kernel(), op)));
    return nullptr;
  }
  if (block.shadow)
    block.shadow->touch(warp, op, address, bytes, lane, touch);
  return reinterpret_cast<std::byte *>(address);
}

std::byte *reach(Warp &warp, const Op &op, Space space, uint64_t address,
                 uint32_t bytes, int lane, Touch touch, const std::byte *data) {
  Block &block = *warp.block;
  if (address & (bytes - 1)) {
    report(warp, op, "misaligned",
           fmt::format("{} {} {} bytes at {:#x}, no multiple of {}, at {}",
                       laneText(warp, lane), verb(touch), bytes, address, bytes,
                       place(block.kernel(), op)));
    return nullptr;
  }
  if (space == Space::Generic) {
    if (address - sharedWindow < windowBytes) {
      space = Space::Shared;
      address -= sharedWindow;
    } else if (address - localWindow < windowBytes) {
      space = Space::Local;
      address -= localWindow;
    } else if (address - paramWindow < windowBytes) {
      space = Space::Param;
      address -= paramWindow;
    }
  }
  auto outside = [&](const char *what, uint64_t size) -> std::byte * {
    report(warp, op, "out of bounds",
           fmt::format("{} {} {} bytes at {} offset {}, outside of {}, at {}",
                       laneText(warp, lane), verb(touch), bytes, what,
                       int64_t(address), size, place(block.kernel(), op)));
    return nullptr;
  };
  switch (space) {
  case Space::Shared: {
    uint32_t offset;
    if (!sharedOffset(warp, op, address, bytes, lane, offset))
      return nullptr;
    if (block.options.checkShared) {
      RaceChecker::Access access =
          accessOf(warp, op, lane, touch == Touch::Atomic);
      if (touch != Touch::Write)
        block.races.read(access, offset, bytes);
      if (touch != Touch::Read)
        block.races.write(access, offset, bytes, data);
    }
    return block.shared.data() + offset;
  }
  case Space::Local: {
    uint64_t size = block.kernel().localBytes;
    if (address >= size || bytes > size - address || lane < 0)
      return outside("local", size);
    return block.local.data() + (warp.id * 32 + uint64_t(lane)) * size +
           address;
  }
  case Space::Param: {
    uint64_t size = block.kernel().parameterBytes;
    if (touch != Touch::Read || address >= size || bytes > size - address)
      return outside("parameter", size);
    return const_cast<std::byte *>(block.grid.parameters.data()) + address;
  }
  default:
    return reachGlobal(warp, op, address, bytes, lane, touch);
  }
}

//===----------------------------------------------------------------------===//
// A warp
//===----------------------------------------------------------------------===//

namespace {

void addressesOf(Warp &warp, const Address &address, uint64_t (&out)[32]) {
  uint64_t offset = uint64_t(address.offset);
  if (address.narrow) {
    const uint32_t *base = warp.lanes<uint32_t>(address.slot);
    BB_LANES out[i] = base[i] + offset;
  } else {
    const uint64_t *base = warp.lanes<uint64_t>(address.slot);
    BB_LANES out[i] = base[i] + offset;
  }
}

/// Whether all active lanes' accesses are aligned and lie in one range of
/// global memory, so that none needs a look of its own.
bool allInOneRange(Warp &warp, const uint64_t (&addresses)[32], uint32_t bytes,
                   Touch touch) {
  Block &block = *warp.block;
  uint64_t first = addresses[warp.firstLane()];
  uint32_t active = warp.active;
  uint64_t low = first, high = first, all = first;
  // Not vectorised well for 64 bits without AVX-512, but branch-free.
  for (uint32_t i = 0; i < 32; ++i) {
    uint64_t address = active >> i & 1 ? addresses[i] : first;
    low = address < low ? address : low;
    high = address > high ? address : high;
    all |= address;
  }
  if ((all & (bytes - 1)) || block.shadow || high - low >= uint64_t(1) << 40)
    return false;
  const AddressSpace::Range *range = block.memory.find(low, high - low + bytes);
  return range && (touch == Touch::Read || !range->readOnly);
}

bool mayBeGlobal(Space space) {
  return space == Space::Global || space == Space::Generic ||
         space == Space::Const;
}

/// `Element` as it lies in memory, `Lane` the register.
template <class Element, class Lane>
void load(Warp &warp, const Op &op) {
  Block &block = *warp.block;
  uint64_t addresses[32];
  addressesOf(warp, op.address, addresses);
  const uint32_t *slots = &block.kernel().lists[op.first];
  uint32_t bytes = op.extra, count = op.count;
  if (mayBeGlobal(op.address.space) &&
      allInOneRange(warp, addresses, bytes, Touch::Read)) {
    eachLane(warp.active, [&](uint32_t i) {
      auto *data = reinterpret_cast<const std::byte *>(addresses[i]);
      for (uint32_t k = 0; k < count; ++k) {
        Element element;
        std::memcpy(&element, data + k * sizeof(Element), sizeof(Element));
        warp.lanes<Box<Lane>>(slots[k])[i] = box<Lane>(Lane(element));
      }
    });
    return;
  }
  eachLane(warp.active, [&](uint32_t i) {
    const std::byte *data = reach(warp, op, op.address.space, addresses[i],
                                  bytes, int(i), Touch::Read);
    for (uint32_t k = 0; k < count; ++k) {
      Element element = 0;
      if (data)
        std::memcpy(&element, data + k * sizeof(Element), sizeof(Element));
      warp.lanes<Box<Lane>>(slots[k])[i] = box<Lane>(Lane(element));
    }
  });
}

template <class Element, class Lane>
void store(Warp &warp, const Op &op) {
  Block &block = *warp.block;
  uint64_t addresses[32];
  addressesOf(warp, op.address, addresses);
  const uint32_t *slots = &block.kernel().lists[op.first];
  uint32_t bytes = op.extra, count = op.count;
  bool fast = mayBeGlobal(op.address.space) &&
              allInOneRange(warp, addresses, bytes, Touch::Write);
  eachLane(warp.active, [&](uint32_t i) {
    std::byte values[32];
    for (uint32_t k = 0; k < count; ++k) {
      Element element = Element(warp.lanes<Lane>(slots[k])[i]);
      std::memcpy(values + k * sizeof(Element), &element, sizeof(Element));
    }
    std::byte *data = fast ? reinterpret_cast<std::byte *>(addresses[i])
                           : reach(warp, op, op.address.space, addresses[i],
                                   bytes, int(i), Touch::Write, values);
    if (data)
      std::memcpy(data, values, bytes);
  });
}

/// A parameter at a constant place: the same for all lanes.
template <class Element, class Lane>
void loadParameter(Warp &warp, const Op &op) {
  const Block &block = *warp.block;
  const uint32_t *slots = &block.kernel().lists[op.first];
  for (uint32_t k = 0; k < op.count; ++k) {
    Element element;
    std::memcpy(&element,
                block.grid.parameters.data() + op.imm +
                    int64_t(k * sizeof(Element)),
                sizeof(Element));
    Box<Lane> value = box<Lane>(Lane(element));
    storeLanes<Box<Lane>>(warp, slots[k], [=](uint32_t) { return value; });
  }
}

enum class Access { Load, Store, Parameter };

template <class Element, class Lane>
Handler handlerFor(Access access) {
  return access == Access::Load    ? load<Element, Lane>
         : access == Access::Store ? store<Element, Box<Lane>>
                                   : loadParameter<Element, Lane>;
}

/// A signed element fills its register with signs.
template <bool wide, bool narrow16>
Handler byElement(Type type, Access access) {
  using Signed =
      std::conditional_t<wide, int64_t,
                         std::conditional_t<narrow16, int16_t, int32_t>>;
  using Plain = std::make_unsigned_t<Signed>;
  switch (bitsOf(type)) {
  case 8:
    return isSigned(type) ? handlerFor<int8_t, Signed>(access)
                          : handlerFor<uint8_t, Plain>(access);
  case 16:
    return isSigned(type) ? handlerFor<int16_t, Signed>(access)
                          : handlerFor<uint16_t, Plain>(access);
  case 32:
    if constexpr (!narrow16)
      return isSigned(type) ? handlerFor<int32_t, Signed>(access)
                            : handlerFor<uint32_t, Plain>(access);
    return nullptr;
  case 64:
    if constexpr (wide)
      return handlerFor<uint64_t, Plain>(access);
    return nullptr;
  default:
    return nullptr;
  }
}

void decodeAccess(Decoder &d, bool isStore) {
  bool hint = false;
  takeCaching(d, hint);
  Space space = d.takeSpace();
  int vector = d.takeOneOf({"v2", "v4", "v8"});
  size_t count = vector < 0 ? 1 : size_t(2) << vector;
  Type type = d.takeType();
  if (type == Type::None || type == Type::Pred)
    return d.refuse("the type is missing");
  if (!d.expect(2 + size_t(hint)))
    return;
  size_t value = isStore ? 1 : 0, place = 1 - value;
  d.op.address = d.address(place, space);
  if (d.vectorSize(value) != count || (count > 1 && !d.isVector(value)))
    return d.refuse(fmt::format("expected {} registers", count));
  bool wide = false;
  std::vector<uint32_t> slots =
      isStore ? d.readVectorLoose(value, bitsOf(type), wide)
              : d.writeVectorLoose(value, bitsOf(type), wide);
  if (hint)
    d.read(2, 64);
  if (d.builder.failed())
    return;
  d.list(slots);
  d.op.extra = uint32_t(count) * bitsOf(type) / 8;
  if (d.op.extra > 32 || d.op.extra == 0)
    return d.refuse("an access of this size is not known");
  if (space == Space::Shared || space == Space::Generic)
    d.builder.kernel.sharedGranule =
        std::min(d.builder.kernel.sharedGranule, d.op.extra);
  if (space == Space::Global || space == Space::Generic)
    d.builder.kernel.globalGranule =
        std::min(d.builder.kernel.globalGranule, d.op.extra);
  Access access = isStore ? Access::Store : Access::Load;
  if (space == Space::Param) {
    if (isStore)
      return d.refuse("parameters are not written: kernels call nothing");
    // A constant place inside the parameters, known now.
    if (auto fixed = d.builder.constantOf(d.op.address.slot)) {
      uint64_t at = *fixed + uint64_t(d.op.address.offset);
      uint64_t size = d.builder.kernel.parameterBytes;
      if (at >= size || d.op.extra > size - at)
        return d.refuse("a parameter is read beyond its end");
      access = Access::Parameter;
      d.op.imm = int64_t(at);
    }
  }
  bool narrow16 = !isStore && d.widthOfFirst(value) == 16;
  d.op.run = wide       ? byElement<true, false>(type, access)
             : narrow16 ? byElement<false, true>(type, access)
                        : byElement<false, false>(type, access);
}

void ignore(Warp &, const Op &) {}

/// Hints to caches. Their operands are looked at so that typing errors show.
void decodeHint(Decoder &d) {
  while (d.takeAny())
    ;
  d.op.run = ignore;
  if (d.expect(1, 2) && !d.isAddress(0))
    d.refuse("expected an address");
}

} // namespace

void takeCaching(Decoder &d, bool &hint) {
  d.take("volatile");
  d.take("weak");
  d.take("nc");
  bool ordered = d.takeOneOf({"relaxed", "acquire", "release", "acq_rel"}) >= 0;
  int scope = d.takeOneOf({"cta", "cluster", "gpu", "sys"});
  (void)ordered, (void)scope;
  d.takeOneOf({"ca", "cg", "cs", "lu", "cv", "wb", "wt"});
  std::string_view level;
  while (d.takePrefix("L1::", level) || d.takePrefix("L2::", level))
    hint |= level == "L2::cache_hint";
}

void addMemory(DecoderTable &table) {
  table["ld"] = [](Decoder &d) { decodeAccess(d, false); };
  table["ldu"] = table["ld"];
  table["st"] = [](Decoder &d) { decodeAccess(d, true); };
  for (const char *name : {"prefetch", "prefetchu", "applypriority", "discard"})
    table[name] = decodeHint;
}

} // namespace bitbyte::emu
