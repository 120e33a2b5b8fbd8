//===- Check.cpp - Kernels of a program against its meaning ---------------===//
#include "test/passes/tile/Check.h"
#include "passes/fuse/Fuse.h"
#include "passes/tile/Tile.h"
#include "test/compiler/codegen/Harness.h"
#include "test/passes/tile/Emulated.h"
#include "test/passes/tile/Reference.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace mlir;
using namespace bitbyte;
using bb::Elements;

namespace {

Type elementOf(Value v) {
  return cast<bb::GraphTensorType>(v.getType()).getElement();
}

/// The bytes of a tensor, as kernels see them.
struct Buffer {
  explicit Buffer(size_t bytes)
      : size(bytes),
        data(static_cast<char *>(aligned_alloc(64, (bytes + 127) / 64 * 64))) {
    memset(data, 0x7f, (bytes + 127) / 64 * 64); // what is not written shows
  }
  ~Buffer() { free(data); }
  size_t size;
  char *data;
};
using BufferPtr = std::shared_ptr<Buffer>;

int64_t bytesOf(Type element) {
  return std::max<int64_t>(1, element.getIntOrFloatBitWidth() / 8);
}
BufferPtr pack(const Elements &values, Type element) {
  auto buffer = std::make_shared<Buffer>(values.size() * bytesOf(element));
  for (auto [i, v] : llvm::enumerate(values)) {
    char *at = buffer->data + i * bytesOf(element);
    if (element.isF32())
      *reinterpret_cast<float *>(at) = static_cast<float>(v);
    else if (element.isBF16())
      *reinterpret_cast<uint16_t *>(at) =
          codegen::toBf16(static_cast<float>(v));
    else if (element.isInteger(32))
      *reinterpret_cast<int32_t *>(at) = static_cast<int32_t>(v);
    else
      *at = static_cast<char>(static_cast<int>(v));
  }
  return buffer;
}
Elements unpack(const Buffer &buffer, Type element) {
  Elements values(buffer.size / bytesOf(element));
  for (auto [i, v] : llvm::enumerate(values)) {
    const char *at = buffer.data + i * bytesOf(element);
    if (element.isF32())
      v = *reinterpret_cast<const float *>(at);
    else if (element.isBF16())
      v = codegen::fromBf16(*reinterpret_cast<const uint16_t *>(at));
    else if (element.isInteger(32))
      v = *reinterpret_cast<const int32_t *>(at);
    else
      v = *reinterpret_cast<const uint8_t *>(at);
  }
  return values;
}

/// Numbers for a program's argument: below 5 for integers, else in [-1, 1).
Elements input(Value argument, unsigned seed) {
  Elements values;
  Type element = elementOf(argument);
  for (float f : codegen::noise(bb::elementCount(argument), seed))
    values.push_back(isa<FloatType>(element) ? bb::rounded(f, element)
                     : element.isInteger(1)  ? double(f > 0)
                                             : std::floor((f + 1) * 2.5));
  return values;
}

Elements constantValues(bb::ConstantOp op) {
  Elements values;
  for (float f : cast<DenseElementsAttr>(op.getValue()).getValues<float>())
    values.push_back(f);
  return values;
}

/// Walks a program; `step` computes what is neither constant nor reshape.
template <typename T, typename Constant, typename Step>
std::vector<T> walk(bb::ProgramOp program, llvm::DenseMap<Value, T> &values,
                    Constant constant, Step step) {
  std::vector<T> results;
  for (Operation &op : program.getBody().front()) {
    if (auto c = dyn_cast<bb::ConstantOp>(op))
      values[c.getY()] = constant(c);
    else if (auto r = dyn_cast<bb::ReshapeOp>(op))
      values[r.getY()] = values[r.getX()];
    else if (isa<bb::ReturnOp>(op))
      for (Value v : op.getOperands())
        results.push_back(values[v]);
    else
      step(&op);
  }
  return results;
}

} // namespace

int64_t check(const std::string &text, double tolerance,
              const std::string &target, const std::string &schedule) {
  MLIRContext context;
  context.loadDialect<bb::BBDialect, tile::TileDialect, arith::ArithDialect>();
  auto module =
      parseSourceString<ModuleOp>("bb.model @m() {\n" + text + "\n}", &context);
  EXPECT_TRUE(module) << text;
  if (!module)
    return 0;
  PassManager fuse(&context);
  fuse.addPass(bb::createFusePass());
  EXPECT_TRUE(succeeded(fuse.run(*module)));

  auto programOf = [&] {
    bb::ProgramOp found;
    module->walk([&](bb::ProgramOp p) { found = p; });
    return found;
  };
  llvm::DenseMap<Value, Elements> wanted;
  bb::ProgramOp program = programOf();
  std::vector<Elements> arguments;
  for (auto [i, v] : llvm::enumerate(program.getBody().getArguments())) {
    arguments.push_back(input(v, i + 1));
    wanted[v] = arguments.back();
  }
  std::vector<Elements> want =
      walk(program, wanted, constantValues, [&](Operation *op) {
        std::vector<Elements> operands, results;
        for (Value v : op->getOperands())
          operands.push_back(wanted[v]);
        if (auto fused = dyn_cast<bb::FusedOp>(op))
          results = bb::evaluate(fused, operands);
        else if (auto attention = dyn_cast<bb::AttentionOp>(op))
          results = bb::evaluate(attention, operands);
        else if (auto grad = dyn_cast<bb::AttentionGradOp>(op))
          results = bb::evaluate(grad, operands);
        else if (auto scan = dyn_cast<bb::SelectiveScanOp>(op))
          results = bb::evaluate(scan, operands);
        else if (auto grad = dyn_cast<bb::SelectiveScanGradOp>(op))
          results = bb::evaluate(grad, operands);
        else
          ADD_FAILURE() << "no reference for "
                        << op->getName().getStringRef().str();
        for (auto [v, y] : llvm::zip(op->getResults(), results))
          wanted[v] = y;
      });

  PassManager tiling(&context);
  tile::TilePassOptions options;
  options.targetName = target;
  tiling.addPass(tile::createTilePass(options));
  EXPECT_TRUE(succeeded(tiling.run(*module)));
  std::string kernels;
  llvm::raw_string_ostream os(kernels);
  for (auto kernel : module->getOps<tile::KernelOp>()) {
    kernel->print(os, OpPrintingFlags().useLocalScope());
    os << '\n';
  }
  bool emulates = target == "cuda";
  if (!emulates && !codegen::canRun(target))
    return 0;
  std::unique_ptr<codegen::Loaded> loaded;
  std::unique_ptr<Emulated> emulated;
  if (emulates)
    emulated = std::make_unique<Emulated>(kernels, schedule);
  else
    loaded = std::make_unique<codegen::Loaded>(kernels, target);

  llvm::DenseMap<Value, BufferPtr> buffers;
  program = programOf();
  for (auto [v, values] :
       llvm::zip(program.getBody().getArguments(), arguments))
    buffers[v] = pack(values, elementOf(v));
  SmallVector<Type> resultElements;
  int64_t dispatches = 0;
  std::vector<BufferPtr> got = walk(
      program, buffers,
      [](bb::ConstantOp c) {
        return pack(constantValues(c), elementOf(c.getY()));
      },
      [&](Operation *op) {
        auto dispatch = cast<tile::DispatchOp>(op);
        ++dispatches;
        std::vector<void *> all;
        std::vector<size_t> sizes;
        for (Value v : op->getOperands()) {
          all.push_back(buffers[v]->data);
          sizes.push_back(buffers[v]->size);
        }
        for (auto [i, v] : llvm::enumerate(op->getResults())) {
          int64_t from =
              dispatch.getInplace() ? (*dispatch.getInplace())[i] : -1;
          // Every takeover that is allowed happens here, unless something else
          // still needs the old values.
          bool dies = from >= 0 && op->getOperand(from).hasOneUse() &&
                      !op->getOperand(from).getDefiningOp<bb::ConstantOp>();
          buffers[v] = dies ? buffers[op->getOperand(from)]
                            : std::make_shared<Buffer>(bb::elementCount(v) *
                                                       bytesOf(elementOf(v)));
          all.push_back(buffers[v]->data);
          sizes.push_back(buffers[v]->size);
          if (dispatch.getPartial() && !dies)
            std::memcpy(buffers[v]->data, all[from],
                        bb::elementCount(v) * bytesOf(elementOf(v)));
        }
        if (emulates)
          emulated->run(dispatch.getKernel().str(), all, sizes);
        else
          loaded->run(dispatch.getKernel().str(), all);
      });
  for (Value v : program.getBody().front().getTerminator()->getOperands())
    resultElements.push_back(elementOf(v));
  for (size_t i = 0; i < want.size(); ++i) {
    Elements have = unpack(*got[i], resultElements[i]);
    EXPECT_EQ(have.size(), want[i].size());
    double scale = 1e-2; // of numbers that are 0 but for rounding
    for (double w : want[i])
      scale = std::max(scale, std::fabs(w));
    for (size_t j = 0; j < have.size(); ++j)
      if (!(std::fabs(have[j] - want[i][j]) <= tolerance * scale)) {
        ADD_FAILURE() << "result " << i << ", element " << j << " is "
                      << have[j] << ", not " << want[i][j] << "\n"
                      << text;
        break;
      }
  }
  return dispatches;
}
