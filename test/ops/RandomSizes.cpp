//===- RandomSizes.cpp - Sizes of a row by chance -------------------------===//

#include "test/ops/OpCase.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/StringSwitch.h"

#include <sstream>

using namespace llvm;

namespace bitbyte::bb::ops {

namespace {

/// Draws the sizes that a row names, so that its op takes them.
class Draw {
public:
  Draw(const OpCase &row, std::mt19937_64 &random) : row(row), random(random) {
    std::istringstream pairs(row.sizes.back());
    for (std::string pair; pairs >> pair;)
      names.push_back(pair.substr(0, pair.find('=')));
  }

  std::string sizes() {
    for (const std::string &name : names)
      value[name] = below(mostOf(name));
    if (!agree())
      return "";
    std::string text;
    for (const std::string &name : names)
      text += name + "=" + std::to_string(value[name]) + " ";
    return text;
  }

private:
  bool has(const std::string &name) const {
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  /// 1 to `most`, small ones as often as large ones.
  int64_t below(int64_t most) {
    int64_t bound = 1 + int64_t(random() % uint64_t(most));
    return 1 + int64_t(random() % uint64_t(bound));
  }
  static int64_t mostOf(StringRef name) {
    return StringSwitch<int64_t>(name)
        .Cases({"B", "G"}, 3)
        .Case("K", 5)
        .Case("H", 4)
        .Case("N", 20)
        .Case("V", 250)
        .Cases({"D", "I", "O"}, 80)
        .Default(45);
  }

  /// Makes dependent sizes agree; false where a row's sizes are special.
  bool agree() {
    StringRef op = row.op;
    if (has("Y0") || has("A")) // a shape of its own, or a position
      return false;
    if (op == "rms_norm" && has("G"))
      value["D"] = value["G"] * below(30);
    if (op == "cross_entropy")
      value["D"] = 2 + below(250);
    if (op == "rope")
      value["D"] = 2 * below(32);
    if (op == "einsum" && has("S"))
      value["S"] = below(4);
    if (op == "attention" || op == "attention_grad") {
      if (has("G"))
        value["H"] = value["G"] * below(3);
      value["D"] = 4 * below(16), value["E"] = value["D"];
      if (has("S"))
        value["S"] = value["T"];
    }
    if (op == "slice") {
      int64_t most = std::min(value["T"], value["D"]);
      value["S"] = below(most), value["F"] = below(most - value["S"] + 1) - 1;
    }
    if (op == "split")
      value["D"] = value["P"] + 1 + value["Q"];
    if (op == "shift" && has("P"))
      value["T"] = value["P"] * below(5);
    if (op == "patch" || op == "unpatch")
      value["P"] = below(6);
    if (op.starts_with("conv") && row.signature.find("from") != StringRef::npos)
      value["K"] = 1 + value["K"];
    if (op.starts_with("ssd")) {
      if (has("G"))
        value["H"] = value["G"] * below(2);
      value["P"] = below(20), value["Q"] = int64_t(4) << random() % 4;
    }
    return true;
  }

  const OpCase &row;
  std::mt19937_64 &random;
  std::vector<std::string> names;
  std::map<std::string, int64_t> value;
};

} // namespace

std::string randomSizes(const OpCase &row, std::mt19937_64 &random) {
  return Draw(row, random).sizes();
}

} // namespace bitbyte::bb::ops
