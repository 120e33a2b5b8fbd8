//===- ElementwiseRules.cpp - Scalar code of element-wise graph ops -------===//
#include "passes/fuse/RegionBuilder.h"
#include "passes/fuse/ScalarCode.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace bitbyte::bb;

Value RegionBuilder::cast(Value x, Type to) {
  Type from = x.getType();
  bool toFloat = isa<FloatType>(to);
  if (to.isInteger(1) && isa<FloatType>(from)) // whether it differs from zero
    return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, x, f32(0));
  if (to.isInteger(1) && !from.isInteger(1))
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, x, i32(0));
  if (isa<FloatType>(from))
    return toFloat
               ? x
               : arith::FPToSIOp::create(b, loc, b.getI32Type(), x).getResult();
  if (toFloat) {
    if (from.isInteger(1))
      return arith::UIToFPOp::create(b, loc, b.getF32Type(), x);
    return arith::SIToFPOp::create(b, loc, b.getF32Type(), x);
  }
  if (from.isInteger(1) && !to.isInteger(1))
    return arith::ExtUIOp::create(b, loc, b.getI32Type(), x);
  return x;
}

Value RegionBuilder::elementwise(Operation *op, ArrayRef<AffineExpr> index) {
  SmallVector<Value> x;
  for (Value v : op->getOperands()) {
    x.push_back(scalar(v, aligned(v, index)));
    if (!x.back())
      return {};
  }
  Location l = loc;
  auto sigmoid = [&](Value v) {
    return divF(
        b, l, f32(1),
        addF(b, l, f32(1),
             unaryF<math::ExpOp>(b, l, arith::NegFOp::create(b, l, v))));
  };
  bool isFloat = !x.empty() && isa<FloatType>(x.back().getType());
  auto pick = [&](auto floats, auto integers) {
    return isFloat ? floats() : integers();
  };
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](NegOp) -> Value { return arith::NegFOp::create(b, l, x[0]); })
      .Case([&](ExpOp) { return unaryF<math::ExpOp>(b, l, x[0]); })
      .Case([&](SquareOp) { return mulF(b, l, x[0], x[0]); })
      .Case([&](SigmoidOp) { return sigmoid(x[0]); })
      .Case([&](TanhOp) { return unaryF<math::TanhOp>(b, l, x[0]); })
      .Case([&](SiluOp) { return mulF(b, l, x[0], sigmoid(x[0])); })
      .Case([&](GeluOp) { // tanh form: x / 2 (1 + tanh(sqrt(2/pi) (x + 0.044715
                          // x^3)))
        Value cubic = addF(b, l, f32(1),
                           mulF(b, l, f32(0.044715), mulF(b, l, x[0], x[0])));
        Value u = mulF(b, l, mulF(b, l, x[0], f32(0.7978845608028654)), cubic);
        return mulF(b, l, mulF(b, l, x[0], f32(0.5)),
                    addF(b, l, f32(1), unaryF<math::TanhOp>(b, l, u)));
      })
      .Case([&](ReluOp) -> Value {
        return arith::MaximumFOp::create(b, l, x[0], f32(0));
      })
      .Case([&](SoftplusOp) { // max(x, 0) + log(1 + e), e = exp(-|x|)
        Value e = unaryF<math::ExpOp>(
            b, l,
            arith::NegFOp::create(b, l, unaryF<math::AbsFOp>(b, l, x[0])));
        Value top = arith::MaximumFOp::create(b, l, x[0], f32(0));
        // 2 atanh(s) for s = e / (2 + e) <= 1/3: small ones stay exact. The
        // powers of s^2 are minimax, 4.5e-9 relative.
        Value s = divF(b, l, e, addF(b, l, f32(2), e)), z = mulF(b, l, s, s);
        Value tail = f32(0.2801220265276095);
        for (double power :
             {0.28001765187691907, 0.4002152943771061, 0.6666641625237937, 2.0})
          tail = addF(b, l, mulF(b, l, tail, z), f32(power));
        return addF(b, l, top, mulF(b, l, s, tail));
      })
      .Case([&](SqrtOp) { return unaryF<math::SqrtOp>(b, l, x[0]); })
      .Case([&](RsqrtOp) { return unaryF<math::RsqrtOp>(b, l, x[0]); })
      .Case([&](LogOp) { return unaryF<math::LogOp>(b, l, x[0]); })
      .Case([&](AbsOp) { return unaryF<math::AbsFOp>(b, l, x[0]); })
      .Case([&](RoundOp) { return unaryF<math::RoundEvenOp>(b, l, x[0]); })
      .Case([&](StopGradientOp) { return x[0]; })
      .Case([&](IsFiniteOp) -> Value { // |x| < inf is false for NaN too
        Value inf = arith::ConstantOp::create(
            b, l,
            b.getFloatAttr(b.getF32Type(),
                           APFloat::getInf(APFloat::IEEEsingle())));
        return arith::CmpFOp::create(b, l, arith::CmpFPredicate::OLT,
                                     unaryF<math::AbsFOp>(b, l, x[0]), inf);
      })
      .Case([&](AddOp) {
        return pick(
            [&] { return addF(b, l, x[0], x[1]); },
            [&]() -> Value { return arith::AddIOp::create(b, l, x[0], x[1]); });
      })
      .Case([&](SubOp) {
        return pick(
            [&] { return subF(b, l, x[0], x[1]); },
            [&]() -> Value { return arith::SubIOp::create(b, l, x[0], x[1]); });
      })
      .Case([&](MulOp) {
        return pick(
            [&] { return mulF(b, l, x[0], x[1]); },
            [&]() -> Value { return arith::MulIOp::create(b, l, x[0], x[1]); });
      })
      .Case([&](DivOp) {
        return pick([&] { return divF(b, l, x[0], x[1]); },
                    [&]() -> Value {
                      return arith::DivSIOp::create(b, l, x[0], x[1]);
                    });
      })
      .Case([&](MinOp) {
        return pick(
            [&]() -> Value {
              return arith::MinimumFOp::create(b, l, x[0], x[1]);
            },
            [&]() -> Value {
              return arith::MinSIOp::create(b, l, x[0], x[1]);
            });
      })
      .Case([&](MaxOp) {
        return pick(
            [&]() -> Value {
              return arith::MaximumFOp::create(b, l, x[0], x[1]);
            },
            [&]() -> Value {
              return arith::MaxSIOp::create(b, l, x[0], x[1]);
            });
      })
      .Case([&](RemOp) {
        return pick(
            [&]() -> Value { return arith::RemFOp::create(b, l, x[0], x[1]); },
            [&]() -> Value {
              return arith::RemSIOp::create(b, l, x[0], x[1]);
            });
      })
      .Case([&](LtOp) {
        return pick(
            [&]() -> Value {
              return arith::CmpFOp::create(b, l, arith::CmpFPredicate::OLT,
                                           x[0], x[1]);
            },
            [&]() -> Value {
              return arith::CmpIOp::create(b, l, arith::CmpIPredicate::slt,
                                           x[0], x[1]);
            });
      })
      .Case([&](LeOp) {
        return pick(
            [&]() -> Value {
              return arith::CmpFOp::create(b, l, arith::CmpFPredicate::OLE,
                                           x[0], x[1]);
            },
            [&]() -> Value {
              return arith::CmpIOp::create(b, l, arith::CmpIPredicate::sle,
                                           x[0], x[1]);
            });
      })
      .Case([&](EqOp) {
        return pick(
            [&]() -> Value {
              return arith::CmpFOp::create(b, l, arith::CmpFPredicate::OEQ,
                                           x[0], x[1]);
            },
            [&]() -> Value {
              return arith::CmpIOp::create(b, l, arith::CmpIPredicate::eq, x[0],
                                           x[1]);
            });
      })
      .Case([&](SelectOp) -> Value {
        return arith::SelectOp::create(b, l, x[0], x[1], x[2]);
      })
      .Case([&](ScaleOp s) {
        Value y = x[0];
        if (double by = *evaluate(s.getBy()); by != 1)
          y = mulF(b, l, y, f32(by));
        if (s.getPlus() && *evaluate(*s.getPlus()) != 0)
          y = addF(b, l, y, f32(*evaluate(*s.getPlus())));
        return y;
      })
      .Case([&](CastOp c) { return cast(x[0], c.getTo()); })
      .Case([&](BroadcastOp) { return x[0]; })
      .Default([&](Operation *other) { return fail(other); });
}
