//===- Convert.cpp - cvt --------------------------------------------------===//

#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Lanes.h"
#include "runtime/device/emu/SmallFloat.h"

#include <algorithm>
#include <limits>

namespace bitbyte::emu {

namespace {

enum Rounding : uint8_t { Nearest, Zero, Down, Up };

double rounded(double value, uint8_t rounding) {
  switch (rounding) {
  case Zero:
    return std::trunc(value);
  case Down:
    return std::floor(value);
  case Up:
    return std::ceil(value);
  default:
    return std::rint(value);
  }
}

//===----------------------------------------------------------------------===//
// Integers to integers
//===----------------------------------------------------------------------===//

/// The value of a lane of an integer type, sign- or zero-extended.
template <class T>
int64_t widen(uint64_t bits) {
  return int64_t(T(bits));
}
using Widen = int64_t (*)(uint64_t);

/// Calls `make` with an instance of the C++ type.
template <class Make>
Handler byAnyInteger(Type type, Make make) {
  if (bitsOf(type) >= 16)
    return byInteger(type, make);
  return type == Type::S8 ? make.template operator()<int8_t>()
                          : make.template operator()<uint8_t>();
}

/// `From` to `To`; a signed value fills the whole register that it lands in,
/// be it wider than the type.
template <class From, class To, class Register, bool sat>
void convertIntegers(Warp &warp, const Op &op) {
  using Limit = std::numeric_limits<To>;
  auto convert = [](From value) {
    To to = To(value);
    if constexpr (sat) {
      __int128 exact = value;
      if (exact > __int128(Limit::max()))
        to = Limit::max();
      if (exact < __int128(Limit::min()))
        to = Limit::min();
    }
    using Extended =
        std::conditional_t<std::is_signed_v<To>, int64_t, uint64_t>;
    return Box<Register>(Register(Extended(to)));
  };
  if (op.narrow) {
    const uint64_t *a = warp.lanes<uint64_t>(op.a);
    storeLanes<Box<Register>>(warp, op.d,
                              [=](uint32_t i) { return convert(From(a[i])); });
  } else {
    const uint32_t *a = warp.lanes<uint32_t>(op.a);
    storeLanes<Box<Register>>(warp, op.d,
                              [=](uint32_t i) { return convert(From(a[i])); });
  }
}

template <class From, class To>
Handler integerHandler(unsigned registerBits, bool sat) {
  switch (registerBits) {
  case 64:
    return sat ? convertIntegers<From, To, uint64_t, true>
               : convertIntegers<From, To, uint64_t, false>;
  case 32:
    return sat ? convertIntegers<From, To, uint32_t, true>
               : convertIntegers<From, To, uint32_t, false>;
  default:
    return sat ? convertIntegers<From, To, uint16_t, true>
               : convertIntegers<From, To, uint16_t, false>;
  }
}

//===----------------------------------------------------------------------===//
// What touches floats: through double, which holds all of them
//===----------------------------------------------------------------------===//

/// Reads a lane as a double; 64-bit integers, which do not fit, go through
/// `Number`.
struct Number {
  double real = 0;
  int64_t whole = 0;
  bool isWhole = false;
};

Number numberOf(uint64_t bits, Type type) {
  switch (type) {
  case Type::F32:
    return {bitsToFloat(uint32_t(bits))};
  case Type::F64:
    return {std::bit_cast<double>(bits)};
  case Type::F16:
    return {halfToFloat(uint32_t(bits))};
  case Type::BF16:
    return {brainToFloat(uint32_t(bits))};
  case Type::U8:
    return {0, widen<uint8_t>(bits), true};
  case Type::S8:
    return {0, widen<int8_t>(bits), true};
  case Type::U16:
    return {0, widen<uint16_t>(bits), true};
  case Type::S16:
    return {0, widen<int16_t>(bits), true};
  case Type::U32:
    return {0, widen<uint32_t>(bits), true};
  case Type::S32:
    return {0, widen<int32_t>(bits), true};
  default:
    return {0, int64_t(bits), true};
  }
}

/// NaN becomes 0, what is too large the nearest.
uint64_t toInteger(double value, Type type) {
  if (value != value)
    return 0;
  unsigned bits = bitsOf(type);
  double least = isSigned(type) ? -std::ldexp(1.0, int(bits) - 1) : 0;
  double end = std::ldexp(1.0, int(isSigned(type) ? bits - 1 : bits));
  if (value <= least)
    return uint64_t(int64_t(least));
  if (value >= end)
    return isSigned(type) ? (uint64_t(1) << (bits - 1)) - 1
                          : ~uint64_t(0) >> (64 - bits);
  return isSigned(type) ? uint64_t(int64_t(value)) : uint64_t(value);
}

/// Rounds a double to float in a direction.
float toSingle(double value, uint8_t rounding) {
  float nearest = float(value);
  double back = nearest;
  if (rounding == Nearest || back == value || value != value)
    return nearest;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  bool tooHigh = back > value;
  if (rounding == Zero   ? std::abs(back) > std::abs(value)
      : rounding == Down ? tooHigh
                         : false)
    return std::nextafter(nearest, rounding == Zero ? 0.f : -infinity);
  if (rounding == Up && !tooHigh)
    return std::nextafter(nearest, infinity);
  return nearest;
}

uint32_t truncatedBrain(float value) {
  return value != value ? 0x7fff : floatToBits(value) >> 16;
}

/// .satfinite: the largest finite float in place of what would be larger; a NaN
/// stays one.
double saturated(double value, double largest) {
  return value != value ? value : std::clamp(value, -largest, largest);
}
constexpr double largestHalf = 65504, largestBrain = 0x1.fep127,
                 largestTensorFloat = 0x1.ffcp127;

struct Conversion {
  Type from, to;
  uint8_t rounding;
  bool integral, ftz, sat, relu, finite;
};

Conversion conversionOf(const Op &op) {
  return {Type(op.mode),         Type(op.type),         uint8_t(op.imm & 3),
          bool(op.imm >> 2 & 1), bool(op.imm >> 3 & 1), bool(op.imm >> 4 & 1),
          bool(op.imm >> 5 & 1), bool(op.imm >> 6 & 1)};
}

void setConversion(Op &op, const Conversion &c) {
  op.mode = uint8_t(c.from);
  op.type = uint8_t(c.to);
  op.imm = c.rounding | int64_t(c.integral) << 2 | int64_t(c.ftz) << 3 |
           int64_t(c.sat) << 4 | int64_t(c.relu) << 5 | int64_t(c.finite) << 6;
}

uint64_t convertOne(uint64_t bits, const Conversion &c) {
  Number number = numberOf(bits, c.from);
  bool unsigned64 = c.from == Type::U64;
  double value = !number.isWhole ? number.real
                 : unsigned64    ? double(uint64_t(number.whole))
                                 : double(number.whole);
  if (c.ftz && c.from == Type::F32)
    value = flushed(float(value));
  if (c.integral)
    value = rounded(value, c.rounding);
  if (c.sat && !isInteger(c.to))
    value = value > 0 ? value < 1 ? value : 1 : 0;
  if (c.relu)
    value = value != value ? value : value > 0 ? value : 0;
  if (c.finite)
    value = saturated(value, c.to == Type::F16 ? largestHalf : largestBrain);
  switch (c.to) {
  case Type::F64:
    return std::bit_cast<uint64_t>(value);
  case Type::F32: {
    // Straight from 64-bit integers: no double rounding.
    float result =
        number.isWhole && c.rounding == Nearest
            ? unsigned64 ? float(uint64_t(number.whole)) : float(number.whole)
            : toSingle(value, c.rounding);
    return floatToBits(c.ftz ? flushed(result) : result);
  }
  case Type::F16:
    return c.rounding == Zero && !c.integral && value == value
               ? [&] {
                   uint32_t half = floatToHalf(roundToOdd(value));
                   float back = halfToFloat(half);
                   return std::abs(double(back)) > std::abs(value) ? half - 1
                                                                   : half;
                 }()
               : floatToHalf(roundToOdd(value));
  case Type::BF16:
    return c.rounding == Zero && !c.integral
               ? truncatedBrain(toSingle(value, Zero))
               : floatToBrain(roundToOdd(value));
  default:
    return toInteger(value, c.to);
  }
}

void convertSlow(Warp &warp, const Op &op) {
  Conversion c = conversionOf(op);
  bool wideIn = op.narrow, wideOut = op.extra;
  eachLane(warp.active, [&](uint32_t i) {
    uint64_t bits =
        wideIn ? warp.lanes<uint64_t>(op.a)[i] : warp.lanes<uint32_t>(op.a)[i];
    uint64_t result = convertOne(bits, c);
    if (wideOut)
      warp.lanes<uint64_t>(op.d)[i] = result;
    else if (op.count <= 16 || (bitsOf(c.to) <= 16 && !isSigned(c.to)))
      warp.lanes<uint32_t>(op.d)[i] = uint32_t(result) & 0xffff;
    else
      warp.lanes<uint32_t>(op.d)[i] = uint32_t(result);
  });
}

/// The pairs that kernels are full of, as vector loops.
Handler fastPath(const Conversion &c) {
  if (c.relu || c.sat || c.finite || c.integral || c.rounding != Nearest)
    return nullptr;
  if (c.from == Type::F32 && c.to == Type::BF16 && !c.ftz)
    return lanewise<[](float a) { return floatToBrain(a); }>;
  if (c.from == Type::BF16 && c.to == Type::F32)
    return c.ftz ? lanewise<[](uint32_t a) { return flushed(brainToFloat(a)); }>
                 : lanewise<[](uint32_t a) { return brainToFloat(a); }>;
  if (c.from == Type::F32 && c.to == Type::F16 && !c.ftz)
    return lanewise<[](float a) { return floatToHalf(a); }>;
  if (c.from == Type::F16 && c.to == Type::F32)
    return lanewise<[](uint32_t a) { return halfToFloat(a); }>;
  if (c.from == Type::S32 && c.to == Type::F32)
    return lanewise<[](int32_t a) { return float(a); }>;
  if (c.from == Type::U32 && c.to == Type::F32)
    return lanewise<[](uint32_t a) { return float(a); }>;
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Packed and rare forms
//===----------------------------------------------------------------------===//

uint32_t packBrain(float high, float low) {
  return floatToBrain(high) << 16 | floatToBrain(low);
}
uint32_t packHalf(float high, float low) {
  return floatToHalf(high) << 16 | floatToHalf(low);
}
/// The same by other rules than rounding to nearest alone.
void packSlow(Warp &warp, const Op &op) {
  Conversion c = conversionOf(op);
  const uint32_t *high = warp.lanes<uint32_t>(op.a);
  const uint32_t *low = warp.lanes<uint32_t>(op.b);
  storeLanes<uint32_t>(warp, op.d, [&](uint32_t i) {
    return uint32_t(convertOne(high[i], c)) << 16 |
           uint32_t(convertOne(low[i], c));
  });
}
template <bool e5m2>
uint32_t packFloat8(float high, float low) {
  return floatToFloat8(high, e5m2) << 8 | floatToFloat8(low, e5m2);
}
template <bool e5m2>
uint32_t unpackFloat8(uint32_t pair) {
  return floatToHalf(float8ToFloat(pair >> 8, e5m2)) << 16 |
         floatToHalf(float8ToFloat(pair, e5m2));
}
template <bool e5m2>
uint32_t halvesToFloat8(uint32_t pair) {
  return packFloat8<e5m2>(halfToFloat(pair >> 16), halfToFloat(pair & 0xffff));
}

/// The forms with two values in a register. True if it was one.
bool decodePacked(Decoder &d, Type to, Type from) {
  auto finish = [&](Handler handler, size_t sources, unsigned sourceBits) {
    d.op.run = handler;
    if (!d.expect(sources + 1))
      return true;
    d.op.d = d.write(0, bitsOf(to));
    d.op.a = d.read(1, sourceBits);
    if (sources == 2)
      d.op.b = d.read(2, sourceBits);
    return true;
  };
  bool toPair = to == Type::BF16x2 || to == Type::F16x2;
  if (toPair && from == Type::F32) {
    int rounding = d.takeOneOf({"rn", "rz"});
    bool relu = d.take("relu"), finite = d.take("satfinite");
    if (rounding < 0)
      return false;
    if (rounding == 0 && !relu && !finite)
      return finish(
          to == Type::F16x2 ? lanewise<packHalf> : lanewise<packBrain>, 2, 32);
    setConversion(d.op, {from, to == Type::F16x2 ? Type::F16 : Type::BF16,
                         uint8_t(rounding), false, false, false, relu, finite});
    return finish(packSlow, 2, 32);
  }
  bool e5m2 = to == Type::E5M2x2 || from == Type::E5M2x2;
  if (to == Type::E4M3x2 || to == Type::E5M2x2) {
    if (!d.take("rn") || !d.take("satfinite"))
      return false;
    if (from == Type::F32)
      return finish(e5m2 ? lanewise<packFloat8<true>>
                         : lanewise<packFloat8<false>>,
                    2, 32);
    if (from == Type::F16x2)
      return finish(e5m2 ? lanewise<halvesToFloat8<true>>
                         : lanewise<halvesToFloat8<false>>,
                    1, 32);
    return false;
  }
  if ((from == Type::E4M3x2 || from == Type::E5M2x2) && to == Type::F16x2 &&
      d.take("rn"))
    return finish(e5m2 ? lanewise<unpackFloat8<true>>
                       : lanewise<unpackFloat8<false>>,
                  1, 16);
  return false;
}

/// cvt.rna.tf32.f32: ties away from zero; .rn: to even; .rz cuts. A tf32 is a
/// float whose low 13 bits are zero.
void toTensorFloat(Warp &warp, const Op &op) {
  bool relu = op.narrow, finite = op.extra;
  uint8_t rounding = op.mode;
  const uint32_t *a = warp.lanes<uint32_t>(op.a);
  storeLanes<uint32_t>(warp, op.d, [=](uint32_t i) {
    uint32_t bits = a[i];
    if ((bits & 0x7fffffff) > 0x7f800000)
      return 0x7fffffffu;
    if (relu && bits >> 31)
      return 0u;
    uint32_t half = rounding == 0   ? 0x1000
                    : rounding == 1 ? 0xfff + (bits >> 13 & 1)
                                    : 0;
    uint32_t size = bits & 0x7fffffff;
    if (size < 0x7f800000)
      size += half;
    if (finite && size >= 0x7f800000)
      size = floatToBits(float(largestTensorFloat));
    return (bits & 0x80000000) | (size & 0xffffe000);
  });
}

bool decodeTensorFloat(Decoder &d) {
  int rounding = d.takeOneOf({"rna", "rn", "rz"});
  d.op.narrow = d.take("relu");
  d.op.extra = d.take("satfinite");
  if (rounding < 0 || (rounding == 0 && d.op.narrow) || !d.expect(2))
    return false;
  d.op.run = toTensorFloat;
  d.op.mode = uint8_t(rounding);
  d.op.d = d.write(0, 32);
  d.op.a = d.read(1, 32);
  return true;
}

void decodeConvert(Decoder &d) {
  if (d.take("pack"))
    return d.refuse("cvt.pack is not known");
  Type to = d.takeType(), from = d.takeType();
  if (to == Type::None || from == Type::None)
    return d.refuse("cvt needs two types");
  if (to == Type::TF32 && from == Type::F32) {
    if (!decodeTensorFloat(d))
      d.refuse("this rounding to tf32 is not known");
    return;
  }
  bool known = (isInteger(to) || to == Type::F32 || to == Type::F64 ||
                to == Type::F16 || to == Type::BF16) &&
               (isInteger(from) || from == Type::F32 || from == Type::F64 ||
                from == Type::F16 || from == Type::BF16);
  if (!known) {
    if (!decodePacked(d, to, from))
      d.refuse(fmt::format("form '{}' is not known", d.fullName()));
    return;
  }
  int integral = d.takeOneOf({"rni", "rzi", "rmi", "rpi"});
  int real = d.takeOneOf({"rn", "rz", "rm", "rp"});
  bool sat = d.take("sat"), ftz = d.take("ftz"), relu = d.take("relu");
  bool small = to == Type::F16 || to == Type::BF16;
  bool finite = small && from == Type::F32 && d.take("satfinite");
  if (!d.expect(2))
    return;
  bool wideIn = false, wideOut = false;
  d.op.d = d.writeLoose(0, bitsOf(to), wideOut);
  d.op.a = d.readLoose(1, bitsOf(from), wideIn);
  d.op.narrow = wideIn; // the handlers read 64-bit lanes
  d.op.extra = wideOut;
  if (isInteger(to) && isInteger(from)) {
    if (integral >= 0 || real >= 0 || ftz || relu)
      return d.refuse("integers are converted without rounding");
    // A signed value fills a 16-bit register up to 16 bits only.
    unsigned registerBits =
        wideOut ? 64 : std::max(d.registerBits(0), bitsOf(to));
    d.op.run = byAnyInteger(from, [&]<class From>() {
      return byAnyInteger(to, [&]<class To>() {
        return integerHandler<From, To>(registerBits, sat);
      });
    });
    return;
  }
  Conversion c{from,
               to,
               uint8_t(integral >= 0 ? integral : real >= 0 ? real : 0),
               integral >= 0,
               ftz,
               sat,
               relu,
               finite};
  if (isInteger(to) && integral < 0)
    return d.refuse("a float becomes an integer by .rni, .rzi, .rmi or .rpi");
  setConversion(d.op, c);
  d.op.count = wideOut ? 64 : d.registerBits(0);
  Handler fast = wideIn || wideOut ? nullptr : fastPath(c);
  d.op.run = fast ? fast : convertSlow;
}

} // namespace

void addConvert(DecoderTable &table) { table["cvt"] = decodeConvert; }

} // namespace bitbyte::emu
