//===- Atomic.cpp - atom and red ------------------------------------------===//

#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Lanes.h"
#include "runtime/device/emu/Memory.h"
#include "runtime/device/emu/SmallFloat.h"

#include <algorithm>

namespace bitbyte::emu {

namespace {

enum Action : uint8_t { Add, Min, Max, And, Or, Xor, Exchange, Swap, Inc, Dec };

template <class T>
uint64_t combine(Action action, uint64_t oldBits, uint64_t newBits) {
  T a = unbox<T>(Box<T>(oldBits)), b = unbox<T>(Box<T>(newBits));
  T result = a;
  switch (action) {
  case Add:
    if constexpr (std::is_floating_point_v<T>)
      result = a + b;
    else
      result = T(std::make_unsigned_t<T>(a) + std::make_unsigned_t<T>(b));
    break;
  case Min:
    result = b < a ? b : a;
    break;
  case Max:
    result = b > a ? b : a;
    break;
  case Inc:
    result = a >= b ? T(0) : T(a + 1);
    break;
  default: // Dec
    result = a == T(0) || a > b ? b : T(a - 1);
  }
  return box<T>(result);
}

float combineFloat(Action action, float a, float b) {
  return action == Add   ? a + b
         : action == Min ? std::fmin(a, b)
                         : std::fmax(a, b);
}

uint64_t combineAs(Type type, Action action, uint64_t a, uint64_t b) {
  auto brain = [&](uint64_t x, uint64_t y) {
    return floatToBrain(combineFloat(action, brainToFloat(x & 0xffff),
                                     brainToFloat(y & 0xffff)));
  };
  auto half = [&](uint64_t x, uint64_t y) {
    return floatToHalf(combineFloat(action, halfToFloat(uint32_t(x)),
                                    halfToFloat(uint32_t(y))));
  };
  switch (action) {
  case And:
    return a & b;
  case Or:
    return a | b;
  case Xor:
    return a ^ b;
  case Exchange:
  case Swap:
    return b;
  default:
    break;
  }
  switch (type) {
  case Type::S32:
    return combine<int32_t>(action, a, b);
  case Type::S64:
    return combine<int64_t>(action, a, b);
  case Type::U64:
  case Type::B64:
    return combine<uint64_t>(action, a, b);
  case Type::F32:
    return combine<float>(action, a, b);
  case Type::F64:
    return combine<double>(action, a, b);
  case Type::BF16:
    return brain(a, b);
  case Type::F16:
    return half(a, b);
  case Type::BF16x2:
    return brain(a, b) | uint64_t(brain(a >> 16, b >> 16)) << 16;
  case Type::F16x2:
    return half(a, b) | uint64_t(half(a >> 16, b >> 16)) << 16;
  default:
    return combine<uint32_t>(action, a, b);
  }
}

/// Lanes act in order; which order a GPU takes is not said.
void update(Warp &warp, const Op &op) {
  const uint32_t *slots = &warp.block->kernel().lists[op.first];
  Type type = Type(op.type);
  uint32_t bytes = bitsOf(type) / 8;
  auto value = [&](uint32_t slot, uint32_t lane) {
    return bytes == 8 ? warp.lanes<uint64_t>(slot)[lane]
                      : uint64_t(warp.lanes<uint32_t>(slot)[lane]);
  };
  uint64_t mask = bytes == 8 ? ~uint64_t(0) : (uint64_t(1) << 8 * bytes) - 1;
  eachLane(warp.active, [&](uint32_t i) {
    uint32_t count = op.count - (op.mode == Swap);
    std::byte *data =
        reach(warp, op, op.address.space, addressOf(warp, op.address, i),
              bytes * count, int(i), Touch::Atomic);
    if (!data)
      return;
    for (uint32_t k = 0; k < count; ++k, data += bytes) {
      uint64_t old = 0;
      std::memcpy(&old, data, bytes);
      uint64_t result = 0;
      if (op.mode == Swap)
        result = old == (value(slots[0], i) & mask) ? value(slots[1], i) : old;
      else
        result = combineAs(type, Action(op.mode), old, value(slots[k], i));
      std::memcpy(data, &result, bytes);
      if (op.d == noSlot)
        continue;
      if (bytes == 8)
        warp.lanes<uint64_t>(op.d)[i] = old;
      else
        warp.lanes<uint32_t>(op.d)[i] = uint32_t(old);
    }
  });
}

void decodeAtomic(Decoder &d, bool returns) {
  if (d.take("async"))
    return d.refuse("red.async is not known");
  bool hint = false;
  takeCaching(d, hint);
  Space space = d.takeSpace();
  int action = d.takeOneOf(
      {"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"});
  d.take("noftz");
  int vector = d.takeOneOf({"v2", "v4", "v8"});
  Type type = d.takeType();
  size_t first = returns ? 1 : 0;
  if (action < 0 || type == Type::None ||
      !d.expect(first + 2 + size_t(action == Swap) + size_t(hint)))
    return;
  unsigned bits = bitsOf(type);
  if (bits > 64 || bits < 16 || (vector >= 0 && (returns || action == Swap)))
    return d.refuse("an atomic of this type is not known");
  d.op.run = update;
  d.op.mode = uint8_t(action);
  d.op.type = uint8_t(type);
  d.op.d = returns ? d.write(0, bits) : noSlot;
  d.op.address = d.address(first, space);
  std::vector<uint32_t> slots = d.readVector(first + 1, bits);
  if (action == Swap)
    slots.push_back(d.read(first + 2, bits));
  else if (slots.size() != (vector < 0 ? 1 : size_t(2) << vector))
    return d.refuse("the vector has another length");
  d.list(slots);
  d.builder.kernel.ordersBlocks |= space != Space::Shared;
  if (space == Space::Shared || space == Space::Generic)
    d.builder.kernel.sharedGranule =
        std::min(d.builder.kernel.sharedGranule, bits / 8);
  if (space == Space::Global || space == Space::Generic)
    d.builder.kernel.globalGranule =
        std::min(d.builder.kernel.globalGranule, bits / 8);
}

} // namespace

void addAtomic(DecoderTable &table) {
  table["atom"] = [](Decoder &d) { decodeAtomic(d, true); };
  table["red"] = [](Decoder &d) { decodeAtomic(d, false); };
}

} // namespace bitbyte::emu
