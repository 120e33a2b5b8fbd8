#include "runtime/core/Random.h"

#include <Random123/philox.h>
#include <bit>
#include <cmath>

// A fused multiply-add rounds once where two operations round twice.
#pragma STDC FP_CONTRACT OFF

namespace bitbyte {

std::array<double, 4> RandomStream::uniforms(uint64_t block) const {
  r123::Philox4x64 philox;
  auto bits =
      philox({{block, stream, 0, 0}}, {{seed, static_cast<uint64_t>(use)}});
  std::array<double, 4> values;
  for (int i = 0; i < 4; ++i)
    values[i] = static_cast<double>(bits[i] >> 11) * 0x1p-53;
  return values;
}

std::array<double, 4> RandomStream::normals(uint64_t block) const {
  std::array<double, 4> u = uniforms(block), z;
  for (int i = 0; i < 4; i += 2) {
    double radius = std::sqrt(-2 * exact::log(1 - u[i])); // 1 - u is in (0, 1]
    auto [sin, cos] = exact::sinCosTurns(u[i + 1]);
    z[i] = radius * cos;
    z[i + 1] = radius * sin;
  }
  return z;
}

double RandomStream::uniform(uint64_t index) const {
  return uniforms(index / 4)[index % 4];
}

double RandomStream::normal(uint64_t index) const {
  return normals(index / 4)[index % 4];
}

namespace exact {

namespace {
constexpr double ln2High = 0x1.62e42fefa3800p-1; // 11 low bits are zero
constexpr double ln2Low = 0x1.ef35793c76730p-45;

/// 1 / n! (n! is exact in double up to 18).
constexpr std::array<double, 20> inverseFactorial = [] {
  std::array<double, 20> table{};
  double factorial = 1;
  for (int n = 0; n < 20; ++n) {
    factorial *= n ? n : 1;
    table[n] = 1 / factorial;
  }
  return table;
}();

/// 1 / n for the odd n of the logarithm's series.
constexpr std::array<double, 12> inverseOdd = [] {
  std::array<double, 12> table{};
  for (int i = 0; i < 12; ++i)
    table[i] = 1.0 / (2 * i + 3);
  return table;
}();

/// exp(r) - 1 for |r| <= 0.35, by its power series.
double expm1Small(double r) {
  double sum = 0;
  for (int n = 16; n >= 2; --n)
    sum = (sum + inverseFactorial[n]) * r;
  return r + sum * r;
}
} // namespace

double log(double x) {
  int exponent;
  double mantissa = std::frexp(x, &exponent); // [0.5, 1)
  if (mantissa < 0x1.6a09e667f3bcdp-1) {      // sqrt(0.5)
    mantissa *= 2;
    --exponent;
  }
  // log m = 2 artanh s, |s| < 0.172.
  double s = (mantissa - 1) / (mantissa + 1), square = s * s, sum = 0;
  for (int i = 11; i >= 0; --i)
    sum = (sum + inverseOdd[i]) * square;
  return exponent * ln2High + (2 * s + (2 * s * sum + exponent * ln2Low));
}

double exp(double x) {
  if (x < -708)
    return 0;
  double k = std::floor(x * 0x1.71547652b82fep+0 + 0.5); // x / ln 2
  double r = (x - k * ln2High) - k * ln2Low;
  return std::ldexp(1 + expm1Small(r), static_cast<int>(k));
}

double expm1(double x) {
  return std::fabs(x) <= 0.35 ? expm1Small(x) : exp(x) - 1;
}

SinCos sinCosTurns(double turns) {
  // An eighth of a turn around the nearest quarter turn.
  double quarter = std::floor(turns * 4 + 0.5);
  double x = (turns - quarter * 0.25) * 0x1.921fb54442d18p+2; // 2 pi
  double square = x * x, sin = 0, cos = 0;
  for (int n = 16; n >= 2; n -= 2) { // Horner, in -x^2
    cos = (cos + inverseFactorial[n]) * -square;
    sin = (sin + inverseFactorial[n + 1]) * -square;
  }
  sin = x + x * sin;
  cos = 1 + cos;
  switch (static_cast<int64_t>(quarter) & 3) {
  case 0:
    return {sin, cos};
  case 1:
    return {cos, -sin};
  case 2:
    return {-sin, -cos};
  default:
    return {-cos, sin};
  }
}

} // namespace exact
} // namespace bitbyte
