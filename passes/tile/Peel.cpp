//===- Peel.cpp - A product and what sums over its rows, apart ------------===//
#include "passes/tile/Region.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace bitbyte::tile {

namespace {
/// A region that takes over a part of another one, whose dims it has some of.
class Part {
public:
  Part(bb::FusedOp from, ArrayRef<unsigned> kept)
      : from(from), kept(kept), state(from.getLoc(), from->getName()) {
    block = new Block;
    state.addRegion()->push_back(block);
    number.assign(from.dimCount(), -1);
    for (auto [i, d] : llvm::enumerate(kept)) {
      number[d] = i;
      names.push_back(from.getDimNames()[d]);
      sizes.push_back(from.dimSize(d));
    }
  }

  Value take(Value tensor, Type scalar, Attribute map) {
    state.addOperands(tensor);
    maps.push_back(map);
    return block->addArgument(scalar, from.getLoc());
  }
  /// An operand of the old region, with the dims of this one.
  void takeInput(unsigned i) {
    BlockArgument argument = from.getBody().getArgument(i);
    values.map(argument, take(from.getOperand(i), argument.getType(),
                              renamed(from.getMaps()[i])));
  }
  void takeOp(Operation &op) {
    OpBuilder b(from.getContext());
    b.setInsertionPointToEnd(block);
    Operation *made = b.clone(op, values);
    if (auto index = dyn_cast<bb::IndexOp>(made))
      index.setDim(number[index.getDim()]);
    if (auto over = made->getAttrOfType<DenseI64ArrayAttr>("over")) {
      SmallVector<int64_t> dims;
      for (int64_t d : over.asArrayRef())
        dims.push_back(number[d]);
      made->setAttr("over", b.getDenseI64ArrayAttr(dims));
    }
  }
  void give(Value scalar, Type type, Attribute map) {
    emitted.push_back(values.lookup(scalar));
    state.addTypes(type);
    resultMaps.push_back(map);
  }
  Attribute renamed(Attribute attribute) {
    auto map = dyn_cast<AffineMapAttr>(attribute);
    if (!map)
      return attribute;
    MLIRContext *context = from.getContext();
    SmallVector<AffineExpr> dims;
    for (int64_t n : number)
      dims.push_back(n < 0 ? getAffineConstantExpr(0, context)
                           : getAffineDimExpr(n, context));
    return AffineMapAttr::get(
        map.getValue().replaceDimsAndSymbols(dims, {}, kept.size(), 0));
  }
  bb::FusedOp finish() {
    OpBuilder b(from.getContext());
    b.setInsertionPointToEnd(block);
    bb::EmitOp::create(b, from.getLoc(), emitted);
    maps.append(resultMaps);
    b.setInsertionPoint(from);
    state.addAttribute("dim_names", b.getArrayAttr(names));
    state.addAttribute("dim_sizes", b.getDenseI64ArrayAttr(sizes));
    state.addAttribute("maps", b.getArrayAttr(maps));
    for (NamedAttribute mark : from->getDiscardableAttrs())
      state.addAttribute(mark.getName(), mark.getValue());
    return cast<bb::FusedOp>(b.create(state));
  }

  IRMapping values;

private:
  bb::FusedOp from;
  ArrayRef<unsigned> kept;
  OperationState state;
  Block *block;
  SmallVector<int64_t> number, sizes;
  SmallVector<Attribute> names, maps, resultMaps;
  Values emitted;
};
} // namespace

std::pair<bb::FusedOp, bb::FusedOp> peelRows(const Region &region) {
  bb::FusedOp op = region.op;
  bb::ContractOp contract = op.anchor();
  Block &body = op.getBody().front();
  if (!contract || body.getOps<bb::ReduceOverOp>().empty())
    return {};
  // The dims of the product; of the rest, all but those that it sums over.
  SmallVector<unsigned> all, plane, rest;
  for (unsigned d = 0; d < op.dimCount(); ++d)
    all.push_back(d);
  uint64_t domain = region.domain(contract.getOutputs()[0]);
  for (unsigned d : all)
    if (!llvm::is_contained(contract.getOver(), int64_t(d)))
      rest.push_back(d);
  for (auto [merged, members] : llvm::enumerate(region.members))
    if (domain >> merged & 1)
      plane.append(members.begin(), members.end());
  llvm::sort(plane);

  MLIRContext *context = op.getContext();
  Type f32 = Float32Type::get(context);
  SmallVector<int64_t> sizes;
  SmallVector<AffineExpr> at;
  for (unsigned d : plane) {
    sizes.push_back(op.dimSize(d));
    at.push_back(getAffineDimExpr(d, context));
  }
  AffineMap where = AffineMap::get(op.dimCount(), 0, at, context);
  bb::GraphTensorType type = temporary(context, sizes);

  llvm::SmallPtrSet<Operation *, 8> before;
  for (Operation *o :
       region.slice(contract->getOperands(), [](Value) { return false; }))
    before.insert(o);
  before.insert(contract);
  auto needs = [&](BlockArgument argument, bool product) {
    return llvm::any_of(argument.getUsers(), [&](Operation *user) {
      return before.contains(user) == product;
    });
  };
  Part product(op, all), others(op, rest);
  for (BlockArgument argument : body.getArguments())
    if (needs(argument, true))
      product.takeInput(argument.getArgNumber());
  for (Operation &o : body)
    if (before.contains(&o))
      product.takeOp(o);
  for (Value y : contract.getOutputs())
    product.give(y, type, AffineMapAttr::get(where));
  bb::FusedOp first = product.finish();

  for (BlockArgument argument : body.getArguments())
    if (needs(argument, false))
      others.takeInput(argument.getArgNumber());
  for (auto [y, tensor] :
       llvm::zip_equal(contract.getOutputs(), first.getOutputs()))
    others.values.map(
        y, others.take(tensor, f32, others.renamed(AffineMapAttr::get(where))));
  for (Operation &o : body.without_terminator())
    if (!before.contains(&o))
      others.takeOp(o);
  for (unsigned i = 0; i < op.getNumResults(); ++i)
    others.give(op.emit().getValues()[i], op.getResult(i).getType(),
                others.renamed(op.getMaps()[op.getNumOperands() + i]));
  bb::FusedOp second = others.finish();
  op->replaceAllUsesWith(second);
  op->erase();
  return {first, second};
}

} // namespace bitbyte::tile
