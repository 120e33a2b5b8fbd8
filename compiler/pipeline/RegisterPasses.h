//===- RegisterPasses.h - Every dialect and phase, one line each ----------===//
#pragma once

#include "compiler/pipeline/TestFailure.h"
#include "dialects/bb/BBOps.h"
#include "dialects/plan/PlanDialect.h"
#include "dialects/tile/TileOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Transforms/Passes.h"
#include "passes/differentiate/Differentiate.h"
#include "passes/fuse/Fuse.h"
#include "passes/incrementalize/Incrementalize.h"
#include "passes/instantiate/Instantiate.h"
#include "passes/lower/Passes.h"
#include "passes/plan/Passes.h"
#include "passes/quantize/Quantize.h"
#include "passes/tile/Tile.h"

namespace bitbyte {

inline void registerDialectsAndPasses(mlir::DialectRegistry &registry) {
  registry.insert<bb::BBDialect, tile::TileDialect, plan::PlanDialect,
                  mlir::arith::ArithDialect, mlir::math::MathDialect>();

  bb::registerInstantiatePass();
  bb::registerQuantizePass();
  bb::registerDifferentiatePass();
  bb::registerIncrementalizePass();
  bb::registerFusePass();
  tile::registerTilePass();
  tile::registerToNvvmPass();
  tile::registerToX86Pass();
  plan::registerPlanPass();
  bb::registerTestFailurePass();

  mlir::registerCanonicalizerPass();
  mlir::registerCSEPass();
}

} // namespace bitbyte
