//===- Programs.cpp - Making and trimming programs ------------------------===//
#include "passes/differentiate/Programs.h"

#include "mlir/IR/Dominance.h"
#include "mlir/Transforms/CSE.h"

using namespace mlir;
using namespace bitbyte::bb;

GraphTensorType bitbyte::bb::scalarType(MLIRContext *context) {
  return GraphTensorType::get(context, {}, Float32Type::get(context));
}

ProgramOp bitbyte::bb::makeProgram(ModelOp model, StringRef name,
                                   ArrayRef<std::string> arguments) {
  Location loc = model.getLoc();
  OpBuilder b(model.getContext());
  b.setInsertionPointToEnd(&model.getBody().front());
  SmallVector<StringRef> names(arguments.begin(), arguments.end());
  auto program = ProgramOp::create(
      b, loc, b.getStringAttr(name), /*config=*/b.getArrayAttr({}),
      /*result_types=*/b.getArrayAttr({}), /*ahead=*/ArrayAttr(),
      /*arg_names=*/b.getStrArrayAttr(names), /*result_names=*/ArrayAttr());
  Block *body = b.createBlock(&program.getBody());
  for (size_t i = 0; i < names.size(); ++i)
    body->addArgument(scalarType(b.getContext()), loc);
  ReturnOp::create(b, loc, ValueRange());
  return program;
}

ProgramOp bitbyte::bb::copyProgram(ProgramOp program, StringRef name,
                                   Operation *after) {
  OpBuilder b(program.getContext());
  b.setInsertionPointAfter(after);
  auto copy = cast<ProgramOp>(b.clone(*program.getOperation()));
  copy.setSymName(name);
  return copy;
}

Value bitbyte::bb::addArgument(ProgramOp program, StringRef name,
                               GraphTensorType type) {
  Builder b(program.getContext());
  auto append = [](std::optional<ArrayAttr> list, Attribute more) {
    SmallVector<Attribute> all;
    if (list)
      all.append(list->begin(), list->end());
    all.push_back(more);
    return ArrayAttr::get(more.getContext(), all);
  };
  program.setArgNamesAttr(append(program.getArgNames(), b.getStringAttr(name)));
  if (program.getAhead())
    program.setAheadAttr(
        append(program.getAhead(), DimAttr::get(b.getContext(), 0)));
  return program.getBody().front().addArgument(type, program.getLoc());
}

OpBuilder bitbyte::bb::atEnd(ProgramOp program) {
  return OpBuilder(program.getBody().front().getTerminator());
}

void bitbyte::bb::setResults(ProgramOp program, ValueRange values,
                             ArrayRef<std::string> names) {
  Builder b(program.getContext());
  program.getBody().front().getTerminator()->setOperands(values);
  SmallVector<Attribute> types;
  for (Value value : values)
    types.push_back(TypeAttr::get(value.getType()));
  program.setResultTypesAttr(b.getArrayAttr(types));
  program.setResultNamesAttr(
      b.getStrArrayAttr(SmallVector<StringRef>(names.begin(), names.end())));
}

Value bitbyte::bb::readState(OpBuilder &b, Location loc, ModelOp model,
                             StringRef state) {
  auto op = model.lookupSymbol<StateOp>(state);
  return ReadOp::create(b, loc, op.getType(), state);
}
void bitbyte::bb::writeState(OpBuilder &b, Location loc, StringRef state,
                             Value value) {
  WriteOp::create(b, loc, state, value);
}

Value bitbyte::bb::makeFill(OpBuilder &b, Location loc, double value,
                            GraphTensorType type) {
  SmallVector<Attribute> shape(type.getShape().begin(), type.getShape().end());
  return FillOp::create(b, loc, b.getF64FloatAttr(value), type.getElement(),
                        b.getArrayAttr(shape));
}

void bitbyte::bb::simplify(ProgramOp program) {
  Block &body = program.getBody().front();
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
    if (isOpTriviallyDead(&op))
      op.erase();
  IRRewriter rewriter(program.getContext());
  DominanceInfo dominance(program);
  eliminateCommonSubExpressions(rewriter, dominance, program);
}
