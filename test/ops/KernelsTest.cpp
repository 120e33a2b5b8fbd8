//===- KernelsTest.cpp - Rows as kernels, against the interpreter ---------===//
//
// Each family of rows becomes one artifact: for each level of this machine's
// processor, and as PTX on the emulator, whose checks are on.
//
//===----------------------------------------------------------------------===//

#include "test/ops/Comparison.h"

#include <gtest/gtest.h>

using namespace mlir;

namespace bitbyte::bb::ops {

namespace {

struct Place {
  Family family;
  std::string target;
  std::string name() const { return family.name + placeName(target); }
};
void PrintTo(const Place &place, std::ostream *os) { *os << place.name(); }

class Kernels : public testing::TestWithParam<Place> {
protected:
  Kernels() { loadDialects(context); }
  const std::string &target() { return GetParam().target; }
  MLIRContext context;
};

} // namespace

TEST_P(Kernels, GiveWhatTheInterpreterGives) {
  Comparison comparison(context, target());
  for (const Instance &instance : instancesOf(GetParam().family.cases()))
    comparison.add(instance);
  comparison.run();
}

/// At the last size of each row: what is left to find is in the rules' ops, not
/// in sizes.
TEST_P(Kernels, OfGradientsGiveWhatTheInterpreterGives) {
  Comparison comparison(context, target());
  for (auto [i, row] : llvm::enumerate(GetParam().family.cases())) {
    if (!row.noGradient.empty())
      continue;
    row.sizes = {row.sizes.back()};
    for (const Instance &instance : instancesOf(row, unsigned(i)))
      comparison.addGradients(instance);
  }
  comparison.run();
}

/// Sizes by chance: BB_SWEEP_SEED and BB_SWEEP_ROWS ask for others, and more.
TEST_P(Kernels, OfRandomSizesGiveWhatTheInterpreterGives) {
  auto number = [](const char *name, int otherwise) {
    const char *text = std::getenv(name);
    return text ? std::atoi(text) : otherwise;
  };
  int seed = number("BB_SWEEP_SEED", 1), count = number("BB_SWEEP_ROWS", 8);
  Comparison comparison(context, target());
  std::mt19937_64 random(static_cast<uint64_t>(seed));
  auto rows = GetParam().family.cases();
  for (int i = 0; i < count; ++i) {
    OpCase row = rows[random() % rows.size()];
    row.sizes = {randomSizes(row, random)};
    if (row.sizes[0].empty() || !row.noKernel.empty())
      continue; // its sizes are what it is about
    for (const Instance &instance : instancesOf(row, unsigned(i)))
      comparison.add(instance);
  }
  comparison.run();
}

static std::vector<Place> places() {
  std::vector<Place> all;
  for (const Family &family : families())
    for (const std::string &target : testedTargets())
      all.push_back({family, target});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Of, Kernels, testing::ValuesIn(places()),
                         [](const testing::TestParamInfo<Place> &info) {
                           return info.param.name();
                         });

} // namespace bitbyte::bb::ops
