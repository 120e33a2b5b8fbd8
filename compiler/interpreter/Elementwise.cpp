//===- Elementwise.cpp - Loops of ops that work on single elements --------===//

#include "compiler/interpreter/Families.h"

#include <array>
#include <cmath>

using namespace mlir;
using namespace bitbyte::bb;

double bitbyte::bb::sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// The tanh form, as GPT-2 has it.
static double gelu(double x) {
  constexpr double root = 0.7978845608028654; // sqrt(2 / pi)
  return 0.5 * x * (1 + std::tanh(root * (x + 0.044715 * x * x * x)));
}

static double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
}

/// Halves to even, as the machine does.
static double roundEven(double x) { return std::nearbyint(x); }

template <typename OpTy, double (*f)(double)>
static LogicalResult unary(OpTy op, Frame &frame) {
  Array y = frame[op.getX()];
  for (double &element : y.data)
    element = f(element);
  frame.set(op.getResult(), std::move(y));
  return success();
}

/// y = f(a, b) after broadcasting.
template <typename OpTy, double (*f)(double, double)>
static LogicalResult binary(OpTy op, Frame &frame) {
  const Array &a = frame[op.getA()], &b = frame[op.getB()];
  Array y(shapeOf(op.getResult()));
  Shape ofY = stridesOf(y.shape), ofA = broadcastStrides(a.shape, y.shape),
        ofB = broadcastStrides(b.shape, y.shape);
  forIndices<3>(y.shape, {ofY, ofA, ofB},
                [&](auto at) { y[at[0]] = f(a[at[1]], b[at[2]]); });
  frame.set(op.getResult(), std::move(y));
  return success();
}

static LogicalResult select(SelectOp op, Frame &frame) {
  const Array &c = frame[op.getC()], &a = frame[op.getA()],
              &b = frame[op.getB()];
  Array y(shapeOf(op.getY()));
  Shape ofC = broadcastStrides(c.shape, y.shape),
        ofA = broadcastStrides(a.shape, y.shape),
        ofB = broadcastStrides(b.shape, y.shape);
  int64_t i = 0;
  forIndices<3>(y.shape, {ofC, ofA, ofB},
                [&](auto at) { y[i++] = c[at[0]] != 0 ? a[at[1]] : b[at[2]]; });
  frame.set(op.getY(), std::move(y));
  return success();
}

static LogicalResult scale(ScaleOp op, Frame &frame) {
  Array y = frame[op.getX()];
  double by = number(op.getBy()), plus = number(op.getPlusAttr());
  for (double &element : y.data)
    element = by * element + plus;
  frame.set(op.getY(), std::move(y));
  return success();
}

/// The frame rounds. To i1: whether the number differs from zero.
static LogicalResult castTo(CastOp op, Frame &frame) {
  Array y = frame[op.getX()];
  if (op.getTo().isInteger(1))
    for (double &element : y.data)
      element = element != 0;
  frame.set(op.getY(), std::move(y));
  return success();
}

static LogicalResult fill(FillOp op, Frame &frame) {
  frame.set(op.getY(), Array(shapeOf(op.getY()), number(op.getValue())));
  return success();
}

static LogicalResult constant(ConstantOp op, Frame &frame) {
  Array y(shapeOf(op.getY()));
  int64_t i = 0;
  if (auto floats = dyn_cast<DenseFPElementsAttr>(op.getValue())) {
    for (const APFloat &value : floats.getValues<APFloat>()) {
      APFloat wide = value;
      bool lost;
      wide.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
      y[i++] = wide.convertToDouble();
    }
  } else {
    for (const APInt &value : op.getValue().getValues<APInt>())
      y[i++] = static_cast<double>(value.getSExtValue());
  }
  frame.set(op.getY(), std::move(y));
  return success();
}

/// The first word of Philox4x32-10 under the key (`seed`, 0).
static uint32_t philox(std::array<uint32_t, 4> c, uint32_t seed) {
  for (uint32_t round = 0; round < 10; ++round) {
    uint64_t p0 = uint64_t(0xD2511F53) * c[0];
    uint64_t p2 = uint64_t(0xCD9E8D57) * c[2];
    c = {uint32_t(p2 >> 32) ^ c[1] ^ (seed + round * 0x9E3779B9), uint32_t(p2),
         uint32_t(p0 >> 32) ^ c[3] ^ (round * 0xBB67AE85), uint32_t(p0)};
  }
  return c[0];
}

static LogicalResult dropout(DropoutOp op, Frame &frame) {
  Array y = frame[op.getX()];
  if (op.getSeed()) {
    auto word = [&](Value v) {
      return static_cast<uint32_t>(static_cast<int64_t>(frame[v][0]));
    };
    uint32_t seed = word(op.getSeed()), counter = word(op.getCounter());
    uint32_t stream = whole(op.getStreamAttr());
    double p = number(op.getP());
    for (int64_t i = 0; i < y.size(); ++i) {
      bool drop = philox({uint32_t(i), stream, counter, 0}, seed) <
                  std::nearbyint(std::ldexp(p, 32));
      y[i] = drop ? 0 : y[i] / (1 - p);
    }
  }
  frame.set(op.getY(), std::move(y));
  return success();
}

static double negate(double x) { return -x; }
static double squareOf(double x) { return x * x; }
static double relu(double x) { return x > 0 ? x : 0; }
static double rsqrt(double x) { return 1 / std::sqrt(x); }
static double identity(double x) { return x; }
static double isFinite(double x) { return std::isfinite(x); }
static double exponential(double x) { return std::exp(x); }
static double hyperbolicTangent(double x) { return std::tanh(x); }
static double squareRoot(double x) { return std::sqrt(x); }
static double logarithm(double x) { return std::log(x); }
static double absolute(double x) { return std::fabs(x); }
static double silu(double x) { return x * sigmoid(x); }

static double plus(double a, double b) { return a + b; }
static double minus(double a, double b) { return a - b; }
static double times(double a, double b) { return a * b; }
static double over(double a, double b) { return a / b; }
/// NaN with anything gives NaN.
static double smaller(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? a + b : std::fmin(a, b);
}
static double larger(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? a + b : std::fmax(a, b);
}
static double truncatedRemainder(double a, double b) { return std::fmod(a, b); }
static double less(double a, double b) { return a < b; }
static double lessOrEqual(double a, double b) { return a <= b; }
static double equal(double a, double b) { return a == b; }

template <typename OpTy, double (*f)(double)>
static void addUnary(Loops &loops) {
  add<OpTy, unary<OpTy, f>>(loops);
}
template <typename OpTy, double (*f)(double, double)>
static void addBinary(Loops &loops) {
  add<OpTy, binary<OpTy, f>>(loops);
}

void bitbyte::bb::addElementwise(Loops &loops) {
  addUnary<NegOp, negate>(loops);
  addUnary<ExpOp, exponential>(loops);
  addUnary<SquareOp, squareOf>(loops);
  addUnary<SigmoidOp, sigmoid>(loops);
  addUnary<TanhOp, hyperbolicTangent>(loops);
  addUnary<SiluOp, silu>(loops);
  addUnary<GeluOp, gelu>(loops);
  addUnary<ReluOp, relu>(loops);
  addUnary<SoftplusOp, softplus>(loops);
  addUnary<SqrtOp, squareRoot>(loops);
  addUnary<RsqrtOp, rsqrt>(loops);
  addUnary<LogOp, logarithm>(loops);
  addUnary<AbsOp, absolute>(loops);
  addUnary<RoundOp, roundEven>(loops);
  addUnary<StopGradientOp, identity>(loops);
  addUnary<IsFiniteOp, isFinite>(loops);

  addBinary<AddOp, plus>(loops);
  addBinary<SubOp, minus>(loops);
  addBinary<MulOp, times>(loops);
  addBinary<DivOp, over>(loops);
  addBinary<MinOp, smaller>(loops);
  addBinary<MaxOp, larger>(loops);
  addBinary<RemOp, truncatedRemainder>(loops);
  addBinary<LtOp, less>(loops);
  addBinary<LeOp, lessOrEqual>(loops);
  addBinary<EqOp, equal>(loops);

  add<SelectOp, select>(loops);
  add<ScaleOp, scale>(loops);
  add<CastOp, castTo>(loops);
  add<FillOp, fill>(loops);
  add<ConstantOp, constant>(loops);
  add<DropoutOp, dropout>(loops);
}
