//===- ScheduleTest.cpp - Kernels against the meaning of their regions ----===//
//
// Each case is a program of graph ops. After fuse its regions are evaluated in
// float64, after tile its kernels run on this machine, and the results must
// agree.
//
//===----------------------------------------------------------------------===//
#include "passes/fuse/Fuse.h"
#include "passes/tile/Tile.h"
#include "test/compiler/codegen/Harness.h"
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

/// Runs `program ...` (its text) both ways and compares; returns how many
/// dispatches it took, the packing of operands included.
int64_t check(const std::string &text, double tolerance = 2e-5,
              const std::string &target = "cpu-v3") {
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

  PassManager schedule(&context);
  tile::TilePassOptions options;
  options.targetName = target;
  schedule.addPass(tile::createTilePass(options));
  EXPECT_TRUE(succeeded(schedule.run(*module)));
  std::string kernels;
  llvm::raw_string_ostream os(kernels);
  for (auto kernel : module->getOps<tile::KernelOp>()) {
    kernel->print(os, OpPrintingFlags().useLocalScope());
    os << '\n';
  }
  if (!codegen::canRun(target))
    return 0;
  codegen::Loaded loaded(kernels, target);

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
        for (Value v : op->getOperands())
          all.push_back(buffers[v]->data);
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
          if (dispatch.getPartial() && !dies)
            std::memcpy(buffers[v]->data, all[from],
                        bb::elementCount(v) * bytesOf(elementOf(v)));
        }
        loaded.run(dispatch.getKernel().str(), all);
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

std::string number(int64_t n) { return std::to_string(n); }

TEST(Schedules, ElementWise) {
  for (int64_t n : {1, 7, 8, 33, 130}) {
    std::string t = "f32[3, " + number(n) + "]";
    check("program @p(%x: " + t + ", %y: f32[" + number(n) +
          "], %s: f32[]) -> " + t + ", " + t +
          " { %a = mul %x, %y\n %b = silu %a\n %c = mul %b, %s\n"
          " %d = softplus %x\n %e = div %d, %s\n return %c, %e }");
  }
  // Small steps keep their digits.
  check("program @p(%x: f32[40]) -> f32[40] { %a = scale %x by 1.0 plus -12.0\n"
        " %b = softplus %a\n %c = log %b\n return %c }",
        1e-6);
}

TEST(Schedules, ComparisonsAndIntegers) {
  check("program @p(%x: f32[37], %i: i32[37], %u: u8[37], %c: i1[37]) -> "
        "f32[37], i32[37], f32[37], i32[37] { %a = lt %x, %x\n %f = is_finite "
        "%x\n"
        " %b = select %c, %x, %x\n %j = add %i, %i\n %k = cast %u to f32\n"
        " %l = eq %i, %j\n %z = cast %l to i32\n return %b, %j, %k, %z }");
}

TEST(Schedules, Bf16IsRoundedAtStores) {
  check("program @p(%x: bf16[5, 40], %g: f32[40]) -> bf16[5, 40] {"
        " %y = rms_norm %x, %g eps 1.0e-5\n return %y }",
        5e-3);
}

TEST(Schedules, Norms) {
  for (int64_t n : {1, 5, 8, 36, 64, 100}) {
    std::string t = "f32[2, 9, " + number(n) + "]",
                g = "f32[" + number(n) + "]";
    check("program @p(%x: " + t + ", %g: " + g + ", %b: " + g + ") -> " + t +
          ", " + t +
          " { %y = rms_norm %x, %g eps 1.0e-5\n"
          " %z = layer_norm %x, %g, %b eps 1.0e-5\n return %y, %z }");
  }
}

TEST(Schedules, SoftmaxAndLoss) {
  for (int64_t n : {5, 8, 40, 256}) {
    std::string t = "f32[2, 11, " + number(n) + "]";
    check("program @p(%x: " + t + ", %next: u8[2, 11]) -> f32[2, 11], " + t +
          " { %y = cross_entropy %x, %next\n %z = softmax %x\n"
          " %h = one_hot %next of " +
          number(n) +
          "\n %d = sub %z, %h\n"
          " return %y, %d }");
  }
}

TEST(Schedules, ColumnSums) {
  for (int64_t n : {1, 6, 8, 45, 200}) {
    std::string t = "f32[7, 60, " + number(n) + "]",
                g = "f32[" + number(n) + "]";
    check("program @p(%x: " + t + ", %y: " + t + ", %old: " + g + ") -> " + g +
          ", " + g +
          " { %a = mul %x, %y\n %b = reduce %a by sum axes [0, 1]\n"
          " %c = add %b, %old\n %d = reduce %x by mean axes [0, 1]\n return "
          "%c, %d }");
  }
}

TEST(Schedules, WholeSums) {
  check("program @p(%x: f32[60, 256], %w: f32[]) -> f32[] { %a = square %x\n"
        " %b = reduce %a by sum axes [1]\n %c = reduce %b by sum axes [0]\n"
        " %d = sqrt %c\n %e = mul %d, %w\n return %e }");
  check(
      "program @p(%x: f32[3, 5]) -> f32[] { %b = reduce %x by sum axes [0, 1]\n"
      " return %b }");
  check("program @p(%x: f32[90]) -> f32[] { %b = reduce %x by max axes [0]\n"
        " return %b }");
}

TEST(Schedules, OneRegionOfSeveralResults) {
  // An optimizer step, all in place.
  for (int64_t n : {5, 64, 1000}) {
    std::string t = "f32[" + number(n) + "]";
    check("program @p(%p: " + t + ", %g: " + t + ", %m: " + t +
          ", %lr: f32[])"
          " -> " +
          t + ", " + t + ", " + t +
          " { %c = mul %g, %lr\n"
          " %m1 = add %m, %c\n %e = tanh %m1\n %p1 = sub %p, %e\n"
          " %z = mul %g, %p1\n return %m1, %p1, %z }");
  }
  // A row's statistic lies where an operand of the same form was.
  check("program @p(%x: f32[9, 40], %s: f32[9, 1]) -> f32[9, 40], f32[9, 1] {"
        " %y = mul %x, %s\n %q = square %y\n"
        " %r = reduce %q by mean axes [1] keep\n return %y, %r }");
  // Two epilogues of one product.
  check("program @p(%dy: f32[32, 24], %w: f32[24, 48], %g: f32[32, 48],"
        " %u: f32[32, 48]) -> f32[32, 48], f32[32, 48] {"
        " %d = einsum %dy, %w as \"ao,oi->ai\"\n %s = silu %g\n"
        " %du = mul %d, %s\n %e = mul %d, %u\n %h = sigmoid %g\n"
        " %dg = mul %e, %h\n return %du, %dg }");
}

TEST(Schedules, Rotary) {
  for (const char *form : {"", " pairs", " inverse"})
    for (int64_t d : {4, 16, 24})
      check("program @p(%x: f32[2, 6, 3, " + number(d) + "]) -> f32[2, 6, 3, " +
            number(d) + "] { %y = rope %x theta 10000.0" + form +
            "\n return %y }");
}

TEST(Schedules, Gather) {
  for (int64_t n : {3, 8, 50})
    check("program @p(%ids: u8[4, 9], %t: f32[6, " + number(n) +
          "], %p: f32[9, " + number(n) + "]) -> f32[4, 9, " + number(n) +
          "] { %x = embed %ids, %t\n"
          " %i = positions of 9\n %q = embed %i, %p\n %y = add %x, %q\n return "
          "%y }");
}

TEST(Schedules, Views) {
  check("program @p(%x: f32[5, 9, 12]) -> f32[12, 9, 5], f32[5, 3, 12], "
        "f32[5, 9, 4], f32[5, 9, 8] {"
        " %a = transpose %x by [2, 1, 0]\n %b = slice %x axis 1 from 4 size 3\n"
        " %c, %d = split %x into [4, 8]\n return %a, %b, %c, %d }");
  check("program @p(%x: f32[2, 5, 7], %y: f32[2, 5, 4], %f: f32[7]) -> "
        "f32[2, 5, 11], f32[2, 8, 7], f32[2, 5, 7], f32[3, 2, 5, 7] {"
        " %a = concat %x, %y\n %b = pad %x axis 1 before 1 after 2\n"
        " %c = shift %x, %f\n %d = broadcast %x to [3, 2, 5, 7]\n"
        " return %a, %b, %c, %d }");
  // Tiles inside a part, across the edges of parts, and beside them.
  check("program @p(%x: f32[3, 64], %y: f32[3, 20], %z: f32[3, 70]) -> "
        "f32[3, 154] { %a = concat %x, %y, %z\n %b = silu %a\n return %b }");
}

TEST(Schedules, Products) {
  for (auto [m, n, k] : {std::array<int64_t, 3>{1, 40, 33},
                         {6, 16, 8},
                         {13, 21, 19},
                         {30, 40, 12},
                         {4, 5, 3},
                         {5, 10, 8}}) {
    std::string x = "f32[1, " + number(m) + ", " + number(k) + "]",
                w = "f32[" + number(n) + ", " + number(k) + "]",
                y = "f32[1, " + number(m) + ", " + number(n) + "]";
    check("program @p(%x: " + x + ", %w: " + w + ", %r: " + y + ", %dy: " + y +
          ") -> " + y + ", " + x + ", " + w +
          " { %a = linear %x, %w\n %b = silu %a\n %c = add %b, %r\n"
          " %dx = einsum %dy, %w as \"abo,oi->abi\"\n"
          " %dw = einsum %dy, %x as \"abo,abi->oi\"\n"
          " %old = add %dw, %w\n return %c, %dx, %old }");
  }
}

TEST(Schedules, ProductsAndAttentionInBf16) {
  check("program @p(%x: bf16[2, 9, 24], %w: bf16[40, 24], %dy: bf16[2, 9, 40]) "
        "-> bf16[2, 9, 40], bf16[2, 9, 24], f32[40, 24] {"
        " %y = linear %x, %w\n %s = gelu %y\n"
        " %dx = einsum %dy, %w as \"abo,oi->abi\"\n"
        " %dw = einsum %dy, %x as \"abo,abi->oi\" into f32\n"
        " return %s, %dx, %dw }",
        8e-3);
  // Enough columns for a program to widen its rows first.
  check("program @p(%x: bf16[1, 13, 37], %w: bf16[2056, 37]) -> "
        "bf16[1, 13, 2056] { %y = linear %x, %w\n return %y }",
        8e-3);
  check("program @p(%q: bf16[1, 20, 2, 16], %k: bf16[1, 20, 2, 16],"
        " %v: bf16[1, 20, 2, 16], %dy: bf16[1, 20, 2, 16]) -> "
        "bf16[1, 20, 2, 16], bf16[1, 20, 2, 16], bf16[1, 20, 2, 16] {"
        " %y, %l = attention %q, %k, %v causal lse\n"
        " %dq, %dk, %dv = attention_grad %q, %k, %v, %y, %l, %dy causal\n"
        " return %dq, %dk, %dv }",
        3e-2);
}

TEST(Schedules, Attention) {
  for (auto [form, t] : {std::pair(" causal", 1),
                         {" causal", 5},
                         {" causal", 29},
                         {"", 29},
                         {" causal window 5", 29},
                         {" causal block 4", 29}}) {
    std::string q = "f32[2, " + number(t) + ", 4, 12]",
                kv = "f32[2, " + number(t) + ", 2, 12]";
    check("program @p(%q: " + q + ", %k: " + kv + ", %v: " + kv +
          ", %dy: " + q + ") -> " + q + ", " + q + ", " + kv + ", " + kv +
          " { %y, %l = attention %q, %k, %v" + form +
          " lse\n"
          " %dq, %dk, %dv = attention_grad %q, %k, %v, %y, %l, %dy" +
          form + "\n return %y, %dq, %dk, %dv }");
  }
}

TEST(Schedules, AttentionOverARing) {
  // The test's integers are below 5: the ring of 4 has gone round, that of 20
  // has empty slots.
  for (int64_t slots : {4, 20})
    for (const char *form : {" causal", " causal window 3"})
      check("program @p(%q: f32[1, 2, 4, 16], %k: f32[1, " + number(slots) +
            ", 2, 16], %v: f32[1, " + number(slots) +
            ", 2, 16], %at: i32[]) -> "
            "f32[1, 2, 4, 16] { %y = attention %q, %k, %v" +
            form + " at %at\n return %y }");
}

// Two columns at once, an odd number of them with a part of one; a last chunk
// cut short. Steps of `reach` e take exponents beyond those of f32, and rates
// of both signs grow as well as decay.
TEST(Schedules, SelectiveScan) {
  for (auto [t, d, n, reach] : {std::tuple(1, 8, 4, 0.1),
                                {37, 16, 16, 0.1},
                                {40, 35, 6, 0.1},
                                {37, 16, 16, 300.0}}) {
    std::string x = "f32[2, " + number(t) + ", " + number(d) + "]",
                a = "f32[" + number(d) + ", " + number(n) + "]",
                b = "f32[2, " + number(t) + ", " + number(n) + "]";
    std::string rate = reach > 1 ? "%a1 = exp %a0\n %a = neg %a1\n"
                                 : "%a = scale %a0 by 1.0\n";
    check("program @p(%x: " + x + ", %dt0: " + x + ", %a0: " + a +
          ", %b: " + b + ", %c: " + b + ", %dy: " + x + ") -> " + x + ", " + x +
          ", " + x + ", " + a + ", " + b + ", " + b +
          " { %dt1 = exp %dt0\n %dt = scale %dt1 by " + std::to_string(reach) +
          "\n " + rate +
          " %y, %s = selective_scan %x, %dt, %a, %b, %c save 32\n"
          " %dx, %ddt, %da, %db, %dc = selective_scan_grad %x, %dt, %a, %b, "
          "%c, %s, %dy save 32\n return %y, %dx, %ddt, %da, %db, %dc }");
  }
}

} // namespace
