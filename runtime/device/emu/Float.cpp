//===- Float.cpp - Floating-point arithmetic ------------------------------===//
//
// Subnormals are flushed only where the instruction says .ftz. Results of the
// approximating instructions are within their documented error, not equal to
// what a GPU gives to the bit.
//===----------------------------------------------------------------------===//

#include "runtime/device/emu/Families.h"
#include "runtime/device/emu/Lanes.h"
#include "runtime/device/emu/SmallFloat.h"

namespace bitbyte::emu {

namespace {

//===----------------------------------------------------------------------===//
// Functions of one lane
//===----------------------------------------------------------------------===//

template <class T>
T canonicalNan() {
  return std::bit_cast<T>(
      Box<T>(sizeof(T) == 8 ? 0x7fffffffffffffff : 0x7fffffff));
}

struct Add {
  template <class T>
  static T of(T a, T b) {
    return a + b;
  }
};
struct Subtract {
  template <class T>
  static T of(T a, T b) {
    return a - b;
  }
};
struct Multiply2 {
  template <class T>
  static T of(T a, T b) {
    return a * b;
  }
};
struct Divide {
  template <class T>
  static T of(T a, T b) {
    return a / b;
  }
};
/// -0 is less than +0; a NaN loses, or with `nan` wins.
template <bool max, bool nan>
struct MinMax {
  template <class T>
  static T of(T a, T b) {
    bool aIsNan = a != a, bIsNan = b != b;
    bool aFirst = max ? a > b || (a == b && !std::signbit(a))
                      : a < b || (a == b && std::signbit(a));
    T chosen = aFirst ? a : b;
    if (nan)
      return aIsNan || bIsNan ? canonicalNan<T>() : chosen;
    chosen = aIsNan ? b : bIsNan ? a : chosen;
    return aIsNan && bIsNan ? canonicalNan<T>() : chosen;
  }
};
struct Reciprocal {
  template <class T>
  static T of(T a) {
    return T(1) / a;
  }
};
struct SquareRoot {
  template <class T>
  static T of(T a) {
    return std::sqrt(a);
  }
};
struct ReciprocalRoot {
  template <class T>
  static T of(T a) {
    return T(1) / std::sqrt(a);
  }
};
/// 2^x by a polynomial, relative error about 1e-7 (the GPU: 2^-22).
struct Exp2 {
  static float of(float x) {
    float clamped = x > 200.f ? 200.f : x < -200.f ? -200.f : x;
    float whole = __builtin_rintf(clamped);
    float part = clamped - whole;
    float value = 1.5403530e-4f;
    value = std::fma(value, part, 1.3333558e-3f);
    value = std::fma(value, part, 9.6181291e-3f);
    value = std::fma(value, part, 5.5504109e-2f);
    value = std::fma(value, part, 2.4022651e-1f);
    value = std::fma(value, part, 6.9314718e-1f);
    value = std::fma(value, part, 1.f);
    int exponent = int(whole == whole ? whole : 0.f);
    int half = exponent >> 1;
    // In two steps, so that subnormal results come out right.
    value *= bitsToFloat(uint32_t(half + 127) << 23);
    return value * bitsToFloat(uint32_t(exponent - half + 127) << 23);
  }
  template <class T>
  static T of(T a) {
    return T(std::exp2(a));
  }
};
/// log2 through (m - 1) / (m + 1), relative error about 1e-7 (the GPU: 2^-22
/// absolute).
struct Log2 {
  static float of(float x) {
    bool small = x < 0x1p-126f;
    uint32_t bits = floatToBits(small ? x * 0x1p24f : x);
    // The mantissa in [sqrt(1/2), sqrt(2)).
    uint32_t shifted = bits - 0x3f3504f3;
    int exponent = int(shifted) >> 23;
    float mantissa = bitsToFloat(bits - (uint32_t(exponent) << 23));
    float s = (mantissa - 1.f) / (mantissa + 1.f), z = s * s;
    float series = 2.885390082f / 11.f;
    series = std::fma(series, z, 2.885390082f / 9.f);
    series = std::fma(series, z, 2.885390082f / 7.f);
    series = std::fma(series, z, 2.885390082f / 5.f);
    series = std::fma(series, z, 2.885390082f / 3.f);
    series = std::fma(series, z, 2.885390082f);
    float result = std::fma(s, series, float(exponent - (small ? 24 : 0)));
    constexpr float infinity = std::numeric_limits<float>::infinity();
    result = x == 0.f ? -infinity : result;
    result = x == infinity ? infinity : result;
    return x >= 0.f ? result : canonicalNan<float>();
  }
  template <class T>
  static T of(T a) {
    return T(std::log2(a));
  }
};
struct Sine {
  template <class T>
  static T of(T a) {
    return std::sin(a);
  }
};
struct Cosine {
  template <class T>
  static T of(T a) {
    return std::cos(a);
  }
};
struct HyperbolicTangent {
  template <class T>
  static T of(T a) {
    return std::tanh(a);
  }
};

/// [0, 1]; a NaN becomes 0.
inline float clampToUnit(float value) {
  return value > 0.f ? value < 1.f ? value : 1.f : 0.f;
}

//===----------------------------------------------------------------------===//
// Functions of one lane as handlers
//===----------------------------------------------------------------------===//

template <class F, bool ftz, bool sat, class... T>
float single(T... values) {
  float result = F::of((ftz ? flushed(values) : values)...);
  result = ftz ? flushed(result) : result;
  return sat ? clampToUnit(result) : result;
}

struct Half {
  static float open(uint32_t bits) { return halfToFloat(bits & 0xffff); }
  static uint32_t close(float value) { return floatToHalf(value); }
};
struct Brain {
  static float open(uint32_t bits) { return brainToFloat(bits & 0xffff); }
  static uint32_t close(float value) { return floatToBrain(value); }
};

/// One value of 16 bits, or two in a register.
template <class F, class Format, bool pair, class... T>
uint32_t small(T... bits) {
  uint32_t low = Format::close(F::of(Format::open(bits)...));
  if constexpr (pair)
    return low | Format::close(F::of(Format::open(bits >> 16)...)) << 16;
  else
    return low;
}

template <class F, class... T>
Handler smallFloat(Type type) {
  switch (type) {
  case Type::F16:
    return lanewise<small<F, Half, false, T...>>;
  case Type::F16x2:
    return lanewise<small<F, Half, true, T...>>;
  case Type::BF16:
    return lanewise<small<F, Brain, false, T...>>;
  case Type::BF16x2:
    return lanewise<small<F, Brain, true, T...>>;
  default:
    return nullptr;
  }
}

template <class F, class... T>
Handler singleFloat(bool ftz, bool sat) {
  return ftz   ? sat ? lanewise<single<F, true, true, T...>>
                     : lanewise<single<F, true, false, T...>>
         : sat ? lanewise<single<F, false, true, T...>>
               : lanewise<single<F, false, false, T...>>;
}

void operandsOf(Decoder &d, Type type, size_t sources) {
  if (!d.expect(sources + 1))
    return;
  unsigned bits = bitsOf(type);
  d.op.d = d.write(0, bits);
  d.op.a = d.read(1, bits);
  if (sources > 1)
    d.op.b = d.read(2, bits);
  if (sources > 2)
    d.op.c = d.read(3, bits);
}

template <class F>
void binaryFloat(Decoder &d, Type type) {
  d.take("rn");
  if (type == Type::F32) {
    bool ftz = d.take("ftz"), sat = d.take("sat");
    d.op.run = singleFloat<F, float, float>(ftz, sat);
  } else if (type == Type::F64) {
    d.op.run = lanewise<[](double a, double b) { return F::of(a, b); }>;
  } else {
    d.take("noftz");
    d.op.run = smallFloat<F, uint32_t, uint32_t>(type);
  }
  operandsOf(d, type, 2);
}

/// `approximate`: only with .approx or .rn.
template <class F>
void unaryFloat(Decoder &d) {
  Type type = d.takeType();
  d.takeOneOf({"rn", "approx"});
  if (type == Type::F32) {
    bool ftz = d.take("ftz");
    d.op.run = singleFloat<F, float>(ftz, false);
  } else if (type == Type::F64) {
    d.take("ftz");
    d.op.run = lanewise<[](double a) { return F::of(a); }>;
  } else {
    // The bf16 forms of ex2 and tanh are all .ftz or say nothing.
    d.take("ftz");
    d.op.run = smallFloat<F, uint32_t>(type);
  }
  operandsOf(d, type, 1);
}

//===----------------------------------------------------------------------===//
// Instructions
//===----------------------------------------------------------------------===//

void decodeAdd(Decoder &d) {
  Type type = d.takeType();
  isInteger(type) ? decodeIntegerAdd(d, type, false)
                  : binaryFloat<Add>(d, type);
}
void decodeSubtract(Decoder &d) {
  Type type = d.takeType();
  isInteger(type) ? decodeIntegerAdd(d, type, true)
                  : binaryFloat<Subtract>(d, type);
}
void decodeMultiply(Decoder &d) {
  Type type = d.takeType();
  isInteger(type) ? decodeIntegerMultiply(d, type)
                  : binaryFloat<Multiply2>(d, type);
}
void decodeDivide(Decoder &d) {
  Type type = d.takeType();
  if (isInteger(type))
    return decodeIntegerDivide(d, type);
  d.takeOneOf({"approx", "full"});
  binaryFloat<Divide>(d, type);
}

template <bool max>
void decodeMinMax(Decoder &d) {
  Type type = d.takeType();
  if (isInteger(type))
    return decodeIntegerMinMax(d, type, max);
  d.take("NaN") ? binaryFloat<MinMax<max, true>>(d, type)
                : binaryFloat<MinMax<max, false>>(d, type);
}

struct FusedMultiplyAdd {
  static float of(float a, float b, float c) { return std::fma(a, b, c); }
};
/// The product of two 16-bit floats is exact in double.
struct SmallFma {
  static float of(float a, float b, float c) {
    return roundToOdd(double(a) * double(b) + double(c));
  }
};
struct SmallFmaRelu {
  static float of(float a, float b, float c) {
    float value = SmallFma::of(a, b, c);
    return value != value ? value : value > 0 ? value : 0.f;
  }
};

void decodeFma(Decoder &d) {
  Type type = d.takeType();
  if (!d.take("rn"))
    return d.refuse("of the roundings of fma only .rn is known");
  if (type == Type::F32) {
    bool ftz = d.take("ftz"), sat = d.take("sat");
    d.op.run = singleFloat<FusedMultiplyAdd, float, float, float>(ftz, sat);
  } else if (type == Type::F64) {
    d.op.run = lanewise<[](double a, double b, double c) {
      return std::fma(a, b, c);
    }>;
  } else if (d.take("relu")) {
    d.op.run = smallFloat<SmallFmaRelu, uint32_t, uint32_t, uint32_t>(type);
  } else {
    d.op.run = smallFloat<SmallFma, uint32_t, uint32_t, uint32_t>(type);
  }
  operandsOf(d, type, 3);
}

/// Of the bits: neg, abs, copysign (of b, with the sign of a).
void decodeNegate(Decoder &d) {
  Type type = d.takeType();
  if (isInteger(type))
    return decodeIntegerNegate(d, type);
  bool ftz = d.take("ftz");
  d.op.run = type == Type::F32
                 ? ftz ? lanewise<[](float a) { return -flushed(a); }>
                       : lanewise<[](uint32_t a) { return a ^ 0x80000000; }>
             : type == Type::F64
                 ? lanewise<[](uint64_t a) { return a ^ uint64_t(1) << 63; }>
             : type == Type::F16x2 || type == Type::BF16x2
                 ? lanewise<[](uint32_t a) { return a ^ 0x80008000; }>
                 : lanewise<[](uint32_t a) { return a ^ 0x8000; }>;
  operandsOf(d, type, 1);
}
void decodeAbsolute(Decoder &d) {
  Type type = d.takeType();
  if (isInteger(type))
    return decodeIntegerAbsolute(d, type);
  bool ftz = d.take("ftz");
  d.op.run = type == Type::F32
                 ? ftz ? lanewise<[](float a) { return flushed(std::abs(a)); }>
                       : lanewise<[](uint32_t a) { return a & 0x7fffffff; }>
             : type == Type::F64
                 ? lanewise<[](uint64_t a) { return a & ~(uint64_t(1) << 63); }>
                 : lanewise<[](uint32_t a) { return a & 0x7fff7fff; }>;
  operandsOf(d, type, 1);
}
void decodeCopySign(Decoder &d) {
  Type type = d.takeType();
  d.op.run = type == Type::F32   ? lanewise<[](uint32_t a, uint32_t b) {
    return (b & 0x7fffffff) | (a & 0x80000000);
  }>
             : type == Type::F64 ? lanewise<[](uint64_t a, uint64_t b) {
                 constexpr uint64_t sign = uint64_t(1) << 63;
                 return (b & ~sign) | (a & sign);
               }>
                                 : nullptr;
  operandsOf(d, type, 2);
}

/// testp.finite.f32 and the like.
void decodeTest(Decoder &d) {
  int what = d.takeOneOf(
      {"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
  if (what < 0 || d.takeType() != Type::F32 || !d.expect(2))
    return;
  d.op.mode = uint8_t(what);
  d.op.run = [](Warp &warp, const Op &op) {
    const uint32_t *a = warp.lanes<uint32_t>(op.a);
    int what = op.mode;
    storeMask(warp, op.d, maskOf([=](uint32_t i) {
                uint32_t size = a[i] & 0x7fffffff;
                switch (what) {
                case 0:
                  return size < 0x7f800000;
                case 1:
                  return size == 0x7f800000;
                case 2:
                  return size <= 0x7f800000;
                case 3:
                  return size > 0x7f800000;
                case 4:
                  return size >= 0x800000 && size < 0x7f800000;
                default:
                  return size < 0x800000 && size != 0;
                }
              }));
  };
  d.op.d = d.writePredicate(0);
  d.op.a = d.read(1, 32);
}

} // namespace

void addFloat(DecoderTable &table) {
  table["add"] = decodeAdd;
  table["sub"] = decodeSubtract;
  table["mul"] = decodeMultiply;
  table["div"] = decodeDivide;
  table["min"] = decodeMinMax<false>;
  table["max"] = decodeMinMax<true>;
  table["fma"] = decodeFma;
  table["neg"] = decodeNegate;
  table["abs"] = decodeAbsolute;
  table["copysign"] = decodeCopySign;
  table["testp"] = decodeTest;
  table["rcp"] = unaryFloat<Reciprocal>;
  table["sqrt"] = unaryFloat<SquareRoot>;
  table["rsqrt"] = unaryFloat<ReciprocalRoot>;
  table["ex2"] = unaryFloat<Exp2>;
  table["lg2"] = unaryFloat<Log2>;
  table["sin"] = unaryFloat<Sine>;
  table["cos"] = unaryFloat<Cosine>;
  table["tanh"] = unaryFloat<HyperbolicTangent>;
}

} // namespace bitbyte::emu
