//===- Scalars.cpp - arith and math ops on scalars and vectors ------------===//
#include "passes/lower/KernelLowering.h"
#include "passes/lower/Math.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace bitbyte::tile {

/// Ops that have the same operands in LLVM.
static StringRef directName(StringRef name) {
  static const llvm::StringMap<StringRef> names = {
      {"arith.addf", "llvm.fadd"},
      {"arith.subf", "llvm.fsub"},
      {"arith.mulf", "llvm.fmul"},
      {"arith.negf", "llvm.fneg"},
      {"arith.addi", "llvm.add"},
      {"arith.subi", "llvm.sub"},
      {"arith.muli", "llvm.mul"},
      {"arith.divsi", "llvm.sdiv"},
      {"arith.divui", "llvm.udiv"},
      {"arith.remsi", "llvm.srem"},
      {"arith.remui", "llvm.urem"},
      {"arith.andi", "llvm.and"},
      {"arith.ori", "llvm.or"},
      {"arith.xori", "llvm.xor"},
      {"arith.shli", "llvm.shl"},
      {"arith.shrsi", "llvm.ashr"},
      {"arith.shrui", "llvm.lshr"},
      {"arith.select", "llvm.select"},
      {"arith.maxsi", "llvm.intr.smax"},
      {"arith.minsi", "llvm.intr.smin"},
      {"arith.maxui", "llvm.intr.umax"},
      {"arith.minui", "llvm.intr.umin"},
      {"math.absf", "llvm.intr.fabs"},
      {"math.fma", "llvm.intr.fma"},
      {"math.floor", "llvm.intr.floor"},
      {"math.ceil", "llvm.intr.ceil"},
      {"math.trunc", "llvm.intr.trunc"},
      {"math.roundeven", "llvm.intr.roundeven"},
      {"math.copysign", "llvm.intr.copysign"},
      {"arith.extsi", "llvm.sext"},
      {"arith.extui", "llvm.zext"},
      {"arith.trunci", "llvm.trunc"},
      {"arith.sitofp", "llvm.sitofp"},
      {"arith.uitofp", "llvm.uitofp"},
      {"arith.fptosi", "llvm.fptosi"},
      {"arith.fptoui", "llvm.fptoui"},
      {"arith.bitcast", "llvm.bitcast"}};
  return names.lookup(name);
}

/// The same flags have other numbers in the two dialects.
static LLVM::FastmathFlagsAttr loweredFlags(arith::FastMathFlagsAttr flags) {
  using From = arith::FastMathFlags;
  using To = LLVM::FastmathFlags;
  To result = To::none;
  for (auto [from, to] :
       {std::pair(From::reassoc, To::reassoc), std::pair(From::nnan, To::nnan),
        std::pair(From::ninf, To::ninf), std::pair(From::nsz, To::nsz),
        std::pair(From::arcp, To::arcp),
        std::pair(From::contract, To::contract), std::pair(From::afn, To::afn)})
    if (arith::bitEnumContainsAny(flags.getValue(), from))
      result = result | to;
  return LLVM::FastmathFlagsAttr::get(flags.getContext(), result);
}

Value KernelLowering::constantOf(TypedAttr value, int64_t lanes) {
  Type type = vectorOf(scalarType(value.getType()), lanes);
  if (auto integer = dyn_cast<IntegerAttr>(value))
    return emit.constant(type, integer.getValue().getSExtValue());
  APFloat number = cast<FloatAttr>(value).getValue();
  if (isa<FloatType>(getElementTypeOrSelf(type)))
    return emit.constant(type, number.convertToDouble());
  return emit.constant(
      type, static_cast<int64_t>(
                number.bitcastToAPInt().getZExtValue())); // bf16 bits
}

/// max or min. Where one side is a constant number, one instruction will do,
/// if the order of its operands says which one a NaN yields.
static Value extremum(Emit &emit, Operation *op, Value a, Value b, bool max,
                      bool propagatesNan) {
  if (emit.gpu) { // which has an instruction for each
    if (propagatesNan)
      return max ? emit.fmax(a, b) : emit.fmin(a, b);
    if (max)
      return LLVM::MaxNumOp::create(emit.builder, emit.loc, a, b);
    return LLVM::MinNumOp::create(emit.builder, emit.loc, a, b);
  }
  auto isNumber = [](Value operand) {
    FloatAttr constant;
    return matchPattern(operand, m_Constant(&constant)) &&
           !constant.getValue().isNaN();
  };
  bool constantFirst = isNumber(op->getOperand(0));
  bool constantSecond = isNumber(op->getOperand(1));
  auto pick = [&](Value x, Value y) {
    return max ? emit.fmax(x, y) : emit.fmin(x, y);
  };
  // Both of these yield their second operand where either is NaN.
  if (constantFirst)
    return propagatesNan ? pick(a, b) : pick(b, a);
  if (constantSecond)
    return propagatesNan ? pick(b, a) : pick(a, b);
  Value chosen = pick(a, b); // b where either is NaN
  Value firstIsNan = emit.fcmp(LLVM::FCmpPredicate::uno, a, a);
  if (propagatesNan)
    return emit.select(firstIsNan, a, chosen);
  Value secondIsNan = emit.fcmp(LLVM::FCmpPredicate::uno, b, b);
  return emit.select(secondIsNan, a, chosen);
}

/// A small float is widened, anything else is a plain widening.
static Value extend(Emit &emit, Type from, Value value) {
  if (from.isBF16())
    return widenBf16(emit, value);
  if (from.isF16())
    return widenF16(emit, value);
  return {};
}

/// x86 traps where i32 is divided by zero, and where the smallest is by -1:
/// lanes behind the end of a row are zeros. There the divisor is 1.
static Value divisor(Emit &emit, Value a, Value b) {
  auto is = [&](Value x, int64_t number) {
    return emit.icmp(LLVM::ICmpPredicate::eq, x,
                     emit.constant(x.getType(), number));
  };
  Value overflows =
      LLVM::AndOp::create(emit.builder, emit.loc, is(b, -1),
                          is(a, std::numeric_limits<int32_t>::min()));
  Value traps = LLVM::OrOp::create(emit.builder, emit.loc, is(b, 0), overflows);
  return emit.select(traps, emit.constant(b.getType(), int64_t(1)), b);
}

Value KernelLowering::lowerScalar(Operation *op, ValueRange operands,
                                  int64_t lanes) {
  auto small = [](Type type) { return type.isBF16() || type.isF16(); };
  Type resultType = vectorOf(scalarType(op->getResult(0).getType()), lanes);
  bool moves = isa<arith::ConstantOp, arith::SelectOp, arith::BitcastOp,
                   arith::ExtFOp, arith::TruncFOp>(op);
  if (!moves && (llvm::any_of(op->getOperandTypes(), small) ||
                 llvm::any_of(op->getResultTypes(), small)))
    return {}; // arithmetic is f32's

  if (StringRef name = directName(op->getName().getStringRef());
      !name.empty()) {
    if (operands[0].getType() == resultType && isa<arith::BitcastOp>(op))
      return operands[0];
    OperationState state(emit.loc, name);
    state.addOperands(operands);
    if (isa<arith::DivSIOp, arith::RemSIOp>(op) && !emit.gpu &&
        getElementTypeOrSelf(resultType).isInteger(32) &&
        !matchPattern(op->getOperand(1), m_Constant()))
      state.operands[1] = divisor(emit, operands[0], operands[1]);
    state.addTypes(resultType);
    if (auto math = dyn_cast<arith::ArithFastMathInterface>(op))
      if (math.getFastMathFlagsAttr())
        state.addAttribute("fastmathFlags",
                           loweredFlags(math.getFastMathFlagsAttr()));
    return emit.builder.create(state)->getResult(0);
  }
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](arith::DivFOp) { return emit.fdiv(operands[0], operands[1]); })
      .Case([&](arith::RemFOp) { // a - b trunc(a / b): no call of fmodf
        Value whole = LLVM::FTruncOp::create(
            emit.builder, emit.loc, emit.fdiv(operands[0], operands[1]));
        return emit.fma(LLVM::FNegOp::create(emit.builder, emit.loc, whole),
                        operands[1], operands[0]);
      })
      .Case([&](math::SqrtOp) { return emit.sqrt(operands[0]); })
      .Case([&](arith::ConstantOp constant) {
        return constantOf(constant.getValue(), lanes);
      })
      .Case<arith::IndexCastOp, arith::IndexCastUIOp>([&](auto) -> Value {
        unsigned from = operands[0].getType().isInteger()
                            ? operands[0].getType().getIntOrFloatBitWidth()
                            : getElementTypeOrSelf(operands[0].getType())
                                  .getIntOrFloatBitWidth();
        unsigned to = getElementTypeOrSelf(resultType).getIntOrFloatBitWidth();
        if (from == to)
          return operands[0];
        if (from > to)
          return emit.trunc(resultType, operands[0]);
        return isa<arith::IndexCastOp>(op) ? emit.sext(resultType, operands[0])
                                           : emit.zext(resultType, operands[0]);
      })
      // Predicates have the same numbers in both dialects.
      .Case([&](arith::CmpIOp cmp) {
        return emit.icmp(static_cast<LLVM::ICmpPredicate>(cmp.getPredicate()),
                         operands[0], operands[1]);
      })
      .Case([&](arith::CmpFOp cmp) {
        return emit.fcmp(static_cast<LLVM::FCmpPredicate>(cmp.getPredicate()),
                         operands[0], operands[1]);
      })
      .Case([&](arith::ExtFOp extension) {
        return extend(emit, extension.getIn().getType(), operands[0]);
      })
      .Case([&](arith::TruncFOp truncation) -> Value {
        if (truncation.getType().isBF16())
          return roundToBf16(emit, operands[0], target.hasBf16);
        if (truncation.getType().isF16())
          return roundToF16(emit, operands[0]);
        return {};
      })
      .Case<arith::MaximumFOp, arith::MaxNumFOp>([&](auto max) {
        return extremum(emit, op, operands[0], operands[1], /*max=*/true,
                        isa<arith::MaximumFOp>(op));
      })
      .Case<arith::MinimumFOp, arith::MinNumFOp>([&](auto min) {
        return extremum(emit, op, operands[0], operands[1], /*max=*/false,
                        isa<arith::MinimumFOp>(op));
      })
      .Case([&](math::AbsIOp) -> Value {
        return LLVM::AbsOp::create(emit.builder, emit.loc, resultType,
                                   operands[0],
                                   emit.builder.getBoolAttr(false));
      })
      .Default([&](Operation *) { return lowerMath(op, operands); });
}

Value KernelLowering::lowerMath(Operation *op, ValueRange x) {
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](math::ExpOp) { return emitExp(emit, x[0]); })
      .Case([&](math::Exp2Op exp) -> Value {
        // Within 2 ulp; what is subnormal is 0.
        if (!bitEnumContainsAll(exp.getFastmath(), arith::FastMathFlags::afn))
          return emitExp2(emit, x[0]);
        if (emit.gpu)
          return emit.intrinsic("llvm.nvvm.ex2.approx.ftz", x[0].getType(),
                                {x[0]});
        return target.lanes == 16 ? emitExp2Scaled(emit, x[0])
                                  : emitExp2(emit, x[0]);
      })
      .Case([&](math::ExpM1Op) { return emitExpM1(emit, x[0]); })
      .Case([&](math::LogOp) { return emitLog(emit, x[0]); })
      .Case([&](math::Log2Op) { return emitLog2(emit, x[0]); })
      .Case([&](math::Log1pOp) { return emitLog1p(emit, x[0]); })
      .Case([&](math::TanhOp) { return emitTanh(emit, x[0]); })
      .Case([&](math::ErfOp) { return emitErf(emit, x[0]); })
      .Case([&](math::PowFOp) { return emitPow(emit, x[0], x[1]); })
      .Case([&](math::SinOp) { return emitSin(emit, x[0]); })
      .Case([&](math::CosOp) { return emitCos(emit, x[0]); })
      .Case([&](math::RsqrtOp) -> Value {
        if (emit.gpu)
          return emit.intrinsic("llvm.nvvm.rsqrt.approx.ftz.f", x[0].getType(),
                                {x[0]});
        return emit.fdiv(emit.constant(x[0].getType(), 1.0), emit.sqrt(x[0]));
      })
      .Case([&](math::RoundOp) {
        // Half away from zero; the largest float below a half keeps .49999997
        // from being carried up.
        Value half = emit.copySign(
            emit.constant(x[0].getType(), 0.49999997019767761), x[0]);
        return LLVM::FTruncOp::create(emit.builder, emit.loc,
                                      emit.fadd(x[0], half));
      })
      .Default([](Operation *) { return Value(); });
}

} // namespace bitbyte::tile
