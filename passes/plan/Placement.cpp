//===- Placement.cpp - Which bytes each value of a program takes ----------===//
//
// In this order: which steps run; which results are computed in the place of
// the state that they become; which results take over an operand's memory; and
// then offsets for what is left.
//
//===----------------------------------------------------------------------===//

#include "passes/plan/Placement.h"

#include "passes/plan/Arena.h"

#include "llvm/ADT/STLExtras.h"

using namespace llvm;
using namespace bitbyte::plan;

namespace {

class Placer {
public:
  explicit Placer(const Flow &flow) : flow(flow), uses(flow.values.size()) {}

  Placement run() {
    findLiveSteps();
    findUses();
    placeInStates();
    makeSnapshots();
    makeBlocks();
    return emit();
  }

private:
  /// When and where a value is used.
  struct Use {
    StepId definition = entry;
    StepId last = entry; ///< `end()` if it is written or returned.
    bool atEnd = false;
  };

  /// Before the first step, and after the last one.
  static constexpr StepId entry = -1;
  StepId end() const { return StepId(flow.steps.size()); }

  void findLiveSteps() {
    std::vector<bool> needed(flow.values.size());
    for (ValueId value : flow.outputs)
      needed[value] = true;
    for (const FlowWrite &write : flow.writes)
      needed[write.value] = true;
    live.resize(flow.steps.size());
    for (StepId step = end() - 1; step >= 0; --step) {
      live[step] = any_of(flow.steps[step].results,
                          [&](ValueId v) { return needed[v]; });
      if (live[step])
        for (ValueId operand : flow.steps[step].operands)
          needed[operand] = true;
    }
  }

  void findUses() {
    for (auto [step, s] : enumerate(flow.steps)) {
      if (!live[step])
        continue;
      for (ValueId result : s.results)
        uses[result].definition = uses[result].last = step;
      for (ValueId operand : s.operands)
        uses[operand].last = std::max(uses[operand].last, StepId(step));
    }
    auto useAtEnd = [&](ValueId value) {
      uses[value].atEnd = true;
      uses[value].last = end();
    };
    for (ValueId value : flow.outputs)
      useAtEnd(value);
    for (const FlowWrite &write : flow.writes)
      useAtEnd(write.value);
  }

  //===--------------------------------------------------------------------===//
  // Results that are computed where they end up
  //===--------------------------------------------------------------------===//

  /// The operand whose memory a result may take over; -1 if there is none, or
  /// if the step reads that operand in a second way too.
  ValueId donorOf(StepId step, size_t result) const {
    const FlowStep &s = flow.steps[step];
    int index = s.inplace.empty() ? -1 : s.inplace[result];
    if (index < 0)
      return -1;
    ValueId donor = s.operands[index];
    if (count(s.operands, donor) != 1 || count(s.inplace, index) != 1)
      return -1;
    return flow.values[donor].bytes == flow.values[s.results[result]].bytes
               ? donor
               : -1;
  }

  /// Whether result `index` of `step` may be written to `place`: nothing reads
  /// the old value there later, nor does this step but through `donor`.
  bool isFreeFrom(const Place &place, StepId step, ValueId donor) const {
    for (auto [id, value] : enumerate(flow.values)) {
      if (value.kind != FlowValue::state || !value.place.overlaps(place) ||
          uses[id].last < step)
        continue;
      bool donates = ValueId(id) == donor && value.place == place;
      if (uses[id].last > step || !donates)
        return false;
    }
    return true;
  }

  void placeInStates() {
    fixed.resize(flow.values.size());
    for (auto [id, value] : enumerate(flow.values))
      if (value.kind == FlowValue::state || value.kind == FlowValue::constant)
        fixed[id] = value.place;
    for (const FlowWrite &write : flow.writes)
      placeInState(write.value, write.place);
  }

  /// Computes `value` in `place`, and what it is computed from in place too, as
  /// far as the old value there allows.
  void placeInState(ValueId value, const Place &place) {
    while (flow.values[value].kind == FlowValue::result && !fixed[value]) {
      StepId step = uses[value].definition;
      const FlowStep &s = flow.steps[step];
      ValueId donor = donorOf(step, find(s.results, value) - s.results.begin());
      if (!isFreeFrom(place, step, donor))
        return;
      // An operand that lies here already has to be one that gives it up.
      for (ValueId operand : s.operands)
        if (fixed[operand] && operand != donor &&
            flow.values[operand].kind == FlowValue::result &&
            fixed[operand]->overlaps(place))
          return;
      fixed[value] = place;
      if (donor < 0 || uses[donor].last != step)
        return;
      value = donor;
    }
  }

  //===--------------------------------------------------------------------===//
  // Memory of the arena
  //===--------------------------------------------------------------------===//

  /// An old value that is needed after the last step, in a place that is
  /// written, is copied away before the first one.
  void makeSnapshots() {
    blockOf.assign(flow.values.size(), -1);
    snapshotOf.assign(flow.values.size(), -1);
    for (auto [id, value] : enumerate(flow.values)) {
      bool written = any_of(flow.writes, [&](const FlowWrite &write) {
        return write.place.overlaps(value.place) &&
               !(write.value == ValueId(id) && write.place == value.place);
      });
      if (value.kind == FlowValue::state && uses[id].atEnd && written)
        snapshotOf[id] = newBlock(value.bytes, entry, end());
    }
  }

  int newBlock(int64_t bytes, StepId first, StepId last) {
    blocks.push_back({bytes, first, last});
    return int(blocks.size()) - 1;
  }

  void makeBlocks() {
    for (auto [id, value] : enumerate(flow.values))
      if (value.kind == FlowValue::input)
        blockOf[id] = newBlock(value.bytes, entry, uses[id].last);
    for (auto [step, s] : enumerate(flow.steps)) {
      if (!live[step])
        continue;
      for (auto [index, result] : enumerate(s.results)) {
        if (fixed[result])
          continue;
        ValueId donor = donorOf(step, index);
        int block = donor < 0 ? -1 : blockOf[donor];
        if (block >= 0 && blocks[block].last == StepId(step)) {
          blocks[block].last = uses[result].last;
          blockOf[result] = block;
        } else {
          blockOf[result] =
              newBlock(flow.values[result].bytes, step, uses[result].last);
        }
      }
    }
    // What is returned from elsewhere is copied to the arena at the end.
    for (ValueId value : flow.outputs)
      outputBlocks.push_back(
          blockOf[value] >= 0 ? blockOf[value]
          : snapshotOf[value] >= 0
              ? snapshotOf[value]
              : newBlock(flow.values[value].bytes, end(), end()));
  }

  //===--------------------------------------------------------------------===//
  // The result
  //===--------------------------------------------------------------------===//

  Placement emit() {
    ArenaLayout layout = layoutArena(blocks, PlanDialect::alignment);
    auto placeOfBlock = [&](int block, int64_t bytes) {
      return Place{Space::arena, layout.offsets[block], bytes};
    };
    auto placeOf = [&](ValueId value) {
      return fixed[value]
                 ? *fixed[value]
                 : placeOfBlock(blockOf[value], flow.values[value].bytes);
    };
    // Where a value is once all steps are done.
    auto finalPlaceOf = [&](ValueId value) {
      return snapshotOf[value] < 0
                 ? placeOf(value)
                 : placeOfBlock(snapshotOf[value], flow.values[value].bytes);
    };

    Placement result;
    result.arenaBytes = layout.bytes;
    result.liveBytes = layout.live;
    for (auto [id, value] : enumerate(flow.values)) {
      if (value.kind == FlowValue::input)
        result.inputs.push_back(placeOf(id));
      if (snapshotOf[id] >= 0)
        result.steps.push_back(PlacedCopy{value.place, finalPlaceOf(id)});
    }
    for (auto [step, s] : enumerate(flow.steps)) {
      if (!live[step])
        continue;
      PlacedDispatch dispatch{StepId(step), {}, {}};
      for (ValueId operand : s.operands)
        dispatch.reads.push_back(placeOf(operand));
      for (ValueId value : s.results)
        dispatch.writes.push_back(placeOf(value));
      if (s.partial)
        for (auto [donor, target] : zip_equal(s.inplace, dispatch.writes)) {
          Place &read = dispatch.reads[donor];
          if (flow.values[s.operands[donor]].zero)
            result.steps.push_back(PlacedZero{target});
          else if (read != target)
            result.steps.push_back(PlacedCopy{read, target});
          read = target;
        }
      result.steps.push_back(std::move(dispatch));
    }
    // The sources of these copies are no targets: their order is free.
    auto settle = [&](ValueId value, const Place &target) {
      if (flow.values[value].zero)
        result.steps.push_back(PlacedZero{target});
      else if (finalPlaceOf(value) != target)
        result.steps.push_back(PlacedCopy{finalPlaceOf(value), target});
    };
    for (const FlowWrite &write : flow.writes)
      settle(write.value, write.place);
    for (auto [value, block] : zip_equal(flow.outputs, outputBlocks)) {
      Place target = placeOfBlock(block, flow.values[value].bytes);
      settle(value, target);
      result.outputs.push_back(target);
    }
    return result;
  }

  const Flow &flow;
  std::vector<bool> live; // by step
  std::vector<Use> uses;  // by value
  std::vector<std::optional<Place>> fixed;
  std::vector<int> blockOf, snapshotOf, outputBlocks;
  std::vector<Block> blocks;
};

} // namespace

Placement bitbyte::plan::placeValues(const Flow &flow) {
  return Placer(flow).run();
}
