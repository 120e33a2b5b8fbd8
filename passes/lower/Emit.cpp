//===- Emit.cpp - Writes LLVM ops on scalars and vectors alike ------------===//
#include "passes/lower/Emit.h"

using namespace mlir;

namespace bitbyte::tile {

static constexpr auto contract = LLVM::FastmathFlags::contract;

Type vectorOf(Type scalar, int64_t lanes) {
  return lanes ? VectorType::get({lanes}, scalar) : scalar;
}

int64_t lanesOf(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return vector ? vector.getShape()[0] : 0;
}

/// An attribute of `type`, a scalar or a vector, from its element's.
static TypedAttr spread(Type type, TypedAttr element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return DenseElementsAttr::get(vector, Attribute(element));
  return element;
}

Value Emit::constant(Type like, int64_t value) {
  Type element = getElementTypeOrSelf(like);
  TypedAttr attr =
      spread(like, cast<TypedAttr>(builder.getIntegerAttr(element, value)));
  return LLVM::ConstantOp::create(builder, loc, like, attr);
}

Value Emit::constant(Type like, double value) {
  Type element = getElementTypeOrSelf(like);
  TypedAttr attr =
      spread(like, cast<TypedAttr>(builder.getFloatAttr(element, value)));
  return LLVM::ConstantOp::create(builder, loc, like, attr);
}

Value Emit::zero(Type type) { return LLVM::ZeroOp::create(builder, loc, type); }

Value Emit::lanes(ArrayRef<int32_t> values) {
  auto type = cast<VectorType>(integer(32, values.size()));
  return LLVM::ConstantOp::create(builder, loc, type,
                                  DenseElementsAttr::get(type, values));
}

Value Emit::mask(ArrayRef<bool> values) {
  auto type = cast<VectorType>(integer(1, values.size()));
  return LLVM::ConstantOp::create(builder, loc, type,
                                  DenseElementsAttr::get(type, values));
}

Value Emit::splat(Value scalar, int64_t lanes) {
  if (!lanes)
    return scalar;
  Type type = vectorOf(scalar.getType(), lanes);
  Value undefined = LLVM::PoisonOp::create(builder, loc, type);
  Value first = insert(undefined, scalar, 0);
  return shuffle(first, undefined, SmallVector<int32_t>(lanes, 0));
}

Value Emit::extract(Value vector, int64_t lane) {
  return LLVM::ExtractElementOp::create(builder, loc, vector,
                                        constant(integer(32), lane));
}

Value Emit::insert(Value vector, Value scalar, int64_t lane) {
  return LLVM::InsertElementOp::create(builder, loc, vector, scalar,
                                       constant(integer(32), lane));
}

Value Emit::shuffle(Value a, Value b, ArrayRef<int32_t> lanes) {
  return LLVM::ShuffleVectorOp::create(builder, loc, a, b, lanes);
}

Value Emit::fadd(Value a, Value b) {
  return LLVM::FAddOp::create(builder, loc, a, b, contract);
}
Value Emit::fsub(Value a, Value b) {
  return LLVM::FSubOp::create(builder, loc, a, b, contract);
}
Value Emit::fmul(Value a, Value b) {
  return LLVM::FMulOp::create(builder, loc, a, b, contract);
}
Value Emit::fdiv(Value a, Value b) {
  if (gpu) // within 2 ulp for all operands
    return intrinsic("llvm.nvvm.div.full.ftz", a.getType(), {a, b});
  return LLVM::FDivOp::create(builder, loc, a, b, contract);
}
Value Emit::fma(Value a, Value b, Value c) {
  return LLVM::FMAOp::create(builder, loc, a, b, c);
}
Value Emit::fabs(Value a) { return LLVM::FAbsOp::create(builder, loc, a); }
Value Emit::sqrt(Value a) {
  if (gpu) // within 1 ulp
    return intrinsic("llvm.nvvm.sqrt.approx.ftz.f", a.getType(), {a});
  return LLVM::SqrtOp::create(builder, loc, a);
}
Value Emit::roundEven(Value a) {
  return LLVM::RoundEvenOp::create(builder, loc, a);
}
Value Emit::copySign(Value magnitude, Value sign) {
  return LLVM::CopySignOp::create(builder, loc, magnitude, sign);
}
Value Emit::fmax(Value a, Value b) {
  if (gpu)
    return LLVM::MaximumOp::create(builder, loc, a, b);
  return select(fcmp(LLVM::FCmpPredicate::ogt, a, b), a, b);
}
Value Emit::fmin(Value a, Value b) {
  if (gpu)
    return LLVM::MinimumOp::create(builder, loc, a, b);
  return select(fcmp(LLVM::FCmpPredicate::olt, a, b), a, b);
}
Value Emit::fcmp(LLVM::FCmpPredicate predicate, Value a, Value b) {
  return LLVM::FCmpOp::create(builder, loc, predicate, a, b);
}
Value Emit::icmp(LLVM::ICmpPredicate predicate, Value a, Value b) {
  return LLVM::ICmpOp::create(builder, loc, predicate, a, b);
}
Value Emit::select(Value condition, Value a, Value b) {
  return LLVM::SelectOp::create(builder, loc, condition, a, b);
}

Value Emit::add(Value a, Value b) {
  if (!a || !b)
    return a ? a : b;
  return LLVM::AddOp::create(builder, loc, a, b);
}
Value Emit::sub(Value a, Value b) {
  return LLVM::SubOp::create(builder, loc, a, b);
}
Value Emit::mul(Value a, int64_t factor) {
  if (!a || factor == 0)
    return {};
  if (factor == 1)
    return a;
  return LLVM::MulOp::create(builder, loc, a, constant(a.getType(), factor));
}
Value Emit::bitAnd(Value a, Value b) {
  return LLVM::AndOp::create(builder, loc, a, b);
}
Value Emit::bitOr(Value a, Value b) {
  return LLVM::OrOp::create(builder, loc, a, b);
}
Value Emit::shiftLeft(Value a, int64_t bits) {
  return LLVM::ShlOp::create(builder, loc, a, constant(a.getType(), bits));
}
Value Emit::shiftRight(Value a, int64_t bits) {
  return LLVM::LShrOp::create(builder, loc, a, constant(a.getType(), bits));
}

Value Emit::bitcast(Type type, Value value) {
  return LLVM::BitcastOp::create(builder, loc, type, value);
}
Value Emit::zext(Type type, Value value) {
  return LLVM::ZExtOp::create(builder, loc, type, value);
}
Value Emit::sext(Type type, Value value) {
  return LLVM::SExtOp::create(builder, loc, type, value);
}
Value Emit::trunc(Type type, Value value) {
  return LLVM::TruncOp::create(builder, loc, type, value);
}
Value Emit::toSigned(Type type, Value value) {
  return LLVM::FPToSIOp::create(builder, loc, type, value);
}
Value Emit::fromSigned(Type type, Value value) {
  return LLVM::SIToFPOp::create(builder, loc, type, value);
}

Value Emit::move(Value from, Value dynamic, int64_t fixed, int64_t bytes) {
  Type element = integer(8 * bytes);
  if (dynamic)
    from = LLVM::GEPOp::create(builder, loc, from.getType(), element, from,
                               ArrayRef<LLVM::GEPArg>{dynamic});
  if (!fixed)
    return from;
  // An index in the op itself has few bits.
  LLVM::GEPArg index = llvm::isInt<LLVM::kGEPConstantBitWidth>(fixed)
                           ? LLVM::GEPArg(static_cast<int32_t>(fixed))
                           : LLVM::GEPArg(constant(integer(64), fixed));
  return LLVM::GEPOp::create(builder, loc, from.getType(), element, from,
                             ArrayRef<LLVM::GEPArg>{index});
}

Value Emit::load(Type type, Value from, int64_t alignment) {
  return LLVM::LoadOp::create(builder, loc, type, from, alignment);
}

void Emit::store(Value value, Value to, int64_t alignment) {
  LLVM::StoreOp::create(builder, loc, value, to, alignment);
}

Value Emit::intrinsic(StringRef name, Type result, ValueRange operands) {
  if (!result) {
    LLVM::CallIntrinsicOp::create(builder, loc, builder.getStringAttr(name),
                                  operands);
    return {};
  }
  return LLVM::CallIntrinsicOp::create(builder, loc, result,
                                       builder.getStringAttr(name), operands)
      ->getResult(0);
}

//===-- Small floats ------------------------------------------------------===//

Value widenBf16(Emit &emit, Value bits) {
  int64_t lanes = lanesOf(bits.getType());
  Value wide = emit.zext(emit.integer(32, lanes), bits);
  return emit.bitcast(emit.f32(lanes), emit.shiftLeft(wide, 16));
}

Value roundToBf16(Emit &emit, Value value, bool hardware) {
  int64_t lanes = lanesOf(value.getType());
  if (hardware) {
    Type bf16 = vectorOf(emit.builder.getBF16Type(), lanes);
    Value narrow = LLVM::FPTruncOp::create(emit.builder, emit.loc, bf16, value);
    return emit.bitcast(emit.integer(16, lanes), narrow);
  }
  Type i32 = emit.integer(32, lanes);
  Value bits = emit.bitcast(i32, value);
  // Adding 0x7fff carries into the upper half above the tie, and the lowest
  // kept bit breaks the tie to even.
  Value odd = emit.bitAnd(emit.shiftRight(bits, 16), emit.constant(i32, 1));
  Value bias = emit.add(odd, emit.constant(i32, 0x7fff));
  Value rounded = emit.add(bits, bias);
  // A NaN may carry into infinity, so it is made quiet instead.
  Value quiet = emit.bitOr(bits, emit.constant(i32, 0x400000));
  Value isNan = emit.fcmp(LLVM::FCmpPredicate::uno, value, value);
  Value chosen = emit.select(isNan, quiet, rounded);
  return emit.trunc(emit.integer(16, lanes), emit.shiftRight(chosen, 16));
}

Value widenF16(Emit &emit, Value bits) {
  int64_t lanes = lanesOf(bits.getType());
  Value half = emit.bitcast(vectorOf(emit.builder.getF16Type(), lanes), bits);
  return LLVM::FPExtOp::create(emit.builder, emit.loc, emit.f32(lanes), half);
}

Value roundToF16(Emit &emit, Value value) {
  int64_t lanes = lanesOf(value.getType());
  Value half = LLVM::FPTruncOp::create(
      emit.builder, emit.loc, vectorOf(emit.builder.getF16Type(), lanes),
      value);
  return emit.bitcast(emit.integer(16, lanes), half);
}

} // namespace bitbyte::tile
