//===- CodegenTest.cpp - The interface around the code --------------------===//
#include "compiler/codegen/Codegen.h"
#include "compiler/codegen/KernelCache.h"
#include "dialects/tile/KernelTarget.h"
#include "dialects/tile/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <unistd.h>

using namespace bitbyte;
using namespace bitbyte::codegen;
using testing::HasSubstr;

namespace {

/// The product of a micro-tile, as a schedule of `target` would write it.
std::string product(const tile::KernelTarget &target, int64_t rows,
                    int64_t columns) {
  std::string m = std::to_string(rows);
  std::string n = std::to_string(columns);
  std::string lanes = std::to_string(target.lanes);
  return "#acc = #tile.dist<reg [" + std::to_string(columns / target.lanes) +
         " d1:" + lanes + ", " + m + " d0:1], lane [" + lanes + " d1:1]>\n" +
         "!acc = !tile.reg<" + m + "x" + n + "xf32, #acc>\n" +
         "!a = !tile.buf<" + m + "x256xf32, global>\n" + "!b = !tile.buf<256x" +
         n + "xf32, global>\n" + "!c = !tile.buf<" + m + "x" + n +
         "xf32, global>\n" + R"(
tile.kernel @product(%a: !a, %b: !b, %c: !c)
    attributes {programs = 1 : i64, anchor = "matmul"} {
  %c0 = arith.constant 0 : index
  %z = arith.constant 0.0 : f32
  %none = tile.splat %z : f32 -> !acc
  %sum = tile.mma %a, %b, %none : !a, !b, !acc -> !acc
  tile.store %sum, %c[%c0, %c0] : !acc -> !c
  tile.return
}
tile.kernel @again(%a: !a, %b: !b, %c: !c)
    attributes {programs = 1 : i64, anchor = "matmul"} {
  %c0 = arith.constant 0 : index
  %z = arith.constant 0.0 : f32
  %none = tile.splat %z : f32 -> !acc
  %sum = tile.mma %a, %b, %none : !a, !b, !acc -> !acc
  tile.store %sum, %c[%c0, %c0] : !acc -> !c
  tile.return
})";
}

std::string product(const tile::KernelTarget &target) {
  return product(target, target.panelRows, target.panelColumns);
}

class Codegen : public testing::Test {
protected:
  std::vector<tile::KernelOp> parse(const std::string &text) {
    context.loadDialect<tile::TileDialect, mlir::arith::ArithDialect,
                        mlir::math::MathDialect, mlir::scf::SCFDialect>();
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    std::vector<tile::KernelOp> kernels;
    if (module)
      for (auto kernel : module->getOps<tile::KernelOp>())
        kernels.push_back(kernel);
    return kernels;
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

size_t count(const std::string &text, const std::string &word) {
  size_t found = 0;
  for (size_t at = text.find(word); at != std::string::npos;
       at = text.find(word, at + 1))
    ++found;
  return found;
}

TEST_F(Codegen, TheMicroKernelStaysInRegisters) {
  auto check = [&](const tile::KernelTarget &target, int64_t rows,
                   int64_t columns) {
    Options options;
    options.target = target.name.str();
    auto texts = emitTexts(parse(product(target, rows, columns)), options);
    ASSERT_TRUE(succeeded(texts));
    const std::string &text = texts->front().assembly;
    // Every step of the unrolled loop multiplies the whole tile.
    size_t tile = rows * columns / target.lanes;
    EXPECT_EQ(count(text, "\tvfmadd"), 4 * tile) << text;
    EXPECT_EQ(count(text, "(%rsp)"), 0u) << text;
    EXPECT_EQ(count(text, target.lanes == 16 ? "%ymm" : "%zmm"), 0u) << text;
  };
  for (const tile::KernelTarget &target :
       {tile::KernelTarget::cpuV3(), tile::KernelTarget::cpuV4()}) {
    check(target, target.mmaRows, target.mmaColumns);
    check(target, target.panelRows, target.panelColumns);
  }
}

TEST_F(Codegen, EqualKernelsShareASymbol) {
  Options options;
  auto library = compile(parse(product(tile::KernelTarget::cpuV3())), options);
  ASSERT_TRUE(succeeded(library));
  ASSERT_EQ(library->kernels.size(), 2u);
  EXPECT_EQ(library->kernels[0].symbol, library->kernels[1].symbol);
  EXPECT_THAT(library->kernels[0].symbol, testing::StartsWith("matmul_"));
}

TEST_F(Codegen, RefusesAnUnknownTargetAtTheKernel) {
  std::string message;
  mlir::ScopedDiagnosticHandler handler(&context,
                                        [&](mlir::Diagnostic &diagnostic) {
                                          message += diagnostic.str();
                                          return mlir::success();
                                        });
  Options options;
  options.target = "cpu-v9";
  EXPECT_TRUE(
      failed(compile(parse(product(tile::KernelTarget::cpuV3())), options)));
  EXPECT_THAT(message, HasSubstr("there is no target `cpu-v9`"));
}

TEST_F(Codegen, NothingMakesAnEmptyLibrary) {
  auto library = compile({}, {});
  ASSERT_TRUE(succeeded(library));
  EXPECT_TRUE(library->bytes.empty());
}

TEST_F(Codegen, TheCacheGivesTheSameBytesAndSurvivesDamage) {
  namespace fs = std::filesystem;
  fs::path folder = fs::temp_directory_path() /
                    ("bitbyte-cache-test-" + std::to_string(getpid()));
  Options options;
  options.cacheDirectory = folder;
  auto kernels = parse(product(tile::KernelTarget::cpuV3()));
  auto fresh = compile(kernels, {});
  auto first = compile(kernels, options);
  auto second = compile(kernels, options);
  ASSERT_TRUE(succeeded(fresh) && succeeded(first) && succeeded(second));
  EXPECT_EQ(first->bytes, fresh->bytes);
  EXPECT_EQ(second->bytes, fresh->bytes);
  size_t entries = 0;
  for (const auto &entry : fs::directory_iterator(folder)) {
    ++entries;
    std::fstream file(entry.path(),
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100);
    file.put('!');
  }
  EXPECT_EQ(entries, 1u); // equal kernels share it
  auto third = compile(kernels, options);
  ASSERT_TRUE(succeeded(third));
  EXPECT_EQ(third->bytes, fresh->bytes);
  fs::remove_all(folder);
}

TEST(KernelCache, FindsWhatWasInserted) {
  std::string folder =
      testing::TempDir() + "bitbyte-cache-unit-" + std::to_string(getpid());
  KernelCache cache(folder);
  EXPECT_FALSE(cache.find("key").has_value());
  cache.insert("key", "object");
  EXPECT_EQ(cache.find("key"), "object");
  EXPECT_FALSE(KernelCache("").find("key").has_value());
  std::filesystem::remove_all(folder);
}

} // namespace
