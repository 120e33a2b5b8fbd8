//===- Incrementalize.cpp - Phase: programs that generate byte by byte ----===//
#include "passes/incrementalize/Incrementalize.h"

#include "passes/incrementalize/StepBuilder.h"

using namespace mlir;

namespace bitbyte::bb {
#define GEN_PASS_DEF_INCREMENTALIZEPASS
#include "passes/incrementalize/Passes.h.inc"
} // namespace bitbyte::bb

using namespace bitbyte::bb;

/// Prompts run through the model in chunks of this many bytes, or fewer.
constexpr int64_t mostRows = 64;

/// The one stream name that a program leaves open.
static StringAttr openStream(ProgramOp program) {
  StringAttr found;
  for (Attribute a : program.getConfig())
    if (auto c = cast<ConfigAttr>(a);
        c.getRole() == "stream" && !c.getValue()) {
      if (found)
        return {};
      found = c.getName();
    }
  return found;
}

/// Bytes that a model remembers: its config's `context`, else the stream's own
/// length.
static std::optional<int64_t> contextOf(ModelOp model, StringAttr stream) {
  std::optional<int64_t> context, length;
  for (Attribute a : model.getConfig()) {
    auto c = cast<ConfigAttr>(a);
    auto value = dyn_cast_or_null<DimAttr>(c.getValue());
    if (value && c.getName() == "context")
      context = value.constant();
    if (value && c.getName() == stream)
      length = value.constant();
  }
  return context ? context : length;
}

/// The largest chunk that fits the context and never straddles a block.
static int64_t chunkOf(ProgramOp program, int64_t context) {
  SmallVector<int64_t> units;
  program.walk([&](IncrementalOpInterface op) {
    if (int64_t unit = op.chunkDivides())
      units.push_back(unit);
  });
  for (int64_t rows = std::min(mostRows, context); rows > 1; --rows)
    if (llvm::all_of(units, [&](int64_t u) { return u % rows == 0; }))
      return rows;
  return 1;
}

static LogicalResult incrementalize(ModelOp model) {
  auto open = dyn_cast_or_null<ProgramOp>(
      SymbolTable::lookupSymbolIn(model, "logits.open"));
  if (!open)
    return model.emitOpError(
        "has no program @logits.open: instantiate it with 'decode'");
  StringAttr stream = openStream(open);
  if (!stream)
    return model.emitOpError("needs one stream name to be decoded along");
  auto context = contextOf(model, stream);
  if (!context)
    return model.emitOpError("needs a 'context', the number of bytes that it "
                             "remembers");

  StreamAnalysis streams(open, stream);
  StepBuilder probe(open, streams, *context, 1);
  SmallVector<Moment> moments = probe.moments();
  bool isOneMoment = moments.size() == 1 && moments[0] == Moment{};
  int64_t chunk = isOneMoment ? chunkOf(open, *context) : 1;

  StepBuilder steps(open, streams, *context, chunk);
  if (chunk > 1 && failed(steps.derive(chunk, "prefill")))
    return failure();
  if (failed(steps.derive(1)))
    return failure();
  open.erase();
  return success();
}

namespace {
struct IncrementalizePass
    : bitbyte::bb::impl::IncrementalizePassBase<IncrementalizePass> {
  void runOnOperation() override {
    for (ModelOp model : getOperation().getOps<ModelOp>())
      if (failed(incrementalize(model)))
        return signalPassFailure();
  }
};
} // namespace
