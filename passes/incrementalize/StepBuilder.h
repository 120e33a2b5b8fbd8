//===- StepBuilder.h - Fills the step programs of one model ---------------===//
#pragma once

#include "dialects/bb/BBDecode.h"

#include "mlir/IR/AttrTypeSubElements.h"

#include <map>

namespace bitbyte::bb {

/// When a step program runs: every `period` bytes, before or after the item.
struct Moment {
  int64_t period = 1;
  bool before = false;
  auto operator<=>(const Moment &) const = default;
};

class StepBuilder final : public DecodeBuilder {
public:
  /// `context` bytes are remembered; no step handles more than `largest` items.
  StepBuilder(ProgramOp source, const StreamAnalysis &streams, int64_t context,
              int64_t largest)
      : DecodeBuilder(source.getContext(), streams), source(source),
        context(context), largest(largest) {}

  /// Derives the step programs for `rows` items at once. A `name` is for a
  /// model of one moment only.
  mlir::LogicalResult derive(int64_t rows, llvm::StringRef name = "");
  /// The moments of the values that depend on bytes, in no order.
  llvm::SmallVector<Moment> moments();

  mlir::Value in(mlir::Value value) override;
  mlir::Value position() override { return current->position; }
  DimAttr bind(DimAttr dim) override;
  GraphTensorType bind(GraphTensorType type) override;
  int64_t largestStep() override { return largest; }
  int64_t capacity(mlir::Value value) override {
    return context / streams.period(value);
  }
  mlir::FlatSymbolRefAttr state(mlir::Operation *op, llvm::StringRef what,
                                GraphTensorType type) override;
  mlir::LogicalResult
  where(mlir::Value value,
        llvm::function_ref<mlir::LogicalResult()> body) override;
  void result(mlir::Value old, mlir::Value now) override {
    current->values[old] = now;
  }
  mlir::LogicalResult clone(mlir::Operation *op) override;

private:
  struct Step {
    ProgramOp program;
    Moment moment;
    mlir::Value position;
    llvm::DenseMap<mlir::Value, mlir::Value> values;
    /// The last item of values that are there with all items.
    llvm::DenseMap<mlir::Value, mlir::Value> lastItems;
    llvm::SmallVector<mlir::Attribute> arguments; ///< names
    llvm::SmallVector<mlir::Value> results;
    llvm::SmallVector<mlir::Attribute> resultNames;
  };

  Moment momentOf(mlir::Value value) const;
  Step &stepAt(Moment moment);
  void enter(Step &step);
  mlir::LogicalResult emit(mlir::Operation *op);
  mlir::Value make(mlir::Value value);
  mlir::Value argument(mlir::BlockArgument source);
  mlir::LogicalResult finish(ReturnOp ret);
  void findLastOnly();
  Env lengths(int64_t items) const;

  ProgramOp source;
  int64_t context, largest;
  int64_t rows = 1;
  std::string fixedName;
  std::map<Moment, std::unique_ptr<Step>> steps;
  Step *current = nullptr;
  /// Ops of which only the last item of a chunk matters, and whether one of
  /// them is being emitted.
  llvm::DenseSet<mlir::Operation *> lastOnly;
  bool emittingLast = false;
  std::map<std::pair<mlir::Operation *, std::string>, mlir::FlatSymbolRefAttr>
      states;
};

} // namespace bitbyte::bb
