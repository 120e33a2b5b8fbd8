//===- StepBuilder.cpp - Fills the step programs of one model -------------===//
#include "passes/incrementalize/StepBuilder.h"

#include "llvm/Support/SaveAndRestore.h"

using namespace mlir;
using namespace bitbyte::bb;

static GraphTensorType type(Value v) {
  return cast<GraphTensorType>(v.getType());
}

Moment StepBuilder::momentOf(Value value) const {
  return {std::max<int64_t>(streams.period(value), 1),
          streams.ahead(value) < 0};
}

SmallVector<Moment> StepBuilder::moments() {
  SmallVector<Moment> all;
  for (Operation &op : source.getBody().front())
    for (Value v : op.getResults())
      if (streams.ahead(v) > StreamAnalysis::never &&
          !llvm::is_contained(all, momentOf(v)))
        all.push_back(momentOf(v));
  return all;
}

LogicalResult StepBuilder::derive(int64_t count, StringRef name) {
  rows = count;
  fixedName = name.str();
  steps.clear();
  current = nullptr;
  findLastOnly();
  for (Operation &op : source.getBody().front()) {
    if (auto ret = dyn_cast<ReturnOp>(op))
      return finish(ret);
    // What no byte changes is made where it is asked for.
    if (!op.getNumResults() ||
        streams.ahead(op.getResult(0)) <= StreamAnalysis::never)
      continue;
    if (streams.ahead(op.getResult(0)) >= StreamAnalysis::always) {
      Operation *by = streams.raisedBy(op.getResult(0));
      return (by ? by : &op)
          ->emitOpError("looks at the whole sequence, so that its result "
                        "cannot be made byte "
                        "by byte");
    }
    enter(stepAt(momentOf(op.getResult(0))));
    if (failed(emit(&op)))
      return failure();
  }
  return success();
}

/// An op matters for its last item only if all that read it do.
void StepBuilder::findLastOnly() {
  lastOnly.clear();
  if (rows == 1)
    return;
  for (Operation &op : llvm::reverse(source.getBody().front())) {
    bool perItem =
        !isa<IncrementalOpInterface>(op) &&
        llvm::all_of(op.getResults(), [&](Value v) { return streams.axis(v); });
    if (isa<ReturnOp>(op) ||
        (perItem && llvm::all_of(op.getUsers(), [&](Operation *user) {
           return lastOnly.contains(user);
         })))
      lastOnly.insert(&op);
  }
}

StepBuilder::Step &StepBuilder::stepAt(Moment moment) {
  std::unique_ptr<Step> &step = steps[moment];
  if (step)
    return *step;
  std::string name = fixedName.empty()
                         ? (moment.before ? "before." : "after.") +
                               std::to_string(moment.period)
                         : fixedName;
  OpBuilder b(source);
  step = std::make_unique<Step>();
  step->moment = moment;
  step->program = ProgramOp::create(b, source.getLoc(), b.getStringAttr(name),
                                    b.getArrayAttr({}), b.getArrayAttr({}),
                                    ArrayAttr(), ArrayAttr(), ArrayAttr());
  Block *body = b.createBlock(&step->program.getBody());
  step->position = body->addArgument(
      GraphTensorType::get(getContext(), ArrayRef<DimAttr>{}, getI32Type()),
      source.getLoc());
  step->arguments.push_back(getStringAttr("position"));
  return *step;
}

void StepBuilder::enter(Step &step) {
  current = &step;
  setInsertionPointToEnd(&step.program.getBody().front());
}

LogicalResult StepBuilder::where(Value value,
                                 function_ref<LogicalResult()> body) {
  if (streams.ahead(value) <= StreamAnalysis::never)
    return body();
  Step *reader = current;
  llvm::SaveAndRestore allItems(emittingLast, false);
  enter(stepAt(momentOf(value)));
  LogicalResult done = body();
  enter(*reader);
  return done;
}

LogicalResult StepBuilder::emit(Operation *op) {
  llvm::SaveAndRestore last(emittingLast, lastOnly.contains(op));
  if (auto rule = dyn_cast<IncrementalOpInterface>(op))
    return rule.decode(*this);
  return clone(op);
}

LogicalResult StepBuilder::clone(Operation *op) {
  IRMapping map;
  for (Value v : op->getOperands()) {
    Value now = in(v);
    if (!now)
      return failure();
    map.map(v, now);
  }
  AttrTypeReplacer sizes;
  sizes.addReplacement([&](DimAttr d) -> std::pair<Attribute, WalkResult> {
    return {bind(d), WalkResult::skip()};
  });
  Operation *now = OpBuilder::clone(*op, map);
  sizes.replaceElementsIn(now, /*replaceAttrs=*/true, /*replaceLocs=*/false,
                          /*replaceTypes=*/true);
  for (auto [old, made] : llvm::zip(op->getResults(), now->getResults()))
    result(old, made);
  return success();
}

Env StepBuilder::lengths(int64_t items) const {
  Env env;
  env[streams.stream()] =
      DimAttr::get(getContext(), current->moment.period * items);
  return env;
}
DimAttr StepBuilder::bind(DimAttr dim) {
  auto bound = substitute(dim, lengths(emittingLast ? 1 : rows));
  return cast<DimAttr>(bound);
}
GraphTensorType StepBuilder::bind(GraphTensorType t) {
  SmallVector<DimAttr> dims;
  for (DimAttr d : t.getShape())
    dims.push_back(bind(d));
  return t.with(dims);
}

Value StepBuilder::in(Value value) {
  Value all = current->values.lookup(value);
  if (!all && !(all = make(value)))
    return {};
  auto axis = streams.axis(value);
  Operation *op = value.getDefiningOp();
  if (!emittingLast || !axis || (op && lastOnly.contains(op)))
    return all;
  Value &last = current->lastItems[value];
  if (!last) {
    auto dim = [&](int64_t n) { return DimAttr::get(getContext(), n); };
    last = SliceOp::create(*this, value.getLoc(), all, dim(*axis),
                           dim(rows - 1), dim(1));
  }
  return last;
}

/// A value that is not there yet: an input, or one that no byte changes.
Value StepBuilder::make(Value value) {
  if (auto input = dyn_cast<BlockArgument>(value))
    return argument(input);
  Operation *op = value.getDefiningOp();
  if (streams.ahead(value) > StreamAnalysis::never) {
    auto error = op->emitOpError("is made at another moment than it is read");
    error.attachNote(current->program.getLoc())
        << "read by @" << current->program.getSymName();
    return {};
  }
  llvm::SaveAndRestore allItems(emittingLast, false);
  if (failed(emit(op)))
    return {};
  return current->values.lookup(value);
}

Value StepBuilder::argument(BlockArgument input) {
  bool timed = streams.period(input) != 0;
  StringRef name = source.argName(input.getArgNumber());
  if (timed && current->moment != momentOf(input)) {
    source.emitOpError() << "reads input '" << name << "' in @"
                         << current->program.getSymName()
                         << ", which runs at another moment than it comes";
    return {};
  }
  llvm::SaveAndRestore allItems(emittingLast, false);
  Block &body = current->program.getBody().front();
  Value now = body.addArgument(bind(type(input)), input.getLoc());
  bool isByte = timed && type(input).getElement().isUnsignedInteger(8);
  current->arguments.push_back(getStringAttr(isByte ? "byte" : name));
  current->values[input] = now;
  return now;
}

/// What the program returns, for one position and in f32: [B, vocab].
LogicalResult StepBuilder::finish(ReturnOp ret) {
  for (auto [i, value] : llvm::enumerate(ret.getValues())) {
    auto axis = streams.axis(value);
    if (!axis || streams.ahead(value) <= StreamAnalysis::never)
      return ret.emitOpError() << "result " << i << " is " << type(value).str()
                               << ", which is not one for each byte";
    enter(stepAt(momentOf(value)));
    llvm::SaveAndRestore last(emittingLast, rows > 1);
    Value now = in(value);
    if (!now)
      return failure();
    SmallVector<Attribute> dims;
    for (auto [k, d] : llvm::enumerate(type(now).getShape()))
      if (k != *axis)
        dims.push_back(d);
    now = ReshapeOp::create(*this, value.getLoc(), now, getArrayAttr(dims));
    if (!type(now).getElement().isF32())
      now = CastOp::create(*this, value.getLoc(), now, getF32Type());
    current->results.push_back(now);
    std::string name = source.resultName(i);
    StringRef base = StringRef(name).split(".open").first;
    current->resultNames.push_back(getStringAttr(base));
  }
  for (auto &[moment, step] : steps) {
    enter(*step);
    // A model of one rate that never looks at its place can go on for ever.
    if (steps.size() == 1 && step->position.use_empty()) {
      step->program.getBody().front().eraseArgument(0);
      step->arguments.erase(step->arguments.begin());
    }
    ReturnOp::create(*this, ret.getLoc(), step->results);
    SmallVector<Attribute> types;
    for (Value v : step->results)
      types.push_back(TypeAttr::get(v.getType()));
    step->program.setResultTypesAttr(getArrayAttr(types));
    step->program.setArgNamesAttr(getArrayAttr(step->arguments));
    if (!step->resultNames.empty())
      step->program.setResultNamesAttr(getArrayAttr(step->resultNames));
  }
  return success();
}

FlatSymbolRefAttr StepBuilder::state(Operation *op, StringRef what,
                                     GraphTensorType stored) {
  FlatSymbolRefAttr &ref = states[{op, what.str()}];
  if (ref)
    return ref;
  // Instantiate names a location by the path of its scopes.
  auto named = dyn_cast<NameLoc>(op->getLoc());
  std::string base =
      "cache." + (named ? named.getName().str() + "." : "") + what.str();
  auto model = source->getParentOfType<ModelOp>();
  std::string name = base;
  for (int n = 1; SymbolTable::lookupSymbolIn(model, name); ++n)
    name = base + "." + std::to_string(n);
  OpBuilder b(source);
  for (Operation &first : model.getBody().front()) // beside the other states
    if (isa<ProgramOp>(first)) {
      b.setInsertionPoint(&first);
      break;
    }
  StateOp::create(b, op->getLoc(), b.getStringAttr(name), TypeAttr::get(stored),
                  StateKindAttr::get(getContext(), StateKind::Cache),
                  InitAttr(), StringAttr(), FlatSymbolRefAttr(), IntegerAttr(),
                  UnitAttr());
  ref = FlatSymbolRefAttr::get(getContext(), name);
  return ref;
}
