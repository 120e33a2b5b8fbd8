//===- Recompute.cpp - Less memory for more arithmetic --------------------===//
#include "passes/differentiate/Recompute.h"

#include "llvm/ADT/MapVector.h"

#include <utility>

using namespace mlir;
using namespace bitbyte::bb;

/// Ops whose values cost about as much to compute as to read.
static bool isCheap(Operation *op) {
  return isa<BBDialect>(op->getDialect()) && isPure(op) &&
         !isa<LinearOp, EinsumOp, AttentionOp, AttentionGradOp, ScatterAddOp,
              SelectiveScanOp, SelectiveScanGradOp, ConvOp, ConvGradOp, SsdOp,
              SsdGradOp>(op);
}

/// Whether the results are parts of the operand's rows, or all of it: what
/// reads them reads it, as far as fuse can help.
static bool isView(Operation *op) {
  auto slice = dyn_cast<SliceOp>(op);
  if (!slice)
    return isa<ReshapeOp, SplitOp>(op);
  int64_t axis = *slice.getAxis().constant();
  return axis == -1 ||
         axis == cast<GraphTensorType>(slice.getX().getType()).getRank() - 1;
}

/// The value whose memory `value` shares: itself, or what it is a view of.
static Value rootOf(Value value) {
  for (Operation *op; (op = value.getDefiningOp()) && isView(op);)
    value = op->getOperand(0);
  return value;
}

/// Bytes of a value in the arena. Inputs and states lie elsewhere, and repeated
/// numbers are made where they are used.
static int64_t bytesOf(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || isView(op) ||
      isa<ReadOp, ConstantOp, FillOp, BroadcastOp, OneHotOp, PositionsOp>(op))
    return 0;
  auto type = cast<GraphTensorType>(value.getType());
  int64_t bits = type.getElement().isIntOrFloat()
                     ? type.getElement().getIntOrFloatBitWidth()
                     : 8;
  for (DimAttr dim : type.getShape())
    bits *= *dim.constant();
  return llvm::divideCeil(bits, 8);
}

//===----------------------------------------------------------------------===//
// The estimate
//===----------------------------------------------------------------------===//

namespace {
/// From where to where a value lives, in op numbers.
struct Life {
  int64_t bytes = 0, from = 0, to = 0;
};
} // namespace

/// Cheap values whose uses are all cheap and near become parts of one kernel.
constexpr int64_t kKernelReach = 16;

static int64_t peakOf(ArrayRef<Life> lives, int64_t ops) {
  SmallVector<int64_t> change(ops + 1);
  for (const Life &life : lives) {
    change[life.from] += life.bytes;
    change[life.to + 1 <= ops ? life.to + 1 : ops] -= life.bytes;
  }
  int64_t live = 0, peak = 0;
  for (int64_t delta : change)
    peak = std::max(peak, live += delta);
  return peak;
}

int64_t bitbyte::bb::estimateLiveBytes(ProgramOp program) {
  DenseMap<Operation *, int64_t> number;
  llvm::MapVector<Value, Life> lives;
  DenseSet<Value> stored; // read by something that is not near and cheap
  int64_t count = 0;
  for (Operation &op : program.getBody().front()) {
    number[&op] = count;
    for (Value operand : op.getOperands()) {
      Value root = rootOf(operand);
      auto it = lives.find(root);
      if (it == lives.end())
        continue;
      it->second.to = count;
      bool near = count - it->second.from <= kKernelReach;
      if (!near || !isCheap(&op) || !isCheap(root.getDefiningOp()))
        stored.insert(root);
    }
    for (Value result : op.getResults())
      if (int64_t bytes = bytesOf(result))
        lives[result] = {bytes, count, count};
    ++count;
  }
  SmallVector<Life> counted;
  for (auto &[value, life] : lives)
    if (stored.contains(value))
      counted.push_back(life);
  return peakOf(counted, count);
}

//===----------------------------------------------------------------------===//
// The choice
//===----------------------------------------------------------------------===//

namespace {
/// The forward half of a program, and which of its ops the backward half runs
/// again.
class Plan {
public:
  explicit Plan(ProgramOp program) {
    Block &body = program.getBody().front();
    Operation *loss = body.getTerminator()->getOperand(0).getDefiningOp();
    bool inForward = true;
    for (Operation &op : body) {
      (inForward ? forward : backward).push_back(&op);
      if (inForward)
        position[&op] = forward.size() - 1;
      inForward &= &op != loss;
    }
    findStretches();
    all = kept = keptBytes({});
  }

  /// Cheap ops, one at a time, in program order.
  SmallVector<SmallVector<Operation *>> cheapSteps() const {
    SmallVector<SmallVector<Operation *>> steps;
    for (const SmallVector<Operation *> &stretch : stretches)
      for (Operation *op : stretch)
        if (isCheap(op) && !isa<EmbedOp>(op) && makesBytes(op))
          steps.push_back({op});
    return steps;
  }
  /// The ops between points where one value alone is live; the op that makes
  /// that value is in no stretch. Without those after the last such point: the
  /// backward half begins with them.
  SmallVector<SmallVector<Operation *>> stretches;

  /// Bytes of forward values that the backward half needs, if the ops of
  /// `again` run again.
  int64_t keptBytes(const DenseSet<Operation *> &again) {
    DenseSet<Value> kept;
    DenseSet<Operation *> done;
    SmallVector<Value> work;
    for (Operation *op : backward)
      llvm::append_range(work, op->getOperands());
    int64_t bytes = 0;
    while (!work.empty()) {
      Value root = rootOf(work.pop_back_val());
      Operation *op = root.getDefiningOp();
      if (!op || !position.contains(op))
        continue;
      if (!again.contains(op)) {
        if (kept.insert(root).second)
          bytes += bytesOf(root);
      } else if (done.insert(op).second)
        llvm::append_range(work, op->getOperands());
    }
    return bytes;
  }

  /// Adds a step if less is kept for it.
  bool take(ArrayRef<Operation *> step) {
    DenseSet<Operation *> more = again;
    more.insert(step.begin(), step.end());
    int64_t bytes = keptBytes(more);
    if (bytes >= kept)
      return false;
    again = std::move(more);
    kept = bytes;
    return true;
  }

  /// What the choice saves so far, at the moment when most is kept.
  int64_t saved() const { return all - kept; }

  /// Copies the chosen ops before their first use in the backward half.
  void apply() {
    IRMapping copies;
    for (Operation *op : backward)
      for (OpOperand &operand : op->getOpOperands())
        operand.set(copyOf(operand.get(), op, copies));
  }

private:
  static bool makesBytes(Operation *op) {
    return llvm::any_of(op->getResults(),
                        [](Value value) { return bytesOf(value) != 0; });
  }

  void findStretches() {
    SmallVector<size_t> last(forward.size()); // last use in the forward half
    for (auto [i, op] : llvm::enumerate(forward))
      for (Value operand : op->getOperands())
        if (Operation *def = rootOf(operand).getDefiningOp())
          if (auto it = position.find(def); it != position.end())
            last[it->second] = i;
    SmallVector<Operation *> stretch;
    SmallVector<size_t> live;
    for (auto [i, op] : llvm::enumerate(forward)) {
      llvm::erase_if(live, [&](size_t j) { return last[j] <= i; });
      bool makes = makesBytes(op) && last[i] > i;
      if (makes && live.empty())
        stretches.push_back(std::exchange(stretch, {}));
      else if (isPure(op) && !isa<ReadOp>(op))
        stretch.push_back(op);
      if (makes)
        live.push_back(i);
    }
  }

  Value copyOf(Value value, Operation *before, IRMapping &copies) {
    if (Value copy = copies.lookupOrNull(value))
      return copy;
    Operation *op = value.getDefiningOp();
    Operation *made = op ? rootOf(value).getDefiningOp() : nullptr;
    if (!made || !again.contains(made) || !position.contains(op))
      return value;
    for (Value operand : op->getOperands())
      copyOf(operand, before, copies);
    OpBuilder b(before);
    Operation *copy = b.clone(*op, copies);
    copy->setAttr("recompute", b.getUnitAttr());
    return copies.lookup(value);
  }

  SmallVector<Operation *> forward, backward;
  DenseMap<Operation *, size_t> position; // of forward ops
  DenseSet<Operation *> again;
  int64_t all, kept;
};
} // namespace

void bitbyte::bb::recompute(ProgramOp micro, int64_t budget) {
  int64_t peak = estimateLiveBytes(micro);
  if (peak <= budget)
    return;
  Plan plan(micro);
  auto fits = [&] { return peak - plan.saved() <= budget; };
  for (const auto &steps : {plan.cheapSteps(), plan.stretches})
    for (ArrayRef<Operation *> step : steps)
      if (!fits())
        plan.take(step);
  plan.apply();
}
