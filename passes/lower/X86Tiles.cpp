//===- X86Tiles.cpp - What crosses the lanes of a vector ------------------===//
#include "passes/lower/X86Lowering.h"

#include "llvm/ADT/bit.h"

#include <map>

using namespace mlir;

namespace bitbyte::tile {

LogicalResult X86Lowering::lower(IotaOp op) {
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

LogicalResult X86Lowering::lower(CopyAsyncOp op) {
  return op.emitOpError("is a GPU's; a CPU loads and stores");
}

//===-- reduce ------------------------------------------------------------===//

void X86Lowering::reduceLanes(ReduceOp op, Registers &values) {
  unsigned axis = op.getAxis();
  Distribution source = op.getSource().getType().spell();
  auto join = [&](Value a, Value b) { return combine(op.getCombiner(), a, b); };
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
}

//===-- relayout ----------------------------------------------------------===//

LogicalResult X86Lowering::lower(RelayoutOp op) {
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
