//===- Tiles.cpp - Ops on tiles in registers ------------------------------===//
#include "passes/lower/KernelLowering.h"

#include "llvm/ADT/bit.h"

#include <map>

using namespace mlir;

namespace bitbyte::tile {

LogicalResult KernelLowering::lower(SplatOp op) {
  Distribution tile = op.getType().spell();
  Value value = emit.splat(lowered[op.getValue()][0], tile.lanes());
  lowered[op] = Registers(tile.registers(), value);
  return success();
}

LogicalResult KernelLowering::lower(IotaOp op) {
  Distribution tile = op.getType().spell();
  Registers result;
  for (int64_t index = 0; index < tile.registers(); ++index) {
    SmallVector<int32_t> values;
    for (int64_t lane = 0; lane < tile.lanes(); ++lane)
      values.push_back(tile.registerCoordinate(index)[op.getAxis()] +
                       tile.laneCoordinate(lane)[op.getAxis()]);
    result.push_back(emit.lanes(values));
  }
  lowered[op] = std::move(result);
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

LogicalResult KernelLowering::lower(MapOp op) {
  Distribution tile = cast<RegType>(op.getOutputs()[0].getType()).spell();
  int64_t lanes = tile.lanes();
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
  for (int64_t index = 0; index < tile.registers(); ++index) {
    DenseMap<Value, Value> inner;
    for (auto [argument, input] :
         llvm::zip_equal(body.getArguments(), op.getInputs()))
      inner[argument] = lowered[input][index];
    auto lookup = [&](Value value) {
      Value found = inner.lookup(value);
      return found ? found : capture(value);
    };
    for (Operation &scalar : body.without_terminator()) {
      emit.loc = scalar.getLoc();
      SmallVector<Value> operands;
      for (Value operand : scalar.getOperands())
        operands.push_back(lookup(operand));
      Value result;
      if (scalar.getNumResults() == 1 && scalar.getNumRegions() == 0)
        result = lowerScalar(&scalar, operands, lanes);
      if (!result)
        return scalar.emitOpError("cannot be lowered in a map");
      inner[scalar.getResult(0)] = result;
    }
    for (auto [result, value] :
         llvm::zip_equal(results, body.getTerminator()->getOperands()))
      result.push_back(lookup(value));
  }
  emit.loc = outer;
  for (auto [output, registers] : llvm::zip_equal(op.getOutputs(), results))
    lowered[output] = std::move(registers);
  return success();
}

//===-- reduce
//-------------------------------------------------------------===//

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

  // Then lanes.
  SmallVector<Digit, 8> bits = Distribution::bits(source.lane);
  int64_t lanes = source.lanes();
  bool whole =
      llvm::all_of(bits, [axis](const Digit &bit) { return bit.axis == axis; });
  for (Value &value : values) {
    if (whole && lanes > 1) {
      // Halves are cheaper than exchanges across the whole register.
      for (int64_t width = lanes / 2; width >= 1; width /= 2) {
        SmallVector<int32_t> low, high;
        for (int32_t lane = 0; lane < width; ++lane) {
          low.push_back(lane);
          high.push_back(lane + width);
        }
        value = join(emit.shuffle(value, value, low),
                     emit.shuffle(value, value, high));
      }
      value = emit.shuffle(value, value, SmallVector<int32_t>(lanes, 0));
      continue;
    }
    for (auto [index, bit] : llvm::enumerate(bits)) {
      if (bit.axis != axis)
        continue;
      SmallVector<int32_t> swapped;
      for (int64_t lane = 0; lane < lanes; ++lane)
        swapped.push_back(lane ^ (1 << index));
      value = join(value, emit.shuffle(value, value, swapped));
    }
  }
  lowered[op] = std::move(values);
  return success();
}

//===-- relayout
//-----------------------------------------------------------===//

LogicalResult KernelLowering::lower(RelayoutOp op) {
  Distribution source = op.getSource().getType().spell();
  Distribution result = op.getType().spell();
  // Name the source's axes as the result does.
  if (std::optional<ArrayRef<int64_t>> permutation = op.getPermutation()) {
    SmallVector<int64_t> renamed(permutation->size());
    for (auto [axis, from] : llvm::enumerate(*permutation))
      renamed[from] = axis;
    for (SmallVector<Digit, 4> *level : {&source.reg, &source.lane})
      for (Digit &digit : *level)
        if (digit.axis >= 0)
          digit.axis = renamed[digit.axis];
  }
  auto fail = [&] {
    return op.emitOpError("cannot be done by exchanging lanes and registers");
  };
  int64_t lanes = source.lanes();
  if (lanes != result.lanes() || !llvm::isPowerOf2_64(lanes))
    return fail();

  // Registers by the coordinate that they contribute.
  std::map<std::vector<int64_t>, Value> registers;
  for (int64_t index = 0; index < source.registers(); ++index) {
    Coordinate at = source.registerCoordinate(index);
    registers[{at.begin(), at.end()}] = lowered[op.getSource()][index];
  }
  SmallVector<Digit, 8> have = Distribution::bits(source.lane);
  SmallVector<Digit, 8> want = Distribution::bits(result.lane);
  for (size_t bit = 0; bit < have.size(); ++bit) {
    if (have[bit] == want[bit])
      continue;
    int64_t step = int64_t(1) << bit;
    auto *other = std::find(have.begin() + bit + 1, have.end(), want[bit]);
    if (other != have.end()) { // two lane bits change places
      int64_t otherStep = int64_t(1) << (other - have.begin());
      SmallVector<int32_t> from;
      for (int64_t lane = 0; lane < lanes; ++lane) {
        bool a = lane & step, b = lane & otherStep;
        from.push_back(a == b ? lane : lane ^ step ^ otherStep);
      }
      for (auto &[at, value] : registers)
        value = emit.shuffle(value, value, from);
      std::swap(have[bit], *other);
      continue;
    }
    // A lane bit and a register bit change places: the pair of registers that
    // differ in the wanted bit trades halves.
    Digit gone = have[bit], comes = want[bit];
    if (gone.axis < 0 || comes.axis < 0)
      return fail();
    std::map<std::vector<int64_t>, Value> next;
    for (auto &[at, low] : registers) {
      if (at[comes.axis] / comes.stride % 2)
        continue;
      std::vector<int64_t> partner = at;
      partner[comes.axis] += comes.stride;
      auto high = registers.find(partner);
      if (high == registers.end())
        return fail();
      SmallVector<int32_t> first, second;
      for (int64_t lane = 0; lane < lanes; ++lane) {
        bool upper = lane & step;
        first.push_back(upper ? lanes + (lane ^ step) : lane);
        second.push_back(upper ? lanes + lane : lane ^ step);
      }
      std::vector<int64_t> moved = at;
      moved[gone.axis] += gone.stride;
      next[at] = emit.shuffle(low, high->second, first);
      next[moved] = emit.shuffle(low, high->second, second);
    }
    registers = std::move(next);
    have[bit] = comes;
  }
  Registers values;
  for (int64_t index = 0; index < result.registers(); ++index) {
    Coordinate at = result.registerCoordinate(index);
    auto found = registers.find({at.begin(), at.end()});
    if (found == registers.end())
      return fail();
    values.push_back(found->second);
  }
  lowered[op] = std::move(values);
  return success();
}

} // namespace bitbyte::tile
