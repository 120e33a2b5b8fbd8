//===- Tiles.cpp - Ops on tiles in registers ------------------------------===//
#include "passes/lower/KernelLowering.h"

using namespace mlir;

namespace bitbyte::tile {

LogicalResult KernelLowering::lower(SplatOp op) {
  Distribution tile = op.getType().spell();
  Value value = emit.splat(lowered[op.getValue()][0], width(tile));
  lowered[op] = Registers(tile.registers(), value);
  return success();
}

LogicalResult KernelLowering::lower(BroadcastOp op) {
  Distribution source = op.getSource().getType().spell();
  Distribution tile = op.getType().spell();
  Registers result;
  for (int64_t index = 0; index < tile.registers(); ++index) {
    Coordinate coordinate = tile.registerCoordinate(index);
    coordinate.erase(coordinate.begin() + op.getAxis());
    int64_t from = source.find(coordinate);
    if (from < 0)
      return op.emitOpError("source has no register for a row of the result");
    result.push_back(lowered[op.getSource()][from]);
  }
  lowered[op] = std::move(result);
  return success();
}

/// Registers of a map that advance together on a CPU.
static constexpr int64_t kTogether = 4;

LogicalResult KernelLowering::lower(MapOp op) {
  Distribution tile = cast<RegType>(op.getOutputs()[0].getType()).spell();
  int64_t lanes = width(tile);
  Block &body = op.getBody().front();
  Location outer = emit.loc;
  SmallVector<Registers> results(op.getNumResults());
  DenseMap<Value, Value> captured; // scalars from outside, in every lane
  auto capture = [&](Value value) -> Value {
    Value &splat = captured[value];
    if (!splat)
      splat = emit.splat(lowered.find(value)->second[0], lanes);
    return splat;
  };
  // A few registers advance together, op by op: a chain of dependent ops in one
  // hides the latency of the others', which lie near in the text.
  int64_t registers = tile.registers();
  int64_t together = target.isGpu ? 1 : kTogether;
  for (int64_t begin = 0; begin < registers; begin += together) {
    int64_t count = std::min(together, registers - begin);
    SmallVector<DenseMap<Value, Value>> inner(count);
    for (int64_t i = 0; i < count; ++i)
      for (auto [argument, input] :
           llvm::zip_equal(body.getArguments(), op.getInputs()))
        inner[i][argument] = lowered[input][begin + i];
    auto lookup = [&](int64_t i, Value value) {
      Value found = inner[i].lookup(value);
      return found ? found : capture(value);
    };
    for (Operation &scalar : body.without_terminator()) {
      emit.loc = scalar.getLoc();
      for (int64_t i = 0; i < count; ++i) {
        SmallVector<Value> operands;
        for (Value operand : scalar.getOperands())
          operands.push_back(lookup(i, operand));
        Value result;
        if (scalar.getNumResults() == 1 && scalar.getNumRegions() == 0)
          result = lowerScalar(&scalar, operands, lanes);
        if (!result)
          return scalar.emitOpError("cannot be lowered in a map");
        inner[i][scalar.getResult(0)] = result;
      }
    }
    for (int64_t i = 0; i < count; ++i)
      for (auto [result, value] :
           llvm::zip_equal(results, body.getTerminator()->getOperands()))
        result.push_back(lookup(i, value));
  }
  emit.loc = outer;
  for (auto [output, registers] : llvm::zip_equal(op.getOutputs(), results))
    lowered[output] = std::move(registers);
  return success();
}

//===-- reduce ------------------------------------------------------------===//

Value KernelLowering::combine(Combiner combiner, Value a, Value b) {
  bool isFloat = isa<FloatType>(getElementTypeOrSelf(a.getType()));
  switch (combiner) {
  case Combiner::Add:
    return isFloat ? emit.fadd(a, b) : emit.add(a, b);
  case Combiner::Mul:
    if (isFloat)
      return emit.fmul(a, b);
    return LLVM::MulOp::create(emit.builder, emit.loc, a, b);
  case Combiner::Max:
    if (isFloat)
      return emit.fmax(a, b);
    return LLVM::SMaxOp::create(emit.builder, emit.loc, a, b);
  }
  llvm_unreachable("every combiner is above");
}

LogicalResult KernelLowering::lower(ReduceOp op) {
  unsigned axis = op.getAxis();
  Type element = op.getType().getElementType();
  if (element.isBF16() || element.isF16())
    return op.emitOpError("sums f32; widen the tile first");
  Distribution source = op.getSource().getType().spell();
  Distribution result = op.getType().spell();
  auto join = [&](Value a, Value b) { return combine(op.getCombiner(), a, b); };

  // Registers first. Four partial results hide the latency of an add; their
  // order is fixed, so the sum is too.
  SmallVector<SmallVector<Value>> partials(result.registers());
  SmallVector<int64_t> seen(result.registers(), 0);
  for (int64_t index = 0; index < source.registers(); ++index) {
    Coordinate coordinate = source.registerCoordinate(index);
    coordinate.erase(coordinate.begin() + axis);
    int64_t to = result.find(coordinate);
    if (to < 0)
      return op.emitOpError("result has no register for a row of the source");
    Value value = lowered[op.getSource()][index];
    int64_t slot = seen[to]++ % 4;
    if (slot < static_cast<int64_t>(partials[to].size()))
      partials[to][slot] = join(partials[to][slot], value);
    else
      partials[to].push_back(value);
  }
  Registers values;
  for (SmallVector<Value> &partial : partials) {
    while (partial.size() > 1) {
      size_t half = (partial.size() + 1) / 2;
      for (size_t i = half; i < partial.size(); ++i)
        partial[i - half] = join(partial[i - half], partial[i]);
      partial.resize(half);
    }
    values.push_back(partial[0]);
  }

  reduceLanes(op, values);
  lowered[op] = std::move(values);
  return success();
}

} // namespace bitbyte::tile
