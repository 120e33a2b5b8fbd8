//===- Check.cpp - Proves that a planned program computes its source ------===//

#include "passes/plan/Check.h"

#include "llvm/ADT/StringMap.h"

#include <limits>
#include <map>

using namespace llvm;
using namespace mlir;
using namespace bitbyte;
using namespace bitbyte::plan;

namespace {

/// The name of a byte: byte `offset` of a thing. The thing is an SSA value, a
/// constant, or what a space held when the program began; null: nobody wrote
/// it.
struct Content {
  const void *thing = nullptr;
  int64_t offset = 0;

  bool operator==(const Content &) const = default;
  Content operator+(int64_t bytes) const { return {thing, offset + bytes}; }
};

const char zeroThing = 0;       // all bytes of it are equal
const char spaceThings[6] = {}; // by Space
constexpr int64_t endless = std::numeric_limits<int64_t>::max();

bool isSame(Content a, Content b) {
  return a.thing == b.thing && (a.thing == &zeroThing || a.offset == b.offset);
}

/// The bytes of one space: extents of one thing each.
class Bytes {
public:
  void set(int64_t begin, int64_t end, Content content) {
    if (begin == end)
      return;
    splitAt(begin);
    splitAt(end);
    extents.erase(extents.lower_bound(begin), extents.lower_bound(end));
    extents[begin] = content;
    extents.try_emplace(end, Content());
  }

  bool holds(int64_t begin, int64_t end, Content content) {
    splitAt(begin);
    splitAt(end);
    for (auto it = extents.lower_bound(begin);
         it != extents.end() && it->first < end; ++it)
      if (!isSame(it->second, content + (it->first - begin)))
        return false;
    return true;
  }

  /// The parts of a range, moved so that the range begins at 0.
  std::map<int64_t, Content> cut(int64_t begin, int64_t end) {
    splitAt(begin);
    splitAt(end);
    std::map<int64_t, Content> parts;
    for (auto it = extents.lower_bound(begin);
         it != extents.end() && it->first < end; ++it)
      parts[it->first - begin] = it->second;
    return parts;
  }

private:
  /// Makes an extent begin at `offset`.
  void splitAt(int64_t offset) {
    auto it = std::prev(extents.upper_bound(offset));
    if (it->first != offset && it->second.thing)
      extents[offset] = it->second + (offset - it->first);
    else if (it->first != offset)
      extents[offset] = Content();
  }

  std::map<int64_t, Content> extents = {
      {std::numeric_limits<int64_t>::min(), Content()}};
};

class Checker {
public:
  Checker(plan::ProgramOp planned, bb::ProgramOp source,
          ArrayRef<tile::DispatchOp> dispatches, Block &scope)
      : planned(planned), source(source), dispatches(dispatches) {
    for (auto state : scope.getOps<StateOp>())
      places[state.getName()] = state.getBuffer();
    for (Space space :
         {Space::parameters, Space::training, Space::derived, Space::cache})
      bytesOf(space).set(0, endless, oldContent(space, 0));
    for (auto constant : scope.getOps<plan::ConstantOp>())
      set(constant.getBuffer(), contentOf(constant.getValue()));
  }

  LogicalResult run() {
    auto inputs = to_vector(planned.getBody().getOps<InputOp>());
    auto arguments = source.getBody().getArguments();
    if (inputs.size() != arguments.size())
      return planned.emitOpError("has other inputs than its source");
    for (auto [input, argument] : zip_equal(inputs, arguments))
      set(input.getBuffer(), contentOf(argument));
    for (auto [input, argument] : zip_equal(inputs, arguments))
      if (!holds(input.getBuffer(), contentOf(argument)))
        return input.emitOpError("overlaps another input");

    size_t next = 0;
    for (Operation &op : planned.getBody().front()) {
      if (auto dispatch = dyn_cast<plan::DispatchOp>(op)) {
        if (next == dispatches.size())
          return dispatch.emitOpError("has no source");
        if (failed(run(dispatch, dispatches[next++])))
          return failure();
      } else if (auto copy = dyn_cast<CopyOp>(op)) {
        run(copy);
      } else if (auto zero = dyn_cast<ZeroOp>(op)) {
        set(zero.getTarget(), {&zeroThing, 0});
      }
    }
    if (failed(checkOutputs()))
      return failure();
    return checkStates();
  }

private:
  LogicalResult run(plan::DispatchOp dispatch, tile::DispatchOp origin) {
    auto reads = to_vector(dispatch.getReads().getAsRange<BufferAttr>());
    auto writes = to_vector(dispatch.getWrites().getAsRange<BufferAttr>());
    if (dispatch.getKernel() != origin.getKernel() ||
        reads.size() != origin.getInputs().size() ||
        writes.size() != origin.getOutputs().size())
      return dispatch.emitOpError("does not fit its source ")
             << origin.getKernel();
    for (auto [i, read, operand] : enumerate(reads, origin.getInputs()))
      if (!holds(read, contentOf(operand)))
        return dispatch.emitOpError()
               << "operand " << i << " is not in " << read;
    for (auto [j, write] : enumerate(writes)) {
      int64_t donor = origin.getInplace() ? (*origin.getInplace())[j] : -1;
      for (auto [i, read] : enumerate(reads))
        if (write.overlaps(read) && !(int64_t(i) == donor && write == read))
          return dispatch.emitOpError()
                 << "result " << j << " overwrites operand " << i << " in "
                 << read;
    }
    for (auto [write, result] : zip_equal(writes, origin.getOutputs()))
      set(write, contentOf(result));
    for (auto [j, write, result] : enumerate(writes, origin.getOutputs()))
      if (!holds(write, contentOf(result)))
        return dispatch.emitOpError()
               << "result " << j << " is overwritten by another one";
    return success();
  }

  void run(CopyOp copy) {
    BufferAttr from = copy.getSource(), to = copy.getTarget();
    auto parts = bytesOf(from.getSpace()).cut(from.getOffset(), from.getEnd());
    for (auto it = parts.begin(); it != parts.end(); ++it) {
      int64_t end =
          std::next(it) == parts.end() ? from.getBytes() : std::next(it)->first;
      bytesOf(to.getSpace())
          .set(to.getOffset() + it->first, to.getOffset() + end, it->second);
    }
  }

  LogicalResult checkOutputs() {
    auto outputs = to_vector(planned.getBody().getOps<OutputOp>());
    auto values = source.getBody().front().getTerminator()->getOperands();
    if (outputs.size() != values.size())
      return planned.emitOpError("has other outputs than its source");
    for (auto [output, value] : zip_equal(outputs, values))
      if (!holds(output.getBuffer(), contentOf(value)))
        return output.emitOpError("is not where it should be in the end");
    return success();
  }

  /// States hold what was written to them, and all others what they held
  /// before.
  LogicalResult checkStates() {
    for (auto write : source.getBody().getOps<bb::WriteOp>()) {
      BufferAttr place = places.lookup(write.getState());
      if (!place || !holds(place, contentOf(write.getX())))
        return planned.emitOpError()
               << "leaves a wrong value in state '" << write.getState() << "'";
    }
    for (auto write : source.getBody().getOps<bb::WriteOp>()) {
      BufferAttr place = places.lookup(write.getState());
      set(place, oldContent(place.getSpace(), place.getOffset()));
    }
    for (Space space :
         {Space::parameters, Space::training, Space::derived, Space::cache})
      if (!bytesOf(space).holds(0, endless, oldContent(space, 0)))
        return planned.emitOpError()
               << "changes a state in space " << stringifySpace(space)
               << " that it does not write";
    return success();
  }

  Content contentOf(ElementsAttr value) const {
    auto dense = dyn_cast<DenseElementsAttr>(value);
    bool isZero =
        dense && dense.isSplat() &&
        all_of(dense.getRawData(), [](char byte) { return byte == 0; });
    return {isZero ? static_cast<const void *>(&zeroThing)
                   : value.getAsOpaquePointer(),
            0};
  }

  Content oldContent(Space space, int64_t offset) const {
    return {&spaceThings[int(space)], offset};
  }

  Content contentOf(Value value) const {
    while (auto reshape = value.getDefiningOp<bb::ReshapeOp>())
      value = reshape->getOperand(0);
    if (auto read = value.getDefiningOp<bb::ReadOp>()) {
      BufferAttr place = places.lookup(read.getState());
      return place ? oldContent(place.getSpace(), place.getOffset())
                   : Content();
    }
    if (auto constant = value.getDefiningOp<bb::ConstantOp>())
      return contentOf(cast<ElementsAttr>(constant.getValue()));
    return {value.getAsOpaquePointer(), 0};
  }

  Bytes &bytesOf(Space space) { return memory[int(space)]; }
  void set(BufferAttr buffer, Content content) {
    bytesOf(buffer.getSpace())
        .set(buffer.getOffset(), buffer.getEnd(), content);
  }
  bool holds(BufferAttr buffer, Content content) {
    return bytesOf(buffer.getSpace())
        .holds(buffer.getOffset(), buffer.getEnd(), content);
  }

  plan::ProgramOp planned;
  bb::ProgramOp source;
  ArrayRef<tile::DispatchOp> dispatches;
  StringMap<BufferAttr> places;
  Bytes memory[6]; // by Space
};

} // namespace

LogicalResult plan::checkProgram(ProgramOp planned, bb::ProgramOp source,
                                 ArrayRef<tile::DispatchOp> dispatches,
                                 Block &scope) {
  return Checker(planned, source, dispatches, scope).run();
}
