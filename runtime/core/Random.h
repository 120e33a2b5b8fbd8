//===- Random.h - Random numbers that are the same on every machine -------===//
//
//   RandomStream noise(seed, RandomUse::initialValues, hash64(name));
//   double z = noise.normal(i);
//
// Philox4x64-10 (Random123) turns (seed, use, stream, index) into bits; every
// function of them is made of IEEE operations that are exactly rounded, so one
// seed means the same model and the same text everywhere. No state: any index
// can be asked for at any time.
//===----------------------------------------------------------------------===//
#pragma once

#include <array>
#include <cstdint>

namespace bitbyte {

/// What numbers are drawn for; uses never share numbers.
enum class RandomUse : uint64_t { initialValues = 1, sampling = 2 };

class RandomStream {
public:
  RandomStream(uint64_t seed, RandomUse use, uint64_t stream)
      : seed(seed), use(use), stream(stream) {}

  /// In [0, 1), a multiple of 2^-53.
  double uniform(uint64_t index) const;
  /// Mean 0, variance 1 (Box and Muller).
  double normal(uint64_t index) const;

  /// Numbers 4 * block to 4 * block + 3 of `uniform` and `normal`: what to call
  /// for many of them.
  std::array<double, 4> uniforms(uint64_t block) const;
  std::array<double, 4> normals(uint64_t block) const;

private:
  uint64_t seed;
  RandomUse use;
  uint64_t stream;
};

/// Elementary functions in double, within 2 units in the last place, with the
/// same bits on every machine (the C library's differ between versions).
namespace exact {
/// Natural logarithm of a positive, normal number.
double log(double x);
/// 0 below -708.
double exp(double x);
/// exp(x) - 1 without cancellation near 0.
double expm1(double x);
struct SinCos {
  double sin, cos;
};
/// Of 2 pi `turns`, for |turns| below 2^31.
SinCos sinCosTurns(double turns);
} // namespace exact

} // namespace bitbyte
