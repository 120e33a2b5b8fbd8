//===- Artifact.h - The artifact as plain structs -------------------------===//
//
// `Artifact::open` checks the whole file (structure, then meaning) before it
// hands out anything, so that what runs an artifact checks nothing again. The
// fields mirror bitbyte.fbs, where each is documented.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "runtime/core/DType.h"
#include "runtime/core/Error.h"

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace bitbyte {

enum class StateKind : uint8_t {
  parameter,
  gradient,
  moment,
  counter,
  derived,
  cache
};
enum class Space : uint8_t {
  arena,
  constant,
  parameters,
  training,
  derived,
  cache
};
enum class InitKind : uint8_t {
  zeros,
  ones,
  constant,
  normal,
  uniform,
  kaimingUniform,
  logRange,
  softplusInverse
};

struct Init {
  InitKind kind = InitKind::zeros;
  double a = 0, b = 0;
};

/// Bytes `[offset, offset + bytes)` of a space.
struct Buffer {
  Space space = Space::arena;
  uint64_t offset = 0, bytes = 0;
};

struct State {
  std::string name;
  DType dtype = DType::f32;
  std::vector<uint64_t> shape;
  StateKind kind = StateKind::parameter;
  std::string group;
  int sliceOf = -1;
  Buffer buffer;
  std::optional<Init> init;
  bool saved = false;
};

struct ImportRule {
  std::string pattern;
  std::vector<std::string> names = {};
  bool transpose = false;
  std::vector<int64_t> reshape = {};
  bool ignore = false;
};

struct Tensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<uint64_t> shape;
  Buffer buffer;
  int ahead = 0;
};

struct Dispatch {
  uint32_t kernel = 0;
  std::vector<Buffer> buffers;
  std::vector<int64_t> scalars;
};
struct Copy {
  Buffer source, target;
};
struct Zero {
  Buffer target;
};
using Step = std::variant<Dispatch, Copy, Zero>;

struct Program {
  std::string name, base;
  std::map<std::string, std::string> shape;
  std::vector<Tensor> inputs, outputs;
  std::vector<Step> steps;
  uint64_t arenaBytes = 0, liveBytes = 0, flops = 0, trafficBytes = 0;

  const Tensor *input(std::string_view name) const;
  const Tensor *output(std::string_view name) const;
};

struct Kernel {
  std::string name, symbol, hash, anchor;
  uint32_t module = 0;
  uint64_t programs = 0, scratchBytes = 0;
  uint32_t threads = 0; ///< Of a GPU's block; 0 on a CPU.
  std::vector<uint64_t> bufferBytes;
  std::vector<bool> writes;
  std::vector<DType> bufferTypes; ///< Of the elements.
  uint32_t scalars = 0;
  uint64_t flops = 0, trafficBytes = 0;
};

struct Module {
  std::string format;
  std::span<const std::byte> code; ///< Points into the mapped file.
};

struct Variant {
  std::string target;
  std::vector<Module> modules;
  std::vector<Kernel> kernels;
  std::vector<State> derived;
  std::vector<Program> programs;
  std::span<const std::byte> constants; ///< Points into the mapped file.
  uint64_t parametersBytes = 0, trainingBytes = 0, derivedBytes = 0,
           cacheBytes = 0;

  /// By full name ("score.B64T256"); null if there is none.
  const Program *program(std::string_view name) const;
};

struct Artifact {
  std::string path, compiler, model, computeType, sourceHash;
  std::string hash; ///< XXH3-128 of the file after its header, hex.
  std::vector<std::pair<std::string, std::string>> config, defaults;
  std::vector<std::string> programsAsked;
  std::vector<State> states;
  std::vector<ImportRule> importRules;
  std::vector<Variant> variants;

  /// Maps and checks the file. BadInput, with path and byte offset, for
  /// anything that is not exactly what a writer of this version produces.
  static Result<std::shared_ptr<const Artifact>> open(const std::string &path);

  const State *state(std::string_view name) const;
  std::optional<std::string> configValue(std::string_view name) const;
  /// Whether other states are slices of this one: it has no name of its own on
  /// disk.
  bool isFlat(const State &state) const;
  /// Sum of the elements of all parameters that are not flat.
  uint64_t parameterCount() const;

  std::shared_ptr<const void> mapping; ///< Keeps the file mapped.
};

} // namespace bitbyte
