//===- Programs.cpp - From what is asked to the programs that serve it ----===//

#include "compiler/pipeline/Programs.h"

#include "llvm/ADT/STLExtras.h"

using namespace llvm;
using namespace bitbyte;

namespace {

struct Word {
  StringRef name;
  std::vector<std::string> bases;
};

/// docs: commands.md. `generate` needs logits over a whole context too, for a
/// run without the cache.
const Word words[] = {
    {"train", {"micro", "update", "prepare"}},
    {"eval", {"score", "prepare"}},
    {"generate", {"prefill", "after", "before", "once", "logits", "prepare"}},
    {"gradients", {"gradients", "prepare"}}};

} // namespace

std::vector<std::string> bb::basesOf(ArrayRef<std::string> asked,
                                     ArrayRef<std::string> ofSpec,
                                     std::string &wrong) {
  std::vector<std::string> bases;
  for (const std::string &name : asked) {
    auto word =
        find_if(words, [&](const Word &word) { return word.name == name; });
    if (word != std::end(words)) {
      bases.insert(bases.end(), word->bases.begin(), word->bases.end());
    } else if (is_contained(ofSpec, name)) {
      bases.push_back(name);
      bases.push_back("prepare");
    } else {
      wrong = name;
      return {};
    }
  }
  return bases;
}
