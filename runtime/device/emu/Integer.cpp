//===- Integer.cpp - Integer arithmetic, logic, shifts, bit fields --------===//

#include "runtime/device/emu/Families.h"
#include "runtime/device/emu/Lanes.h"

#include <limits>

namespace bitbyte::emu {

namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;
template <class T>
using Twice = std::conditional_t<
    sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
    std::conditional_t<
        sizeof(T) == 4,
        std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>,
        std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>>>;

template <class T>
T high(T a, T b) {
  using Wide = Twice<T>;
  return T((Wide(a) * Wide(b)) >> (8 * sizeof(T)));
}
/// Division by zero gives all ones, and x86 must not trap on the overflow.
template <class T>
T divide(T a, T b) {
  if (b == 0)
    return T(~T(0));
  if constexpr (std::is_signed_v<T>)
    if (b == T(-1))
      return T(Unsigned<T>(0) - Unsigned<T>(a));
  return T(a / b);
}
template <class T>
T remainder(T a, T b) {
  if (b == 0)
    return a;
  if constexpr (std::is_signed_v<T>)
    if (b == T(-1))
      return 0;
  return T(a % b);
}
template <class T>
T saturate(Twice<T> value) {
  using Limit = std::numeric_limits<T>;
  return T(value < Limit::min()   ? Twice<T>(Limit::min())
           : value > Limit::max() ? Twice<T>(Limit::max())
                                  : value);
}

/// The widths of registers of an operation with three operands of one type.
void binary(Decoder &d, Type type, Handler handler) {
  d.op.run = handler;
  if (!d.expect(3))
    return;
  unsigned bits = bitsOf(type);
  d.op.d = d.write(0, bits);
  d.op.a = d.read(1, bits);
  d.op.b = d.read(2, bits);
}
void unary(Decoder &d, Type type, Handler handler) {
  d.op.run = handler;
  if (!d.expect(2))
    return;
  unsigned bits = bitsOf(type);
  d.op.d = d.write(0, bits);
  d.op.a = d.read(1, bits);
}

} // namespace

//===----------------------------------------------------------------------===//
// Arithmetic; `add` and the like of floats are in Float.cpp, which calls these
//===----------------------------------------------------------------------===//

void decodeIntegerAdd(Decoder &d, Type type, bool minus) {
  bool sat = d.take("sat");
  if (sat && type == Type::S32)
    return binary(d, type,
                  minus ? lanewise<[](int32_t a, int32_t b) {
                    return saturate<int32_t>(int64_t(a) - b);
                  }>
                        : lanewise<[](int32_t a, int32_t b) {
                            return saturate<int32_t>(int64_t(a) + b);
                          }>);
  if (sat)
    return d.refuse("only .s32 saturates");
  // Carries out of a lane are lost: 16-bit lanes are cut by `box`.
  binary(d, type, byInteger(type, [&]<class T>() {
           using U = Unsigned<T>;
           return minus ? lanewise<[](U a, U b) { return U(a - b); }>
                        : lanewise<[](U a, U b) { return U(a + b); }>;
         }));
}

void decodeIntegerMultiply(Decoder &d, Type type) {
  int part = d.takeOneOf({"lo", "hi", "wide"});
  unsigned bits = bitsOf(type);
  if (part == 2) {
    if (bits == 64 || !d.expect(3))
      return d.refuse("mul.wide takes 16 or 32 bits");
    d.op.run = byInteger(type, []<class T>() -> Handler {
      if constexpr (sizeof(T) == 8)
        return nullptr;
      else
        return lanewise<[](T a, T b) {
          return Twice<T>(Twice<T>(a) * Twice<T>(b));
        }>;
    });
    d.op.d = d.write(0, 2 * bits);
    d.op.a = d.read(1, bits);
    d.op.b = d.read(2, bits);
    return;
  }
  if (part < 0)
    return d.refuse("an integer mul needs .lo, .hi or .wide");
  binary(d, type, byInteger(type, [&]<class T>() {
           using U = Unsigned<T>;
           // Through 64 bits: 16-bit operands would become signed.
           return part == 0
                      ? lanewise<[](U a, U b) { return U(uint64_t(a) * b); }>
                      : lanewise<[](T a, T b) { return high<T>(a, b); }>;
         }));
}

namespace {

void decodeMad(Decoder &d) {
  int part = d.takeOneOf({"lo", "hi", "wide"});
  if (d.take("sat") || part < 0)
    return d.refuse("mad needs .lo, .hi or .wide, without .sat");
  Type type = d.takeType();
  if (!isInteger(type) || !d.expect(4))
    return;
  unsigned bits = bitsOf(type), outer = part == 2 ? 2 * bits : bits;
  if (outer > 64)
    return d.refuse("mad.wide takes 16 or 32 bits");
  d.op.run = byInteger(type, [&]<class T>() -> Handler {
    using U = Unsigned<T>;
    if (part == 0)
      return lanewise<[](U a, U b, U c) { return U(uint64_t(a) * b + c); }>;
    if (part == 1)
      return lanewise<[](T a, T b, U c) { return U(U(high<T>(a, b)) + c); }>;
    if constexpr (sizeof(T) == 8) {
      return nullptr;
    } else {
      using Wide = Unsigned<Twice<T>>;
      return lanewise<[](T a, T b, Wide c) {
        return Wide(Wide(Twice<T>(a) * Twice<T>(b)) + c);
      }>;
    }
  });
  d.op.d = d.write(0, outer);
  d.op.a = d.read(1, bits);
  d.op.b = d.read(2, bits);
  d.op.c = d.read(3, outer);
}

/// mul24 and mad24 are not known: LLVM does not print them.
void decodeRemainder(Decoder &d) {
  Type type = d.takeType();
  binary(d, type, byInteger(type, []<class T>() {
           return lanewise<[](T a, T b) { return remainder<T>(a, b); }>;
         }));
}

void decodeSad(Decoder &d) {
  Type type = d.takeType();
  if (!d.expect(4))
    return;
  unsigned bits = bitsOf(type);
  d.op.run = byInteger(type, []<class T>() {
    using U = Unsigned<T>;
    return lanewise<[](T a, T b, U c) {
      return U(c + (a < b ? U(U(b) - U(a)) : U(U(a) - U(b))));
    }>;
  });
  d.op.d = d.write(0, bits);
  d.op.a = d.read(1, bits);
  d.op.b = d.read(2, bits);
  d.op.c = d.read(3, bits);
}

//===----------------------------------------------------------------------===//
// Logic and shifts
//===----------------------------------------------------------------------===//

enum Logic { And, Or, Xor };

template <Logic logic>
void decodeLogic(Decoder &d) {
  Type type = d.takeType();
  if (type == Type::Pred) {
    if (!d.expect(3))
      return;
    d.op.run = [](Warp &warp, const Op &op) {
      uint32_t a = warp.mask(op.a), b = warp.mask(op.b);
      storeMask(warp, op.d, logic == And ? a & b : logic == Or ? a | b : a ^ b);
    };
    d.op.d = d.writePredicate(0);
    d.op.a = d.readPredicate(1);
    d.op.b = d.readPredicate(2);
    return;
  }
  binary(d, type, byInteger(type, []<class T>() {
           return lanewise<[](T a, T b) {
             return T(logic == And ? a & b : logic == Or ? a | b : a ^ b);
           }>;
         }));
}

void decodeNot(Decoder &d) {
  Type type = d.takeType();
  if (type == Type::Pred) {
    if (!d.expect(2))
      return;
    d.op.run = [](Warp &warp, const Op &op) {
      storeMask(warp, op.d, ~warp.mask(op.a));
    };
    d.op.d = d.writePredicate(0);
    d.op.a = d.readPredicate(1);
    return;
  }
  unary(d, type, byInteger(type, []<class T>() {
          return lanewise<[](T a) { return T(~a); }>;
        }));
}

/// Amounts above the width give zeros, or signs.
template <bool left>
void decodeShift(Decoder &d) {
  Type type = d.takeType();
  if (!d.expect(3))
    return;
  d.op.run = byInteger(type, []<class T>() {
    constexpr uint32_t bits = 8 * sizeof(T);
    if constexpr (left) {
      using U = Unsigned<T>;
      return lanewise<[](U a, uint32_t n) {
        return U(n < bits ? Box<U>(a) << (n & (bits - 1)) : 0);
      }>;
    } else {
      return lanewise<[](T a, uint32_t n) {
        uint32_t most = n < bits ? n : bits - 1;
        T shifted = T(a >> most);
        return std::is_signed_v<T> || n < bits ? shifted : T(0);
      }>;
    }
  });
  d.op.d = d.write(0, bitsOf(type));
  d.op.a = d.read(1, bitsOf(type));
  d.op.b = d.read(2, 32);
}

void decodeFunnelShift(Decoder &d) {
  int side = d.takeOneOf({"l", "r"});
  int mode = d.takeOneOf({"clamp", "wrap"});
  if (!d.take("b32") || side < 0 || mode < 0 || !d.expect(4))
    return;
  static constexpr Handler handlers[2][2] = {
      {lanewise<[](uint32_t a, uint32_t b, uint32_t n) {
         n = n < 32 ? n : 32;
         return uint32_t(((uint64_t(b) << 32 | a) << n) >> 32);
       }>,
       lanewise<[](uint32_t a, uint32_t b, uint32_t n) {
         return uint32_t(((uint64_t(b) << 32 | a) << (n & 31)) >> 32);
       }>},
      {lanewise<[](uint32_t a, uint32_t b, uint32_t n) {
         n = n < 32 ? n : 32;
         return uint32_t((uint64_t(b) << 32 | a) >> n);
       }>,
       lanewise<[](uint32_t a, uint32_t b, uint32_t n) {
         return uint32_t((uint64_t(b) << 32 | a) >> (n & 31));
       }>}};
  d.op.run = handlers[side][mode];
  d.op.d = d.write(0, 32);
  d.op.a = d.read(1, 32);
  d.op.b = d.read(2, 32);
  d.op.c = d.read(3, 32);
}

void decodeLop3(Decoder &d) {
  if (!d.take("b32") || !d.expect(5))
    return;
  d.op.run = [](Warp &warp, const Op &op) {
    const uint32_t *a = warp.lanes<uint32_t>(op.a);
    const uint32_t *b = warp.lanes<uint32_t>(op.b);
    const uint32_t *c = warp.lanes<uint32_t>(op.c);
    uint32_t use[8];
    for (uint32_t k = 0; k < 8; ++k)
      use[k] = op.imm >> k & 1 ? ~uint32_t(0) : 0;
    storeLanes<uint32_t>(warp, op.d, [=](uint32_t i) {
      uint32_t x = a[i], y = b[i], z = c[i];
      return (~x & ~y & ~z & use[0]) | (~x & ~y & z & use[1]) |
             (~x & y & ~z & use[2]) | (~x & y & z & use[3]) |
             (x & ~y & ~z & use[4]) | (x & ~y & z & use[5]) |
             (x & y & ~z & use[6]) | (x & y & z & use[7]);
    });
  };
  d.op.d = d.write(0, 32);
  d.op.a = d.read(1, 32);
  d.op.b = d.read(2, 32);
  d.op.c = d.read(3, 32);
  d.op.imm = d.needNumber(4);
}

//===----------------------------------------------------------------------===//
// Bit fields
//===----------------------------------------------------------------------===//

template <class T>
T extractField(T a, uint32_t position, uint32_t length) {
  constexpr uint32_t bits = 8 * sizeof(T);
  position &= 255;
  length &= 255;
  if (length == 0)
    return 0;
  T shifted = T(a >> (position < bits ? position : bits - 1));
  if (position >= bits)
    return std::is_signed_v<T> ? shifted : T(0);
  if (length >= bits)
    return shifted;
  uint32_t rest = bits - length;
  if constexpr (std::is_signed_v<T>) {
    // A field over the top takes the sign of the whole.
    if (position + length >= bits)
      return shifted;
    return T(T(Unsigned<T>(shifted) << rest) >> rest);
  }
  return T(T(shifted << rest) >> rest);
}

void decodeExtract(Decoder &d) {
  Type type = d.takeType();
  if (!d.expect(4) || bitsOf(type) < 32)
    return;
  d.op.run = byInteger(type, []<class T>() {
    return lanewise<[](T a, uint32_t position, uint32_t length) {
      return extractField<T>(a, position, length);
    }>;
  });
  d.op.d = d.write(0, bitsOf(type));
  d.op.a = d.read(1, bitsOf(type));
  d.op.b = d.read(2, 32);
  d.op.c = d.read(3, 32);
}

template <class T>
void insertField(Warp &warp, const Op &op) {
  const T *a = warp.lanes<T>(op.a), *b = warp.lanes<T>(op.b);
  const uint32_t *positions = warp.lanes<uint32_t>(op.c);
  const uint32_t *lengths = warp.lanes<uint32_t>(op.extra);
  storeLanes<T>(warp, op.d, [=](uint32_t i) {
    constexpr uint32_t bits = 8 * sizeof(T);
    uint32_t position = positions[i] & 255, length = lengths[i] & 255;
    if (position >= bits || length == 0)
      return b[i];
    T mask = length >= bits ? T(~T(0)) : T((T(1) << length) - 1);
    return T((b[i] & ~(mask << position)) | ((a[i] & mask) << position));
  });
}

void decodeInsert(Decoder &d) {
  Type type = d.takeType();
  if (!d.expect(5) || (type != Type::B32 && type != Type::B64))
    return;
  d.op.run = type == Type::B32 ? insertField<uint32_t> : insertField<uint64_t>;
  d.op.d = d.write(0, bitsOf(type));
  d.op.a = d.read(1, bitsOf(type));
  d.op.b = d.read(2, bitsOf(type));
  d.op.c = d.read(3, 32);
  d.op.extra = d.read(4, 32);
}

uint32_t permute(uint32_t a, uint32_t b, uint32_t selectors) {
  uint64_t bytes = uint64_t(b) << 32 | a;
  uint32_t result = 0;
  for (uint32_t k = 0; k < 4; ++k) {
    uint32_t selector = selectors >> (4 * k);
    uint32_t byte = uint32_t(bytes >> (8 * (selector & 7))) & 255;
    if (selector & 8)
      byte = byte & 128 ? 255 : 0;
    result |= byte << (8 * k);
  }
  return result;
}

/// The modes f4e, b4e, rc8, ecl, ecr and rc16, as selectors by c's two bits.
uint32_t permuteMode(uint32_t a, uint32_t b, uint32_t c, int mode) {
  static constexpr uint32_t selectors[6][4] = {
      {0x3210, 0x4321, 0x5432, 0x6543}, {0x5670, 0x6701, 0x7012, 0x0123},
      {0x0000, 0x1111, 0x2222, 0x3333}, {0x3210, 0x3211, 0x3222, 0x3333},
      {0x0000, 0x1110, 0x2210, 0x3210}, {0x1010, 0x3232, 0x1010, 0x3232}};
  return permute(a, b, selectors[mode][c & 3]);
}

void decodePermute(Decoder &d) {
  d.take("b32");
  int mode = d.takeOneOf({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"});
  if (!d.expect(4))
    return;
  d.op.mode = uint8_t(mode + 1);
  d.op.run = mode < 0 ? lanewise<[](uint32_t a, uint32_t b, uint32_t c) {
    return permute(a, b, c);
  }>
                      : [](Warp &warp, const Op &op) {
                          const uint32_t *a = warp.lanes<uint32_t>(op.a);
                          const uint32_t *b = warp.lanes<uint32_t>(op.b);
                          const uint32_t *c = warp.lanes<uint32_t>(op.c);
                          int which = op.mode - 1;
                          storeLanes<uint32_t>(warp, op.d, [=](uint32_t i) {
                            return permuteMode(a[i], b[i], c[i], which);
                          });
                        };
  d.op.d = d.write(0, 32);
  d.op.a = d.read(1, 32);
  d.op.b = d.read(2, 32);
  d.op.c = d.read(3, 32);
}

/// popc, clz, brev, bfind: the result of the counts has 32 bits.
template <class F>
void decodeCount(Decoder &d, F make) {
  Type type = d.takeType();
  if (!d.expect(2) || bitsOf(type) < 32)
    return;
  d.op.run = byInteger(type, make);
  d.op.d = d.write(0, 32);
  d.op.a = d.read(1, bitsOf(type));
}

void decodeReverse(Decoder &d) {
  Type type = d.takeType();
  unary(d, type,
        type == Type::B32   ? lanewise<[](uint32_t a) {
          return uint32_t(__builtin_bitreverse32(a));
        }>
        : type == Type::B64 ? lanewise<[](uint64_t a) {
            return uint64_t(__builtin_bitreverse64(a));
          }>
                            : nullptr);
}

void decodeFind(Decoder &d) {
  bool amount = d.take("shiftamt");
  decodeCount(d, [&]<class T>() {
    using U = Unsigned<T>;
    constexpr uint32_t bits = 8 * sizeof(T);
    return amount ? lanewise<[](T a) {
      U x = std::is_signed_v<T> && a < 0 ? U(~a) : U(a);
      return x ? uint32_t(std::countl_zero(x)) : ~uint32_t(0);
    }>
                  : lanewise<[](T a) {
                      U x = std::is_signed_v<T> && a < 0 ? U(~a) : U(a);
                      return x ? bits - 1 - uint32_t(std::countl_zero(x))
                               : ~uint32_t(0);
                    }>;
  });
}

//===----------------------------------------------------------------------===//
// Dot products of bytes
//===----------------------------------------------------------------------===//

template <class A, class B>
uint32_t dot4(uint32_t a, uint32_t b, uint32_t c) {
  for (uint32_t k = 0; k < 32; k += 8)
    c += uint32_t(int32_t(A(a >> k)) * int32_t(B(b >> k)));
  return c;
}
template <class A, class B, bool high>
uint32_t dot2(uint32_t a, uint32_t b, uint32_t c) {
  b >>= high ? 16 : 0;
  for (uint32_t k = 0; k < 2; ++k)
    c += uint32_t(int32_t(A(a >> (16 * k))) * int32_t(B(b >> (8 * k))));
  return c;
}

void ternary32(Decoder &d, Handler handler) {
  d.op.run = handler;
  if (!d.expect(4))
    return;
  d.op.d = d.write(0, 32);
  d.op.a = d.read(1, 32);
  d.op.b = d.read(2, 32);
  d.op.c = d.read(3, 32);
}

void decodeDot4(Decoder &d) {
  bool a = d.takeType() == Type::S32, b = d.takeType() == Type::S32;
  ternary32(d, a   ? b ? lanewise<dot4<int8_t, int8_t>>
                       : lanewise<dot4<int8_t, uint8_t>>
               : b ? lanewise<dot4<uint8_t, int8_t>>
                   : lanewise<dot4<uint8_t, uint8_t>>);
}

void decodeDot2(Decoder &d) {
  int half = d.takeOneOf({"lo", "hi"});
  bool a = d.takeType() == Type::S32, b = d.takeType() == Type::S32;
  if (half < 0)
    return;
  auto make = [&]<bool high>() -> Handler {
    return a   ? b ? lanewise<dot2<int16_t, int8_t, high>>
                   : lanewise<dot2<int16_t, uint8_t, high>>
           : b ? lanewise<dot2<uint16_t, int8_t, high>>
               : lanewise<dot2<uint16_t, uint8_t, high>>;
  };
  ternary32(d, half ? make.operator()<true>() : make.operator()<false>());
}

} // namespace

void decodeIntegerDivide(Decoder &d, Type type) {
  binary(d, type, byInteger(type, []<class T>() {
           return lanewise<[](T a, T b) { return divide<T>(a, b); }>;
         }));
}
void decodeIntegerNegate(Decoder &d, Type type) {
  unary(d, type, byInteger(type, []<class T>() {
          using U = Unsigned<T>;
          return lanewise<[](U a) { return U(U(0) - a); }>;
        }));
}
void decodeIntegerAbsolute(Decoder &d, Type type) {
  unary(d, type, byInteger(type, []<class T>() {
          return lanewise<[](T a) {
            return a < 0 ? T(Unsigned<T>(0) - Unsigned<T>(a)) : a;
          }>;
        }));
}
void decodeIntegerMinMax(Decoder &d, Type type, bool max) {
  if (d.take("relu"))
    return d.refuse(".relu of integers is not known");
  binary(d, type, byInteger(type, [&]<class T>() {
           return max ? lanewise<[](T a, T b) { return a > b ? a : b; }>
                      : lanewise<[](T a, T b) { return a < b ? a : b; }>;
         }));
}

void addInteger(DecoderTable &table) {
  table["mad"] = decodeMad;
  table["rem"] = decodeRemainder;
  table["sad"] = decodeSad;
  table["and"] = decodeLogic<And>;
  table["or"] = decodeLogic<Or>;
  table["xor"] = decodeLogic<Xor>;
  table["not"] = decodeNot;
  table["shl"] = decodeShift<true>;
  table["shr"] = decodeShift<false>;
  table["shf"] = decodeFunnelShift;
  table["lop3"] = decodeLop3;
  table["bfe"] = decodeExtract;
  table["bfi"] = decodeInsert;
  table["prmt"] = decodePermute;
  table["popc"] = [](Decoder &d) {
    decodeCount(d, []<class T>() {
      return lanewise<[](T a) {
        return uint32_t(std::popcount(Unsigned<T>(a)));
      }>;
    });
  };
  table["clz"] = [](Decoder &d) {
    decodeCount(d, []<class T>() {
      return lanewise<[](T a) {
        return uint32_t(std::countl_zero(Unsigned<T>(a)));
      }>;
    });
  };
  table["brev"] = decodeReverse;
  table["bfind"] = decodeFind;
  table["dp4a"] = decodeDot4;
  table["dp2a"] = decodeDot2;
}

} // namespace bitbyte::emu
