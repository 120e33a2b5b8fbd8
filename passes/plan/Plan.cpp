//===- Plan.cpp - Gives every value a buffer and every program an order ---===//

#include "passes/plan/Passes.h"

#include "dialects/bb/BBOps.h"
#include "dialects/plan/PlanDialect.h"
#include "dialects/tile/TileOps.h"
#include "passes/plan/Check.h"
#include "passes/plan/Placement.h"

#include "llvm/ADT/StringMap.h"

namespace bitbyte::plan {
#define GEN_PASS_DEF_PLANPASS
#include "passes/plan/Passes.h.inc"
} // namespace bitbyte::plan

using namespace llvm;
using namespace mlir;
using namespace bitbyte;
using namespace bitbyte::plan;

namespace {

BufferAttr attrOf(MLIRContext *context, const Place &place) {
  return BufferAttr::get(context, place.space, place.offset, place.bytes);
}

/// The builtin form of a graph tensor; a dim that is still open is dynamic.
RankedTensorType builtinType(Type type) {
  auto tensor = cast<bb::GraphTensorType>(type);
  auto dims = map_to_vector(tensor.getShape(), [](bb::DimAttr dim) {
    return dim.constant().value_or(ShapedType::kDynamic);
  });
  return RankedTensorType::get(dims, tensor.getElement());
}

/// How a parameter starts; the enum of plan has the words of bb.
FailureOr<InitAttr> initOf(bb::StateOp state) {
  if (!state.getInit())
    return InitAttr();
  bb::InitAttr init = *state.getInit();
  std::optional<InitKind> kind = symbolizeInitKind(init.getFn().getValue());
  if (!kind)
    return state.emitOpError()
           << "starts with " << init.getFn() << ", which no runtime knows";
  double numbers[2] = {*kind == InitKind::kaiming_uniform ? 1.0 : 0.0, 0.0};
  for (auto [number, arg] : zip(numbers, init.getArgs()))
    number = bb::evaluate(arg).value_or(0);
  return InitAttr::get(state.getContext(), *kind, numbers[0], numbers[1]);
}

/// The name of a program without its shape, and the shape by name: the batch
/// and stream names of its config. "score.B8T64" with B = 8 and T = 64 is
/// "score".
std::pair<std::string, DictionaryAttr> baseAndShape(bb::ProgramOp program) {
  Builder builder(program.getContext());
  SmallVector<NamedAttribute> shape;
  std::string suffix = ".";
  for (auto entry : program.getConfig().getAsRange<bb::ConfigAttr>()) {
    auto value = dyn_cast_or_null<bb::DimAttr>(entry.getValue());
    std::string text = value ? value.str() : "";
    suffix += entry.getName().getValue().str() + text;
    shape.emplace_back(entry.getName(), builder.getStringAttr(text));
  }
  StringRef base = program.getSymName();
  if (!shape.empty())
    base.consume_back(suffix);
  return {base.str(), builder.getDictionaryAttr(shape)};
}

/// What a person calls result `index`: as the program says, else after it.
std::string resultName(bb::ProgramOp program, StringRef base, size_t index) {
  if (auto names = program.getResultNames(); names && index < names->size())
    if (auto name = cast<StringAttr>((*names)[index]); !name.empty())
      return name.str();
  if (base == "score" && index == 0)
    return "nats";
  return program.getResultTypes().size() == 1
             ? base.str()
             : (base + "." + Twine(index)).str();
}

bool isZero(ElementsAttr value) {
  auto dense = dyn_cast<DenseElementsAttr>(value);
  return dense && dense.isSplat() &&
         all_of(dense.getRawData(), [](char byte) { return byte == 0; });
}

/// The states and constants of a module, each at its place.
class FixedPlaces {
public:
  /// `builder` stands where plan.state and plan.constant ops go.
  explicit FixedPlaces(OpBuilder builder) : builder(builder) {}

  LogicalResult addState(bb::StateOp state) {
    RankedTensorType type = builtinType(state.getType());
    StateKind kind = *symbolizeStateKind(
        bb::stringifyStateKind(state.getKind())); // same words
    FailureOr<InitAttr> init = initOf(state);
    if (failed(init))
      return failure();
    Place place{spaceOf(kind), 0, bytesOf(type)};
    StringAttr sliceOf;
    if (auto flat = state.getSliceOf()) {
      sliceOf = builder.getStringAttr(*flat);
      auto parent = states.find(*flat);
      if (parent == states.end())
        return state.emitOpError() << "is a slice of '" << *flat
                                   << "', which is not a state before it";
      int64_t width =
          bytesOf(RankedTensorType::get({1}, type.getElementType()));
      place.offset = parent->second.offset +
                     int64_t(state.getOffset().value_or(0)) * width;
    } else {
      int64_t &end = spaceEnd[int(place.space)];
      place.offset = end;
      end = alignUp(end + place.bytes);
    }
    states[state.getSymName()] = place;
    plan::StateOp::create(
        builder, state.getLoc(), builder.getStringAttr(state.getSymName()),
        TypeAttr::get(type), StateKindAttr::get(builder.getContext(), kind),
        attrOf(builder.getContext(), place), state.getGroupAttr(), sliceOf,
        *init, state.getSavedAttr());
    return success();
  }

  std::optional<Place> placeOf(StringRef state) const {
    auto it = states.find(state);
    return it == states.end() ? std::nullopt : std::optional(it->second);
  }

  /// The place of a constant, which is added when it is first used.
  Place addConstant(Location loc, ElementsAttr value) {
    auto [it, isNew] = constants.try_emplace(value);
    if (isNew) {
      auto type = cast<RankedTensorType>(value.getShapedType());
      int64_t &end = spaceEnd[int(Space::constant)];
      it->second = {Space::constant, end, bytesOf(type)};
      end = alignUp(end + it->second.bytes);
      plan::ConstantOp::create(builder, loc,
                               attrOf(builder.getContext(), it->second), value);
    }
    return it->second;
  }

private:
  OpBuilder builder;
  StringMap<Place> states;
  llvm::DenseMap<Attribute, Place> constants;
  int64_t spaceEnd[6] = {}; // by Space
};

/// One program: its flow, what was decided, and the ops that say so.
class ProgramPlanner {
public:
  ProgramPlanner(bb::ProgramOp source, FixedPlaces &fixed)
      : source(source), fixed(fixed) {}

  /// Makes the plan.program at the builder's place and checks it.
  LogicalResult run(OpBuilder builder) {
    if (failed(readFlow()))
      return failure();
    Placement placement = placeValues(flow);
    plan::ProgramOp planned = emit(builder, placement);
    SmallVector<tile::DispatchOp> origins;
    for (const PlacedStep &step : placement.steps)
      if (auto *dispatch = std::get_if<PlacedDispatch>(&step))
        origins.push_back(dispatches[dispatch->step]);
    return checkProgram(planned, source, origins, *planned->getBlock());
  }

private:
  LogicalResult readFlow() {
    for (BlockArgument argument : source.getBody().getArguments())
      addValue(argument, {FlowValue::input, sizeOf(argument), {}, false});
    for (Operation &op : source.getBody().front()) {
      if (auto read = dyn_cast<bb::ReadOp>(op)) {
        std::optional<Place> place = fixed.placeOf(read.getState());
        if (!place)
          return read.emitOpError()
                 << "there is no state '" << read.getState() << "'";
        addValue(read.getY(), {FlowValue::state, place->bytes, *place, false});
      } else if (auto constant = dyn_cast<bb::ConstantOp>(op)) {
        addConstant(constant);
      } else if (auto reshape = dyn_cast<bb::ReshapeOp>(op)) {
        ids[reshape->getResult(0)] = ids.lookup(reshape->getOperand(0));
      } else if (auto dispatch = dyn_cast<tile::DispatchOp>(op)) {
        addDispatch(dispatch);
      } else if (auto write = dyn_cast<bb::WriteOp>(op)) {
        std::optional<Place> place = fixed.placeOf(write.getState());
        if (!place)
          return write.emitOpError()
                 << "there is no state '" << write.getState() << "'";
        for (auto [earlier, at] : zip_equal(flow.writes, writeLocs))
          if (earlier.place.overlaps(*place)) {
            InFlightDiagnostic error =
                write.emitOpError("writes a state that is written already");
            error.attachNote(at) << "here";
            return error;
          }
        flow.writes.push_back({*place, ids.lookup(write.getX())});
        writeLocs.push_back(write.getLoc());
      } else if (op.hasTrait<OpTrait::IsTerminator>()) {
        for (Value value : op.getOperands())
          flow.outputs.push_back(ids.lookup(value));
      } else {
        return op.emitOpError(
            "has not become a dispatch: run phase tile before plan");
      }
    }
    return success();
  }

  void addConstant(bb::ConstantOp constant) {
    auto value = cast<ElementsAttr>(constant.getValue());
    bool zero = isZero(value);
    // A zero that is only written needs no bytes in the file.
    bool isRead = !zero || any_of(constant->getUsers(), [](Operation *user) {
      return !isa<bb::WriteOp>(user);
    });
    Place place;
    if (isRead)
      place = fixed.addConstant(constant.getLoc(), value);
    addValue(constant.getY(),
             {FlowValue::constant, sizeOf(constant.getY()), place, zero});
  }

  void addDispatch(tile::DispatchOp dispatch) {
    FlowStep step;
    for (Value input : dispatch.getInputs())
      step.operands.push_back(ids.lookup(input));
    for (Value output : dispatch.getOutputs())
      step.results.push_back(
          addValue(output, {FlowValue::result, sizeOf(output), {}, false}));
    if (auto inplace = dispatch.getInplace())
      step.inplace.assign(inplace->begin(), inplace->end());
    step.partial = dispatch.getPartial();
    flow.steps.push_back(std::move(step));
    dispatches.push_back(dispatch);
  }

  plan::ProgramOp emit(OpBuilder builder, const Placement &placement) {
    MLIRContext *context = builder.getContext();
    int64_t flops = 0, traffic = 0;
    for (const PlacedStep &step : placement.steps)
      if (auto *placed = std::get_if<PlacedDispatch>(&step)) {
        tile::DispatchOp dispatch = dispatches[placed->step];
        tile::KernelOp kernel =
            tile::lookupKernel(dispatch, dispatch.getKernelAttr().getAttr());
        flops += kernel.getFlops().value_or(0);
        traffic += kernel.getTraffic().value_or(0);
      }
    auto [base, shape] = baseAndShape(source);
    auto program = plan::ProgramOp::create(
        builder, source.getLoc(), source.getSymName(), base, shape,
        placement.arenaBytes, placement.liveBytes, flops, traffic);
    builder.createBlock(&program.getBody());

    for (auto [i, argument] : enumerate(source.getBody().getArguments())) {
      auto name = cast<StringAttr>((*source.getArgNames())[i]);
      int64_t ahead =
          source.getAhead()
              ? *cast<bb::DimAttr>((*source.getAhead())[i]).constant()
              : 0;
      InputOp::create(builder, argument.getLoc(), name,
                      TypeAttr::get(builtinType(argument.getType())),
                      attrOf(context, placement.inputs[i]),
                      builder.getI64IntegerAttr(ahead));
    }
    for (const PlacedStep &step : placement.steps)
      emitStep(builder, step);
    Operation *end = source.getBody().front().getTerminator();
    for (auto [i, value] : enumerate(end->getOperands()))
      OutputOp::create(builder, end->getLoc(),
                       builder.getStringAttr(resultName(source, base, i)),
                       TypeAttr::get(builtinType(value.getType())),
                       attrOf(context, placement.outputs[i]));
    return program;
  }

  void emitStep(OpBuilder &builder, const PlacedStep &step) {
    MLIRContext *context = builder.getContext();
    if (auto *placed = std::get_if<PlacedDispatch>(&step)) {
      tile::DispatchOp origin = dispatches[placed->step];
      auto list = [&](ArrayRef<Place> places) {
        return builder.getArrayAttr(
            map_to_vector(places, [&](const Place &place) -> Attribute {
              return attrOf(context, place);
            }));
      };
      plan::DispatchOp::create(builder, origin.getLoc(), origin.getKernelAttr(),
                               list(placed->reads), list(placed->writes),
                               builder.getDenseI64ArrayAttr({}));
    } else if (auto *copy = std::get_if<PlacedCopy>(&step)) {
      CopyOp::create(builder, source.getLoc(), attrOf(context, copy->source),
                     attrOf(context, copy->target));
    } else {
      ZeroOp::create(builder, source.getLoc(),
                     attrOf(context, std::get<PlacedZero>(step).target));
    }
  }

  static int64_t sizeOf(Value value) {
    return bytesOf(builtinType(value.getType()));
  }

  ValueId addValue(Value value, FlowValue flowValue) {
    flow.values.push_back(flowValue);
    return ids[value] = ValueId(flow.values.size()) - 1;
  }

  bb::ProgramOp source;
  FixedPlaces &fixed;
  Flow flow;
  llvm::DenseMap<Value, ValueId> ids;
  std::vector<tile::DispatchOp> dispatches; // by StepId
  std::vector<Location> writeLocs;          // by write
};

struct Plan final : plan::impl::PlanPassBase<Plan> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (auto model : make_early_inc_range(module.getOps<bb::ModelOp>())) {
      OpBuilder builder(model);
      // States and constants in front of the programs, whenever they are added.
      auto marker = ModuleOp::create(builder, model.getLoc());
      FixedPlaces fixed{OpBuilder(marker)};
      for (auto state : model.getBody().getOps<bb::StateOp>())
        if (failed(fixed.addState(state)))
          return signalPassFailure();
      for (auto program : model.getBody().getOps<bb::ProgramOp>())
        if (failed(ProgramPlanner(program, fixed).run(builder)))
          return signalPassFailure();
      for (auto kernel :
           make_early_inc_range(model.getBody().getOps<tile::KernelOp>()))
        kernel->moveBefore(model);
      marker.erase();
      model.erase();
    }
  }
};

} // namespace
