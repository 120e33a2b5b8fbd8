//===- Interpreter.cpp - Programs, states and number formats --------------===//

#include "compiler/interpreter/Interpreter.h"

#include "compiler/interpreter/Families.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/StringExtras.h"

#include <cmath>

using namespace mlir;
using namespace bitbyte::bb;

Shape bitbyte::bb::shapeOf(Type type) {
  Shape shape;
  for (DimAttr dim : cast<GraphTensorType>(type).getShape())
    shape.push_back(dim.constant().value_or(0));
  return shape;
}

double bitbyte::bb::number(Attribute attribute) {
  if (!attribute)
    return 0;
  return evaluate(attribute).value_or(0);
}

int64_t bitbyte::bb::whole(DimAttr dim, int64_t absent) {
  return dim ? dim.constant().value_or(absent) : absent;
}

SmallVector<int64_t> bitbyte::bb::wholes(ArrayAttr dims) {
  SmallVector<int64_t> out;
  for (Attribute dim : dims)
    out.push_back(whole(cast<DimAttr>(dim)));
  return out;
}

//===----------------------------------------------------------------------===//
// Number formats
//===----------------------------------------------------------------------===//

static double roundTo(const llvm::fltSemantics &format, double x) {
  bool lost;
  APFloat value(x);
  value.convert(format, APFloat::rmNearestTiesToEven, &lost);
  value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
  return value.convertToDouble();
}

static double wrap(IntegerType type, double x) {
  auto bits = static_cast<uint64_t>(static_cast<int64_t>(std::trunc(x)));
  unsigned unused = 64 - type.getWidth();
  bits <<= unused;
  bool isUnsigned = type.isUnsigned() || type.getWidth() == 1;
  return isUnsigned ? static_cast<double>(bits >> unused)
                    : static_cast<double>(static_cast<int64_t>(bits) >> unused);
}

void bitbyte::bb::conform(Array &array, Type element) {
  if (auto integer = dyn_cast<IntegerType>(element)) {
    for (double &x : array.data)
      x = wrap(integer, x);
  } else if (auto number = dyn_cast<FloatType>(element);
             number && number.getWidth() < 32) {
    for (double &x : array.data)
      x = roundTo(number.getFloatSemantics(), x);
  }
}

void Frame::set(Value value, Array array) {
  conform(array, cast<GraphTensorType>(value.getType()).getElement());
  values[value] = std::move(array);
}

const Loops &bitbyte::bb::allLoops() {
  static const Loops loops = [] {
    Loops made;
    addElementwise(made);
    addQuantized(made);
    addRows(made);
    addContractions(made);
    addAttention(made);
    addFused(made);
    addGather(made);
    addScans(made);
    addScanGradients(made);
    addViews(made);
    return made;
  }();
  return loops;
}

//===----------------------------------------------------------------------===//
// States
//===----------------------------------------------------------------------===//

static std::string text(ArrayRef<int64_t> shape) {
  std::string inside;
  for (int64_t size : shape)
    inside += (inside.empty() ? "" : ", ") + std::to_string(size);
  return "[" + inside + "]";
}

Array Interpreter::state(StringRef name) const {
  ModelOp owner = model; // looking up is not const
  auto op = owner.lookupSymbol<StateOp>(name);
  Shape shape = shapeOf(op.getType());
  if (op.getSliceOf()) {
    Array flat = state(*op.getSliceOf());
    auto begin = flat.data.begin() + op.getOffset().value_or(0);
    return Array(shape,
                 std::vector<double>(begin, begin + elementCount(shape)));
  }
  auto found = states.find(name);
  return found == states.end() ? Array(shape) : found->second;
}

LogicalResult Interpreter::setState(StringRef name, Array value) {
  auto op = model.lookupSymbol<StateOp>(name);
  if (!op)
    return model.emitOpError("has no state '") << name << "'";
  if (Shape shape = shapeOf(op.getType()); shape != value.shape)
    return op.emitOpError("is ")
           << text(shape) << ", but was given " << text(value.shape);
  conform(value, cast<GraphTensorType>(op.getType()).getElement());
  store(op, value);
  return success();
}

void Interpreter::store(StateOp op, const Array &value) {
  if (!op.getSliceOf()) {
    states[op.getSymName().str()] = value;
    return;
  }
  Array flat = state(*op.getSliceOf());
  llvm::copy(value.data, flat.data.begin() + op.getOffset().value_or(0));
  store(model.lookupSymbol<StateOp>(*op.getSliceOf()), flat);
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

FailureOr<std::vector<Array>> Interpreter::run(StringRef program,
                                               ArrayRef<Array> inputs) {
  auto op = model.lookupSymbol<ProgramOp>(program);
  if (!op)
    return model.emitOpError("has no program '") << program << "'";
  return run(op, inputs);
}

FailureOr<std::vector<Array>> Interpreter::run(ProgramOp program,
                                               ArrayRef<Array> inputs) {
  Block &body = program.getBody().front();
  if (inputs.size() != body.getNumArguments())
    return program.emitOpError("takes ")
           << body.getNumArguments() << " inputs, got " << inputs.size();
  Frame frame;
  for (auto [argument, input] : llvm::zip(body.getArguments(), inputs)) {
    if (shapeOf(argument) != input.shape)
      return program.emitOpError("input '")
             << program.argName(argument.getArgNumber()) << "' is "
             << text(shapeOf(argument)) << ", but was given "
             << text(input.shape);
    frame.set(argument, input);
  }

  std::vector<std::pair<StateOp, Array>> writes;
  std::vector<Array> results;
  for (Operation &op : body) {
    if (auto read = dyn_cast<ReadOp>(op)) {
      if (!model.lookupSymbol<StateOp>(read.getState()))
        return read.emitOpError("reads no state of this model");
      frame.set(read.getY(), state(read.getState()));
    } else if (auto write = dyn_cast<WriteOp>(op)) {
      auto state = model.lookupSymbol<StateOp>(write.getState());
      if (!state)
        return write.emitOpError("writes no state of this model");
      writes.emplace_back(state, frame[write.getX()]);
    } else if (auto ret = dyn_cast<ReturnOp>(op)) {
      for (Value value : ret.getValues())
        results.push_back(frame[value]);
    } else {
      auto loop = allLoops().find(op.getName().getStringRef());
      if (loop == allLoops().end())
        return op.emitOpError("has no loop in the interpreter");
      if (failed(loop->second(&op, frame)))
        return failure();
    }
  }
  for (const auto &[state, value] : writes)
    store(state, value);
  return results;
}
