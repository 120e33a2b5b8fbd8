//===- BBStreams.cpp - Rate and look-ahead of the values of a program -----===//
#include "dialects/bb/BBStreams.h"

#include "llvm/ADT/STLExtras.h"

#include <numeric>

using namespace mlir;
using namespace bitbyte::bb;

StreamAnalysis::StreamAnalysis(ProgramOp program, StringAttr stream)
    : name(stream) {
  Block &body = program.getBody().front();
  for (auto [i, argument] :
       llvm::enumerate(ArrayRef<BlockArgument>(body.getArguments()))) {
    int64_t ahead = never;
    if (axis(argument))
      ahead = program.getAhead()
                  ? *cast<DimAttr>((*program.getAhead())[i]).constant()
                  : 0;
    reach[argument] = ahead;
  }
  for (Operation &op : body) {
    int64_t ahead = resultOf(op);
    for (Value result : op.getResults())
      reach[result] = ahead;
  }
}

SmallVector<unsigned> StreamAnalysis::axes(Type type) const {
  SmallVector<unsigned> found;
  if (auto tensor = dyn_cast<GraphTensorType>(type))
    for (auto [i, dim] : llvm::enumerate(tensor.getShape())) {
      SmallVector<StringAttr> names;
      collectSymbols(dim, names);
      if (llvm::is_contained(names, name))
        found.push_back(i);
    }
  return found;
}
std::optional<unsigned> StreamAnalysis::axis(Type type) const {
  SmallVector<unsigned> found = axes(type);
  return found.empty() ? std::nullopt : std::optional<unsigned>(found.front());
}

int64_t StreamAnalysis::period(Value value) const {
  auto along = axis(value);
  if (!along)
    return 0;
  DimAttr dim = cast<GraphTensorType>(value.getType()).dim(*along);
  DimAttr whole = DimAttr::symbol(dim.getContext(), name.getValue());
  return (whole / dim).constant().value_or(irregular);
}

int64_t StreamAnalysis::ahead(ValueRange values) const {
  int64_t most = never;
  for (Value v : values)
    most = std::max(most, ahead(v));
  return most;
}

int64_t StreamAnalysis::resultOf(Operation &op) const {
  int64_t operands = ahead(op.getOperands());
  if (operands <= never || operands >= always)
    return operands;
  // A value for each pair of positions, as `einsum "bqd,bkd->bqk"` makes, has
  // items of all positions in every row.
  for (Value result : op.getResults())
    if (axes(result.getType()).size() > 1)
      return always;
  // An op that drops, stretches or cuts the time axis sees all of it.
  auto timed = [&](Value v) { return axis(v).has_value(); };
  if (auto rule = dyn_cast<StreamOpInterface>(op))
    return rule.lookAhead(*this, operands);
  for (Value result : op.getResults())
    for (Value operand : llvm::make_filter_range(op.getOperands(), timed))
      if (period(result) != period(operand) || period(result) == irregular ||
          !staysInPlace(operand, result))
        return always;
  return operands;
}

/// Whether item t of `to` is made of item t of `from`: in row-major order as
/// much stands in front of the time axis, or behind it (broadcasts align
/// there).
bool StreamAnalysis::staysInPlace(Value from, Value to) const {
  auto around = [&](Value value) {
    ArrayRef<DimAttr> dims = cast<GraphTensorType>(value.getType()).getShape();
    DimAttr one = DimAttr::get(value.getContext(), 1);
    unsigned at = *axis(value);
    auto product = [&](ArrayRef<DimAttr> part) {
      return std::accumulate(part.begin(), part.end(), one,
                             [](DimAttr a, DimAttr b) { return a * b; });
    };
    return std::pair(product(dims.take_front(at)),
                     product(dims.drop_front(at + 1)));
  };
  auto [before, after] = around(from);
  auto [nowBefore, nowAfter] = around(to);
  return before == nowBefore || after == nowAfter;
}

Operation *StreamAnalysis::raisedBy(Value value) const {
  Operation *op = value.getDefiningOp();
  while (op) {
    Value highest;
    for (Value operand : op->getOperands())
      if (!highest || ahead(operand) > ahead(highest))
        highest = operand;
    if (!highest || ahead(highest) < ahead(op->getResult(0)))
      return op;
    op = highest.getDefiningOp();
  }
  return nullptr;
}

/// "t+7", "t-1"
static std::string place(int64_t ahead) {
  return "t" +
         (ahead < 0 ? std::to_string(ahead) : "+" + std::to_string(ahead));
}

LogicalResult bitbyte::bb::checkCausality(ProgramOp open, StringAttr stream) {
  StreamAnalysis streams(open, stream);
  WalkResult walk = open.walk([&](CrossEntropyOp op) {
    int64_t logits = streams.ahead(op.getLogits()),
            target = streams.ahead(op.getTarget());
    if (op.getBidirectional() || logits < target ||
        target <= StreamAnalysis::never)
      return WalkResult::advance();
    auto error = op.emitOpError("is not causal: ");
    if (logits >= StreamAnalysis::always)
      error << "the logits depend on every byte";
    else
      error << "logits at position t depend on byte " << place(logits)
            << ", the byte to predict is " << place(target);
    if (Operation *by = streams.raisedBy(op.getLogits())) {
      int64_t more =
          streams.ahead(by->getResult(0)) - streams.ahead(by->getOperands());
      auto &note = error.attachNote(by->getLoc());
      if (logits >= StreamAnalysis::always)
        note << "this op looks at the whole sequence";
      else
        note << "this op looks ahead by " << more;
    }
    return WalkResult::interrupt();
  });
  return failure(walk.wasInterrupted());
}
