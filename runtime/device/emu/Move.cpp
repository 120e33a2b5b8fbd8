//===- Move.cpp - mov, packing and unpacking, cvta ------------------------===//

#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Lanes.h"

namespace bitbyte::emu {

namespace {

template <class T>
constexpr Handler copy = lanewise<[](T a) { return a; }>;

void movePredicate(Warp &warp, const Op &op) {
  storeMask(warp, op.d, warp.mask(op.a));
}

/// Parts of `partBits` bits in the order of the list, the lowest first.
template <class Whole, class Part, uint32_t partBits>
void pack(Warp &warp, const Op &op) {
  const uint32_t *slots = &warp.block->kernel().lists[op.first];
  uint32_t count = op.count;
  Whole parts[32] = {};
  for (uint32_t k = 0; k < count; ++k) {
    const Part *part = warp.lanes<Part>(slots[k]);
    Whole mask = Whole(~Whole(0)) >> (8 * sizeof(Whole) - partBits);
    for (uint32_t i = 0; i < 32; ++i)
      parts[i] |= (Whole(part[i]) & mask) << (k * partBits);
  }
  storeLanes<Whole>(warp, op.d, [&](uint32_t i) { return parts[i]; });
}

template <class Whole, class Part, uint32_t partBits>
void unpack(Warp &warp, const Op &op) {
  const uint32_t *slots = &warp.block->kernel().lists[op.first];
  Whole parts[32];
  std::memcpy(parts, warp.lanes<Whole>(op.a), sizeof(parts));
  for (uint32_t k = 0; k < op.count; ++k) {
    Whole mask = Whole(~Whole(0)) >> (8 * sizeof(Whole) - partBits);
    storeLanes<Part>(warp, slots[k], [&](uint32_t i) {
      return Part((parts[i] >> (k * partBits)) & mask);
    });
  }
}

void decodePacking(Decoder &d, unsigned bits, bool packing) {
  size_t vector = packing ? 1 : 0;
  // How many parts there are says how wide they are.
  std::vector<uint32_t> slots;
  size_t count = d.vectorSize(vector);
  unsigned partBits = count ? bits / unsigned(count) : 0;
  if (partBits * count != bits || partBits < 8 || partBits > 32 || count < 2)
    return d.refuse("a vector of this length is not known here");
  slots = packing ? d.readVector(vector, partBits)
                  : d.writeVector(vector, partBits);
  if (slots.size() != count)
    return;
  d.list(slots);
  if (packing)
    d.op.d = d.write(0, bits);
  else
    d.op.a = d.read(1, bits);
  auto choose = [&]<class Whole, uint32_t part>() -> Handler {
    return packing ? pack<Whole, uint32_t, part>
                   : unpack<Whole, uint32_t, part>;
  };
  if (bits == 64)
    d.op.run = partBits == 32   ? choose.operator()<uint64_t, 32>()
               : partBits == 16 ? choose.operator()<uint64_t, 16>()
                                : choose.operator()<uint64_t, 8>();
  else
    d.op.run = partBits == 16 ? choose.operator()<uint32_t, 16>()
                              : choose.operator()<uint32_t, 8>();
}

void decodeMove(Decoder &d) {
  Type type = d.takeType();
  if (type == Type::None || !d.expect(2))
    return;
  if (type == Type::Pred) {
    d.op.run = movePredicate;
    d.op.d = d.writePredicate(0);
    d.op.a = d.readPredicate(1);
    return;
  }
  unsigned bits = bitsOf(type);
  if (d.isVector(0) || d.isVector(1))
    return decodePacking(d, bits, d.isVector(1));
  if (bits > 64)
    return d.refuse("mov of 128 bits is not known");
  d.op.run = bits == 64 ? copy<uint64_t> : copy<uint32_t>;
  d.op.d = d.write(0, bits);
  d.op.a = d.read(1, bits);
}

/// Between a space's own addresses and generic ones. Global addresses are the
/// same in both.
void decodeConvertAddress(Decoder &d) {
  bool to = d.take("to");
  Space space = d.takeSpace();
  Type type = d.takeType();
  if (bitsOf(type) != 64 || !d.expect(2))
    return d.refuse("only cvta of 64 bits is known");
  uint64_t window = space == Space::Shared  ? sharedWindow
                    : space == Space::Local ? localWindow
                    : space == Space::Param ? paramWindow
                                            : 0;
  d.op.imm = int64_t(to ? 0 - window : window);
  d.op.run = [](Warp &warp, const Op &op) {
    const uint64_t *a = warp.lanes<uint64_t>(op.a);
    uint64_t offset = uint64_t(op.imm);
    storeLanes<uint64_t>(warp, op.d, [=](uint32_t i) { return a[i] + offset; });
  };
  d.op.d = d.write(0, 64);
  d.op.a = d.read(1, 64);
}

/// isspacep.shared p, a
void decodeIsSpace(Decoder &d) {
  Space space = d.takeSpace();
  if (!d.expect(2) || space == Space::Generic)
    return;
  d.op.mode = uint8_t(space);
  d.op.run = [](Warp &warp, const Op &op) {
    const uint64_t *a = warp.lanes<uint64_t>(op.a);
    Space space = Space(op.mode);
    storeMask(warp, op.d, maskOf([=](uint32_t i) {
                auto in = [&](uint64_t window) {
                  return a[i] - window < windowBytes;
                };
                return space == Space::Shared  ? in(sharedWindow)
                       : space == Space::Local ? in(localWindow)
                       : space == Space::Param
                           ? in(paramWindow)
                           : !in(sharedWindow) && !in(localWindow) &&
                                 !in(paramWindow);
              }));
  };
  d.op.d = d.writePredicate(0);
  d.op.a = d.read(1, 64);
}

} // namespace

void addMove(DecoderTable &table) {
  table["mov"] = decodeMove;
  table["cvta"] = decodeConvertAddress;
  table["isspacep"] = decodeIsSpace;
}

} // namespace bitbyte::emu
