//===- GpuCodegenTest.cpp - Kernels as PTX, and what ptxas says -----------===//
#include "compiler/codegen/Codegen.h"
#include "compiler/codegen/Ptxas.h"
#include "dialects/tile/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"

#include <gmock/gmock.h>

using namespace bitbyte;
using namespace bitbyte::codegen;
using testing::HasSubstr;

namespace {

/// Two sums over four warps, which need shared memory, and a copy, which does
/// not.
constexpr const char *kernels = R"(
#row = #tile.dist<reg [4 d0:1], lane [32 d0:4], warp [4 d0:128]>
#sum = #tile.dist<reg [], lane [32 rep], warp [4 rep]>
tile.kernel @sum(%x: !tile.buf<512xf32, global>, %y: !tile.buf<1xf32, global>)
    attributes {programs = 1 : i64, warps = 4 : i64, anchor = "rowwise"} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0] : !tile.buf<512xf32, global> -> !tile.reg<512xf32, #row>
  %s = tile.reduce add, %v axis 0 : !tile.reg<512xf32, #row> -> !tile.reg<f32, #sum>
  tile.store %s, %y[%c0] : !tile.reg<f32, #sum> -> !tile.buf<1xf32, global>
  tile.return
}
tile.kernel @max(%x: !tile.buf<512xf32, global>, %y: !tile.buf<1xf32, global>)
    attributes {programs = 1 : i64, warps = 4 : i64, anchor = "rowwise"} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0] : !tile.buf<512xf32, global> -> !tile.reg<512xf32, #row>
  %s = tile.reduce max, %v axis 0 : !tile.reg<512xf32, #row> -> !tile.reg<f32, #sum>
  tile.store %s, %y[%c0] : !tile.reg<f32, #sum> -> !tile.buf<1xf32, global>
  tile.return
}
tile.kernel @copy(%x: !tile.buf<512xf32, global>, %y: !tile.buf<512xf32, global>)
    attributes {programs = 1 : i64, warps = 4 : i64, anchor = "elementwise"} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0] : !tile.buf<512xf32, global> -> !tile.reg<512xf32, #row>
  tile.store %v, %y[%c0] : !tile.reg<512xf32, #row> -> !tile.buf<512xf32, global>
  tile.return
})";

class GpuCodegen : public testing::Test {
protected:
  std::vector<tile::KernelOp> parse(const std::string &text) {
    context.loadDialect<tile::TileDialect, mlir::arith::ArithDialect>();
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    std::vector<tile::KernelOp> found;
    for (auto kernel : module->getOps<tile::KernelOp>())
      found.push_back(kernel);
    return found;
  }
  static Options cuda() {
    Options options;
    options.target = "cuda";
    return options;
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

TEST_F(GpuCodegen, AllKernelsAreOneModule) {
  auto library = compile(parse(kernels), cuda());
  ASSERT_TRUE(succeeded(library));
  std::string text(library->bytes.begin(), library->bytes.end());
  EXPECT_EQ(library->format, "ptx");
  EXPECT_EQ(count(text, ".version 8.0\n.target sm_80\n.address_size 64\n"), 1u);
  EXPECT_EQ(count(text, ".extern .shared .align 1024 .b8 scratch[];"), 1u);
  EXPECT_EQ(count(text, ".visible .entry "), 3u);
  EXPECT_EQ(count(text, ".reqntid 128"), 3u);
  EXPECT_EQ(count(text, ".local"), 0u) << text;
  EXPECT_EQ(count(text, "ld.global.v4.b32"), 3u) << text;
  EXPECT_EQ(count(text, "shfl.sync.bfly.b32"), 10u);
  for (const Kernel &kernel : library->kernels) {
    EXPECT_THAT(text, HasSubstr(".visible .entry " + kernel.symbol + "("));
    EXPECT_EQ(kernel.threads, 128);
  }
  EXPECT_EQ(library->kernels[0].scratchBytes, 16); // a number of each warp
  EXPECT_EQ(library->kernels[2].scratchBytes, 0);
  auto again = compile(parse(kernels), cuda());
  ASSERT_TRUE(succeeded(again));
  EXPECT_EQ(again->bytes, library->bytes);
}

TEST_F(GpuCodegen, PtxasTakesThem) {
  if (!findPtxas())
    GTEST_SKIP() << "ptxas is not here";
  auto library = compile(parse(kernels), cuda());
  ASSERT_TRUE(succeeded(library));
  ASSERT_EQ(library->cubins.size(), 2u);
  for (const std::string &cubin : library->cubins)
    EXPECT_EQ(cubin.substr(0, 4), "\x7f"
                                  "ELF");
  for (const Kernel &kernel : library->kernels) {
    ASSERT_EQ(kernel.resources.size(), 2u);
    EXPECT_EQ(kernel.resources[0].arch, "sm_80");
    EXPECT_EQ(kernel.resources[1].arch, "sm_90");
    for (const Resources &each : kernel.resources) {
      EXPECT_GT(each.registers, 0);
      EXPECT_EQ(each.spillBytes, 0);
      EXPECT_EQ(each.stackBytes, 0);
    }
  }
}

TEST_F(GpuCodegen, WhatPtxasRefusesIsSaid) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "ptxas is not here";
  auto made =
      assemble(*ptxas, ".version 8.0\n.target sm_80\nnonsense\n", "sm_80");
  ASSERT_FALSE(made);
  EXPECT_THAT(llvm::toString(made.takeError()),
              HasSubstr("ptxas refuses the kernel"));
}

TEST(Ptxas, FindsAKernelsLinesAmongAll) {
  std::string messages =
      "ptxas info    : Compiling entry function 'a_1' for 'sm_80'\n"
      "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
      "ptxas info    : Used 40 registers, 400 bytes cmem[0]\n"
      "ptxas info    : Compiling entry function 'a_12' for 'sm_80'\n"
      "    48 bytes stack frame, 16 bytes spill stores, 24 bytes spill loads\n"
      "ptxas info    : Used 255 registers, 512 bytes smem, 400 bytes cmem[0]\n";
  Resources first = resourcesOf(messages, "a_1", "sm_80");
  EXPECT_EQ(first.registers, 40);
  EXPECT_EQ(first.spillBytes, 0);
  Resources second = resourcesOf(messages, "a_12", "sm_80");
  EXPECT_EQ(second.registers, 255);
  EXPECT_EQ(second.spillBytes, 40);
  EXPECT_EQ(second.stackBytes, 48);
  EXPECT_EQ(second.sharedBytes, 512);
}

TEST_F(GpuCodegen, TooMuchSharedMemoryIsAnError) {
  std::string message;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &d) {
    message += d.str();
    return mlir::success();
  });
  auto made = compile(parse(R"(
#row = #tile.dist<reg [4 d0:1], lane [32 d0:4]>
tile.kernel @large(%x: !tile.buf<128xf32, global>) attributes {programs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %v = tile.load %x[%c0] : !tile.buf<128xf32, global> -> !tile.reg<128xf32, #row>
  %s = tile.alloc : !tile.buf<30000xf32, scratch>
  tile.store %v, %s[%c0] : !tile.reg<128xf32, #row> -> !tile.buf<30000xf32, scratch>
  tile.return
})"),
                      cuda());
  EXPECT_TRUE(failed(made));
  EXPECT_THAT(message, HasSubstr("wants 120000 bytes of shared memory, but a "
                                 "block has 101376"));
}

} // namespace
