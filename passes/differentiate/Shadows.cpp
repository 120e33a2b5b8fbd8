//===- Shadows.cpp - Rounded copies of parameters -------------------------===//
#include "passes/differentiate/Shadows.h"

#include "passes/differentiate/Programs.h"

using namespace mlir;
using namespace bitbyte::bb;

/// The casts of parameters to a 16-bit float, over all programs.
static SmallVector<CastOp> roundedReads(ModelOp model) {
  SmallVector<CastOp> casts;
  model.walk([&](CastOp cast) {
    auto read = cast.getX().getDefiningOp<ReadOp>();
    auto to = dyn_cast<FloatType>(cast.getTo());
    if (!read || !to || to.getWidth() != 16)
      return;
    auto state = model.lookupSymbol<StateOp>(read.getState());
    if (state && state.getKind() == StateKind::Parameter)
      casts.push_back(cast);
  });
  return casts;
}

static StringRef parameterOf(CastOp cast) {
  return cast.getX().getDefiningOp<ReadOp>().getState();
}

/// Lets a cast of a parameter be a read of its shadow.
static void readShadow(CastOp cast) {
  auto read = cast.getX().getDefiningOp<ReadOp>();
  OpBuilder b(cast);
  auto shadow = ReadOp::create(b, read.getLoc(), cast.getY().getType(),
                               ("shadow." + read.getState()).str());
  cast.getY().replaceAllUsesWith(shadow.getY());
  cast.erase();
  if (read->use_empty())
    read.erase();
}

void bitbyte::bb::addShadows(ModelOp model, ArrayRef<ParameterGroup> groups,
                             ProgramOp update) {
  SmallVector<CastOp> casts = roundedReads(model);
  if (casts.empty())
    return;
  // A model has one compute type; a cast to another one stays a cast.
  Type element = casts.front().getTo();
  llvm::erase_if(casts, [&](CastOp cast) { return cast.getTo() != element; });
  llvm::StringSet<> rounded;
  for (CastOp cast : casts)
    rounded.insert(parameterOf(cast));

  ProgramOp prepare = makeProgram(model, "prepare", {});
  auto derive = [&](OpBuilder b, StringRef shadow, Value master) {
    Location loc = master.getLoc();
    writeState(b, loc, shadow, CastOp::create(b, loc, master, element));
  };
  for (const ParameterGroup &group : groups) {
    bool any = llvm::any_of(group.parameters, [&](StateOp state) {
      return rounded.contains(state.getSymName());
    });
    if (!any)
      continue;
    makeSlices(group, "shadow", StateKind::Derived, element, /*saved=*/false);
    std::string master = flatName("master", group);
    std::string shadow = flatName("shadow", group);
    OpBuilder b = atEnd(prepare);
    derive(b, shadow, readState(b, prepare.getLoc(), model, master));
    if (!update)
      continue;
    for (auto write : llvm::to_vector(update.getBody().getOps<WriteOp>()))
      if (write.getState() == master) {
        b.setInsertionPointAfter(write);
        derive(b, shadow, write.getX());
      }
  }
  for (CastOp cast : casts)
    readShadow(cast);
}
