//===- Placement.h - Which bytes each value of a program takes ------------===//
//
// A program as placement sees it: numbered values with sizes, steps that read
// and write them, and persistent places (states, constants) that lie fixed.
// Which kernel a step runs, or what a value means, plays no part.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "dialects/plan/PlanDialect.h"

#include <variant>
#include <vector>

namespace bitbyte::plan {

/// Bytes of a space; a BufferAttr before it needs a context.
struct Place {
  Space space = Space::arena;
  int64_t offset = 0, bytes = 0;

  bool operator==(const Place &) const = default;
  bool overlaps(const Place &other) const {
    return space == other.space && offset < other.offset + other.bytes &&
           other.offset < offset + bytes;
  }
};

/// Numbers of values and of steps, in program order.
using ValueId = int;
using StepId = int;

struct FlowValue {
  enum Kind { input, state, constant, result };
  Kind kind = result;
  int64_t bytes = 0;
  Place place; ///< Of a state (its old value) or a constant.
  bool zero =
      false; ///< A constant of zero bytes: `place` matters to steps only.
};

/// A dispatch. `inplace[j]` is the index of the operand whose memory result `j`
/// may take over, or -1. If it is `partial`, it reads these operands in the
/// results' memory: they are copied there where they lie elsewhere.
struct FlowStep {
  std::vector<ValueId> operands, results;
  std::vector<int> inplace;
  bool partial = false;
};

/// From the program's end on, `place` holds `value`.
struct FlowWrite {
  Place place;
  ValueId value = 0;
};

struct Flow {
  std::vector<FlowValue> values;
  std::vector<FlowStep> steps;
  std::vector<FlowWrite> writes;
  std::vector<ValueId> outputs;
};

struct PlacedDispatch {
  StepId step = 0;
  std::vector<Place> reads, writes;
};
struct PlacedCopy {
  Place source, target;
};
struct PlacedZero {
  Place target;
};
using PlacedStep = std::variant<PlacedDispatch, PlacedCopy, PlacedZero>;

struct Placement {
  std::vector<Place> inputs; ///< Of the input values, in their order.
  std::vector<PlacedStep> steps;
  std::vector<Place>
      outputs; ///< In the order of `Flow::outputs`; all in the arena.
  int64_t arenaBytes = 0, liveBytes = 0;
};

/// Steps that nothing depends on are left out. The targets of writes must not
/// overlap each other.
Placement placeValues(const Flow &flow);

} // namespace bitbyte::plan
