//===- Bench.h - One warp at work on words, for tests ---------------------===//
#pragma once

#include "runtime/device/emu/EmuDevice.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <gmock/gmock.h>

namespace bitbyte {

inline std::string kernelOf(const std::string &body) {
  return ".version 8.0\n.target sm_80\n.address_size 64\n"
         ".visible .entry k(.param .u64 k_a, .param .u64 k_o) .reqntid 32\n"
         "{\n.reg .pred %p<8>; .reg .b16 %h<8>; .reg .b32 %r<40>; "
         ".reg .b64 %d<16>;\n.shared .align 16 .b8 sm[4096];\n"
         "ld.param.u64 %d1, [k_a]; ld.param.u64 %d2, [k_o]; mov.u32 %r0, "
         "%tid.x;\n" +
         body + "\nret;\n}\n";
}

/// Runs one warp: lane i's inputs are words 4 i to 4 i + 3 in %r1 to %r4, its
/// results %r20 to %r23.
inline Result<std::vector<uint32_t>> runBody(const std::string &body,
                                             const std::vector<uint32_t> &input,
                                             emu::Options options = {}) {
  BB_ASSIGN(auto module,
            emu::Module::parse(
                kernelOf("mul.wide.u32 %d4, %r0, 16; add.s64 %d5, %d1, %d4; "
                         "add.s64 %d6, %d2, %d4;\nld.global.v4.b32 "
                         "{%r1,%r2,%r3,%r4}, [%d5];\nmov.b32 %r20, 0; mov.b32 "
                         "%r21, 0; mov.b32 %r22, 0; mov.b32 %r23, 0;\n" +
                         body +
                         "\nst.global.v4.b32 [%d6], "
                         "{%r20,%r21,%r22,%r23};"),
                "t.ptx"));
  std::vector<uint32_t> output(128);
  const void *pointers[] = {input.data(), output.data()};
  emu::AddressSpace memory;
  memory.add(input.data(), input.size() * 4, true);
  memory.add(output.data(), output.size() * 4);
  emu::Grid grid{*module->kernels[0],
                 {1, 1, 1},
                 {32, 1, 1},
                 0,
                 std::as_bytes(std::span(pointers))};
  BB_TRY(emu::checkGrid(grid));
  emu::Outcome outcome = emu::execute(grid, options, memory);
  if (!outcome.findings.empty())
    return fail(ErrorKind::Failed, "{}",
                outcome.findings.all()[0].text("t.ptx"));
  return output;
}

inline std::vector<uint32_t> numbers() {
  std::vector<uint32_t> made(128);
  emu::Dice dice{7};
  for (uint32_t &word : made)
    word = dice.next();
  return made;
}
inline std::vector<uint32_t> floats() {
  std::vector<uint32_t> made(128);
  emu::Dice dice{9};
  for (uint32_t &word : made)
    word = std::bit_cast<uint32_t>(float(dice.next()) / 1e9f - 2.1f);
  return made;
}

using Scalar = std::function<uint32_t(uint32_t, uint32_t, uint32_t)>;
inline void expectEqual(const std::string &body, const Scalar &scalar,
                        std::vector<uint32_t> input = numbers()) {
  auto output = runBody(body, input);
  ASSERT_TRUE(output) << output.error().message;
  for (size_t i = 0; i < 32; ++i)
    EXPECT_EQ((*output)[4 * i],
              scalar(input[4 * i], input[4 * i + 1], input[4 * i + 2]))
        << body << " lane " << i;
}

inline float f(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t u(float value) { return std::bit_cast<uint32_t>(value); }

inline void expectFinding(const std::string &body, const std::string &what,
                          emu::Options options = {}) {
  auto output = runBody(body, numbers(), options);
  ASSERT_FALSE(output) << body;
  EXPECT_THAT(output.error().message, testing::HasSubstr(what));
}

} // namespace bitbyte
