//===- Scratch.cpp - Where a kernel's scratch buffers lie -----------------===//
#include "passes/lower/Scratch.h"

using namespace mlir;

namespace bitbyte::tile {
namespace {

/// A buffer's life, as positions in the text of the kernel.
struct Life {
  AllocOp alloc;
  int64_t begin, end; ///< both included
  int64_t bytes;
  int64_t offset = 0;
};

} // namespace

/// The last position at which `value` or a view of it is used. A use inside a
/// loop counts until the loop's end if the buffer was made outside of it.
static int64_t lastUse(Value value, Block *home,
                       const DenseMap<Operation *, int64_t> &endOf) {
  int64_t last = endOf.lookup(value.getDefiningOp());
  for (Operation *user : value.getUsers()) {
    if (auto view = dyn_cast<ViewOp>(user))
      last = std::max(last, lastUse(view, home, endOf));
    last = std::max(last, endOf.lookup(home->findAncestorOpInBlock(*user)));
  }
  return last;
}

ScratchPlan planScratch(KernelOp kernel) {
  DenseMap<Operation *, int64_t> beginOf, endOf;
  int64_t position = 0;
  std::function<void(Operation *)> number = [&](Operation *op) {
    beginOf[op] = position++;
    for (Region &region : op->getRegions())
      for (Operation &inner : region.getOps())
        number(&inner);
    endOf[op] = position++;
  };
  number(kernel);

  SmallVector<Life> lives;
  kernel.walk<WalkOrder::PreOrder>([&](AllocOp alloc) {
    lives.push_back({alloc, beginOf[alloc],
                     lastUse(alloc, alloc->getBlock(), endOf),
                     (alloc.getType().getBytes() + 63) / 64 * 64});
  });

  // Largest first, each at the lowest offset where nothing that lives at the
  // same time lies; ties in text order.
  SmallVector<Life *> order;
  for (Life &life : lives)
    order.push_back(&life);
  // Lives stand in one array: their addresses are the text order.
  llvm::sort(order, [](Life *a, Life *b) {
    return a->bytes != b->bytes ? a->bytes > b->bytes : a < b;
  });
  ScratchPlan plan;
  SmallVector<Life *> placed;
  for (Life *life : order) {
    SmallVector<std::pair<int64_t, int64_t>> taken;
    for (Life *other : placed)
      if (other->begin <= life->end && life->begin <= other->end)
        taken.push_back({other->offset, other->offset + other->bytes});
    llvm::sort(taken);
    for (auto [from, to] : taken) {
      if (life->offset + life->bytes <= from)
        break;
      life->offset = std::max(life->offset, to);
    }
    placed.push_back(life);
    plan.offsets[life->alloc] = life->offset;
    plan.bytes = std::max(plan.bytes, life->offset + life->bytes);
  }
  return plan;
}

} // namespace bitbyte::tile
