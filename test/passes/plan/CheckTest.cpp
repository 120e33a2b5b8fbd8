//===- CheckTest.cpp - The checker finds every broken plan ----------------===//

#include "passes/plan/Check.h"
#include "passes/plan/Passes.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <gmock/gmock.h>

using namespace mlir;
using namespace bitbyte;
using namespace bitbyte::plan;

namespace {

/// Every value is used, so that a buffer in a wrong place always matters.
constexpr llvm::StringLiteral text = R"(
tile.kernel @g(%a: !tile.buf<64xf32, global>, %b: !tile.buf<64xf32, global>,
               %y: !tile.buf<64xf32, global>, %z: !tile.buf<64xf32, global>)
    attributes {programs = 1 : i64} { tile.return }
bb.model @m() {
  state @flat f32[128] parameter
  state @w f32[64] parameter init ones slice of @flat at 64
  state @step f32[64] moment
  state @sum f32[64] gradient
  program @p(%x: f32[8, 8], %u: f32[64]) -> f32[64], f32[64], f32[64], f32[64] {
    %v = reshape %x to [64]
    %w = read @w f32[64]
    %old = read @sum f32[64]
    %step = read @step f32[64]
    %two = constant "two" dense<2.0> : tensor<64xf32>
    %zero = constant "zero" dense<0.0> : tensor<64xf32>
    %a, %b = tile.dispatch @g(%v, %two) inplace [0, -1]
        : (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>) -> (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>)
    %c, %d = tile.dispatch @g(%a, %w)
        : (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>) -> (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>)
    %e, %h = tile.dispatch @g(%b, %old) inplace [-1, 1]
        : (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>) -> (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>)
    %i, %j = tile.dispatch @g(%e, %d)
        : (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>) -> (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>)
    %k, %l = tile.dispatch @g(%c, %u) inplace [0, 1]
        : (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>) -> (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>)
    %y, %o = tile.dispatch @g(%i, %l)
        : (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>) -> (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>)
    %s, %t = tile.dispatch @g(%j, %k) inplace [1, 0]
        : (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>) -> (!bb.tensor<f32[64]>, !bb.tensor<f32[64]>)
    write @w, %h
    write @sum, %zero
    write @step, %o
    return %step, %y, %s, %t
  }
}
)";

class CheckTest : public testing::Test {
protected:
  void SetUp() override {
    context.loadDialect<bb::BBDialect, tile::TileDialect, PlanDialect>();
    module = parseSourceString<ModuleOp>(text, &context);
    ASSERT_TRUE(module);
    plan = module->clone();
    PassManager passes(&context);
    passes.addPass(createPlanPass());
    ASSERT_TRUE(succeeded(passes.run(*plan)));
    auto model = *module->getOps<bb::ModelOp>().begin();
    source = *model.getBody().getOps<bb::ProgramOp>().begin();
    planned = *plan->getOps<ProgramOp>().begin();
    llvm::append_range(dispatches, source.getBody().getOps<tile::DispatchOp>());
  }

  bool isRight() {
    ScopedDiagnosticHandler quiet(&context,
                                  [](Diagnostic &) { return success(); });
    return succeeded(
        checkProgram(planned, source, dispatches, *plan->getBody()));
  }

  /// Calls `test` with the op's attributes changed in each of its buffers.
  template <typename Test>
  void forEachMovedBuffer(Operation *op, int64_t by, Test test) {
    auto moved = [&](BufferAttr buffer) {
      return BufferAttr::get(&context, buffer.getSpace(),
                             buffer.getOffset() + by, buffer.getBytes());
    };
    DictionaryAttr before = op->getAttrDictionary();
    for (NamedAttribute attr : before) {
      if (auto buffer = dyn_cast<BufferAttr>(attr.getValue())) {
        op->setAttr(attr.getName(), moved(buffer));
        test();
      } else if (auto list = dyn_cast<ArrayAttr>(attr.getValue())) {
        for (size_t i = 0; i < list.size(); ++i) {
          SmallVector<Attribute> changed(list.getValue());
          changed[i] = moved(cast<BufferAttr>(changed[i]));
          op->setAttr(attr.getName(), ArrayAttr::get(&context, changed));
          test();
        }
      }
      op->setAttrs(before);
    }
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module, plan;
  bb::ProgramOp source;
  ProgramOp planned;
  std::vector<tile::DispatchOp> dispatches;
};

TEST_F(CheckTest, AcceptsThePlan) { EXPECT_TRUE(isRight()); }

TEST_F(CheckTest, FindsEveryBufferThatIsMoved) {
  int moved = 0;
  for (Operation &op : planned.getBody().front())
    for (int64_t by : {4096, 128, 4})
      forEachMovedBuffer(&op, by, [&] {
        ++moved;
        EXPECT_FALSE(isRight());
        if (HasFailure())
          op.dump();
      });
  EXPECT_GT(moved, 60);
  EXPECT_TRUE(isRight());
}

TEST_F(CheckTest, FindsEveryStepThatIsMissing) {
  auto ops = llvm::map_to_vector(planned.getBody().front(),
                                 [](Operation &op) { return &op; });
  for (Operation *op : ops) {
    Operation *next = op->getNextNode();
    op->remove();
    EXPECT_FALSE(isRight());
    planned.getBody().front().getOperations().insert(
        next ? Block::iterator(next) : planned.getBody().front().end(), op);
  }
  EXPECT_TRUE(isRight());
}

} // namespace
