//===- Fuse.cpp - Which values lie in memory, and the regions between -----===//
#include "passes/fuse/Fuse.h"
#include "dialects/bb/BBViews.h"
#include "passes/fuse/RegionBuilder.h"

#include "mlir/IR/Dominance.h"
#include "mlir/Transforms/CSE.h"

namespace bitbyte::bb {
#define GEN_PASS_DEF_FUSEPASS
#include "passes/fuse/Passes.h.inc"
} // namespace bitbyte::bb

using namespace mlir;
using namespace bitbyte::bb;

static GraphTensorType type(Value v) {
  return cast<GraphTensorType>(v.getType());
}
static int64_t elements(Value v) {
  int64_t n = 1;
  for (DimAttr d : type(v).getShape())
    n *= *d.constant();
  return n;
}

/// A reshape that only adds or drops axes of 1 is index arithmetic; any other
/// needs its operand in memory, whose bytes it renames.
static bool renamesAxes(ReshapeOp op) {
  auto real = [](Value v) {
    SmallVector<int64_t> sizes;
    for (DimAttr d : type(v).getShape())
      if (!d.isWhole(1))
        sizes.push_back(*d.constant());
    return sizes;
  };
  return real(op.getX()) == real(op.getY());
}

static bool reducesLastAxis(ReduceOp op) {
  int64_t rank = type(op.getX()).getRank();
  if (op.getAxes().size() != 1)
    return rank == 1;
  int64_t axis = *cast<DimAttr>(op.getAxes()[0]).constant();
  return rank > 1 && (axis == rank - 1 || axis == -1);
}

namespace {
class Fuser {
public:
  explicit Fuser(ProgramOp program)
      : program(program), block(program.getBody().front()) {}

  LogicalResult run() {
    chooseRoots();
    for (Operation &op : llvm::make_early_inc_range(block)) {
      if (!isInlinable(&op) || !llvm::any_of(op.getResults(), [&](Value r) {
            return roots.contains(r);
          }))
        continue;
      for (Value root : op.getResults()) {
        if (!roots.contains(root))
          continue;
        RegionBuilder region(&op, [&](Value v) { return inMemory(v); });
        FailureOr<Value> made = region.build(root);
        if (failed(made))
          return failure();
        if (op.hasAttr(recomputeMark))
          made->getDefiningOp()->setAttr(recomputeMark,
                                         UnitAttr::get(op.getContext()));
        root.replaceAllUsesWith(*made);
      }
    }
    // What regions took over is dead now.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if (op.use_empty() && isPure(&op) && !isa<ReturnOp>(op))
        op.erase();
    for (Operation &op : block)
      if (isInlinable(&op) && !isa<ReshapeOp>(op) &&
          !llvm::any_of(op.getResults(),
                        [&](Value v) { return views.contains(v); }))
        return op.emitOpError("was left outside of every kernel");
    return success();
  }

private:
  /// Whether a region reads the value instead of computing it.
  bool inMemory(Value v) {
    Operation *op = v.getDefiningOp();
    if (!op || !isInlinable(op) || roots.contains(v))
      return true;
    if (auto r = dyn_cast<ReshapeOp>(op))
      return !renamesAxes(r);
    return false;
  }
  void root(Value v) {
    Operation *op = v.getDefiningOp();
    if (!op || !isInlinable(op))
      return;
    if (auto r = dyn_cast<ReshapeOp>(op)) // an alias: its operand is what lies
      return root(r.getX());
    roots.insert(v);
  }

  /// The end of the chain of element-wise ops that an anchor's result runs
  /// through alone: they become its epilogue.
  Value epilogueEnd(Value v) {
    for (;;) {
      if (!v.hasOneUse() || roots.contains(v))
        return v;
      Operation *user = *v.getUsers().begin();
      if (!isa<AddOp, SubOp, MulOp, DivOp, ScaleOp, CastOp, NegOp, SiluOp,
               GeluOp, ReluOp, SigmoidOp, TanhOp, SquareOp>(user) ||
          claimed.contains(user) ||
          user->hasAttr(recomputeMark) !=
              v.getDefiningOp()->hasAttr(recomputeMark) ||
          type(user->getResult(0)).getShape() != type(v).getShape())
        return v;
      claimed.insert(user);
      v = user->getResult(0);
    }
  }

  void chooseRoots() {
    for (Operation &op : block) {
      if (!isInlinable(&op))
        for (OpOperand &use : op.getOpOperands()) {
          if (readsView(use) && mayBeView(use.get()))
            viewed.push_back(use.get());
          else
            root(use.get());
        }
      if (auto e = dyn_cast<EinsumOp>(op)) {
        for (Value v : {e.getA(), e.getB()})
          if (mayBeView(v) && v.getDefiningOp<SliceOp>())
            multiplied.push_back(v);
          else
            root(v);
      } else if (auto e = dyn_cast<EmbedOp>(op)) {
        root(e.getTable());
      } else if (isa<ConcatOp, PadOp>(op)) {
        for (Value v : op.getOperands())
          root(v);
      } else if (auto s = dyn_cast<ShiftOp>(op)) {
        root(s.getX());
      } else if (auto p = dyn_cast<PickOp>(op)) {
        root(p.getRing());
      } else if (auto r = dyn_cast<ReshapeOp>(op)) {
        if (!renamesAxes(r) &&
            !(mayBeView(r.getY()) && llvm::all_of(r->getUses(), readsView)))
          root(r.getX());
      } else if (isa<RopeOp>(op)) {
        root(op.getResult(0));
      }
      if (isa<EmbedOp>(op)) {
        root(op.getResult(0)); // a gather is dearer than a read
      }
    }
    for (Operation &op : block) {
      auto reduce = dyn_cast<ReduceOp>(op);
      if (isa<EinsumOp>(op) || (reduce && !reducesLastAxis(reduce))) {
        Value end = epilogueEnd(op.getResult(0));
        root(end);
        anchored.insert(end);
        if (isa<EinsumOp>(op))
          products.insert(end);
      }
    }
    for (Value v : viewed)
      chooseView(v);
    // A product reads a slice by its map.
    for (Value v : multiplied)
      if (!isOfMemory(v))
        root(v);
    for (Operation &op : llvm::reverse(block))
      if (isInlinable(&op))
        for (Value v : op.getResults())
          consider(v);
  }

  /// Whether what reads views may have `v` as one: 16-byte accesses of its rows
  /// stay such.
  static bool mayBeView(Value v) {
    std::optional<View> view = viewOf(v);
    if (!view)
      return false;
    int64_t bytes = type(v).getElement().getIntOrFloatBitWidth() / 8;
    auto isAligned = [&](int64_t elements) {
      return elements * bytes % 16 == 0;
    };
    // Strides within what was the last axis do not move rows.
    int64_t last = *type(view->whole).dim(-1).constant();
    return bytes > 0 && isAligned(view->offset) && isAligned(last);
  }
  /// Whether what a view is of lies in memory.
  bool isOfMemory(Value v) {
    Value whole = viewOf(v)->whole;
    while (auto r = whole.getDefiningOp<ReshapeOp>())
      whole = r.getX();
    Operation *op = whole.getDefiningOp();
    return !op || !isInlinable(op) || roots.contains(whole);
  }
  /// Leaves the slices on the way to `v` where they are, if what they are of
  /// lies in memory; else `v` alone is to lie there.
  void chooseView(Value v) {
    if (!isOfMemory(v))
      return root(v);
    for (; viewOf(v); v = v.getDefiningOp()->getOperand(0))
      if (v.getDefiningOp<SliceOp>())
        views.insert(v);
  }

  /// Decides, users first, whether a value with several readers is stored.
  void consider(Value v) {
    auto &readers = readersOf[v];
    for (Operation *user : v.getUsers())
      for (Value r : user->getResults()) {
        if (roots.contains(r))
          readers.insert(r);
        else if (isInlinable(user))
          readers.insert(readersOf[r].begin(), readersOf[r].end());
      }
    if (roots.contains(v) || isa<ReshapeOp>(v.getDefiningOp()))
      return;
    auto reduce = dyn_cast<ReduceOp>(v.getDefiningOp());
    if (reduce && !reducesLastAxis(reduce))
      return; // the region of its epilogue's end holds it
    if (reduce &&
        llvm::any_of(readers, [&](Value r) { return !fitsRow(reduce, r); }))
      return (void)roots.insert(v);
    // An epilogue holds plain accesses only: a product's no parts of rows
    // either, but for its operands.
    auto readBy = [&](const llvm::DenseSet<Value> &kind) {
      return llvm::any_of(readers, [&](Value r) { return kind.contains(r); });
    };
    if (isa<OneHotOp, PositionsOp, ConcatOp, ShiftOp, PadOp, PickOp, AtStartOp,
            TransposeOp, DropoutOp>(v.getDefiningOp()) &&
        readBy(anchored))
      return (void)roots.insert(v);
    bool isFactor = llvm::is_contained(multiplied, v) &&
                    llvm::all_of(v.getUsers(), llvm::IsaPred<EinsumOp>);
    if (auto slice = v.getDefiningOp<SliceOp>();
        slice && !isFactor && readBy(viewOf(v) ? products : anchored))
      return (void)roots.insert(v);
    bool dear = reduce || isa<DropoutOp>(v.getDefiningOp());
    if (readers.size() > 1 && (dear || fullReads(v).size() > 1))
      roots.insert(v);
  }

  /// Whether a region of root `r` can hold a row reduction: the rows must be
  /// the root's own, and no other reduction or contraction may be there.
  bool fitsRow(ReduceOp reduce, Value r) {
    if (anchored.contains(r) || isa<RopeOp>(r.getDefiningOp()))
      return false;
    auto x = type(reduce.getX()), y = type(r);
    ArrayRef<DimAttr> rows = x.getShape().drop_back();
    if (y.getRank() == x.getRank())
      return y.getShape().drop_back() == rows &&
             (y.dim(-1) == x.dim(-1) || y.dim(-1).isWhole(1));
    return y.getShape() == rows;
  }

  /// The values of about `v`'s size that computing `v` reads from memory.
  const llvm::SmallPtrSet<void *, 4> &fullReads(Value v) {
    auto it = reads.find(v);
    if (it != reads.end())
      return it->second;
    llvm::SmallPtrSet<void *, 4> all;
    for (Value x : v.getDefiningOp()->getOperands()) {
      if (2 * elements(x) < elements(v))
        continue;
      if (inMemory(x))
        all.insert(x.getAsOpaquePointer());
      else
        for (void *p : fullReads(x))
          all.insert(p);
    }
    return reads[v] = all;
  }

  ProgramOp program;
  Block &block;
  llvm::DenseSet<Value> roots, anchored, products;
  SmallVector<Value> viewed;     // operands of what reads views
  SmallVector<Value> multiplied; // slices that are operands of products
  llvm::DenseSet<Value> views;   // slices that stay
  llvm::DenseSet<Operation *> claimed;
  llvm::DenseMap<Value, llvm::DenseSet<Value>> readersOf;
  llvm::DenseMap<Value, llvm::SmallPtrSet<void *, 4>> reads;
};

struct Fuse final : bitbyte::bb::impl::FusePassBase<Fuse> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    WalkResult done = getOperation().walk([&](ProgramOp program) {
      if (failed(decompose(program)))
        return WalkResult::interrupt();
      DominanceInfo dominance(program);
      eliminateCommonSubExpressions(rewriter, dominance, program);
      if (failed(Fuser(program).run()))
        return WalkResult::interrupt();
      mergeRegions(program);
      DominanceInfo merged(program);
      eliminateCommonSubExpressions(rewriter, merged, program);
      return WalkResult::advance();
    });
    if (done.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
