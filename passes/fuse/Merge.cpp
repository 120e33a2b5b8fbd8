//===- Merge.cpp - Several results from one region ------------------------===//
//
// Regions are built one per value in memory. Two of them become one where the
// second reads what the first computes, or both read the same tensor: an AdamW
// step is one pass over its states, a loss and its gradient are one pass over
// the logits, an activation and its gradient are epilogues of one product.
//
//===----------------------------------------------------------------------===//
#include "passes/fuse/Fuse.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace bitbyte::bb;

/// Operands and results of a kernel; more would not stay in registers anyway.
static constexpr unsigned mostTensors = 24;

static int64_t elements(Value v) {
  int64_t n = 1;
  for (DimAttr d : cast<GraphTensorType>(v.getType()).getShape())
    n *= *d.constant();
  return n;
}
static int64_t points(FusedOp op) {
  int64_t n = 1;
  for (int64_t s : op.getDimSizes())
    n *= s;
  return n;
}
static bool isAnchor(Operation *op) {
  auto fused = dyn_cast<FusedOp>(op);
  return fused ? bool(fused.anchor())
               : isa<AttentionOp, AttentionGradOp, ScatterAddOp, ConvOp,
                     ConvGradOp, SelectiveScanOp, SelectiveScanGradOp, SsdOp,
                     SsdGradOp>(op);
}

/// Whether the region is row-wise: its last dim is the last axis of whatever
/// varies along it, and reductions are along that dim alone.
static bool isRowwise(FusedOp op) {
  if (op.anchor())
    return false;
  unsigned n = op.dimCount();
  if (n == 0)
    return true;
  for (auto r : op.getBody().front().getOps<ReduceOverOp>())
    if (r.getOver().size() != 1 || r.getOver()[0] != n - 1)
      return false;
  for (Attribute attr : op.getMaps()) {
    auto map = dyn_cast<AffineMapAttr>(attr);
    if (!map)
      continue;
    ArrayRef<AffineExpr> axes = map.getValue().getResults();
    for (auto [i, e] : llvm::enumerate(axes)) {
      // A part of the axis will do: c + 512.
      auto sum = dyn_cast<AffineBinaryOpExpr>(e);
      bool isPart = sum && sum.getKind() == AffineExprKind::Add &&
                    isa<AffineConstantExpr>(sum.getRHS());
      auto dim = dyn_cast<AffineDimExpr>(isPart ? sum.getLHS() : e);
      bool last = dim && dim.getPosition() == n - 1;
      if (e.isFunctionOfDim(n - 1) && !(last && i + 1 == axes.size()))
        return false;
    }
  }
  return true;
}

static bool hasReduce(FusedOp op) {
  return !op.getBody().front().getOps<ReduceOverOp>().empty();
}

/// Whether `map` is the identity of the dims of `sizes` but those of 1, which
/// have no number.
static bool isPlain(AffineMap map, unsigned dims) {
  unsigned next = 0;
  for (AffineExpr e : map.getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(e);
    if (dim && dim.getPosition() == next)
      ++next;
    else if (!isa<AffineConstantExpr>(e))
      return false;
  }
  return next == dims;
}

/// Whether a region can be a product's epilogue: element-wise over the
/// product's rows and columns, with operands of both, of one, or of neither.
static bool isEpilogue(FusedOp op) {
  unsigned n = op.dimCount();
  if (n < 2 || hasReduce(op) || op.anchor() ||
      !op.getBody().front().getOps<IndexOp>().empty() ||
      !op.getBody().front().getOps<AtOp>().empty())
    return false;
  for (unsigned i = 0; i < op.getNumOperands(); ++i) {
    AffineMap map = op.inputMap(i);
    bool column = true;
    for (AffineExpr e : map.getResults())
      column &= isa<AffineConstantExpr>(e) ||
                e == getAffineDimExpr(n - 1, op.getContext());
    if (!column && !isPlain(map, n) && !isPlain(map, n - 1))
      return false;
  }
  for (unsigned i = 0; i < op.getNumResults(); ++i)
    if (!isPlain(op.outputMap(i), n))
      return false;
  return true;
}

/// Whether a region can follow a product whose programs own whole rows:
/// row-wise over the product's rows, each of which it reads and writes in
/// place.
static bool isRowEpilogue(FusedOp op) {
  unsigned n = op.dimCount();
  if (n < 2 || op.dimSize(n - 1) > FusedOp::widestRow || !isRowwise(op) ||
      !op.getBody().front().getOps<AtOp>().empty())
    return false;
  for (auto index : op.getBody().front().getOps<IndexOp>())
    if (index.getDim() != n - 1)
      return false;
  AffineExpr column = getAffineDimExpr(n - 1, op.getContext());
  auto fits = [&](AffineMap map) {
    return isPlain(map, n) || isPlain(map, n - 1) ||
           llvm::all_of(map.getResults(), [&](AffineExpr e) {
             return isa<AffineConstantExpr>(e) || e == column;
           });
  };
  for (unsigned i = 0; i < op.getNumOperands(); ++i)
    if (!fits(op.inputMap(i)))
      return false;
  for (unsigned i = 0; i < op.getNumResults(); ++i)
    if (!isPlain(op.outputMap(i), n) && !isPlain(op.outputMap(i), n - 1))
      return false;
  return true;
}

/// Whether a product is large enough, and plain enough, for panels.
static bool takesEpilogue(FusedOp op) {
  ContractOp contract = op.anchor();
  if (!contract || hasReduce(op))
    return false;
  ArrayRef<int64_t> over = contract.getOver();
  unsigned kept = op.dimCount() - over.size();
  if (kept < 2 || llvm::any_of(over, [&](int64_t d) { return d < kept; }))
    return false;
  int64_t rows = 1, depth = 1;
  for (unsigned d = 0; d + 1 < kept; ++d)
    rows *= op.dimSize(d);
  for (unsigned d = kept; d < op.dimCount(); ++d)
    depth *= op.dimSize(d);
  if (rows < 8 || op.dimSize(kept - 1) < 16 || depth < 4)
    return false;
  for (unsigned i = 0; i < op.getNumResults(); ++i)
    if (!isPlain(op.outputMap(i), kept))
      return false;
  return true;
}

namespace {
class Merger {
public:
  explicit Merger(Block &block) : block(block) {}

  /// First what needs no whole rows: by then all that reads a product's rows
  /// is one region, if it can be.
  void run() {
    for (bool rows : {false, true}) {
      wholeRows = rows;
      mergeAll();
    }
  }

private:
  void mergeAll() {
    for (Operation *op = &block.front(); op;) {
      auto fused = dyn_cast<FusedOp>(op);
      if (FusedOp earlier = fused ? partner(fused) : FusedOp())
        op = merge(earlier, fused);
      else
        op = op->getNextNode();
    }
  }

  /// An earlier region that `op` can join, or null.
  FusedOp partner(FusedOp op) {
    llvm::SetVector<Operation *> candidates;
    for (Value v : op.getInputs()) {
      if (auto from = v.getDefiningOp<FusedOp>())
        candidates.insert(from);
      for (Operation *user : v.getUsers())
        if (isa<FusedOp>(user) && user != op && user->isBeforeInBlock(op))
          candidates.insert(user);
    }
    if (op->getNumOperands() == 0) // a fill joins who reads what it replaces
      for (Operation *user : readersOfOld(op))
        candidates.insert(user);
    for (Operation *candidate : candidates) {
      auto earlier = cast<FusedOp>(candidate);
      bool alike =
          earlier->hasAttr(recomputeMark) == op->hasAttr(recomputeMark);
      if (alike && fit(earlier, op) && pays(earlier, op) && !apart(earlier, op))
        return earlier;
    }
    return {};
  }

  /// Regions before `op` that read a state which `op`'s result replaces.
  SmallVector<Operation *> readersOfOld(FusedOp op) {
    SmallVector<Operation *> found;
    for (Operation *user : op->getUsers())
      if (auto write = dyn_cast<WriteOp>(user))
        for (auto read : block.getOps<ReadOp>())
          if (read.getState() == write.getState())
            for (Operation *reader : read->getUsers())
              if (isa<FusedOp>(reader) && reader->isBeforeInBlock(op))
                found.push_back(reader);
    return found;
  }

  /// Whether dims and accesses allow one region.
  bool fit(FusedOp a, FusedOp b) const {
    ArrayRef<int64_t> x = a.getDimSizes(), y = b.getDimSizes();
    size_t shared = std::min(x.size(), y.size());
    if (x.take_front(shared) != y.take_front(shared))
      return false;
    if (a.getNumOperands() + b.getNumOperands() + a.getNumResults() +
            b.getNumResults() >
        mostTensors)
      return false;
    for (unsigned i = 0; i < b.getNumOperands(); ++i)
      if (b.getOperand(i).getDefiningOp() == a) {
        unsigned r = cast<OpResult>(b.getOperand(i)).getResultNumber();
        AffineMap map = b.inputMap(i);
        if (!map || map.getResults() != a.outputMap(r).getResults())
          return false;
      }
    if (a.anchor()) {
      bool reads = llvm::any_of(
          b.getInputs(), [&](Value v) { return v.getDefiningOp() == a; });
      if (!reads || !takesEpilogue(a) ||
          y.size() + a.anchor().getOver().size() != x.size())
        return false;
      // Whole rows ask for tiles as wide as those: only where the product, a
      // head's logits, then needs no place in memory.
      bool alone = llvm::all_of(a->getUsers(),
                                [&](Operation *user) { return user == b; });
      return isEpilogue(b) || (wholeRows && alone && isRowEpilogue(b));
    }
    if (b.anchor() || !isRowwise(a) || !isRowwise(b))
      return false;
    if (x.size() == y.size())
      return true;
    // One value per row beside whole rows.
    FusedOp rows = x.size() < y.size() ? a : b;
    return shared > 0 && !hasReduce(rows) &&
           std::max(x.size(), y.size()) == shared + 1;
  }

  bool pays(FusedOp a, FusedOp b) {
    for (Value v : b.getInputs())
      if (v.getDefiningOp() == a)
        return true;
    if (b.getNumOperands() == 0)
      return llvm::is_contained(readersOfOld(b), a);
    int64_t large = std::max(points(a), points(b)) / 2;
    for (unsigned i = 0; i < a.getNumOperands(); ++i)
      for (unsigned j = 0; j < b.getNumOperands(); ++j)
        if (a.getOperand(i) == b.getOperand(j) && a.inputMap(i) &&
            b.inputMap(j) &&
            a.inputMap(i).getResults() == b.inputMap(j).getResults() &&
            elements(a.getOperand(i)) >= large)
          return true;
    return false;
  }

  /// Whether `b` can be computed where `a` is, and nothing but `b` reads `a`.
  static bool movesUp(FusedOp a, FusedOp b) {
    bool alone =
        llvm::all_of(a->getUsers(), [&](Operation *user) { return user == b; });
    return alone && llvm::all_of(b.getInputs(), [&](Value v) {
             Operation *from = v.getDefiningOp();
             return !from || from == a || from->isBeforeInBlock(a);
           });
  }

  /// Whether something between the two must stay there: a product (the order of
  /// those decides how long tensors live, and what backward computes again must
  /// not return to forward), or what `b` needs and `a` gives.
  static bool apart(FusedOp a, FusedOp b) {
    if (movesUp(a, b))
      return false;
    llvm::SmallPtrSet<Operation *, 8> after{a};
    for (Operation *op = a->getNextNode(); op != b; op = op->getNextNode()) {
      if (isAnchor(op))
        return true;
      for (Value v : op->getOperands())
        if (after.contains(v.getDefiningOp()))
          after.insert(op);
    }
    after.erase(a);
    return llvm::any_of(b.getInputs(), [&](Value v) {
      return after.contains(v.getDefiningOp());
    });
  }

  FusedOp merge(FusedOp a, FusedOp b) {
    OpBuilder builder(b);
    Location loc = b.getLoc();
    FusedOp wide = a.dimCount() > b.dimCount() ? a : b;
    unsigned dims = wide.dimCount();
    OperationState state(loc, FusedOp::getOperationName());
    auto *body = new Block;
    state.addRegion()->push_back(body);
    SmallVector<Value> inputs, emitted;
    SmallVector<Attribute> maps;
    IRMapping values;
    auto widened = [&](Attribute attr) -> Attribute {
      auto map = dyn_cast<AffineMapAttr>(attr);
      if (!map)
        return attr;
      return AffineMapAttr::get(AffineMap::get(
          dims, 0, map.getValue().getResults(), builder.getContext()));
    };
    auto takeInputs = [&](FusedOp op) {
      for (auto [i, v] : llvm::enumerate(op.getInputs())) {
        Value argument = op.getBody().getArgument(i);
        if (v.getDefiningOp() == a) {
          unsigned r = cast<OpResult>(v).getResultNumber();
          values.map(argument, values.lookup(a.emit().getValues()[r]));
          continue;
        }
        Attribute map = widened(op.getMaps()[i]);
        unsigned at = 0;
        while (at < inputs.size() && !(inputs[at] == v && maps[at] == map))
          ++at;
        if (at == inputs.size()) {
          inputs.push_back(v);
          maps.push_back(map);
          body->addArgument(argument.getType(), loc);
        }
        values.map(argument, body->getArgument(at));
      }
    };
    builder.setInsertionPointToEnd(body);
    SmallVector<Type> types;
    SmallVector<Attribute> resultMaps;
    SmallVector<Value> replaced;
    auto takeBody = [&](FusedOp op) {
      takeInputs(op);
      for (Operation &o : op.getBody().front().without_terminator())
        builder.clone(o, values);
    };
    takeBody(a);
    takeBody(b);
    for (FusedOp op : {a, b})
      for (OpResult r : op->getResults()) {
        // What the second alone reads needs no place in memory any more.
        if (op == a &&
            llvm::all_of(r.getUsers(), [&](Operation *u) { return u == b; }))
          continue;
        unsigned i = r.getResultNumber();
        types.push_back(r.getType());
        resultMaps.push_back(widened(op.getMaps()[op.getNumOperands() + i]));
        emitted.push_back(values.lookup(op.emit().getValues()[i]));
        replaced.push_back(r);
      }
    EmitOp::create(builder, loc, emitted);
    maps.append(resultMaps);
    state.addOperands(inputs);
    state.addTypes(types);
    state.addAttribute("dim_names", wide.getDimNamesAttr());
    state.addAttribute("dim_sizes", wide.getDimSizesAttr());
    state.addAttribute("maps", builder.getArrayAttr(maps));
    builder.setInsertionPoint(movesUp(a, b) ? a : b);
    auto made = cast<FusedOp>(builder.create(state));
    if (b->hasAttr(recomputeMark))
      made->setAttr(recomputeMark, builder.getUnitAttr());

    // What reads the first one's results and stands before the place of the
    // merged region moves behind it, in order.
    llvm::SmallPtrSet<Operation *, 8> late{a};
    Operation *last = made;
    for (Operation *op = a; op != made && !made->isBeforeInBlock(op);) {
      Operation *next = op->getNextNode();
      if (llvm::any_of(op->getOperands(), [&](Value v) {
            return late.contains(v.getDefiningOp());
          })) {
        late.insert(op);
        op->moveAfter(last);
        last = op;
      }
      op = next;
    }
    for (auto [old, now] : llvm::zip_equal(replaced, made->getResults()))
      old.replaceAllUsesWith(now);
    b->erase();
    a->erase();
    return made;
  }

  Block &block;
  bool wholeRows = false;
};
} // namespace

void bitbyte::bb::mergeRegions(ProgramOp program) {
  Merger(program.getBody().front()).run();
}
