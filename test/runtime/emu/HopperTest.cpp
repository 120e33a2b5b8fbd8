//===- HopperTest.cpp - mbarriers, bulk copies, wgmma ---------------------===//
#include "runtime/device/emu/TensorMap.h"
#include "test/runtime/emu/Bench.h"

#include <cstdlib>
#include <fstream>
#include <unistd.h>

using namespace bitbyte;

namespace {

/// Where ptxas is present it has to take the text too.
void expectAssembles(const std::string &text) {
  static const bool present =
      std::system("command -v ptxas > /dev/null 2>&1") == 0;
  if (!present)
    return;
  std::string path = testing::TempDir() + fmt::format("emu-{}.ptx", getpid());
  std::ofstream(path) << text;
  std::string command = "ptxas -arch sm_90a -o /dev/null " + path;
  EXPECT_EQ(std::system(command.c_str()), 0) << text;
  std::remove(path.c_str());
}

const std::vector<std::pair<emu::Schedule, uint64_t>> schedules = {
    {emu::Schedule::Eager, 1},
    {emu::Schedule::Lazy, 1},
    {emu::Schedule::Random, 1},
    {emu::Schedule::Random, 2}};

//===----------------------------------------------------------------------===//
// mbarrier, by one warp
//===----------------------------------------------------------------------===//

const std::string made =
    "setp.eq.s32 %p1, %r0, 0; @%p1 mbarrier.init.shared::cta.b64 [sm], 32; "
    "bar.sync 0; ";

TEST(EmuMbarrier, PhasesByTokenAndParity) {
  // 32 arrivals make a phase: the token's phase is complete after it, parity 0
  // too, parity 1 is that of the phase before.
  auto output = runBody(
      made + "mbarrier.test_wait.parity.shared.b64 %p2, [sm], 1; "
             "mbarrier.test_wait.parity.shared.b64 %p3, [sm], 0; bar.sync 0; "
             "mbarrier.arrive.shared.b64 %d7, [sm]; "
             "mbarrier.pending_count.b64 %r23, %d7; "
             "mbarrier.test_wait.shared.b64 %p4, [sm], %d7; "
             "mbarrier.try_wait.parity.shared.b64 %p5, [sm], 0; "
             "mbarrier.test_wait.parity.shared.b64 %p6, [sm], 1; "
             "selp.b32 %r20, 1, 0, %p2; selp.b32 %r21, 1, 0, %p3; "
             "selp.b32 %r22, 1, 0, %p4; @%p5 add.s32 %r22, %r22, 2; @%p6 "
             "add.s32 %r22, %r22, 4;",
      numbers());
  ASSERT_TRUE(output) << output.error().message;
  for (uint32_t i = 0; i < 32; ++i) {
    EXPECT_EQ((*output)[4 * i], 1u);
    EXPECT_EQ((*output)[4 * i + 1], 0u);
    EXPECT_EQ((*output)[4 * i + 2], 3u);
    EXPECT_EQ((*output)[4 * i + 3], 32 - i); // lanes arrive in order
  }
}

TEST(EmuMbarrier, Misuse) {
  expectFinding("mbarrier.arrive.shared.b64 %d7, [sm];", "none was made");
  expectFinding(made + "mbarrier.arrive.shared.b64 %d7, [sm], 3;",
                "whose phase 0 waits for 2 more of 32");
  expectFinding("mbarrier.init.shared.b64 [sm], 0;", "for 0 arrivals");
  expectFinding("setp.eq.s32 %p1, %r0, 0; @%p1 mbarrier.init.shared.b64 [sm], "
                "32; mbarrier.arrive.shared.b64 %d7, [sm];",
                "race");
  expectFinding(made + "mbarrier.arrive.shared.b64 %d7, [sm]; "
                       "mbarrier.arrive.shared.b64 %d8, [sm]; "
                       "mbarrier.test_wait.shared.b64 %p2, [sm], %d7;",
                "asks the mbarrier at shared offset 0 for phase 0, but 2");
  // Lanes wait for a phase that the others never complete.
  expectFinding(made +
                    "@%p1 mbarrier.arrive.shared.b64 %d7, [sm]; W: "
                    "mbarrier.try_wait.parity.shared.b64 %p2, [sm], 0; @!%p2 "
                    "bra W;",
                "cannot go on");
}

TEST(EmuMbarrier, CopiesArrive) {
  // Each lane copies a word, and the mbarrier hears of it.
  std::string body =
      made + "mul.wide.u32 %d7, %r0, 16; add.s64 %d7, %d7, %d1; shl.b32 %r5, "
             "%r0, 2; mov.b32 %r9, sm; add.s32 %r9, %r9, %r5; "
             "cp.async.ca.shared.global [%r9+64], [%d7], 4; "
             "cp.async.mbarrier.arrive.noinc.shared.b64 [sm]; ";
  std::string wait = "W: mbarrier.try_wait.parity.shared.b64 %p2, [sm], 0; "
                     "@!%p2 bra W; ";
  std::string use = "xor.b32 %r9, %r9, 4; ld.shared.b32 %r20, [%r9+64];";
  for (auto [schedule, seed] : schedules) {
    emu::Options options;
    options.schedule = schedule, options.seed = seed;
    auto output =
        runBody(body + "mov.b32 %r9, sm; add.s32 %r9, %r9, %r5; " + wait +
                    "xor.b32 %r5, %r5, 4; mov.b32 %r9, sm; "
                    "add.s32 %r9, %r9, %r5; ld.shared.b32 %r20, "
                    "[%r9+64];",
                numbers(), options);
    ASSERT_TRUE(output) << output.error().message;
    for (uint32_t i = 0; i < 32; ++i)
      EXPECT_EQ((*output)[4 * i], numbers()[4 * (i ^ 1)]);
    expectFinding(body + use, "race", options);
  }
}

//===----------------------------------------------------------------------===//
// Tensor copies and wgmma: one group of warps multiplies 64 x K by K x 64
//===----------------------------------------------------------------------===//

struct Product {
  const char *type; ///< bf16 or tf32
  uint32_t swizzle; ///< 0: cores of 8 rows by 16 bytes
  bool transA = false, transB = false, registers = false;

  uint32_t bytes() const { return type[0] == 't' ? 4 : 2; }
  /// As many bytes of K as the swizzle has; 64 rows of it if transposed.
  uint32_t depth() const { return (swizzle ? swizzle : 32) / bytes(); }
};

/// The copies of an operand to `place`, and the descriptor of its part `k`.
struct Operand {
  std::string copies;
  uint32_t leading, stride, step;
};

Operand operand(const Product &p, bool transposed, const char *map,
                uint32_t place) {
  std::string copy = "cp.async.bulk.tensor.2d.shared::cluster.global.tile."
                     "mbarrier::complete_tx::bytes ";
  std::string text;
  if (transposed) // [K][64], in boxes as wide as the swizzle
    for (uint32_t n = 0, box = p.swizzle / 2; n < 64; n += box)
      text += fmt::format("{}[sm+{}], [{}, {{{}, 0}}], [sm+40960];\n", copy,
                          place + n * p.depth() * 2, map, n);
  else if (p.swizzle)
    text = fmt::format("{}[sm+{}], [{}, {{0, 0}}], [sm+40960];\n", copy, place,
                       map);
  else // pieces of 16 bytes of 64 rows
    for (uint32_t k = 0; k < 2; ++k)
      text += fmt::format("{}[sm+{}], [{}, {{{}, 0}}], [sm+40960];\n", copy,
                          place + k * 1024, map, k * 16 / p.bytes());
  if (transposed)
    return {text, p.swizzle * p.depth(), 8 * p.swizzle, 16 * p.swizzle};
  return {text, p.swizzle ? 16 : 1024u, p.swizzle ? 8 * p.swizzle : 128, 32};
}

std::string kernelFor(const Product &p) {
  Operand a = operand(p, p.transA, "%d1", 0),
          b = operand(p, p.transB, "%d2", 16384);
  uint64_t mode = p.swizzle == 128  ? 1
                  : p.swizzle == 64 ? 2
                  : p.swizzle       ? 3
                                    : 0;
  uint32_t k = 32 / p.bytes();
  std::string sums,
      text = fmt::format(R"(.version 8.0
.target sm_90a
.address_size 64
.visible .entry k(.param .u64 o, .param .align 64 .b8 ma[128],
                  .param .align 64 .b8 mb[128]) .reqntid 128
{{
.reg .pred %p<4>; .reg .b32 %r<20>; .reg .b64 %d<20>; .reg .f32 %f<32>;
.shared .align 1024 .b8 sm[40968];
mov.u32 %r0, %tid.x;
setp.ne.u32 %p1, %r0, 0;
@%p1 bra READY;
mbarrier.init.shared::cta.b64 [sm+40960], 1;
fence.mbarrier_init.release.cluster;
mov.b64 %d1, ma; cvta.param.u64 %d1, %d1;
mov.b64 %d2, mb; cvta.param.u64 %d2, %d2;
mbarrier.arrive.expect_tx.shared::cta.b64 %d3, [sm+40960], {};
{}{}READY:
bar.sync 0;
WAIT: mbarrier.try_wait.parity.shared::cta.b64 %p2, [sm+40960], 0;
@!%p2 bra WAIT;
)",
                         2 * 64 * p.depth() * p.bytes(), a.copies, b.copies);
  if (p.registers) // A of one K step, K-major without swizzle, row by row
    text += R"(shr.u32 %r1, %r0, 2; and.b32 %r2, %r0, 3;
shr.u32 %r3, %r0, 5; and.b32 %r1, %r1, 7; shl.b32 %r3, %r3, 8;
shl.b32 %r1, %r1, 4; add.s32 %r1, %r1, %r3; shl.b32 %r2, %r2, 2;
add.s32 %r1, %r1, %r2; mov.b32 %r4, sm; add.s32 %r1, %r1, %r4;
ld.shared.b32 %r5, [%r1]; ld.shared.b32 %r6, [%r1+128];
ld.shared.b32 %r7, [%r1+1024]; ld.shared.b32 %r8, [%r1+1152];
)";
  for (int i = 0; i < 32; ++i) {
    text += fmt::format("mov.f32 %f{}, 0f00000000;\n", i);
    sums += fmt::format("{}%f{}", i ? ", " : "", i);
  }
  auto describe = [&](const char *reg, uint32_t place, const Operand &from) {
    uint64_t rest = uint64_t(from.leading / 16) << 16 |
                    uint64_t(from.stride / 16) << 32 | mode << 62;
    return fmt::format("mov.b32 %r9, sm; add.s32 %r9, %r9, {}; shr.u32 %r9, "
                       "%r9, 4; cvt.u64.u32 {}, %r9; or.b64 {}, {}, {};\n",
                       place, reg, reg, reg, int64_t(rest));
  };
  text += "wgmma.fence.sync.aligned;\nsetp.ne.b32 %p3, 1, 0;\n";
  for (uint32_t step = 0; step < p.depth() / k; ++step)
    text +=
        describe("%d4", step * a.step, a) +
        describe("%d5", 16384 + step * b.step, b) +
        fmt::format("wgmma.mma_async.sync.aligned.m64n64k{}.f32.{}.{} "
                    "{{{}}}, {}, %d5, %p3, 1, -1{}{};\n",
                    k, p.type, p.type, sums,
                    p.registers ? "{%r5, %r6, %r7, %r8}" : "%d4",
                    p.bytes() == 2 && !p.registers
                        ? fmt::format(", {}", int(p.transA))
                        : "",
                    p.bytes() == 2 ? fmt::format(", {}", int(p.transB)) : "");
  text += "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n"
          "ld.param.u64 %d6, [o]; mul.wide.u32 %d7, %r0, 128; add.s64 %d6, "
          "%d6, %d7;\n";
  for (int i = 0; i < 32; ++i)
    text += fmt::format("st.global.f32 [%d6+{}], %f{};\n", 4 * i, i);
  return text + "ret;\n}\n";
}

/// A small whole number for every place.
float valueAt(uint32_t seed, uint32_t row, uint32_t k) {
  emu::Dice dice{seed * 1000003 + row * 1009 + k};
  return float(int(dice.next() % 9) - 4);
}

/// 64 x depth, or its transpose, as the type has it.
std::vector<uint32_t> matrixOf(const Product &p, bool transposed,
                               uint32_t seed) {
  uint32_t depth = p.depth(), bytes = p.bytes();
  std::vector<uint32_t> words(64 * depth * bytes / 4 + 8);
  auto *data = reinterpret_cast<uint8_t *>(words.data());
  for (uint32_t row = 0; row < 64; ++row)
    for (uint32_t k = 0; k < depth; ++k) {
      uint32_t bits = u(valueAt(seed, row, k)) >> (bytes == 2 ? 16 : 0);
      std::memcpy(data + (transposed ? k * 64 + row : row * depth + k) * bytes,
                  &bits, bytes);
    }
  return words;
}

Result<std::vector<float>> multiply(const Product &p, const std::string &text,
                                    emu::Options options) {
  std::vector<float> output(64 * 64);
  std::vector<uint32_t> inputs[2] = {matrixOf(p, p.transA, 1),
                                     matrixOf(p, p.transB, 2)};
  BB_ASSIGN(auto module, emu::Module::parse(text, "t.ptx"));
  emu::AddressSpace memory;
  memory.add(output.data(), output.size() * 4);
  std::vector<std::byte> parameters(8 + 56 + 256);
  float *pointer = output.data();
  std::memcpy(parameters.data(), &pointer, 8);
  std::vector<uint64_t> aligned[2];
  for (int i = 0; i < 2; ++i) {
    bool transposed = i ? p.transB : p.transA;
    uint32_t bytes = 64 * p.depth() * p.bytes();
    aligned[i].resize(bytes / 8 + 2);
    uint64_t base =
        (reinterpret_cast<uint64_t>(aligned[i].data()) + 15) & ~15ull;
    std::memcpy(reinterpret_cast<void *>(base), inputs[i].data(), bytes);
    memory.add(reinterpret_cast<void *>(base), bytes, true);
    emu::TensorMap map;
    map.rank = 2;
    map.elementBytes = uint8_t(p.bytes());
    map.swizzle = uint8_t(p.swizzle);
    map.base = base;
    map.sizes[0] = transposed ? 64 : p.depth();
    map.sizes[1] = transposed ? p.depth() : 64;
    map.strides[1] = map.sizes[0] * p.bytes();
    map.box[0] = uint16_t((p.swizzle ? p.swizzle : 16) / p.bytes());
    map.box[1] = uint16_t(map.sizes[1]);
    BB_ASSIGN(auto encoded, emu::encodeTensorMap(map));
    std::memcpy(&parameters[64 + 128 * size_t(i)], encoded.data(), 128);
  }
  emu::Grid grid{*module->kernels[0], {1, 1, 1}, {128, 1, 1}, 0, parameters};
  BB_TRY(emu::checkGrid(grid));
  emu::Outcome outcome = emu::execute(grid, options, memory);
  if (!outcome.findings.empty())
    return fail(ErrorKind::Failed, "{}",
                outcome.findings.all()[0].text("t.ptx"));
  return output;
}

void expectProduct(const Product &p) {
  std::string text = kernelFor(p);
  expectAssembles(text);
  for (auto [schedule, seed] : schedules) {
    emu::Options options;
    options.schedule = schedule, options.seed = seed;
    auto output = multiply(p, text, options);
    ASSERT_TRUE(output) << output.error().message;
    for (uint32_t thread = 0; thread < 128; ++thread)
      for (uint32_t i = 0; i < 32; ++i) {
        uint32_t row = thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8;
        uint32_t column = i / 4 * 8 + thread % 4 * 2 + i % 2;
        float want = 0;
        for (uint32_t k = 0; k < p.depth(); ++k)
          want -= valueAt(1, row, k) * valueAt(2, column, k);
        ASSERT_EQ((*output)[thread * 32 + i], want)
            << p.type << " swizzle " << p.swizzle << " thread " << thread
            << " sum " << i;
      }
  }
}

TEST(EmuWgmma, EverySwizzle) {
  for (const char *type : {"bf16", "tf32"})
    for (uint32_t swizzle : {0, 32, 64, 128})
      expectProduct({type, swizzle});
}

TEST(EmuWgmma, Transposed) {
  expectProduct({"bf16", 128, true, true});
  expectProduct({"bf16", 128, false, true});
  expectProduct({"bf16", 64, true, true});
  expectProduct({"bf16", 32, true, true});
}

TEST(EmuWgmma, FirstFactorInRegisters) {
  expectProduct({"bf16", 0, false, false, true});
}

/// The kernel without a piece of its text must be caught by every schedule, or
/// at least by the lazy one.
void expectCaught(const std::string &remove, const std::string &with,
                  const std::string &finding, bool lazyOnly = false) {
  Product p{"bf16", 128};
  std::string text = kernelFor(p);
  size_t at = text.find(remove);
  ASSERT_NE(at, std::string::npos) << remove;
  text.replace(at, remove.size(), with);
  for (auto [schedule, seed] : schedules) {
    if (lazyOnly && schedule != emu::Schedule::Lazy)
      continue;
    emu::Options options;
    options.schedule = schedule, options.seed = seed;
    auto output = multiply(p, text, options);
    ASSERT_FALSE(output) << "without " << remove;
    EXPECT_THAT(output.error().message, testing::HasSubstr(finding))
        << "without " << remove;
  }
}

TEST(EmuWgmma, WhatIsMissing) {
  expectCaught("mbarrier.init.shared::cta.b64 [sm+40960], 1;", "",
               "none was made");
  expectCaught("fence.mbarrier_init.release.cluster;", "", "missing fence");
  expectCaught("bar.sync 0;", "", "");
  expectCaught("@!%p2 bra WAIT;", "", "race", true);
  // A wait for the other parity passes before the copy, and hangs after it.
  expectCaught("[sm+40960], 0;", "[sm+40960], 1;", "race", true);
  expectCaught("b64 %d3, [sm+40960], 16384;", "b64 %d3, [sm+40960], 16400;",
               "cannot go on");
  expectCaught("wgmma.fence.sync.aligned;", "", "missing fence");
  expectCaught("wgmma.commit_group.sync.aligned;", "",
               "a wgmma that was not waited for");
  expectCaught("wgmma.wait_group.sync.aligned 0;", "",
               "a wgmma that was not waited for");
  expectCaught("wgmma.fence.sync.aligned;",
               "wgmma.fence.sync.aligned; mov.f32 %f3, 0f00000000;",
               "missing fence");
  // What a warp wrote needs a fence before the tensor cores see it.
  expectCaught("wgmma.fence.sync.aligned;",
               "st.shared.b32 [sm+4], %r0; bar.sync 0; "
               "wgmma.fence.sync.aligned;",
               "");
}

} // namespace
