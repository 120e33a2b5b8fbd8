//===- Reference.cpp - What a fused region means, in float64 --------------===//
#include "test/passes/tile/Reference.h"
#include "test/compiler/codegen/Harness.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>
#include <map>

using namespace mlir;

namespace bitbyte::bb {

static GraphTensorType typeOf(Value v) {
  return cast<GraphTensorType>(v.getType());
}
int64_t elementCount(Value v) {
  int64_t n = 1;
  for (DimAttr d : typeOf(v).getShape())
    n *= *d.constant();
  return n;
}

double rounded(double v, Type element) {
  if (element.isBF16())
    return codegen::fromBf16(codegen::toBf16(static_cast<float>(v)));
  return element.isF32() ? static_cast<float>(v) : v;
}

namespace {
/// Evaluates by need, for one point at a time.
class Evaluator {
public:
  Evaluator(FusedOp op, const std::vector<Elements> &operands)
      : op(op), operands(operands), point(op.dimCount()) {}

  std::vector<Elements> run() {
    std::vector<Elements> results;
    for (unsigned i = 0; i < op.getNumResults(); ++i) {
      Elements out(elementCount(op.getResult(i)), NAN);
      AffineMap map = op.outputMap(i);
      Value v = op.emit().getValues()[i];
      SmallVector<int64_t> dims;
      for (unsigned d = 0; d < op.dimCount(); ++d)
        if (map.isFunctionOfDim(d))
          dims.push_back(d);
      Type element = typeOf(op.getResult(i)).getElement();
      over(dims, [&] {
        out[place(map, typeOf(op.getResult(i)))] = rounded(value(v), element);
      });
      results.push_back(std::move(out));
    }
    return results;
  }

private:
  template <typename Body>
  void over(ArrayRef<int64_t> dims, Body &&body) {
    if (dims.empty())
      return body();
    for (point[dims[0]] = 0; point[dims[0]] < op.dimSize(dims[0]);
         ++point[dims[0]])
      over(dims.drop_front(), body);
  }

  int64_t place(AffineMap map, GraphTensorType type) {
    int64_t at = 0;
    MLIRContext *context = op.getContext();
    SmallVector<AffineExpr> here;
    for (int64_t p : point)
      here.push_back(getAffineConstantExpr(p, context));
    for (auto [axis, e] : llvm::enumerate(map.getResults())) {
      int64_t size = *type.dim(axis).constant();
      int64_t i = cast<AffineConstantExpr>(e.replaceDims(here)).getValue();
      if (i < 0 || i >= size)
        llvm::report_fatal_error("an access leaves its tensor");
      at = at * size + i;
    }
    return at;
  }

  double value(Value v) {
    if (auto argument = dyn_cast<BlockArgument>(v)) {
      unsigned i = argument.getArgNumber();
      return operands[i][place(op.inputMap(i), typeOf(op.getOperand(i)))];
    }
    if (isa<ReduceOverOp, ContractOp>(v.getDefiningOp())) {
      // The same sum is asked for along whole rows: keep it.
      std::vector<int64_t> key(point.begin(), point.end());
      for (int64_t d : v.getDefiningOp()
                           ->getAttrOfType<DenseI64ArrayAttr>("over")
                           .asArrayRef())
        key[d] = 0;
      key.push_back(cast<OpResult>(v).getResultNumber());
      auto [known, fresh] = sums[v.getDefiningOp()].try_emplace(key, 0);
      if (fresh)
        known->second = compute(v);
      return known->second;
    }
    return compute(v);
  }

  double compute(Value v) {
    Operation *o = v.getDefiningOp();
    auto x = [&](unsigned i) { return value(o->getOperand(i)); };
    return llvm::TypeSwitch<Operation *, double>(o)
        .Case([&](arith::ConstantOp c) {
          if (auto f = dyn_cast<FloatAttr>(c.getValue()))
            return f.getValueAsDouble();
          return static_cast<double>(
              cast<IntegerAttr>(c.getValue()).getValue().getZExtValue() &
              (v.getType().isInteger(1) ? 1 : ~uint64_t(0)));
        })
        .Case([&](IndexOp i) { return static_cast<double>(point[i.getDim()]); })
        .Case([&](AtOp at) {
          GraphTensorType type = typeOf(at.getSource());
          int64_t place = 0;
          for (auto [axis, index] : llvm::enumerate(at.getIndices()))
            place = place * *type.dim(axis).constant() +
                    static_cast<int64_t>(value(index));
          unsigned i = cast<BlockArgument>(at.getSource()).getArgNumber();
          return operands[i][place];
        })
        .Case([&](ReduceOverOp r) {
          double y = r.getBy() == "max" ? -INFINITY : 0;
          fold(r.getOver(), [&] {
            double e = value(r.getX());
            y = r.getBy() == "max" ? std::max(y, e) : y + e;
          });
          return y;
        })
        .Case([&](ContractOp c) {
          double y = 0;
          unsigned i = cast<OpResult>(v).getResultNumber();
          fold(c.getOver(),
               [&] { y += value(c.getLhs()) * value(c.getRhs()[i]); });
          return y;
        })
        .Case<arith::AddFOp, arith::AddIOp>(
            [&](Operation *) { return x(0) + x(1); })
        .Case<arith::SubFOp, arith::SubIOp>(
            [&](Operation *) { return x(0) - x(1); })
        .Case<arith::MulFOp, arith::MulIOp>(
            [&](Operation *) { return x(0) * x(1); })
        .Case([&](arith::DivFOp) { return x(0) / x(1); })
        .Case([&](arith::DivSIOp) { return std::trunc(x(0) / x(1)); })
        .Case<arith::RemSIOp, arith::RemFOp>(
            [&](Operation *) { return std::fmod(x(0), x(1)); })
        .Case<arith::MaximumFOp, arith::MaxSIOp>(
            [&](Operation *) { return std::max(x(0), x(1)); })
        .Case<arith::MinimumFOp, arith::MinSIOp>(
            [&](Operation *) { return std::min(x(0), x(1)); })
        .Case([&](arith::NegFOp) { return -x(0); })
        .Case<arith::SIToFPOp, arith::UIToFPOp, arith::ExtUIOp>(
            [&](Operation *) { return x(0); })
        .Case([&](arith::FPToSIOp) { return std::trunc(x(0)); })
        .Case([&](arith::CmpFOp c) {
          if (c.getPredicate() == arith::CmpFPredicate::OLT)
            return double(x(0) < x(1));
          if (c.getPredicate() == arith::CmpFPredicate::OLE)
            return double(x(0) <= x(1));
          return double(x(0) == x(1));
        })
        .Case([&](arith::CmpIOp c) {
          switch (c.getPredicate()) {
          case arith::CmpIPredicate::eq:
            return double(x(0) == x(1));
          case arith::CmpIPredicate::slt:
            return double(x(0) < x(1));
          case arith::CmpIPredicate::sle:
            return double(x(0) <= x(1));
          case arith::CmpIPredicate::sge:
            return double(x(0) >= x(1));
          default:
            llvm::report_fatal_error("a comparison without a reference");
          }
        })
        .Case([&](arith::SelectOp) { return x(0) != 0 ? x(1) : x(2); })
        .Case([&](math::ExpOp) { return std::exp(x(0)); })
        .Case([&](math::LogOp) { return std::log(x(0)); })
        .Case([&](math::TanhOp) { return std::tanh(x(0)); })
        .Case([&](math::SqrtOp) { return std::sqrt(x(0)); })
        .Case([&](math::RsqrtOp) { return 1 / std::sqrt(x(0)); })
        .Case([&](math::AbsFOp) { return std::fabs(x(0)); })
        .Case([&](math::RoundEvenOp) { return std::nearbyint(x(0)); })
        .Default([](Operation *other) -> double {
          llvm::report_fatal_error(
              llvm::Twine(other->getName().getStringRef()) +
              " has no reference");
        });
  }

  template <typename Body>
  void fold(ArrayRef<int64_t> dims, Body &&body) {
    SmallVector<int64_t> outside(point);
    over(dims, body);
    point = outside;
  }

  FusedOp op;
  const std::vector<Elements> &operands;
  SmallVector<int64_t> point;
  std::map<Operation *, std::map<std::vector<int64_t>, double>> sums;
};
} // namespace

std::vector<Elements> evaluate(FusedOp op,
                               const std::vector<Elements> &operands) {
  return Evaluator(op, operands).run();
}

} // namespace bitbyte::bb
