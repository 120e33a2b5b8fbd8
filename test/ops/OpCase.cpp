//===- OpCase.cpp - From a row to programs and inputs ---------------------===//

#include "test/ops/OpCase.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringRef.h"

#include <cmath>
#include <sstream>

using namespace llvm;
using namespace mlir;

namespace bitbyte::bb::ops {

double Inputs::aligned(const std::string &name, const Index &at) const {
  const Array &x = arrays.at(name);
  int64_t place = 0, lead = int64_t(at.size()) - x.rank();
  for (int64_t axis = 0; axis < x.rank(); ++axis)
    place = place * x.shape[axis] +
            (x.shape[axis] == 1 ? 0 : at[size_t(lead + axis)]);
  return x[place];
}

const std::vector<Family> &families() {
  static const std::vector<Family> all = {{"Elementwise", elementwiseCases},
                                          {"Rows", rowCases},
                                          {"Contractions", contractionCases},
                                          {"Attention", attentionCases},
                                          {"Gathers", gatherCases},
                                          {"Views", viewCases},
                                          {"Scans", scanCases}};
  return all;
}

std::vector<OpCase> allCases() {
  std::vector<OpCase> all;
  for (const Family &family : families())
    for (OpCase &row : family.cases())
      all.push_back(std::move(row));
  return all;
}

/// Puts values in the place of whole words: size names, and `real`.
static std::string bindWords(StringRef text,
                             const std::map<std::string, std::string> &words) {
  std::string out, word;
  auto flush = [&] {
    auto known = words.find(word);
    bool isName = !out.empty() && (out.back() == '%' || out.back() == '@');
    out += known != words.end() && !isName ? known->second : word;
    word.clear();
  };
  for (char c : text) {
    if (isAlnum(c) || c == '_') {
      word.push_back(c);
      continue;
    }
    flush();
    out.push_back(c);
  }
  flush();
  return out;
}

static double value(StringRef text) { return std::stod(text.trim().str()); }

/// "%x: f32[2, 3] in 0.5..2" to its parts.
static Instance::Argument argumentOf(StringRef text) {
  auto [name, rest] = text.split(':');
  auto [type, range] = rest.split(" in ");
  Instance::Argument argument{name.trim().drop_front().str(), type.trim().str(),
                              -1, 1};
  if (argument.type[0] != 'f' && argument.type[0] != 'b')
    argument.low = 0, argument.high = argument.type[1] == '1' ? 2 : 5;
  if (!range.empty()) {
    auto [low, high] = range.split("..");
    argument.low = value(low), argument.high = value(high);
  }
  return argument;
}

std::vector<Instance> instancesOf(const OpCase &row, unsigned number) {
  std::vector<Instance> all;
  for (auto [i, sizes] : enumerate(row.sizes)) {
    for (bool isBf16 : {false, true}) {
      if (isBf16 && (!row.bf16 || i + 1 != row.sizes.size()))
        continue;
      Instance instance;
      instance.op = row.op;
      instance.row = row;
      instance.isBf16 = isBf16;
      instance.program = row.op + "_" + std::to_string(number) + "_" +
                         std::to_string(i) + (isBf16 ? "_bf16" : "");
      std::map<std::string, std::string> words = {
          {"real", isBf16 ? "bf16" : "f32"}};
      std::istringstream pairs(sizes);
      for (std::string pair; pairs >> pair;) {
        auto [name, text] = StringRef(pair).split('=');
        words[name.str()] = text.str();
        instance.sizes[name.str()] = std::stoll(text.str());
      }
      std::string bound = bindWords(row.signature, words);
      auto [arguments, results] = StringRef(bound).split("->");
      instance.results = results.trim().str();
      while (!arguments.trim().empty()) {
        // Arguments begin with %; what lies between may hold commas.
        size_t next = arguments.find('%', arguments.find('%') + 1);
        StringRef one = arguments.take_front(next);
        arguments = next == StringRef::npos ? "" : arguments.drop_front(next);
        instance.arguments.push_back(argumentOf(one.trim().rtrim(',')));
      }
      instance.body = bindWords(row.body, words);
      if (!StringRef(instance.body).contains("return"))
        instance.body = "%result = " + instance.body + "\nreturn %result";
      all.push_back(std::move(instance));
    }
  }
  return all;
}

std::vector<Instance> instancesOf(const std::vector<OpCase> &rows) {
  std::vector<Instance> all;
  for (auto [i, row] : enumerate(rows))
    for (Instance &instance : instancesOf(row, i))
      all.push_back(std::move(instance));
  return all;
}

std::string Instance::text() const {
  std::string list;
  for (const Argument &argument : arguments)
    list += (list.empty() ? "%" : ", %") + argument.name + ": " + argument.type;
  return "program @" + program + "(" + list + ") -> " + results + " {\n" +
         body + "\n}\n";
}

std::string Instance::describe() const {
  std::string text = op + " at";
  for (const auto &[name, size] : sizes)
    text += " " + name + "=" + std::to_string(size);
  return text + (isBf16 ? " in bf16" : "") + "\n" + this->text();
}

double uniform(std::mt19937_64 &random, double low, double high) {
  return low + (high - low) * double(random() >> 11) * 0x1p-53;
}

Array inputFor(const Instance::Argument &argument, Type type, uint64_t seed) {
  std::mt19937_64 random(seed);
  Type element = cast<GraphTensorType>(type).getElement();
  Array array(shapeOf(type));
  for (double &x : array.data) {
    x = uniform(random, argument.low, argument.high);
    // As the machine gets it, so that both compute from the same numbers.
    x = isa<IntegerType>(element) ? std::floor(x) : double(float(x));
  }
  conform(array, element);
  return array;
}

Inputs inputsFor(const Instance &instance, ProgramOp program) {
  Inputs inputs;
  inputs.sizes = instance.sizes;
  for (auto [i, argument] : enumerate(instance.arguments))
    inputs.arrays[argument.name] = inputFor(
        argument, program.getBody().getArgument(i).getType(), 1000 + i);
  return inputs;
}

std::vector<Array> inputList(const Instance &instance, const Inputs &inputs) {
  std::vector<Array> list;
  for (const Instance::Argument &argument : instance.arguments)
    list.push_back(inputs[argument.name]);
  return list;
}

std::string difference(const Array &have, const Array &want, double tolerance,
                       double least) {
  if (have.shape != want.shape)
    return "shapes differ";
  double scale = least;
  for (double x : want.data)
    if (std::isfinite(x))
      scale = std::max(scale, std::fabs(x));
  double most = 0;
  int64_t place = -1;
  for (int64_t i = 0; i < want.size(); ++i) {
    if (have[i] == want[i] || (std::isnan(have[i]) && std::isnan(want[i])))
      continue;
    double off = std::fabs(have[i] - want[i]);
    if (off <= tolerance * scale || off <= most)
      continue;
    most = std::isnan(off) ? INFINITY : off, place = i;
  }
  if (place < 0)
    return "";
  std::ostringstream text;
  text.precision(9);
  text << "element " << place << " of " << want.size() << " is " << have[place]
       << ", not " << want[place] << " (largest " << scale << ")";
  return text.str();
}

} // namespace bitbyte::bb::ops
