//===- Math.cpp - Elementary functions of f32 -----------------------------===//
#include "passes/lower/Math.h"

using namespace mlir;

namespace bitbyte::tile {

/// Horner's scheme, highest power first.
static Value polynomial(Emit &emit, Value x, ArrayRef<double> coefficients) {
  Value result = emit.constant(x.getType(), coefficients[0]);
  for (double coefficient : coefficients.drop_front())
    result = emit.fma(result, x, emit.constant(x.getType(), coefficient));
  return result;
}

/// (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2 (Cephes).
static Value expTail(Emit &emit, Value r) {
  return polynomial(emit, r,
                    {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                     4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1});
}

/// 2^n exp(r) for whole n and |r| <= ln(2) / 2.
static Value scaledExp(Emit &emit, Value n, Value r) {
  int64_t lanes = lanesOf(r.getType());
  Type f32 = emit.f32(lanes), i32 = emit.integer(32, lanes);
  // 2 exp(r) times 2^(n-1): so n = 128 is reached without overflow, and
  // exponent bits of 0 make the result an exact 0 below the normal range.
  Value square = emit.fmul(r, r);
  Value tail = expTail(emit, r);
  Value twiceTail = emit.fadd(tail, tail);
  Value linear = emit.fma(r, emit.constant(f32, 2.0), emit.constant(f32, 2.0));
  Value twice = emit.fma(square, twiceTail, linear);
  Value exponent = emit.add(emit.toSigned(i32, n), emit.constant(i32, 126));
  Value scale = emit.bitcast(f32, emit.shiftLeft(exponent, 23));
  return emit.fmul(twice, scale);
}

/// x between `low` and `high`; NaN stays.
static Value clamp(Emit &emit, Value x, double low, double high) {
  Type type = x.getType();
  return emit.fmin(emit.constant(type, high),
                   emit.fmax(emit.constant(type, low), x));
}

/// 2^(high x + low x) on a GPU: ex2.approx is good to 2 ulp near 0 only, so the
/// whole part of the exponent is put in by hand. Within 3 ulp; n from -126 to
/// 128.
static Value gpuExp(Emit &emit, Value x, double high, double low) {
  Type f32 = emit.f32(), i32 = emit.integer(32);
  // Adding 1.5 2^23 rounds to a whole number, which is then in the low bits.
  constexpr double magic = 12582912.0;
  Value sum = emit.fma(x, emit.constant(f32, high), emit.constant(f32, magic));
  Value n = emit.fsub(sum, emit.constant(f32, magic));
  Value r = emit.fma(x, emit.constant(f32, high),
                     emit.fsub(emit.constant(f32, -0.0), n));
  if (low != 0)
    r = emit.fma(x, emit.constant(f32, low), r);
  Value power = emit.intrinsic("llvm.nvvm.ex2.approx.ftz", f32, {r});
  Value exponent = emit.add(emit.shiftLeft(emit.bitcast(i32, sum), 23),
                            emit.constant(i32, int64_t(126) << 23));
  return emit.fmul(emit.fadd(power, power), emit.bitcast(f32, exponent));
}

Value emitExp(Emit &emit, Value x) {
  Type type = x.getType();
  x = clamp(emit, x, -87.4, 89.0); // n from -126 to 128
  if (emit.gpu)                    // log2(e) in two parts
    return gpuExp(emit, x, 1.44269502162933349609375, 1.92596299112661746e-8);
  Value n =
      emit.roundEven(emit.fmul(x, emit.constant(type, 1.4426950408889634)));
  // ln 2 in two parts: n times the first is exact.
  Value r = emit.fma(n, emit.constant(type, -0.693359375), x);
  r = emit.fma(n, emit.constant(type, 2.12194440e-4), r);
  return scaledExp(emit, n, r);
}

Value emitExp2(Emit &emit, Value x) {
  Type type = x.getType();
  x = clamp(emit, x, -126.0, 128.4);
  if (emit.gpu)
    return gpuExp(emit, x, 1, 0);
  Value n = emit.roundEven(x);
  Value r = emit.fmul(emit.fsub(x, n), emit.constant(type, 0.6931471805599453));
  return scaledExp(emit, n, r);
}

Value emitExp2Scaled(Emit &emit, Value x) {
  Type f32 = x.getType();
  Value all = emit.constant(emit.integer(16), -1);
  auto number = [&](int64_t value) {
    return emit.constant(emit.integer(32), value);
  };
  // 8: no exceptions, 1: the fraction above the next lower whole number; 4: the
  // rounding that is set.
  Value f = emit.intrinsic("llvm.x86.avx512.mask.reduce.ps.512", f32,
                           {x, number(8 | 1), emit.zero(f32), all, number(4)});
  // 2^f for 0 <= f < 1, exact at both ends: minimax, 9.3e-8 relative.
  Value power = polynomial(emit, f,
                           {1.8793186699521346e-3, 8.990995056256466e-3,
                            5.581867597909593e-2, 0.24015927146560706,
                            0.6931517388290885, 1.0});
  return emit.intrinsic("llvm.x86.avx512.mask.scalef.ps.512", f32,
                        {power, x, emit.zero(f32), all, number(4)});
}

Value emitExpM1(Emit &emit, Value x) {
  Type type = x.getType();
  Value far = emit.fsub(emitExp(emit, x), emit.constant(type, 1.0));
  Value near = emit.fma(emit.fmul(x, x), expTail(emit, x), x);
  Value isNear = emit.fcmp(LLVM::FCmpPredicate::olt, emit.fabs(x),
                           emit.constant(type, 0.3465735902799726));
  return emit.select(isNear, near, far);
}

namespace {
/// x = mantissa 2^exponent, mantissa - 1 in [sqrt(1/2) - 1, sqrt(2) - 1].
struct Split {
  Value fraction; ///< mantissa - 1
  Value exponent; ///< as f32
};
} // namespace

static Split split(Emit &emit, Value x) {
  int64_t lanes = lanesOf(x.getType());
  Type f32 = emit.f32(lanes), i32 = emit.integer(32, lanes);
  // Taking the bits of sqrt(1/2) off puts the cut between exponents there.
  constexpr int64_t root = 0x3f3504f3;
  Value bits = emit.sub(emit.bitcast(i32, x), emit.constant(i32, root));
  Value exponent = LLVM::AShrOp::create(emit.builder, emit.loc, bits,
                                        emit.constant(i32, 23));
  Value mantissa = emit.add(emit.bitAnd(bits, emit.constant(i32, 0x7fffff)),
                            emit.constant(i32, root));
  return {emit.fsub(emit.bitcast(f32, mantissa), emit.constant(f32, 1.0)),
          emit.fromSigned(f32, exponent)};
}

/// log(1 + f) - f for f from `split` (Cephes).
static Value logTail(Emit &emit, Value f) {
  Value square = emit.fmul(f, f);
  Value p = polynomial(emit, f,
                       {7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1,
                        -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
                        2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1});
  Value cubed = emit.fmul(emit.fmul(p, f), square);
  return emit.fma(square, emit.constant(f.getType(), -0.5), cubed);
}

/// `result` but -inf at 0, NaN below, x itself at infinity and NaN.
static Value logEdges(Emit &emit, Value x, Value result) {
  Type type = x.getType();
  double infinity = std::numeric_limits<double>::infinity();
  double nan = std::numeric_limits<double>::quiet_NaN();
  Value zero = emit.constant(type, 0.0);
  Value finite =
      emit.fcmp(LLVM::FCmpPredicate::olt, x, emit.constant(type, infinity));
  result = emit.select(finite, result, x);
  Value atZero =
      emit.select(emit.fcmp(LLVM::FCmpPredicate::olt, x, zero),
                  emit.constant(type, nan), emit.constant(type, -infinity));
  // The smallest normal number, since subnormals count as 0.
  Value positive = emit.fcmp(LLVM::FCmpPredicate::uge, x,
                             emit.constant(type, 1.17549435e-38));
  return emit.select(positive, result, atZero);
}

Value emitLog(Emit &emit, Value x) {
  Type type = x.getType();
  auto [f, e] = split(emit, x);
  Value low =
      emit.fma(e, emit.constant(type, -2.12194440e-4), logTail(emit, f));
  Value result =
      emit.fma(e, emit.constant(type, 0.693359375), emit.fadd(f, low));
  return logEdges(emit, x, result);
}

Value emitLog2(Emit &emit, Value x) {
  Type type = x.getType();
  auto [f, e] = split(emit, x);
  // log2(e) - 1 apart keeps the leading digits of f.
  Value tail = logTail(emit, f);
  Value excess = emit.constant(type, 0.4426950408889634);
  Value sum = emit.fma(tail, excess, emit.fmul(f, excess));
  sum = emit.fadd(emit.fadd(sum, tail), f);
  return logEdges(emit, x, emit.fadd(sum, e));
}

Value emitLog1p(Emit &emit, Value x) {
  Type type = x.getType();
  // log(u) x / (u - 1) takes back what rounding 1 + x lost.
  Value one = emit.constant(type, 1.0);
  Value u = emit.fadd(one, x);
  Value rest = emit.fsub(u, one);
  Value corrected = emit.fmul(emitLog(emit, u), emit.fdiv(x, rest));
  Value lost =
      emit.fcmp(LLVM::FCmpPredicate::oeq, rest, emit.constant(type, 0.0));
  Value finite =
      emit.fcmp(LLVM::FCmpPredicate::olt, x,
                emit.constant(type, std::numeric_limits<double>::infinity()));
  Value result = emit.select(lost, x, corrected);
  return emit.select(finite, result, x);
}

Value emitTanh(Emit &emit, Value x) {
  Type type = x.getType();
  Value size = emit.fabs(x);
  Value square = emit.fmul(x, x);
  Value p = polynomial(emit, square,
                       {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2,
                        1.33314422036e-1, -3.33332819422e-1});
  Value near = emit.fma(emit.fmul(p, square), x, x);
  Value power = emitExp(emit, emit.fadd(size, size));
  Value one = emit.constant(type, 1.0);
  Value far = emit.fsub(
      one, emit.fdiv(emit.constant(type, 2.0), emit.fadd(power, one)));
  Value isNear =
      emit.fcmp(LLVM::FCmpPredicate::olt, size, emit.constant(type, 0.625));
  // The sign of 0 too.
  return emit.copySign(emit.select(isNear, near, far), x);
}

Value emitErf(Emit &emit, Value x) {
  Type type = x.getType();
  Value size = emit.fabs(x), square = emit.fmul(x, x);
  auto k = [&](double value) { return emit.constant(type, value); };
  // Fits of N. Juffa: below, x times a polynomial; above, 1 - exp of one.
  Value near = polynomial(emit, square,
                          {-5.96761703e-4, 4.99119423e-3, -2.67681349e-2,
                           1.12819925e-1, -3.76125336e-1, 1.28379166e-1});
  near = emit.fma(near, x, x);
  Value far = emit.fma(k(-1.72853470e-5), size, k(3.83197126e-4));
  Value high = emit.fma(k(-3.88396438e-3), size, k(2.42546219e-2));
  far = emit.fma(far, square, high);
  for (double coefficient : {-1.06777877e-1, -6.34846687e-1, -1.28717512e-1})
    far = emit.fma(far, size, k(coefficient));
  far = emit.fma(far, size, emit.fsub(k(0.0), size));
  far = emit.fsub(k(1.0), emitExp(emit, far));
  Value isNear = emit.fcmp(LLVM::FCmpPredicate::ole, size, k(0.927734375));
  return emit.select(isNear, near, emit.copySign(far, x));
}

Value emitPow(Emit &emit, Value x, Value y) {
  return emitExp2(emit, emit.fmul(y, emitLog2(emit, x)));
}

/// sin(x + quarters pi / 2), quarters 0 or 1.
static Value sine(Emit &emit, Value x, int64_t quarters) {
  int64_t lanes = lanesOf(x.getType());
  Type type = x.getType(), i32 = emit.integer(32, lanes);
  Value n =
      emit.roundEven(emit.fmul(x, emit.constant(type, 0.6366197723675814)));
  // pi / 2 in four parts.
  Value r = x;
  for (double part : {-1.5703125, -4.837512969970703125e-4,
                      -7.54953362047672271729e-8, -2.56334406825708960298e-12})
    r = emit.fma(n, emit.constant(type, part), r);
  Value z = emit.fmul(r, r);
  Value sin = polynomial(emit, z,
                         {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1});
  sin = emit.fma(emit.fmul(sin, z), r, r);
  Value cos = polynomial(emit, z,
                         {2.443315711809948e-5, -1.388731625493765e-3,
                          4.166664568298827e-2, -0.5});
  cos = emit.fma(cos, z, emit.constant(type, 1.0));
  Value turns = emit.add(emit.toSigned(i32, n), emit.constant(i32, quarters));
  Value odd = emit.icmp(LLVM::ICmpPredicate::ne,
                        emit.bitAnd(turns, emit.constant(i32, 1)),
                        emit.constant(i32, 0));
  Value value = emit.select(odd, cos, sin);
  Value sign = emit.shiftLeft(emit.bitAnd(turns, emit.constant(i32, 2)), 30);
  Value flipped = LLVM::XOrOp::create(emit.builder, emit.loc,
                                      emit.bitcast(i32, value), sign);
  return emit.bitcast(type, flipped);
}

Value emitSin(Emit &emit, Value x) { return sine(emit, x, 0); }
Value emitCos(Emit &emit, Value x) { return sine(emit, x, 1); }

} // namespace bitbyte::tile
