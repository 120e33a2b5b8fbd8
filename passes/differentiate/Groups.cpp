//===- Groups.cpp - Parameters as slices of flat states -------------------===//
#include "passes/differentiate/Groups.h"

using namespace mlir;
using namespace bitbyte::bb;

static int64_t elementsOf(StateOp state) {
  int64_t elements = 1;
  for (DimAttr dim : cast<GraphTensorType>(state.getType()).getShape())
    elements *= *dim.constant();
  return elements;
}

SmallVector<ParameterGroup>
bitbyte::bb::groupParameters(ModelOp model, const llvm::StringSet<> *reached) {
  SmallVector<ParameterGroup> groups(3);
  groups[0].name = "decay";
  groups[1].name = "no_decay";
  groups[2].name = "frozen";
  for (StateOp state : model.getOps<StateOp>()) {
    if (state.getKind() != StateKind::Parameter)
      continue;
    bool frozen = reached && !reached->contains(state.getSymName());
    size_t index = frozen ? 2 : state.getGroup() == "no_decay" ? 1 : 0;
    ParameterGroup &group = groups[index];
    group.parameters.push_back(state);
    group.offsets.push_back(group.elements);
    group.elements += llvm::alignTo(elementsOf(state), kSliceAlign);
  }
  llvm::erase_if(groups, [](auto &group) { return group.parameters.empty(); });
  return groups;
}

GraphTensorType bitbyte::bb::flatType(const ParameterGroup &group,
                                      Type element) {
  MLIRContext *context = element.getContext();
  return GraphTensorType::get(context, {DimAttr::get(context, group.elements)},
                              element);
}

/// The last state of a model; new ones follow it.
static StateOp lastState(ModelOp model) {
  StateOp last;
  for (StateOp state : model.getOps<StateOp>())
    last = state;
  return last;
}

static StateOp makeState(OpBuilder &b, Location loc, const Twine &name,
                         GraphTensorType type, StateKind kind, StringRef group,
                         bool saved) {
  return StateOp::create(
      b, loc, b.getStringAttr(name), TypeAttr::get(type),
      StateKindAttr::get(b.getContext(), kind), /*init=*/InitAttr(),
      group.empty() ? StringAttr() : b.getStringAttr(group),
      /*slice_of=*/FlatSymbolRefAttr(), /*offset=*/IntegerAttr(),
      saved ? b.getUnitAttr() : UnitAttr());
}

static void makeSlice(StateOp state, StateOp flat, int64_t offset) {
  state.setSliceOfAttr(FlatSymbolRefAttr::get(flat.getSymNameAttr()));
  state.setOffset(offset);
}

void bitbyte::bb::makeMasters(ParameterGroup &group) {
  StateOp first = group.parameters.front();
  OpBuilder b(first);
  StateOp flat = makeState(b, first.getLoc(), flatName("master", group),
                           flatType(group, b.getF32Type()),
                           StateKind::Parameter, group.name, /*saved=*/false);
  for (auto [state, offset] : llvm::zip(group.parameters, group.offsets)) {
    state.setGroup(group.name);
    makeSlice(state, flat, offset);
  }
}

void bitbyte::bb::makeSlices(const ParameterGroup &group, StringRef prefix,
                             StateKind kind, Type element, bool saved) {
  StateOp first = group.parameters.front();
  OpBuilder b(first.getContext());
  b.setInsertionPointAfter(lastState(first->getParentOfType<ModelOp>()));
  StateOp flat =
      makeState(b, first.getLoc(), flatName(prefix, group),
                flatType(group, element), kind, group.name, /*saved=*/false);
  for (auto [parameter, offset] : llvm::zip(group.parameters, group.offsets)) {
    StateOp state = parameter; // accessors of ops are not const
    StateOp slice =
        makeState(b, state.getLoc(), prefix + "." + state.getSymName(),
                  cast<GraphTensorType>(state.getType()).of(element), kind,
                  group.name, saved);
    makeSlice(slice, flat, offset);
  }
}

void bitbyte::bb::makeCounter(ModelOp model, StringRef name) {
  OpBuilder b(model.getContext());
  b.setInsertionPointAfter(lastState(model));
  makeState(b, model.getLoc(), name,
            GraphTensorType::get(b.getContext(), {}, b.getI32Type()),
            StateKind::Counter, /*group=*/"", /*saved=*/true);
}
