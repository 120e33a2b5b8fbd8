#include "test/runtime/ArtifactBuilder.h"

#include "runtime/core/File.h"
#include "runtime/core/Hash.h"

#include <cstring>
#include <stdexcept>

namespace bitbyte::test {

fb::Buffer place(fb::Space space, uint64_t offset, uint64_t bytes) {
  return fb::Buffer(space, offset, bytes);
}

fb::Buffer at(const fb::Buffer &buffer, uint64_t offset) {
  return place(buffer.space(), offset, buffer.bytes());
}

namespace {

using Buffers = std::vector<fb::Buffer>;
using fb::Space;

std::unique_ptr<fb::StateT> state(std::string name, fb::StateKind kind,
                                  Space space, uint64_t offset,
                                  std::vector<uint64_t> shape,
                                  int sliceOf = -1) {
  auto state = std::make_unique<fb::StateT>();
  uint64_t elements = 1;
  for (uint64_t size : shape)
    elements *= size;
  state->name = std::move(name);
  state->kind = kind;
  state->dtype =
      kind == fb::StateKind::counter ? fb::DType::i32 : fb::DType::f32;
  state->shape = std::move(shape);
  state->buffer =
      std::make_unique<fb::Buffer>(place(space, offset, elements * 4));
  state->slice_of = sliceOf;
  state->group = "decay";
  state->saved = sliceOf >= 0 || kind == fb::StateKind::counter;
  return state;
}

std::unique_ptr<fb::TensorT> tensor(std::string name, fb::DType type,
                                    uint64_t offset,
                                    std::vector<uint64_t> shape) {
  auto tensor = std::make_unique<fb::TensorT>();
  uint64_t bytes = byteWidth(DType(type));
  for (uint64_t size : shape)
    bytes *= size;
  tensor->name = std::move(name);
  tensor->dtype = type;
  tensor->shape = std::move(shape);
  tensor->buffer =
      std::make_unique<fb::Buffer>(place(Space::arena, offset, bytes));
  return tensor;
}

void addKernel(fb::VariantT &variant, std::string name, uint64_t programs,
               std::vector<uint64_t> bytes, std::vector<fb::DType> types,
               std::vector<bool> writes, uint32_t scalars = 0,
               uint64_t scratch = 0) {
  auto kernel = std::make_unique<fb::KernelT>();
  kernel->name = name;
  kernel->symbol = "toy_" + name;
  kernel->hash = hash128(std::as_bytes(std::span(name))).hex();
  kernel->anchor = "elementwise";
  kernel->programs = programs;
  kernel->buffer_bytes = std::move(bytes);
  kernel->buffer_types = std::move(types);
  kernel->writes = std::move(writes);
  kernel->scalars = scalars;
  kernel->scratch_bytes = scratch;
  kernel->threads = variant.target == "cuda" ? 64 : 0;
  kernel->flops = 100;
  kernel->traffic_bytes = 1000;
  variant.kernels.push_back(std::move(kernel));
}

fb::ProgramT &addProgram(fb::VariantT &variant, std::string name,
                         uint64_t arena) {
  auto program = std::make_unique<fb::ProgramT>();
  program->name = program->base = std::move(name);
  program->arena_bytes = program->live_bytes = arena;
  for (auto [key, value] : {std::pair("B", "2"), {"T", "4"}}) {
    auto pair = std::make_unique<fb::NameValueT>();
    pair->name = key;
    pair->value = value;
    program->shape.push_back(std::move(pair));
  }
  variant.programs.push_back(std::move(program));
  return *variant.programs.back();
}

template <typename Table>
void addStep(fb::ProgramT &program, Table table) {
  fb::StepUnion step;
  step.Set(std::move(table));
  program.steps.push_back(std::move(step));
}

void dispatch(fb::ProgramT &program, uint32_t kernel, Buffers buffers,
              std::vector<int64_t> scalars = {}) {
  fb::DispatchT step;
  step.kernel = kernel;
  step.buffers = std::move(buffers);
  step.scalars = std::move(scalars);
  addStep(program, std::move(step));
}

template <typename... Places>
Buffers buffers(Places... places) {
  return {places...};
}

fb::Buffer arena(uint64_t offset, uint64_t bytes) {
  return place(Space::arena, offset, bytes);
}

/// Where the toy's states lie.
fb::Buffer w() { return place(Space::parameters, 0, 1024); }
fb::Buffer gradient() { return place(Space::training, 0, 1024); }
fb::Buffer m() { return place(Space::training, 2048, 1024); }
fb::Buffer v() { return place(Space::training, 4096, 1024); }
fb::Buffer counter() { return place(Space::training, 6144, 4); }
fb::Buffer twice() { return place(Space::derived, 0, 1024); }
fb::Buffer cache() { return place(Space::cache, 0, 64); }

void addStates(fb::ArtifactT &artifact) {
  using Kind = fb::StateKind;
  auto &states = artifact.states;
  auto group = [&](std::string prefix, std::string flat, Kind kind, Space space,
                   uint64_t offset) {
    int parent = int(states.size());
    states.push_back(state(flat, kind, space, offset, {512}));
    states.push_back(state(prefix + "w", kind, space, offset, {256}, parent));
    states.push_back(state(prefix + "h.0.mix.weight", kind, space,
                           offset + 1024, {2, 3}, parent));
  };
  group("", "master.decay", Kind::parameter, Space::parameters, 0);
  states[1]->init = std::make_unique<fb::InitT>();
  states[1]->init->kind = fb::InitKind::normal;
  states[1]->init->a = 0.02;
  states[2]->init = std::make_unique<fb::InitT>();
  group("gradient.", "gradient.decay", Kind::gradient, Space::training, 0);
  states[4]->saved = states[5]->saved = false;
  group("optimizer.m.", "optimizer.m.decay", Kind::moment, Space::training,
        2048);
  group("optimizer.v.", "optimizer.v.decay", Kind::moment, Space::training,
        4096);
  states.push_back(
      state("optimizer.step", Kind::counter, Space::training, 6144, {}));
  states.push_back(state("ring", Kind::cache, Space::cache, 0, {16}));
}

void addPrograms(fb::VariantT &variant) {
  auto bytes = [](const char *name, uint64_t offset) {
    return tensor(name, fb::DType::u8, offset, {2, 4});
  };
  auto number = [](std::string name, uint64_t offset) {
    return tensor(std::move(name), fb::DType::f32, offset, {});
  };

  fb::ProgramT &score = addProgram(variant, "score", 256);
  score.inputs.push_back(bytes("bytes", 0));
  score.inputs.push_back(bytes("next", 64));
  score.inputs.back()->ahead = 1;
  score.outputs.push_back(tensor("nats", fb::DType::f32, 128, {2, 4}));
  dispatch(score, 0, buffers(arena(0, 8), arena(64, 8), w(), arena(128, 32)));

  fb::ProgramT &micro = addProgram(variant, "micro", 256);
  micro.inputs.push_back(bytes("bytes", 0));
  micro.inputs.push_back(bytes("next", 64));
  micro.inputs.push_back(number("weight", 128));
  micro.outputs.push_back(number("loss", 192));
  dispatch(micro, 1,
           buffers(arena(0, 8), arena(64, 8), w(), arena(128, 4), gradient(),
                   arena(192, 4)),
           {8});

  fb::ProgramT &update = addProgram(variant, "update", 1024);
  Buffers updateBuffers;
  uint64_t offset = 0;
  for (const char *name :
       {"lr", "beta1", "one_minus_beta1", "beta2", "one_minus_beta2", "eps",
        "rate1", "rate2", "clip"}) {
    update.inputs.push_back(number(name, offset));
    updateBuffers.push_back(arena(offset, 4));
    offset += 64;
  }
  for (auto make : {w, gradient, m, v, counter})
    updateBuffers.push_back(make());
  updateBuffers.push_back(arena(offset, 4));
  updateBuffers.push_back(arena(offset + 64, 4));
  update.outputs.push_back(number("grad_norm", offset));
  update.outputs.push_back(number("ok", offset + 64));
  dispatch(update, 2, std::move(updateBuffers));
  dispatch(update, 3, buffers(w(), twice()));

  fb::ProgramT &prepare = addProgram(variant, "prepare", 0);
  dispatch(prepare, 3, buffers(w(), twice()));

  // Reads the derived state through a copy, so that a test sees it.
  fb::ProgramT &doubled = addProgram(variant, "doubled", 1024);
  doubled.outputs.push_back(tensor("twice", fb::DType::f32, 0, {256}));
  fb::CopyT copy;
  copy.source = std::make_unique<fb::Buffer>(twice());
  copy.target = std::make_unique<fb::Buffer>(arena(0, 1024));
  addStep(doubled, std::move(copy));

  fb::ProgramT &numbers = addProgram(variant, "numbers", 8192);
  numbers.outputs.push_back(tensor("numbers", fb::DType::i64, 0, {1000}));
  fb::ZeroT zero;
  zero.target = std::make_unique<fb::Buffer>(arena(0, 8000));
  addStep(numbers, std::move(zero));
  dispatch(numbers, 4, buffers(arena(0, 8000)), {7});

  fb::ProgramT &denormal = addProgram(variant, "denormal", 4096);
  denormal.inputs.push_back(number("tiny", 0));
  denormal.outputs.push_back(tensor("halved", fb::DType::f32, 64, {500}));
  dispatch(denormal, 5, buffers(arena(0, 4), arena(64, 2000)));

  fb::ProgramT &constant = addProgram(variant, "constant", 64);
  constant.outputs.push_back(number("sum", 0));
  dispatch(constant, 6, buffers(place(Space::constant, 0, 256), arena(0, 4)));

  fb::ProgramT &logits = addProgram(variant, "logits", 8256);
  logits.inputs.push_back(bytes("bytes", 0));
  logits.outputs.push_back(tensor("logits", fb::DType::f32, 64, {2, 4, 256}));
  dispatch(logits, 7, buffers(arena(0, 8), arena(64, 8192)));

  fb::ProgramT &ring = addProgram(variant, "ring", 64);
  ring.inputs.push_back(tensor("add", fb::DType::f32, 0, {16}));
  ring.outputs.push_back(tensor("ring", fb::DType::f32, 0, {16}));
  ring.outputs.back()->buffer = std::make_unique<fb::Buffer>(cache());
  fb::CopyT fill;
  fill.source = std::make_unique<fb::Buffer>(arena(0, 64));
  fill.target = std::make_unique<fb::Buffer>(cache());
  addStep(ring, std::move(fill));
}

std::vector<std::byte> machineCode() {
  auto file = MappedFile::open(BB_TEST_KERNELS);
  if (!file)
    throw std::runtime_error(file.error().message);
  return {(*file)->bytes().begin(), (*file)->bytes().end()};
}

/// The kernels' names and parameters; what they do, only the stub driver knows.
std::vector<std::byte> ptx(const fb::VariantT &variant) {
  std::string text = ".version 8.0\n.target sm_80\n.address_size 64\n";
  for (const auto &kernel : variant.kernels) {
    text += ".visible .entry " + kernel->symbol + "(";
    size_t count = kernel->buffer_bytes.size() + kernel->scalars;
    for (size_t i = 0; i < count; ++i)
      text += (i ? ", " : "") + (".param .u64 p" + std::to_string(i));
    text += ") { ret; }\n";
  }
  auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

} // namespace

fb::ArtifactT toyArtifact(const std::string &target) {
  fb::ArtifactT artifact;
  artifact.compiler = "test";
  artifact.model = "toy";
  artifact.compute_type = "f32";
  artifact.source_hash = "0";
  for (auto [key, value] :
       {std::pair("B", "2"), {"T", "4"}, {"context", "4"}, {"vocab", "256"}}) {
    auto pair = std::make_unique<fb::NameValueT>();
    pair->name = key;
    pair->value = value;
    artifact.config.push_back(std::move(pair));
  }
  auto lr = std::make_unique<fb::NameValueT>();
  lr->name = "lr";
  lr->value = "0.25";
  artifact.defaults.push_back(std::move(lr));
  addStates(artifact);
  auto rule = std::make_unique<fb::ImportRuleT>();
  rule->pattern = "h.*.mix.weight";
  rule->names = {"transformer.h.*.mix.weight", "layers.*.mix"};
  rule->transpose = true;
  artifact.import_rules.push_back(std::move(rule));
  rule = std::make_unique<fb::ImportRuleT>();
  rule->ignore = true;
  rule->names = {"h.*.mask"};
  artifact.import_rules.push_back(std::move(rule));

  auto variant = std::make_unique<fb::VariantT>();
  variant->target = target;
  variant->modules.push_back(std::make_unique<fb::ModuleT>());
  variant->modules[0]->format = target == "cuda" ? "ptx" : "elf";
  variant->parameters_bytes = 2048;
  variant->training_bytes = 6208;
  variant->derived_bytes = 1024;
  variant->cache_bytes = 64;
  variant->derived.push_back(
      state("twice", fb::StateKind::derived, Space::derived, 0, {256}));
  variant->derived[0]->saved = false;
  constexpr auto u8 = fb::DType::u8, i32 = fb::DType::i32, i64 = fb::DType::i64,
                 f32 = fb::DType::f32;
  std::vector<fb::DType> updated(16, f32);
  updated[13] = i32;
  addKernel(*variant, "score", 8, {8, 8, 1024, 32}, {u8, u8, f32, f32},
            {false, false, false, true});
  addKernel(*variant, "micro", 1, {8, 8, 1024, 4, 1024, 4},
            {u8, u8, f32, f32, f32, f32},
            {false, false, false, false, true, true}, 1);
  addKernel(*variant, "update", 1,
            {4, 4, 4, 4, 4, 4, 4, 4, 4, 1024, 1024, 1024, 1024, 4, 4, 4},
            updated,
            {false, false, false, false, false, false, false, false, false,
             true, true, true, true, true, true, true});
  addKernel(*variant, "prepare", 4, {1024, 1024}, {f32, f32}, {false, true});
  addKernel(*variant, "number", 1000, {8000}, {i64}, {true}, 1, 64);
  addKernel(*variant, "denormal", 500, {4, 2000}, {f32, f32}, {false, true});
  addKernel(*variant, "constant", 1, {256, 4}, {f32, f32}, {false, true});
  addKernel(*variant, "logits", 8, {8, 8192}, {u8, f32}, {false, true});
  addPrograms(*variant);
  artifact.variants.push_back(std::move(variant));
  return artifact;
}

std::vector<std::byte> encode(const fb::ArtifactT &given) {
  // Offsets are filled into a copy.
  flatbuffers::FlatBufferBuilder first;
  first.Finish(fb::Artifact::Pack(first, &given));
  fb::ArtifactT artifact;
  fb::GetArtifact(first.GetBufferPointer())->UnPackTo(&artifact);

  std::vector<std::byte> code = machineCode();
  std::vector<float> constants(64);
  for (size_t i = 0; i < constants.size(); ++i)
    constants[i] = float(i);
  auto data = std::as_bytes(std::span(constants));
  std::vector<std::byte> segments;
  auto append = [&](std::span<const std::byte> bytes) {
    segments.resize((segments.size() + 63) / 64 * 64);
    uint64_t offset = segments.size();
    segments.insert(segments.end(), bytes.begin(), bytes.end());
    return offset;
  };

  // The table is padded to a size that does not depend on its offsets.
  uint64_t tableBytes = (first.GetSize() + 4096) / 64 * 64,
           start = 64 + tableBytes;
  for (auto &variant : artifact.variants) {
    for (auto &module : variant->modules) {
      const auto &bytes = module->format == "ptx" ? ptx(*variant) : code;
      module->offset = start + append(bytes);
      module->bytes = bytes.size();
    }
    variant->constants_offset = start + append(data);
    variant->constants_bytes = data.size();
  }
  flatbuffers::FlatBufferBuilder second;
  second.Finish(fb::Artifact::Pack(second, &artifact));
  if (second.GetSize() > tableBytes)
    throw std::runtime_error("the table is larger than planned");

  std::vector<std::byte> file(start);
  std::memcpy(file.data(), "BITBYTE\0\1\0\0\0\0\0\0\0", 16);
  std::memcpy(file.data() + 64, second.GetBufferPointer(), second.GetSize());
  file.insert(file.end(), segments.begin(), segments.end());
  uint64_t numbers[] = {file.size(), 64, tableBytes};
  std::memcpy(file.data() + 16, numbers, sizeof(numbers));
  rehash(file);
  return file;
}

void rehash(std::vector<std::byte> &file) {
  Hash128 content = hash128(std::span(file).subspan(64));
  std::memcpy(file.data() + 40, &content.low, 8);
  std::memcpy(file.data() + 48, &content.high, 8);
  uint64_t header = hash64(std::span(file).first(56));
  std::memcpy(file.data() + 56, &header, 8);
}

void write(const std::string &path, const fb::ArtifactT &artifact) {
  if (auto result = writeFileAtomically(path, encode(artifact)); !result)
    throw std::runtime_error(result.error().message);
}

} // namespace bitbyte::test
