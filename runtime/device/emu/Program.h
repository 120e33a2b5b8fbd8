//===- Program.h - A kernel, decoded --------------------------------------===//
//
// Every operand of a decoded instruction is the byte offset of a slot in the
// register file of a warp: 32 lanes of 4 bytes, or of 8 for 64-bit types. A
// predicate is 32 bits, one per lane. Immediates, parameters' addresses and
// special registers are slots like any other, so that an instruction need not
// know what its operands are.
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/Error.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bitbyte::emu {

struct Warp;
struct Op;
using Handler = void (*)(Warp &warp, const Op &op);

constexpr uint32_t noSlot = ~0u;
/// A program counter that is never reached.
constexpr uint32_t nowhere = ~0u;

/// Where the spaces lie in the generic address space. Shared variables start at
/// `sharedStart` so that no kernel can rely on address 0.
constexpr uint64_t sharedWindow = 0x7a0000000000;
constexpr uint64_t localWindow = 0x7b0000000000;
constexpr uint64_t paramWindow = 0x7c0000000000;
constexpr uint64_t windowBytes = 1 << 24;
constexpr uint32_t sharedStart = 1024;

enum class Space : uint8_t { Generic, Global, Shared, Local, Param, Const };

/// [slot + offset]; `narrow` if the slot has 32-bit lanes.
struct Address {
  uint32_t slot = 0;
  bool narrow = false;
  Space space = Space::Generic;
  int64_t offset = 0;
};

struct Op {
  Handler run = nullptr;
  uint32_t d = 0, a = 0, b = 0, c = 0; ///< Result and sources.
  uint32_t guard = noSlot;
  bool guardNot = false;
  bool jumps = false;        ///< Sets the program counter itself.
  bool narrow = false;       ///< What it means is the handler's.
  bool synchronises = false; ///< Only orders what others do,
  bool ofCopies = false;     ///< and does so to copies by cp.async alone.
  uint8_t mode = 0, type = 0;
  uint32_t first = 0, count = 0; ///< Further slots, in Kernel::lists.
  uint32_t extra = 0;
  int64_t imm = 0;
  Address address, source;
  uint32_t target = nowhere, join = nowhere; ///< Of a branch.
  uint32_t firstUse = 0, uses = 0; ///< Its operands' slots, in Kernel::uses.
  uint32_t line = 0;
  uint32_t location = 0; ///< In Kernel::locations; 0 is none.
};

enum class Special : uint8_t {
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  CtaidX,
  CtaidY,
  CtaidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  LaneId,
  WarpId,
  NwarpId,
  SmId,
  NsmId,
  LanemaskEq,
  LanemaskLe,
  LanemaskLt,
  LanemaskGe,
  LanemaskGt,
  Clock,
  Clock64,
  GlobalTimer,
  DynamicSharedSize,
  TotalSharedSize,
  ClusterCtaRank,
  ClusterNctaRank,
  GridId
};

struct Constant {
  uint32_t slot;
  bool wide;
  bool dynamic; ///< While it is read: counts from `dynamicStart`.
  uint64_t value;
};
struct SpecialSlot {
  uint32_t slot;
  bool wide;
  Special special;
};

struct Parameter {
  std::string name;
  uint32_t offset = 0, bytes = 0;
  bool array = false;
};

/// Where an op stands in the source that the PTX was made of.
struct Location {
  uint32_t file = 0, line = 0, column = 0;
};

struct Module;

struct Kernel {
  std::string name;
  const Module *module = nullptr;
  std::vector<Op> ops;
  std::vector<uint32_t> lists;
  std::vector<uint32_t> uses;
  std::vector<Constant> constants;
  std::vector<SpecialSlot> specials;
  std::vector<Parameter> parameters;
  std::vector<Location> locations{1};
  uint32_t parameterBytes = 0;
  uint32_t registerBytes = 0; ///< Of a warp.
  uint32_t localBytes = 0;    ///< Of a lane.
  uint32_t sharedBytes = 0;   ///< With what lies below `sharedStart`.
  uint32_t dynamicAlign = 16; ///< Of the extern shared array,
  uint32_t dynamicStart = 0;  ///< which lies behind all others.
  uint32_t sharedGranule = 4; ///< Of the smallest access to shared memory.
  uint32_t globalGranule = 4; ///< The same of global memory.
  uint32_t requiredThreads[3] = {0, 0, 0}; ///< .reqntid, 0: not said.
  uint32_t maximalThreads = 0;             ///< .maxntid, 0: not said.
  bool usesUnits = false;                  ///< mbarriers, bulk copies or wgmma,
  bool usesWarpgroups = false;             ///< and the last of them.
  bool ordersBlocks = false; ///< Has atomics: blocks may wait for each other.
  std::vector<std::string> warnings; ///< Found without running it.
};

/// One PTX text. Kernels point into it, so it stays where it was made.
struct Module {
  std::string text, path;
  std::string target;
  std::vector<std::unique_ptr<Kernel>> kernels;
  std::map<uint32_t, std::string> files;
  /// .global and .const variables, at stable addresses.
  struct Variable {
    std::string name;
    std::vector<uint64_t> storage;
    uint64_t bytes = 0;
    bool readOnly = false;
  };
  std::vector<std::unique_ptr<Variable>> variables;

  const Kernel *find(std::string_view name) const;

  /// Reads PTX. BadInput, as `PATH:LINE: what; found 'TEXT'`, if it is not
  /// PTX or holds an instruction that is not known here.
  static Result<std::unique_ptr<Module>> parse(std::string text,
                                               std::string path);
};

} // namespace bitbyte::emu
