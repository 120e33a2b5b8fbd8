//===- PlacementTest.cpp - Placed programs compute what they should -------===//
//
// Each case is run on a memory of symbols: a granule of 64 bytes holds the name
// of the value whose granule it is. Reads must find the names they expect.
//
//===----------------------------------------------------------------------===//

#include "passes/plan/Placement.h"

#include <gmock/gmock.h>
#include <map>
#include <random>

using namespace bitbyte::plan;

namespace {

constexpr int64_t granule = 64;

/// Builds a flow by hand: `auto x = b.input(2)` is a value of 128 bytes.
struct Builder {
  Flow flow;

  ValueId add(FlowValue value) {
    flow.values.push_back(value);
    return ValueId(flow.values.size()) - 1;
  }
  ValueId input(int64_t granules) {
    return add({FlowValue::input, granules * granule, {}, false});
  }
  static Place statePlace(int64_t first, int64_t granules) {
    return {Space::parameters, first * granule, granules * granule};
  }
  ValueId state(int64_t first, int64_t granules) {
    return add({FlowValue::state, granules * granule,
                statePlace(first, granules), false});
  }
  ValueId zero(int64_t granules) {
    return add({FlowValue::constant, granules * granule, {}, true});
  }
  ValueId step(std::vector<ValueId> operands, int64_t granules,
               int inplace = -1, bool partial = false) {
    ValueId result = add({FlowValue::result, granules * granule, {}, false});
    flow.steps.push_back({std::move(operands), {result}, {inplace}, partial});
    return result;
  }
  void write(int64_t first, ValueId value) {
    flow.writes.push_back(
        {statePlace(first, flow.values[value].bytes / granule), value});
  }
};

/// What a granule holds: granule `index` of a value, or what a state held
/// before.
using Content = std::pair<std::string, int64_t>;

class Machine {
public:
  explicit Machine(const Flow &flow) : flow(flow) {}

  void run(const Placement &placement) {
    size_t inputs = 0;
    for (auto [id, value] : llvm::enumerate(flow.values))
      if (value.kind == FlowValue::input)
        fill(placement.inputs[inputs++], id);
    for (const PlacedStep &step : placement.steps) {
      if (auto *dispatch = std::get_if<PlacedDispatch>(&step))
        this->dispatch(*dispatch);
      else if (auto *copy = std::get_if<PlacedCopy>(&step))
        for (int64_t i = 0; i < copy->source.bytes; i += granule)
          at(copy->target, i) = at(copy->source, i);
      else
        for (Place target = std::get<PlacedZero>(step).target;
             int64_t i : range(target))
          at(target, i) = {"zero", 0};
    }
    for (auto [value, place] :
         llvm::zip_equal(flow.outputs, placement.outputs)) {
      EXPECT_EQ(place.space, Space::arena);
      expect(place, value);
    }
    // Every state granule holds what was written to it, or its old value.
    for (int64_t offset = 0; offset < 64 * granule; offset += granule) {
      Place place{Space::parameters, offset, granule};
      Content want{"state", offset / granule};
      for (const FlowWrite &write : flow.writes)
        if (write.place.overlaps(place))
          want =
              contentOf(write.value, (offset - write.place.offset) / granule);
      EXPECT_EQ(at(place, 0), want) << "state granule " << offset / granule;
    }
  }

private:
  static std::vector<int64_t> range(const Place &place) {
    std::vector<int64_t> offsets;
    for (int64_t i = 0; i < place.bytes; i += granule)
      offsets.push_back(i);
    return offsets;
  }
  Content contentOf(ValueId id, int64_t index) const {
    const FlowValue &value = flow.values[id];
    if (value.zero)
      return {"zero", 0};
    if (value.kind == FlowValue::state)
      return {"state", value.place.offset / granule + index};
    return {"value " + std::to_string(id), index};
  }
  Content &at(const Place &place, int64_t offset) {
    auto [it, fresh] = memory.try_emplace({place.space, place.offset + offset});
    if (fresh && place.space == Space::parameters)
      it->second = {"state", (place.offset + offset) / granule};
    return it->second;
  }
  void fill(const Place &place, ValueId value) {
    for (int64_t i : range(place))
      at(place, i) = contentOf(value, i / granule);
  }
  void expect(const Place &place, ValueId value) {
    EXPECT_EQ(place.bytes, flow.values[value].bytes);
    for (int64_t i : range(place))
      EXPECT_EQ(at(place, i), contentOf(value, i / granule))
          << "value " << value;
  }
  void dispatch(const PlacedDispatch &dispatch) {
    const FlowStep &step = flow.steps[dispatch.step];
    for (auto [operand, place] : llvm::zip_equal(step.operands, dispatch.reads))
      expect(place, operand);
    for (auto [j, write] : llvm::enumerate(dispatch.writes)) {
      for (auto [i, read] : llvm::enumerate(dispatch.reads))
        EXPECT_TRUE(!write.overlaps(read) ||
                    (write == read && step.inplace[j] == int(i)));
      if (step.partial)
        EXPECT_EQ(write, dispatch.reads[step.inplace[j]]);
      fill(write, step.results[j]);
    }
  }

  const Flow &flow;
  std::map<std::pair<Space, int64_t>, Content> memory;
};

Placement check(const Flow &flow) {
  Placement placement = placeValues(flow);
  Machine(flow).run(placement);
  return placement;
}

int copies(const Placement &placement) {
  return llvm::count_if(placement.steps, [](const PlacedStep &step) {
    return std::holds_alternative<PlacedCopy>(step);
  });
}

TEST(Placement, AResultTakesOverAnOperandThatEnds) {
  Builder b;
  ValueId x = b.input(4);
  ValueId y = b.step({x}, 4, 0);
  b.flow.outputs = {b.step({y}, 4, 0)};
  EXPECT_EQ(check(b.flow).arenaBytes, 4 * granule);
}

TEST(Placement, NothingTakesOverAnOperandThatIsReadLaterOrTwice) {
  Builder b;
  ValueId x = b.input(4);
  ValueId y = b.step({x}, 4, 0);
  ValueId z = b.step({x, y, y}, 4, 1);
  b.flow.outputs = {z};
  EXPECT_EQ(check(b.flow).arenaBytes, 12 * granule);
}

TEST(Placement, AnUpdateIsComputedInTheState) {
  Builder b;
  ValueId gradient = b.input(4), old = b.state(0, 4);
  b.write(0, b.step({old, gradient}, 4, 0));
  Placement placement = check(b.flow);
  EXPECT_EQ(copies(placement), 0);
  EXPECT_EQ(placement.arenaBytes, 4 * granule);
}

TEST(Placement, APartialUpdateCopiesOnlyWhatItCannotShare) {
  Builder b;
  ValueId rows = b.input(1), old = b.state(0, 4);
  b.write(0, b.step({old, rows}, 4, 0, /*partial=*/true));
  EXPECT_EQ(copies(check(b.flow)), 0);

  Builder kept; // the old value is returned too
  rows = kept.input(1), old = kept.state(0, 4);
  kept.flow.outputs = {kept.step({old, rows}, 4, 0, /*partial=*/true)};
  EXPECT_EQ(copies(check(kept.flow)), 1);
  kept.flow.outputs = {kept.step({kept.zero(4), rows}, 4, 0, true)};
  EXPECT_EQ(copies(check(kept.flow)), 0);
}

TEST(Placement, AnUpdateWaitsForLaterReadersOfTheOldValue) {
  Builder b;
  ValueId old = b.state(0, 4);
  b.write(0, b.step({old}, 4, 0));
  b.flow.outputs = {b.step({b.state(2, 1)}, 1)}; // a slice of it
  EXPECT_EQ(copies(check(b.flow)), 1);
}

TEST(Placement, AChainOfAdditionsRunsInTheState) {
  Builder b;
  ValueId x = b.input(4);
  ValueId first = b.step({x, b.state(0, 4)}, 4, 1);
  b.write(0, b.step({first, x}, 4, 0));
  Placement placement = check(b.flow);
  EXPECT_EQ(copies(placement), 0);
  EXPECT_EQ(placement.arenaBytes, 4 * granule);
}

TEST(Placement, StatesCanBeSwappedAndReturned) {
  Builder b;
  ValueId a = b.state(0, 2), c = b.state(2, 2);
  b.write(0, c);
  b.write(2, a);
  b.flow.outputs = {a, a};
  check(b.flow);
}

TEST(Placement, ZeroesAreSetAndDeadStepsLeftOut) {
  Builder b;
  ValueId x = b.input(2);
  b.step({x}, 8);
  b.write(0, b.zero(4));
  Placement placement = check(b.flow);
  EXPECT_EQ(placement.steps.size(), 1u);
  EXPECT_EQ(placement.arenaBytes, 2 * granule);
}

TEST(Placement, AWrittenValueCanBeReadAndReturned) {
  Builder b;
  ValueId next = b.step({b.state(0, 4)}, 4, 0);
  b.write(0, next);
  b.write(4, next);
  b.flow.outputs = {next, b.step({next}, 1)};
  EXPECT_EQ(copies(check(b.flow)), 2);
}

TEST(Placement, RandomProgramsKeepTheirMeaning) {
  std::mt19937 random(11);
  auto below = [&](int64_t n) { return int64_t(random() % n); };
  for (int round = 0; round < 300; ++round) {
    Builder b;
    for (int i = 0; i < 2; ++i)
      b.input(1 + below(3));
    for (int i = 0; i < 4; ++i)
      b.state(below(20), 1 + below(3));
    for (int64_t i = below(12); i >= 0; --i) {
      std::vector<ValueId> operands;
      for (int64_t k = below(3); k >= 0; --k)
        operands.push_back(below(b.flow.values.size()));
      int donor = below(3) ? int(below(operands.size())) : -1;
      bool partial = donor >= 0 && below(2);
      int64_t granules = partial
                             ? b.flow.values[operands[donor]].bytes / granule
                             : 1 + below(3);
      b.step(operands, granules, donor, partial);
    }
    for (int64_t first = 0; first < 20; first += 3 + below(8))
      b.write(first, below(b.flow.values.size()));
    for (int64_t i = below(3); i > 0; --i)
      b.flow.outputs.push_back(below(b.flow.values.size()));
    Placement placement = check(b.flow);
    EXPECT_GE(placement.arenaBytes, placement.liveBytes);
    if (HasFailure())
      FAIL() << "in round " << round;
  }
}

} // namespace
