//===- Fused.cpp - Regions, point by point --------------------------------===//
//
// Each scalar of a region becomes its numbers at every point of its domain, in
// the order of the region's dims. So fuse itself can be checked: a program says
// the same before it and after.
//
//===----------------------------------------------------------------------===//

#include "compiler/interpreter/Families.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <bit>
#include <cmath>

using namespace mlir;
using namespace bitbyte::bb;

static double numberOf(uint64_t word, Type type);

namespace {

using Dims = llvm::SmallVector<unsigned, 6>;

/// A scalar at all points of its domain, row-major.
struct Field {
  Dims dims;
  std::vector<double> data;
};

class RegionRun {
public:
  RegionRun(FusedOp op, Frame &frame) : op(op), frame(frame) {}

  LogicalResult run() {
    Block &body = op.getBody().front();
    for (BlockArgument argument : body.getArguments())
      if (op.inputMap(argument.getArgNumber()))
        read(argument);
    for (Operation &each : body)
      if (failed(evaluate(&each)))
        return failure();
    return success();
  }

private:
  int64_t size(unsigned dim) { return op.dimSize(dim); }

  /// Visits all points of some dims: `visit(coordinates of all dims)`.
  template <typename Visit>
  void overPoints(ArrayRef<unsigned> dims, SmallVector<int64_t> &at,
                  Visit visit) {
    if (dims.empty())
      return visit();
    for (at[dims[0]] = 0; at[dims[0]] < size(dims[0]); ++at[dims[0]])
      overPoints(dims.drop_front(), at, visit);
    at[dims[0]] = 0;
  }
  int64_t place(ArrayRef<unsigned> dims, ArrayRef<int64_t> at) {
    int64_t offset = 0;
    for (unsigned dim : dims)
      offset = offset * size(dim) + at[dim];
    return offset;
  }
  double value(Value v, ArrayRef<int64_t> at) {
    const Field &field = fields[v];
    return field.data[place(field.dims, at)];
  }
  /// The dims of some values, and more, each once and in order.
  Dims domain(ValueRange values, ArrayRef<int64_t> more = {}) {
    llvm::SmallVector<bool> there(op.dimCount());
    for (Value v : values)
      for (unsigned dim : fields[v].dims)
        there[dim] = true;
    for (int64_t dim : more)
      there[dim] = true;
    Dims dims;
    for (unsigned dim = 0; dim < there.size(); ++dim)
      if (there[dim])
        dims.push_back(dim);
    return dims;
  }
  /// f at every point of `dims`, as the type of `v` keeps it.
  template <typename F>
  void define(Value v, Dims dims, F f) {
    int64_t count = 1;
    for (unsigned dim : dims)
      count *= size(dim);
    Array numbers({count});
    SmallVector<int64_t> at(op.dimCount());
    int64_t i = 0;
    overPoints(dims, at, [&] { numbers[i++] = f(at); });
    if (!v.getType().isInteger(64)) // those are bits: see wordOf
      conform(numbers, v.getType());
    fields[v] = {std::move(dims), std::move(numbers.data)};
  }

  int64_t elementAt(AffineMap map, const Array &array, ArrayRef<int64_t> at) {
    return elementAt(map.compose(at), array);
  }
  int64_t elementAt(ArrayRef<int64_t> index, const Array &array) {
    int64_t offset = 0;
    for (auto [i, extent] : llvm::zip_equal(index, array.shape))
      offset = offset * extent + i;
    return offset;
  }

  void read(BlockArgument argument) {
    AffineMap map = op.inputMap(argument.getArgNumber());
    const Array &array = frame[op.getOperand(argument.getArgNumber())];
    Dims dims;
    for (unsigned dim = 0; dim < op.dimCount(); ++dim)
      if (map.isFunctionOfDim(dim))
        dims.push_back(dim);
    define(argument, dims, [&](ArrayRef<int64_t> at) {
      return array[elementAt(map, array, at)];
    });
  }

  LogicalResult evaluate(Operation *each) {
    if (auto emit = dyn_cast<EmitOp>(each))
      return write(emit);
    if (auto index = dyn_cast<IndexOp>(each)) {
      define(index.getY(), {unsigned(index.getDim())},
             [&](ArrayRef<int64_t> at) { return double(at[index.getDim()]); });
      return success();
    }
    if (auto at = dyn_cast<AtOp>(each))
      return readAt(at);
    if (auto reduce = dyn_cast<ReduceOverOp>(each)) {
      bool isMax = reduce.getBy() == "max";
      combine(reduce.getY(), {reduce.getX()}, reduce.getOver(), isMax,
              [&](ArrayRef<int64_t> at) { return value(reduce.getX(), at); });
      return success();
    }
    if (auto contract = dyn_cast<ContractOp>(each)) {
      for (auto [rhs, y] :
           llvm::zip_equal(contract.getRhs(), contract.getOutputs())) {
        Value right = rhs;
        combine(y, {contract.getLhs(), right}, contract.getOver(), false,
                [&](ArrayRef<int64_t> at) {
                  return value(contract.getLhs(), at) * value(right, at);
                });
      }
      return success();
    }
    if (auto constant = dyn_cast<arith::ConstantOp>(each)) {
      auto number = dyn_cast<FloatAttr>(constant.getValue());
      double x = number ? number.getValueAsDouble()
                        : numberOf(static_cast<uint64_t>(
                                       cast<IntegerAttr>(constant.getValue())
                                           .getValue()
                                           .getSExtValue()),
                                   constant.getType());
      define(constant, {}, [&](ArrayRef<int64_t>) { return x; });
      return success();
    }
    return elementwise(each);
  }

  /// Sums, or the largest, of f over some dims. An operand that does not vary
  /// along one of them counts there as often as any other.
  template <typename F>
  void combine(Value y, ArrayRef<Value> operands, ArrayRef<int64_t> over,
               bool isMax, F f) {
    Dims dims = domain(operands), kept, gone(over.begin(), over.end());
    for (unsigned dim : dims)
      if (!llvm::is_contained(over, dim))
        kept.push_back(dim);
    define(y, kept, [&](SmallVector<int64_t> &at) {
      double sum = isMax ? -INFINITY : 0;
      SmallVector<int64_t> inner(at);
      overPoints(gone, inner, [&] {
        double x = f(inner);
        sum = isMax ? std::fmax(sum, x) : sum + x;
      });
      return sum;
    });
  }

  LogicalResult readAt(AtOp at) {
    unsigned input = cast<BlockArgument>(at.getSource()).getArgNumber();
    const Array &array = frame[op.getOperand(input)];
    bool inside = true;
    define(at.getY(), domain(at.getIndices()), [&](ArrayRef<int64_t> point) {
      SmallVector<int64_t> index;
      for (auto [i, extent] : llvm::zip_equal(at.getIndices(), array.shape)) {
        index.push_back(int64_t(value(i, point)));
        inside &= index.back() >= 0 && index.back() < extent;
      }
      return inside ? array[elementAt(index, array)] : 0.0;
    });
    return inside ? success() : at.emitOpError("reads outside of its operand");
  }

  LogicalResult write(EmitOp emit) {
    for (auto [r, v] : llvm::enumerate(emit.getValues())) {
      Value x = v;
      AffineMap map = op.outputMap(r);
      Array y(shapeOf(op.getResult(r)));
      Dims dims;
      for (unsigned dim = 0; dim < op.dimCount(); ++dim)
        if (map.isFunctionOfDim(dim))
          dims.push_back(dim);
      for (unsigned dim : fields[x].dims)
        if (!llvm::is_contained(dims, dim))
          return emit.emitOpError("gives a value that varies along a dim which "
                                  "its result does not have");
      SmallVector<int64_t> at(op.dimCount());
      overPoints(dims, at, [&] { y[elementAt(map, y, at)] = value(x, at); });
      frame.set(op.getResult(r), std::move(y));
    }
    return success();
  }

  LogicalResult elementwise(Operation *each);

  FusedOp op;
  Frame &frame;
  llvm::DenseMap<Value, Field> fields;
};

} // namespace

/// Null for predicates that fuse does not write.
static std::optional<bool> compare(arith::CmpFPredicate predicate, double a,
                                   double b) {
  switch (predicate) {
  case arith::CmpFPredicate::OLT:
    return a < b;
  case arith::CmpFPredicate::OLE:
    return a <= b;
  case arith::CmpFPredicate::OGT:
    return a > b;
  case arith::CmpFPredicate::OGE:
    return a >= b;
  case arith::CmpFPredicate::OEQ:
    return a == b;
  case arith::CmpFPredicate::UNE:
    return a != b;
  default:
    return std::nullopt;
  }
}
static std::optional<bool> compare(arith::CmpIPredicate predicate, double a,
                                   double b) {
  switch (predicate) {
  case arith::CmpIPredicate::eq:
    return a == b;
  case arith::CmpIPredicate::ne:
    return a != b;
  case arith::CmpIPredicate::slt:
    return a < b;
  case arith::CmpIPredicate::sle:
    return a <= b;
  case arith::CmpIPredicate::sgt:
    return a > b;
  case arith::CmpIPredicate::sge:
    return a >= b;
  case arith::CmpIPredicate::ult:
    return static_cast<uint32_t>(static_cast<int64_t>(a)) <
           static_cast<uint32_t>(static_cast<int64_t>(b));
  default:
    return std::nullopt;
  }
}

/// What a double holds of a whole number: its value, or of one of 64 bits,
/// which no double can hold, the bits themselves.
static uint64_t wordOf(double x, Type type) {
  if (type.isInteger(64))
    return std::bit_cast<uint64_t>(x);
  auto word = static_cast<uint64_t>(static_cast<int64_t>(x));
  return type.isInteger(32) ? word & 0xFFFFFFFF : word;
}
static double numberOf(uint64_t word, Type type) {
  if (type.isInteger(64))
    return std::bit_cast<double>(word);
  return type.isInteger(32) ? double(static_cast<int32_t>(word)) : double(word);
}

using Words = ArrayRef<uint64_t>;
using WordFunction = uint64_t (*)(Words);

/// Ops on whole numbers that count bits.
static WordFunction wordFunctionOf(StringRef name) {
  static const llvm::StringMap<WordFunction> functions = {
      {"arith.addi", [](Words x) { return x[0] + x[1]; }},
      {"arith.subi", [](Words x) { return x[0] - x[1]; }},
      {"arith.muli", [](Words x) { return x[0] * x[1]; }},
      {"arith.andi", [](Words x) { return x[0] & x[1]; }},
      {"arith.ori", [](Words x) { return x[0] | x[1]; }},
      {"arith.xori", [](Words x) { return x[0] ^ x[1]; }},
      {"arith.shrui", [](Words x) { return x[0] >> x[1]; }},
      {"arith.extui", [](Words x) { return x[0]; }},
      {"arith.trunci", [](Words x) { return x[0]; }}};
  return functions.lookup(name);
}

/// NaN with anything gives NaN.
static double extremum(double a, double b, bool isMax) {
  if (std::isnan(a) || std::isnan(b))
    return a + b;
  return isMax ? std::fmax(a, b) : std::fmin(a, b);
}

using Operands = ArrayRef<double>;
using Function = double (*)(Operands);

/// Ops whose result follows from the numbers alone; integers wrap afterwards.
static Function functionOf(StringRef name) {
  static const llvm::StringMap<Function> functions = {
      {"arith.addf", [](Operands x) { return x[0] + x[1]; }},
      {"arith.subf", [](Operands x) { return x[0] - x[1]; }},
      {"arith.mulf", [](Operands x) { return x[0] * x[1]; }},
      {"arith.divf", [](Operands x) { return x[0] / x[1]; }},
      {"arith.remf", [](Operands x) { return std::fmod(x[0], x[1]); }},
      {"arith.negf", [](Operands x) { return -x[0]; }},
      {"arith.maximumf", [](Operands x) { return extremum(x[0], x[1], true); }},
      {"arith.minimumf",
       [](Operands x) { return extremum(x[0], x[1], false); }},
      {"arith.divsi", [](Operands x) { return std::trunc(x[0] / x[1]); }},
      {"arith.remsi", [](Operands x) { return std::fmod(x[0], x[1]); }},
      {"arith.maxsi", [](Operands x) { return std::fmax(x[0], x[1]); }},
      {"arith.minsi", [](Operands x) { return std::fmin(x[0], x[1]); }},
      {"arith.select", [](Operands x) { return x[0] != 0 ? x[1] : x[2]; }},
      {"arith.sitofp", [](Operands x) { return x[0]; }},
      {"arith.uitofp", [](Operands x) { return x[0]; }},
      {"arith.fptosi", [](Operands x) { return std::trunc(x[0]); }},
      {"math.exp", [](Operands x) { return std::exp(x[0]); }},
      {"math.log", [](Operands x) { return std::log(x[0]); }},
      {"math.tanh", [](Operands x) { return std::tanh(x[0]); }},
      {"math.sqrt", [](Operands x) { return std::sqrt(x[0]); }},
      {"math.rsqrt", [](Operands x) { return 1 / std::sqrt(x[0]); }},
      {"math.absf", [](Operands x) { return std::fabs(x[0]); }},
      {"math.roundeven", [](Operands x) { return std::nearbyint(x[0]); }}};
  return functions.lookup(name);
}

LogicalResult RegionRun::elementwise(Operation *each) {
  if (WordFunction words = wordFunctionOf(each->getName().getStringRef())) {
    SmallVector<uint64_t, 3> x(each->getNumOperands());
    define(each->getResult(0), domain(each->getOperands()),
           [&](ArrayRef<int64_t> at) {
             for (auto [i, operand] : llvm::enumerate(each->getOperands()))
               x[i] = wordOf(value(operand, at), operand.getType());
             return numberOf(words(x), each->getResult(0).getType());
           });
    return success();
  }
  Function f = functionOf(each->getName().getStringRef());
  auto floats = dyn_cast<arith::CmpFOp>(each);
  auto integers = dyn_cast<arith::CmpIOp>(each);
  auto holds = [&](double a, double b) {
    return floats ? compare(floats.getPredicate(), a, b)
                  : compare(integers.getPredicate(), a, b);
  };
  if (!f && (!(floats || integers) || !holds(0, 0)))
    return each->emitOpError("has no loop in the interpreter");
  SmallVector<double, 3> x(each->getNumOperands());
  define(each->getResult(0), domain(each->getOperands()),
         [&](ArrayRef<int64_t> at) {
           for (auto [i, operand] : llvm::enumerate(each->getOperands()))
             x[i] = value(operand, at);
           return f ? f(x) : double(*holds(x[0], x[1]));
         });
  return success();
}

static LogicalResult fused(FusedOp op, Frame &frame) {
  return RegionRun(op, frame).run();
}

void bitbyte::bb::addFused(Loops &loops) { add<FusedOp, fused>(loops); }
