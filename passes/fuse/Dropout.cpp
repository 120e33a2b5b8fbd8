//===- Dropout.cpp - Which elements of a value are dropped ----------------===//
#include "passes/fuse/RegionBuilder.h"
#include "passes/fuse/ScalarCode.h"

#include <array>
#include <cmath>

using namespace mlir;
using namespace bitbyte::bb;

namespace {
/// Integer code of a region; i32 and i64 count as unsigned.
class Words {
public:
  Words(OpBuilder &b, Location loc) : b(b), loc(loc) {}

  Value word(uint32_t value) {
    return arith::ConstantOp::create(b, loc,
                                     b.getI32IntegerAttr(int32_t(value)));
  }
  Value exclusiveOr(Value x, Value y) {
    return arith::XOrIOp::create(b, loc, x, y);
  }
  Value sum(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value product(Value x, Value y) {
    return arith::MulIOp::create(b, loc, x, y);
  }
  /// The upper and the lower half of x * factor.
  std::pair<Value, Value> halves(Value x, uint32_t factor) {
    Type wide = b.getI64Type();
    Value whole = arith::MulIOp::create(
        b, loc, arith::ExtUIOp::create(b, loc, wide, x),
        arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(factor)));
    Value upper = arith::ShRUIOp::create(
        b, loc, whole,
        arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(32)));
    return {arith::TruncIOp::create(b, loc, b.getI32Type(), upper),
            arith::TruncIOp::create(b, loc, b.getI32Type(), whole)};
  }

private:
  OpBuilder &b;
  Location loc;
};
} // namespace

/// The first word of Philox4x32-10 (Salmon et al., SC 2011) at (`place`,
/// `stream`, `counter`, 0) under the key (`seed`, 0). What does not vary with
/// the place is hoisted by whoever makes the kernel.
static Value philox(Words w, Value place, Value stream, Value counter,
                    Value seed) {
  std::array<Value, 4> c{place, stream, counter, w.word(0)};
  for (uint32_t round = 0; round < 10; ++round) {
    auto [upper0, lower0] = w.halves(c[0], 0xD2511F53);
    auto [upper2, lower2] = w.halves(c[2], 0xCD9E8D57);
    Value key0 = w.sum(seed, w.word(round * 0x9E3779B9));
    Value key1 = w.word(round * 0xBB67AE85);
    c = {w.exclusiveOr(w.exclusiveOr(upper2, c[1]), key0), lower2,
         w.exclusiveOr(w.exclusiveOr(upper0, c[3]), key1), lower0};
  }
  return c[0];
}

Value RegionBuilder::dropout(DropoutOp op, ArrayRef<AffineExpr> index) {
  auto shape = cast<GraphTensorType>(op.getY().getType()).getShape();
  Value x = scalar(op.getX(), index);
  Value seed = scalar(op.getSeed(), {}), counter = scalar(op.getCounter(), {});
  if (!x || !seed || !counter)
    return {};
  // Read, not written into the code: layers share one kernel.
  int32_t number = op.getStream() ? *op.getStream()->constant() : 0;
  Value stream =
      read(constant("dropout_stream",
                    DenseElementsAttr::get(
                        RankedTensorType::get({}, outer.getI32Type()), number)),
           {});
  Words w(b, loc);
  Value place = i32(0);
  int64_t stride = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    Value step = indexValue(index[axis]);
    place = w.sum(place, stride == 1 ? step : w.product(step, w.word(stride)));
    stride *= *shape[axis].constant();
  }
  double p = *evaluate(op.getP());
  Value bits = philox(w, place, stream, counter, seed);
  Value drop = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, bits,
                                     w.word(std::llround(std::ldexp(p, 32))));
  return arith::SelectOp::create(b, loc, drop, f32(0),
                                 mulF(b, loc, x, f32(1 / (1 - p))));
}
