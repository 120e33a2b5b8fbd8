//===- DecodeTest.cpp - Byte by byte, as the whole sequence ---------------===//
//
// For each op with a rule of its own for decoding: a small model whose logits
// depend on it, run over a whole sequence at once, and by the programs that
// incrementalize derives, in the interpreter and as machine code.
//
//===----------------------------------------------------------------------===//

#include "test/ops/Compiled.h"
#include "test/ops/Programs.h"

#include "passes/incrementalize/Incrementalize.h"
#include "passes/instantiate/Instantiate.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

using namespace mlir;

namespace bitbyte::bb::ops {

namespace {

struct DecodeCase {
  std::string name;
  /// From %e [B, T, d], embedded bytes, to %y [B, T, d].
  std::string body;
  int64_t context = 13;
};

const DecodeCase decodeCases[] = {
    {"Attention", "%q = reshape %e to [B, T, 2, d/2]\n"
                  "%a = attention %q, %q, %q causal\n"
                  "%y = reshape %a to [B, T, d]"},
    {"SharedKeys", "%q = reshape %e to [B, T, 4, d/4]\n"
                   "%k = slice %q axis 2 from 1 size 2\n"
                   "%a = attention %q, %k, %k causal scale 0.7\n"
                   "%y = reshape %a to [B, T, d]"},
    {"Window",
     "%q = reshape %e to [B, T, 2, d/2]\n"
     "%a = attention %q, %q, %q causal window 3\n"
     "%y = reshape %a to [B, T, d]",
     70},
    {"Blocks",
     "%q = reshape %e to [B, T, 2, d/2]\n"
     "%a = attention %q, %q, %q causal block 4\n"
     "%y = reshape %a to [B, T, d]",
     16},
    {"Rope", "%q = reshape %e to [B, T, 2, d/2]\n"
             "%r = rope %q theta 100.0\n"
             "%s = rope %r theta 10.0 pairs\n"
             "%y = reshape %s to [B, T, d]"},
    {"Positions", "%p = positions of T\n%s = positions of T period 5\n"
                  "%t = param \"t\" [context, d] init ones\n"
                  "%f = embed %p, %t\n%g = embed %s, %t\n"
                  "%h = mul %e, %f\n%y = add %h, %g"},
    {"Conv", "%w = param \"w\" [d, 4] init ones\n"
             "%b = param \"b\" [d] init ones\n"
             "%c = conv %e, %w, %b\n%y = silu %c"},
    {"SelectiveScan", "%s = softplus %e\n"
                      "%a0 = param \"a\" f32[d, 4] init ones\n%a1 = exp %a0\n"
                      "%a = neg %a1\n"
                      "%b = slice %e axis 2 from 0 size 4\n"
                      "%c = slice %e axis 2 from 4 size 4\n"
                      "%y = selective_scan %e, %s, %a, %b, %c"},
    {"GatedScan", "%s = softplus %e\n"
                  "%a0 = param \"a\" f32[d, 4] init ones\n%a1 = exp %a0\n"
                  "%a = neg %a1\n%D = param \"D\" f32[d] init ones\n"
                  "%b = slice %e axis 2 from 0 size 4\n"
                  "%c = slice %e axis 2 from 4 size 4\n%z = neg %e\n"
                  "%y = selective_scan %e, %s, %a, %b, %c skip %D gate %z"},
    {"Ssd", "%x = reshape %e to [B, T, 2, d/2]\n"
            "%t = slice %e axis 2 from 2 size 2\n%s = softplus %t\n"
            "%a0 = param \"a\" f32[2] init ones\n%a1 = exp %a0\n"
            "%a = neg %a1\n"
            "%b0 = slice %e axis 2 from 0 size 4\n"
            "%b = reshape %b0 to [B, T, 1, 4]\n"
            "%c0 = slice %e axis 2 from 4 size 4\n"
            "%c = reshape %c0 to [B, T, 1, 4]\n"
            "%z = ssd %x, %s, %a, %b, %c chunk 4\n"
            "%y = reshape %z to [B, T, d]"},
    {"Shift", "%f = param \"f\" [d] init ones\n%y = shift %e, %f"},
    {"ShiftWithPeriod",
     "%f = param \"f\" [d] init ones\n%y = shift %e, %f period 4", 16},
    // Two rates, whose programs hand rows to each other.
    {"Patches",
     "%f = param \"f\" [4*d] init ones\n%g = param \"g\" [d] init ones\n"
     "%p = patch %e by 4\n%s = shift %p, %f\n"
     "%q = reshape %s to [B, T/4, 2, 2*d]\n"
     "%a = attention %q, %q, %q causal\n"
     "%r = reshape %a to [B, T/4, 4*d]\n%u = unpatch %r by 4\n"
     "%v = shift %e, %g period 4\n%y = add %u, %v",
     16}};

struct Run {
  DecodeCase model;
  std::string target; ///< Empty: interpreted.
  std::string name() const {
    return model.name + (target.empty() ? "Interpreted" : placeName(target));
  }
};
void PrintTo(const Run &run, std::ostream *os) { *os << run.name(); }

class Decode : public testing::TestWithParam<Run> {
protected:
  Decode() { loadDialects(context); }

  LogicalResult apply(ModuleOp module, std::unique_ptr<Pass> pass) {
    PassManager passes(&context);
    passes.addPass(std::move(pass));
    return passes.run(module);
  }
  /// The program over a whole context.
  std::string whole(ModelOp model) {
    std::string name;
    for (auto program : model.getBody().getOps<ProgramOp>())
      if (program.getSymName().starts_with("logits.B1"))
        name = program.getSymName().str();
    return name;
  }

  MLIRContext context;
};

} // namespace

/// Steps go on from one another, in the order of a model of several rates:
/// before.R where an item begins, slow rates first, after.R where one ends.
TEST_P(Decode, StepsGiveTheRowsOfTheWholeSequence) {
  const DecodeCase &spec = GetParam().model;
  int64_t length = spec.context;
  auto module = parseSourceString<ModuleOp>(
      "bb.model @m(batch B = 2, stream T = " + std::to_string(length) +
          ", context = " + std::to_string(length) +
          ", d = 8) {\n  program @logits(%bytes: u8[B, T]) -> [B, T, d] {\n"
          "%table = param \"table\" [256, d] init ones\n"
          "%e = embed %bytes, %table\n" +
          spec.body + "\nreturn %y\n}\n}\n",
      &context);
  ASSERT_TRUE(module);
  InstantiateOptions instantiate;
  instantiate.compute = Float32Type::get(&context);
  instantiate.decode = true;
  ASSERT_TRUE(succeeded(apply(*module, createInstantiatePass(instantiate))));
  ASSERT_TRUE(succeeded(apply(*module, createIncrementalizePass())));
  ModelOp model = modelOf(*module);

  Interpreter interpreter(model);
  std::map<std::string, Array> parameters;
  uint64_t seed = 1;
  for (auto state : model.getBody().getOps<StateOp>())
    if (state.getKind() == StateKind::Parameter) {
      Array value = inputFor({"parameter", "", -1, 1}, state.getType(), seed++);
      parameters[state.getSymName().str()] = value;
      ASSERT_TRUE(succeeded(interpreter.setState(state.getSymName(), value)));
    }
  Array bytes({1, length});
  std::mt19937_64 random(7);
  for (double &x : bytes.data)
    x = double(random() % 256);
  auto all = interpreter.run(whole(model), bytes);
  ASSERT_TRUE(succeeded(all));
  const Array &want = (*all)[0]; // [1, T, d]
  int64_t width = want.dim(-1);

  std::unique_ptr<Compiled> compiled;
  std::string error;
  if (const std::string &target = GetParam().target; !target.empty()) {
    if (std::string why = target == "cuda" ? refusalOf(*module, target) : "";
        !why.empty()) {
      ASSERT_NE(why.find("has no schedule for cuda"), std::string::npos) << why;
      GTEST_SKIP() << why;
    }
    compiled = Compiled::compile(*module, target, error);
    ASSERT_TRUE(compiled) << error;
    for (const auto &[name, value] : parameters)
      ASSERT_EQ(compiled->setState(name, value), "");
  }
  auto run = [&](const std::string &name,
                 ArrayRef<Array> inputs) -> std::vector<Array> {
    if (compiled) {
      std::vector<Array> results = compiled->run(name, inputs, error);
      EXPECT_EQ(error, "");
      return results;
    }
    auto results = interpreter.run(name, inputs);
    EXPECT_TRUE(succeeded(results));
    return succeeded(results) ? *results : std::vector<Array>();
  };
  auto check = [&](const Array &have, int64_t row) {
    Array expected({1, width});
    for (int64_t i = 0; i < width; ++i)
      expected[i] = want[row * width + i];
    EXPECT_EQ(difference(have, expected, compiled ? 1e-5 : 1e-12), "")
        << "row " << row;
  };
  // A model that never looks at its place has no position.
  auto inputsOf = [](ProgramOp program, int64_t position, const Array &byte) {
    std::vector<Array> inputs;
    for (unsigned i = 0; i < program.getBody().getNumArguments(); ++i)
      inputs.push_back(program.argName(i) == "position"
                           ? Array({}, double(position))
                           : byte);
    return inputs;
  };

  if (compiled) { // the whole sequence as machine code, too
    std::vector<Array> results = run(whole(model), bytes);
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(difference(results[0], want, 1e-5), "");
  }
  // A chunk first, where there is a program for it, and bytes from there on. If
  // it is the whole context, they start anew.
  int64_t begin = 0;
  if (auto prefill = model.lookupSymbol<ProgramOp>("prefill")) {
    begin = shapeOf(prefill.getBody().getArguments().back())[1];
    Array chunk({1, begin});
    std::copy_n(bytes.data.begin(), begin, chunk.data.begin());
    auto results = run("prefill", inputsOf(prefill, 0, chunk));
    ASSERT_EQ(results.size(), 1u);
    check(results[0], begin - 1);
    for (auto state : model.getBody().getOps<StateOp>())
      if (begin == length && state.getKind() == StateKind::Cache) {
        Array zero(shapeOf(state.getType()));
        ASSERT_TRUE(succeeded(interpreter.setState(state.getSymName(), zero)));
        if (compiled)
          ASSERT_EQ(compiled->setState(state.getSymName().str(), zero), "");
      }
    begin = begin == length ? 0 : begin;
  }
  int64_t checked = 0;
  for (int64_t at = begin; at < length; ++at) {
    auto step = [&](const std::string &kind, int64_t period) {
      auto program =
          model.lookupSymbol<ProgramOp>(kind + std::to_string(period));
      if (!program)
        return;
      std::vector<Array> results =
          run(program.getSymName().str(),
              inputsOf(program, at / period, Array({1, 1}, bytes[at])));
      if (results.size() == 1)
        check(results[0], at), ++checked;
    };
    if (at % 4 == 0)
      step("before.", 4);
    step("before.", 1);
    step("after.", 1);
    if (at % 4 == 3)
      step("after.", 4);
    if (HasFailure())
      break;
  }
  EXPECT_EQ(checked, length - begin);
}

static std::vector<Run> runs() {
  std::vector<Run> all;
  for (const DecodeCase &model : decodeCases) {
    all.push_back({model, ""});
    for (const std::string &target : testedTargets())
      all.push_back({model, target});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Of, Decode, testing::ValuesIn(runs()),
                         [](const testing::TestParamInfo<Run> &info) {
                           return info.param.name();
                         });

} // namespace bitbyte::bb::ops
