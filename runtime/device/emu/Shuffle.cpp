//===- Shuffle.cpp - What the lanes of a warp do together -----------------===//

#include "runtime/device/emu/Collective.h"

#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Lanes.h"

#include <algorithm>

namespace bitbyte::emu {

void wantLanes(Warp &warp, const Op &op, uint32_t members) {
  uint32_t missing = members & warp.live & ~warp.active;
  if (missing)
    report(warp, op, "divergent collective",
           fmt::format("warp {} of block {} has only lanes {:#x} here, but the "
                       "instruction wants {:#x}, at {}",
                       warp.id, warp.block->number, warp.active, members,
                       place(warp.block->kernel(), op)));
}

namespace {

enum Shuffle : uint8_t { Up, Down, Butterfly, Index };

void shuffle(Warp &warp, const Op &op) {
  const uint32_t *a = warp.lanes<uint32_t>(op.a);
  const uint32_t *b = warp.lanes<uint32_t>(op.b);
  const uint32_t *c = warp.lanes<uint32_t>(op.c);
  uint32_t members = warp.lanes<uint32_t>(op.first)[warp.firstLane()];
  wantLanes(warp, op, members);
  uint32_t result[32], inRange = 0;
  for (uint32_t i = 0; i < 32; ++i) {
    uint32_t segment = c[i] >> 8 & 31, clamp = c[i] & 31, by = b[i] & 31;
    uint32_t low = i & segment, high = low | (clamp & ~segment);
    int from = int(i);
    bool valid = false;
    switch (op.mode) {
    case Up:
      from = int(i) - int(by);
      valid = from >= int(high); // with .up the clamp is a lower bound
      break;
    case Down:
      from = int(i + by);
      valid = from <= int(high);
      break;
    case Butterfly:
      from = int(i ^ by);
      valid = from <= int(high);
      break;
    default:
      from = int(low | (by & ~segment));
      valid = from <= int(high);
    }
    inRange |= uint32_t(valid) << i;
    uint32_t source = valid ? uint32_t(from) & 31 : i;
    // What a lane that is not there would give is undefined; make it visible.
    bool there = warp.active >> source & 1;
    if (!there && (warp.active >> i & 1) && !(warp.live >> source & 1))
      report(warp, op, "divergent collective",
             fmt::format("lane {} of warp {} takes a value of lane {}, which "
                         "has exited, at {}",
                         i, warp.id, source, place(warp.block->kernel(), op)));
    result[i] = a[source];
  }
  storeLanes<uint32_t>(warp, op.d, [&](uint32_t i) { return result[i]; });
  if (op.extra != noSlot)
    storeMask(warp, op.extra, inRange);
}

void decodeShuffle(Decoder &d) {
  if (!d.take("sync"))
    return d.refuse("shfl without .sync is not known");
  int mode = d.takeOneOf({"up", "down", "bfly", "idx"});
  if (!d.take("b32") || mode < 0)
    return;
  bool second = d.operands() > 1 && d.followsBar(1);
  if (!d.expect(5 + size_t(second)))
    return;
  size_t source = second ? 2 : 1;
  d.op.run = shuffle;
  d.op.mode = uint8_t(mode);
  d.op.d = d.write(0, 32);
  d.op.extra = second ? d.writePredicate(1) : noSlot;
  d.op.a = d.read(source, 32);
  d.op.b = d.read(source + 1, 32);
  d.op.c = d.read(source + 2, 32);
  d.op.first = d.read(source + 3, 32);
}

enum Vote : uint8_t { All, Any, Uniform, Ballot };

void vote(Warp &warp, const Op &op) {
  uint32_t members = warp.lanes<uint32_t>(op.b)[warp.firstLane()];
  wantLanes(warp, op, members);
  uint32_t mask = warp.mask(op.a);
  mask = (op.narrow ? ~mask : mask) & warp.active & members;
  uint32_t voters = warp.active & members;
  bool result = op.mode == All   ? mask == voters
                : op.mode == Any ? mask != 0
                                 : mask == voters || mask == 0;
  if (op.mode == Ballot)
    storeLanes<uint32_t>(warp, op.d, [=](uint32_t) { return mask; });
  else
    storeMask(warp, op.d, result ? ~uint32_t(0) : 0);
}

void decodeVote(Decoder &d) {
  bool sync = d.take("sync");
  int mode = d.takeOneOf({"all", "any", "uni", "ballot"});
  if (!sync || mode < 0 || !d.expect(3))
    return;
  d.takeOneOf({"pred", "b32"});
  d.op.run = vote;
  d.op.mode = uint8_t(mode);
  d.op.d = mode == Ballot ? d.write(0, 32) : d.writePredicate(0);
  d.op.a = d.readPredicate(1);
  d.op.narrow = d.isNegated(1);
  d.op.b = d.read(2, 32);
}

void activeMask(Warp &warp, const Op &op) {
  uint32_t active = warp.active;
  storeLanes<uint32_t>(warp, op.d, [=](uint32_t) { return active; });
}

template <class T>
void match(Warp &warp, const Op &op) {
  uint32_t members = warp.lanes<uint32_t>(op.b)[warp.firstLane()];
  wantLanes(warp, op, members);
  const T *a = warp.lanes<T>(op.a);
  uint32_t result[32] = {};
  eachLane(warp.active, [&](uint32_t i) {
    eachLane(warp.active,
             [&](uint32_t k) { result[i] |= uint32_t(a[k] == a[i]) << k; });
  });
  if (op.mode) { // all: the mask if everybody agrees, else 0
    bool same = result[warp.firstLane()] == warp.active;
    uint32_t mask = same ? warp.active : 0;
    storeLanes<uint32_t>(warp, op.d, [=](uint32_t) { return mask; });
    if (op.extra != noSlot)
      storeMask(warp, op.extra, same ? ~uint32_t(0) : 0);
  } else {
    storeLanes<uint32_t>(warp, op.d, [&](uint32_t i) { return result[i]; });
  }
}

void decodeMatch(Decoder &d) {
  int mode = d.takeOneOf({"any", "all"});
  bool sync = d.take("sync");
  Type type = d.takeType();
  bool second = d.operands() > 1 && d.followsBar(1);
  if (!sync || mode < 0 || !d.expect(3 + size_t(second)))
    return;
  size_t source = second ? 2 : 1;
  d.op.run = type == Type::B64   ? match<uint64_t>
             : type == Type::B32 ? match<uint32_t>
                                 : nullptr;
  d.op.mode = uint8_t(mode);
  d.op.d = d.write(0, 32);
  d.op.extra = second ? d.writePredicate(1) : noSlot;
  d.op.a = d.read(source, bitsOf(type));
  d.op.b = d.read(source + 1, 32);
}

enum Reduction : uint8_t { Sum, Max, Min, And, Or, Xor };

template <class T>
void reduce(Warp &warp, const Op &op) {
  uint32_t members = warp.lanes<uint32_t>(op.b)[warp.firstLane()];
  wantLanes(warp, op, members);
  const uint32_t *a = warp.lanes<uint32_t>(op.a);
  T result = unbox<T>(a[warp.firstLane()]);
  eachLane(warp.active & (warp.active - 1), [&](uint32_t i) {
    T value = unbox<T>(a[i]);
    if constexpr (std::is_same_v<T, float>) {
      result =
          op.mode == Max ? std::fmax(result, value) : std::fmin(result, value);
    } else {
      switch (op.mode) {
      case Sum:
        result = T(uint32_t(result) + uint32_t(value));
        break;
      case Max:
        result = std::max(result, value);
        break;
      case Min:
        result = std::min(result, value);
        break;
      case And:
        result = T(result & value);
        break;
      case Or:
        result = T(result | value);
        break;
      default:
        result = T(result ^ value);
      }
    }
  });
  storeLanes<uint32_t>(warp, op.d, [=](uint32_t) { return box<T>(result); });
}

void decodeReduce(Decoder &d) {
  bool sync = d.take("sync");
  int mode = d.takeOneOf({"add", "max", "min", "and", "or", "xor"});
  Type type = d.takeType();
  if (!sync || mode < 0 || !d.expect(3) || bitsOf(type) != 32)
    return;
  d.op.run = type == Type::S32 ? reduce<int32_t>
             : type == Type::F32
                 ? (mode == Max || mode == Min ? reduce<float> : nullptr)
                 : reduce<uint32_t>;
  d.op.mode = uint8_t(mode);
  d.op.d = d.write(0, 32);
  d.op.a = d.read(1, 32);
  d.op.b = d.read(2, 32);
}

/// elect.sync d|p, members: p is true in the lowest lane.
void elect(Warp &warp, const Op &op) {
  uint32_t members = warp.lanes<uint32_t>(op.b)[warp.firstLane()];
  wantLanes(warp, op, members);
  uint32_t leader = warp.firstLane();
  storeLanes<uint32_t>(warp, op.d, [=](uint32_t) { return leader; });
  storeMask(warp, op.extra, 1u << leader);
}

void decodeElect(Decoder &d) {
  if (!d.take("sync") || !d.expect(3) || !d.followsBar(1))
    return;
  d.op.run = elect;
  d.op.d = d.write(0, 32);
  d.op.extra = d.writePredicate(1);
  d.op.b = d.read(2, 32);
}

} // namespace

void addShuffle(DecoderTable &table) {
  table["shfl"] = decodeShuffle;
  table["vote"] = decodeVote;
  table["activemask"] = [](Decoder &d) {
    d.take("b32");
    if (d.expect(1)) {
      d.op.run = activeMask;
      d.op.d = d.write(0, 32);
    }
  };
  table["match"] = decodeMatch;
  table["redux"] = decodeReduce;
  table["elect"] = decodeElect;
}

} // namespace bitbyte::emu
