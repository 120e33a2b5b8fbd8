//===- Predicate.cpp - Comparing and choosing: setp, set, selp, slct ------===//

#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Lanes.h"
#include "runtime/device/emu/SmallFloat.h"

namespace bitbyte::emu {

namespace {

enum Comparison { Eq, Ne, Lt, Le, Gt, Ge, Num, Nan };

template <Comparison c, class T>
bool compare(T a, T b) {
  switch (c) {
  case Eq:
    return a == b;
  case Ne:
    return a != b && a == a && b == b;
  case Lt:
    return a < b;
  case Le:
    return a <= b;
  case Gt:
    return a > b;
  case Ge:
    return a >= b;
  case Num:
    return a == a && b == b;
  case Nan:
    return a != a || b != b;
  }
}

/// How the compared value is made of a lane.
struct AsHalf {
  static float open(uint32_t bits) { return halfToFloat(bits); }
};
struct AsBrain {
  static float open(uint32_t bits) { return brainToFloat(bits); }
};
struct AsFlushed {
  static float open(uint32_t bits) { return flushed(bitsToFloat(bits)); }
};
template <class T>
struct As {
  static T open(Box<T> bits) { return unbox<T>(bits); }
};

using Test = uint32_t (*)(Warp &, const Op &);

template <class Format, class Lane, Comparison c, bool unordered>
uint32_t test(Warp &warp, const Op &op) {
  const Lane *a = warp.lanes<Lane>(op.a), *b = warp.lanes<Lane>(op.b);
  return maskOf([=](uint32_t i) {
    auto x = Format::open(a[i]), y = Format::open(b[i]);
    if (unordered)
      return compare<c>(x, y) || x != x || y != y;
    return compare<c>(x, y);
  });
}

/// The result of a comparison, and what is to be done with it: combined with a
/// predicate, negated for a second result.
template <Test compared>
void setPredicate(Warp &warp, const Op &op) {
  uint32_t result = compared(warp, op), other = ~result;
  if (op.mode) {
    uint32_t with = warp.mask(op.c);
    with = op.narrow ? ~with : with;
    auto combine = [&](uint32_t value) {
      return op.mode == 1   ? value & with
             : op.mode == 2 ? value | with
                            : value ^ with;
    };
    result = combine(result);
    other = combine(other);
  }
  storeMask(warp, op.d, result);
  if (op.extra != noSlot)
    storeMask(warp, op.extra, other);
}

/// set: all ones, or 1.0 where the result is a float.
template <Test compared>
void setRegister(Warp &warp, const Op &op) {
  uint32_t mask = compared(warp, op), yes = uint32_t(op.imm);
  storeLanes<uint32_t>(warp, op.d, [=](uint32_t i) {
    return mask >> i & 1 ? yes : uint32_t(0);
  });
}

template <class Format, class Lane, Comparison c, bool unordered>
Handler finish(bool toRegister) {
  constexpr Test compared = test<Format, Lane, c, unordered>;
  return toRegister ? setRegister<compared> : setPredicate<compared>;
}

template <class Format, class Lane>
Handler byComparison(int c, bool unordered, bool toRegister) {
  auto pick = [&]<bool u>() -> Handler {
    switch (c) {
    case Eq:
      return finish<Format, Lane, Eq, u>(toRegister);
    case Ne:
      return finish<Format, Lane, Ne, u>(toRegister);
    case Lt:
      return finish<Format, Lane, Lt, u>(toRegister);
    case Le:
      return finish<Format, Lane, Le, u>(toRegister);
    case Gt:
      return finish<Format, Lane, Gt, u>(toRegister);
    case Ge:
      return finish<Format, Lane, Ge, u>(toRegister);
    case Num:
      return finish<Format, Lane, Num, false>(toRegister);
    default:
      return finish<Format, Lane, Nan, false>(toRegister);
    }
  };
  return unordered ? pick.template operator()<true>()
                   : pick.template operator()<false>();
}

Handler comparisonOf(Type type, int c, bool unordered, bool ftz,
                     bool toRegister) {
  switch (type) {
  case Type::F32:
    return ftz ? byComparison<AsFlushed, uint32_t>(c, unordered, toRegister)
               : byComparison<As<float>, uint32_t>(c, unordered, toRegister);
  case Type::F64:
    return byComparison<As<double>, uint64_t>(c, unordered, toRegister);
  case Type::F16:
    return byComparison<AsHalf, uint32_t>(c, unordered, toRegister);
  case Type::BF16:
    return byComparison<AsBrain, uint32_t>(c, unordered, toRegister);
  default:
    if (unordered || c >= Num)
      return nullptr;
    return byInteger(type, [&]<class T>() {
      return byComparison<As<T>, Box<T>>(c, false, toRegister);
    });
  }
}

/// Takes the comparison, and the combination that may follow it.
bool takeComparison(Decoder &d, int &comparison, bool &unordered) {
  comparison = d.takeOneOf({"eq", "ne", "lt", "le", "gt", "ge", "num", "nan"});
  unordered = false;
  if (comparison < 0) {
    // Unsigned comparisons have names of their own: lo, ls, hi, hs.
    comparison = d.takeOneOf({"equ", "neu", "ltu", "leu", "gtu", "geu"});
    unordered = comparison >= 0;
  }
  if (comparison < 0) {
    int named = d.takeOneOf({"lo", "ls", "hi", "hs"});
    comparison = named < 0 ? -1 : Lt + named;
  }
  if (comparison < 0)
    d.refuse("the comparison is missing or not known");
  return comparison >= 0;
}

void decodeSetp(Decoder &d) {
  int comparison;
  bool unordered;
  if (!takeComparison(d, comparison, unordered))
    return;
  int combination = d.takeOneOf({"and", "or", "xor"});
  bool ftz = d.take("ftz");
  Type type = d.takeType();
  bool second = d.operands() > 1 && d.followsBar(1);
  if (!d.expect(3 + size_t(second) + size_t(combination >= 0)))
    return;
  d.op.run = comparisonOf(type, comparison, unordered, ftz, false);
  d.op.d = d.writePredicate(0);
  d.op.extra = second ? d.writePredicate(1) : noSlot;
  size_t source = second ? 2 : 1;
  d.op.a = d.read(source, bitsOf(type));
  d.op.b = d.read(source + 1, bitsOf(type));
  d.op.mode = uint8_t(combination + 1);
  if (combination >= 0) {
    d.op.c = d.readPredicate(source + 2);
    d.op.narrow = d.isNegated(source + 2);
  }
}

void decodeSet(Decoder &d) {
  int comparison;
  bool unordered;
  if (!takeComparison(d, comparison, unordered))
    return;
  bool ftz = d.take("ftz");
  Type to = d.takeType(), type = d.takeType();
  if (!d.expect(3) || bitsOf(to) != 32)
    return;
  d.op.run = comparisonOf(type, comparison, unordered, ftz, true);
  d.op.imm = to == Type::F32 ? 0x3f800000 : 0xffffffff;
  d.op.d = d.write(0, 32);
  d.op.a = d.read(1, bitsOf(type));
  d.op.b = d.read(2, bitsOf(type));
}

template <class T>
void select(Warp &warp, const Op &op) {
  const T *a = warp.lanes<T>(op.a), *b = warp.lanes<T>(op.b);
  uint32_t mask = warp.mask(op.c);
  storeLanes<T>(warp, op.d,
                [=](uint32_t i) { return mask >> i & 1 ? a[i] : b[i]; });
}

void decodeSelect(Decoder &d) {
  Type type = d.takeType();
  if (type == Type::None || !d.expect(4))
    return;
  d.op.run = bitsOf(type) == 64 ? select<uint64_t> : select<uint32_t>;
  d.op.d = d.write(0, bitsOf(type));
  d.op.a = d.read(1, bitsOf(type));
  d.op.b = d.read(2, bitsOf(type));
  d.op.c = d.readPredicate(3);
}

/// slct.b32.s32 d, a, b, c: a where c >= 0.
void decodeSignSelect(Decoder &d) {
  bool ftz = d.take("ftz");
  Type type = d.takeType(), by = d.takeType();
  if (bitsOf(type) != 32 || !d.expect(4))
    return;
  if (by == Type::S32)
    d.op.run = lanewise<[](uint32_t a, uint32_t b, int32_t c) {
      return c >= 0 ? a : b;
    }>;
  else if (by == Type::F32)
    d.op.run = ftz ? lanewise<[](uint32_t a, uint32_t b, float c) {
      return flushed(c) >= 0 ? a : b;
    }>
                   : lanewise<[](uint32_t a, uint32_t b, float c) {
                       return c >= 0 ? a : b;
                     }>;
  d.op.d = d.write(0, 32);
  d.op.a = d.read(1, 32);
  d.op.b = d.read(2, 32);
  d.op.c = d.read(3, 32);
}

} // namespace

void addPredicate(DecoderTable &table) {
  table["setp"] = decodeSetp;
  table["set"] = decodeSet;
  table["selp"] = decodeSelect;
  table["slct"] = decodeSignSelect;
}

} // namespace bitbyte::emu
