//===- Lanes.h - One function over the 32 lanes of a register -------------===//
//
// Plain loops that the compiler makes vectors of. Values of 8 and 16 bits lie
// in the low bits of 32-bit lanes, with zeros above.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/device/emu/Execution.h"
#include "runtime/device/emu/Types.h"

#include <bit>
#include <cmath>
#include <type_traits>

namespace bitbyte::emu {

template <class T>
using Box = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template <class T>
inline T unbox(Box<T> box) {
  if constexpr (std::is_floating_point_v<T>)
    return std::bit_cast<T>(box);
  else
    return T(box);
}
template <class T>
inline Box<T> box(T value) {
  if constexpr (std::is_floating_point_v<T>)
    return std::bit_cast<Box<T>>(value);
  else
    return Box<T>(std::make_unsigned_t<T>(value));
}

/// Registers may be the same, never overlap otherwise: there is nothing that
/// one lane could read of what another wrote.
#define BB_LANES                                                               \
  _Pragma(                                                                     \
      "clang loop vectorize(assume_safety) unroll(disable)") for (uint32_t i = \
                                                                      0;       \
                                                                  i < 32; ++i)

/// Stores `value(i)` to lane i of the register for every active lane.
template <class T, class F>
inline void storeLanes(Warp &warp, uint32_t slot, F value) {
  T *out = warp.lanes<T>(slot);
  uint32_t active = warp.active;
  if (active == ~uint32_t(0)) {
    BB_LANES out[i] = value(i);
  } else {
    BB_LANES out[i] = (active >> i) & 1 ? value(i) : out[i];
  }
}

template <auto f, class Pointer>
struct Lanewise;

template <auto f, class R, class A>
struct Lanewise<f, R (*)(A)> {
  static void run(Warp &warp, const Op &op) {
    const Box<A> *a = warp.lanes<Box<A>>(op.a);
    storeLanes<Box<R>>(warp, op.d,
                       [=](uint32_t i) { return box<R>(f(unbox<A>(a[i]))); });
  }
};
template <auto f, class R, class A, class B>
struct Lanewise<f, R (*)(A, B)> {
  static void run(Warp &warp, const Op &op) {
    const Box<A> *a = warp.lanes<Box<A>>(op.a);
    const Box<B> *b = warp.lanes<Box<B>>(op.b);
    storeLanes<Box<R>>(warp, op.d, [=](uint32_t i) {
      return box<R>(f(unbox<A>(a[i]), unbox<B>(b[i])));
    });
  }
};
template <auto f, class R, class A, class B, class C>
struct Lanewise<f, R (*)(A, B, C)> {
  static void run(Warp &warp, const Op &op) {
    const Box<A> *a = warp.lanes<Box<A>>(op.a);
    const Box<B> *b = warp.lanes<Box<B>>(op.b);
    const Box<C> *c = warp.lanes<Box<C>>(op.c);
    storeLanes<Box<R>>(warp, op.d, [=](uint32_t i) {
      return box<R>(f(unbox<A>(a[i]), unbox<B>(b[i]), unbox<C>(c[i])));
    });
  }
};

/// The handler that applies `f` to each lane: lanewise<[](float a) {...}>.
template <auto f>
constexpr Handler lanewise = &Lanewise<f, decltype(+f)>::run;

/// The active lanes for which `test(i)` holds, as a mask.
template <class F>
inline uint32_t maskOf(F test) {
  uint32_t mask = 0;
  _Pragma("clang loop vectorize(enable) unroll(disable)") for (uint32_t i = 0;
                                                               i < 32; ++i)
      mask |= uint32_t(test(i)) << i;
  return mask;
}
inline void storeMask(Warp &warp, uint32_t slot, uint32_t value) {
  uint32_t &mask = warp.mask(slot);
  mask = (mask & ~warp.active) | (value & warp.active);
}

/// Calls `f(lane)` for each active lane, in order.
template <class F>
inline void eachLane(uint32_t active, F f) {
  for (; active; active &= active - 1)
    f(uint32_t(std::countr_zero(active)));
}

/// Chooses the instance of `make` for a type; null for others.
template <class Make>
Handler byInteger(Type type, Make make) {
  switch (type) {
  case Type::U16:
  case Type::B16:
    return make.template operator()<uint16_t>();
  case Type::S16:
    return make.template operator()<int16_t>();
  case Type::U32:
  case Type::B32:
    return make.template operator()<uint32_t>();
  case Type::S32:
    return make.template operator()<int32_t>();
  case Type::U64:
  case Type::B64:
    return make.template operator()<uint64_t>();
  case Type::S64:
    return make.template operator()<int64_t>();
  default:
    return nullptr;
  }
}

inline float flushed(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>(bits & 0x7f800000 ? bits : bits & 0x80000000);
}
inline float bitsToFloat(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t floatToBits(float value) {
  return std::bit_cast<uint32_t>(value);
}

} // namespace bitbyte::emu
