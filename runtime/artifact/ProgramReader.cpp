//===- ProgramReader.cpp - Variants, kernels, programs, steps -------------===//

#include "runtime/artifact/TableReader.h"

#include <algorithm>

namespace bitbyte {

//===----------------------------------------------------------------------===//
// Variants
//===----------------------------------------------------------------------===//

Result<std::span<const std::byte>>
TableReader::readSegment(const void *where, uint64_t offset, uint64_t bytes,
                         std::string_view what) {
  if (offset > file.size() || bytes > file.size() - offset)
    return bad(where, "{} lies at bytes {} + {} of a file of {}", what, offset,
               bytes, file.size());
  if (offset % bufferAlignment != 0 || offset < tableEnd)
    return bad(
        where,
        "{} begins at byte {}, which is inside the table or no multiple of {}",
        what, offset, bufferAlignment);
  for (auto [begin, end] : segments)
    if (bytes && offset < end && begin < offset + bytes)
      return bad(where, "{} overlaps the segment at byte {}", what, begin);
  segments.emplace_back(offset, offset + bytes);
  return file.subspan(offset, bytes);
}

static uint64_t spaceBytes(Space space, const Program &program,
                           const Variant &variant) {
  switch (space) {
  case Space::arena:
    return program.arenaBytes;
  case Space::constant:
    return variant.constants.size();
  case Space::parameters:
    return variant.parametersBytes;
  case Space::training:
    return variant.trainingBytes;
  case Space::derived:
    return variant.derivedBytes;
  case Space::cache:
    return variant.cacheBytes;
  }
  return 0;
}

static std::string_view spaceName(Space space) {
  constexpr std::string_view names[] = {"arena",    "constant", "parameters",
                                        "training", "derived",  "cache"};
  return names[size_t(space)];
}

/// Every state, common or the variant's own, lies inside its space.
Result<void> TableReader::checkSpaces(const fb::Variant &table,
                                      const Variant &variant) const {
  for (uint64_t bytes : {variant.parametersBytes, variant.trainingBytes,
                         variant.derivedBytes, variant.cacheBytes})
    if (bytes > largestSpace)
      return bad(&table, "variant '{}': {} bytes are no size of a space",
                 variant.target, bytes);
  for (std::span<const State> states :
       {std::span<const State>(artifact.states), std::span(variant.derived)})
    for (const State &state : states) {
      uint64_t space = spaceBytes(state.buffer.space, {}, variant);
      if (state.buffer.offset + state.buffer.bytes > space)
        return bad(&table,
                   "variant '{}': state '{}' lies at {} + {} of {} bytes of {}",
                   variant.target, state.name, state.buffer.offset,
                   state.buffer.bytes, space, spaceName(state.buffer.space));
    }
  return {};
}

Result<Variant> TableReader::readVariant(const fb::Variant &table) {
  Variant variant;
  BB_ASSIGN(variant.target, readName(&table, table.target(), "a target"));
  variant.parametersBytes = table.parameters_bytes();
  variant.trainingBytes = table.training_bytes();
  variant.derivedBytes = table.derived_bytes();
  variant.cacheBytes = table.cache_bytes();
  BB_ASSIGN(variant.constants,
            readSegment(&table, table.constants_offset(),
                        table.constants_bytes(), "a constants segment"));
  if (table.modules())
    for (const fb::Module *entry : *table.modules()) {
      Module module;
      BB_ASSIGN(module.format,
                readName(entry, entry->format(), "a module's format"));
      if (module.format != "elf" && module.format != "ptx" &&
          module.format != "cubin")
        return bad(entry, "module format '{}' is unknown", module.format);
      BB_ASSIGN(module.code, readSegment(entry, entry->offset(), entry->bytes(),
                                         "a code segment"));
      variant.modules.push_back(std::move(module));
    }

  std::set<std::string> names;
  for (const State &state : artifact.states)
    names.insert(state.name);
  BB_ASSIGN(variant.derived, readStates(table.derived(), names));
  for (size_t i = 0; i < variant.derived.size(); ++i)
    if (variant.derived[i].kind != StateKind::derived)
      return bad(table.derived()->Get(unsigned(i)),
                 "state '{}' of a variant is not derived",
                 variant.derived[i].name);
  BB_TRY(checkSpaces(table, variant));

  if (table.kernels())
    for (const fb::Kernel *entry : *table.kernels()) {
      BB_ASSIGN(Kernel kernel, readKernel(*entry, variant));
      variant.kernels.push_back(std::move(kernel));
    }
  if (table.programs())
    for (const fb::Program *entry : *table.programs()) {
      BB_ASSIGN(Program program, readProgram(*entry, variant));
      if (variant.program(program.name))
        return bad(entry, "two programs are called '{}'", program.name);
      variant.programs.push_back(std::move(program));
    }
  return variant;
}

Result<Kernel> TableReader::readKernel(const fb::Kernel &table,
                                       const Variant &variant) const {
  Kernel kernel;
  BB_ASSIGN(kernel.name, readName(&table, table.name(), "a kernel's name"));
  BB_ASSIGN(kernel.symbol,
            readName(&table, table.symbol(), "a kernel's symbol"));
  BB_ASSIGN(kernel.hash, readName(&table, table.hash(), "a kernel's hash"));
  BB_ASSIGN(kernel.anchor,
            readName(&table, table.anchor(), "a kernel's anchor"));
  kernel.module = table.module_();
  if (kernel.module >= variant.modules.size())
    return bad(&table, "kernel '{}' is in module {} of {}", kernel.name,
               kernel.module, variant.modules.size());
  kernel.programs = table.programs();
  kernel.scratchBytes = table.scratch_bytes();
  if (kernel.programs == 0 || kernel.programs > largestSpace ||
      kernel.scratchBytes > largestSpace)
    return bad(&table, "kernel '{}': {} programs with {} bytes of scratch",
               kernel.name, kernel.programs, kernel.scratchBytes);
  kernel.threads = table.threads();
  if (kernel.threads > largestBlock || kernel.threads % 32 != 0)
    return bad(&table,
               "kernel '{}' has blocks of {} threads; a block has at most {}, "
               "in warps of 32",
               kernel.name, kernel.threads, largestBlock);
  kernel.bufferBytes = numbersOf(table.buffer_bytes());
  if (table.writes())
    kernel.writes.assign(table.writes()->begin(), table.writes()->end());
  if (kernel.bufferBytes.size() != kernel.writes.size())
    return bad(&table,
               "kernel '{}' has {} buffers, but {} marks of what it writes",
               kernel.name, kernel.bufferBytes.size(), kernel.writes.size());
  for (uint32_t i = 0; table.buffer_types() && i < table.buffer_types()->size();
       ++i) {
    BB_ASSIGN(DType type, readType(&table, table.buffer_types()->Get(i)));
    kernel.bufferTypes.push_back(type);
  }
  if (kernel.bufferTypes.size() != kernel.bufferBytes.size())
    return bad(&table, "kernel '{}' has {} buffers, but types of {}",
               kernel.name, kernel.bufferBytes.size(),
               kernel.bufferTypes.size());
  kernel.scalars = table.scalars();
  kernel.flops = table.flops();
  kernel.trafficBytes = table.traffic_bytes();
  return kernel;
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

Result<Buffer> TableReader::readPlace(const void *where,
                                      const fb::Buffer *table,
                                      const Program &program,
                                      const Variant &variant,
                                      bool written) const {
  BB_ASSIGN(Buffer buffer, readBuffer(where, table));
  uint64_t space = spaceBytes(buffer.space, program, variant);
  if (buffer.offset + buffer.bytes > space)
    return bad(table,
               "program '{}': a buffer lies at {} + {} of {} bytes of {}",
               program.name, buffer.offset, buffer.bytes, space,
               spaceName(buffer.space));
  if (written && buffer.space == Space::constant)
    return bad(table, "program '{}' writes a constant", program.name);
  return buffer;
}

Result<std::vector<Tensor>>
TableReader::readTensors(const Tables<fb::Tensor> *table,
                         const Program &program, const Variant &variant) const {
  std::vector<Tensor> tensors;
  if (!table)
    return tensors;
  std::set<std::string> names;
  for (const fb::Tensor *entry : *table) {
    Tensor tensor;
    BB_ASSIGN(tensor.name, readName(entry, entry->name(), "a tensor's name"));
    if (!names.insert(tensor.name).second)
      return bad(entry, "program '{}' has two tensors '{}'", program.name,
                 tensor.name);
    BB_ASSIGN(tensor.dtype, readType(entry, entry->dtype()));
    BB_ASSIGN(tensor.buffer,
              readPlace(entry, entry->buffer(), program, variant, false));
    BB_ASSIGN(tensor.shape, readShape(entry, entry->shape(), tensor.dtype,
                                      tensor.buffer.bytes));
    tensor.ahead = entry->ahead();
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Result<Dispatch> TableReader::readDispatch(const fb::Dispatch &table,
                                           const Program &program,
                                           const Variant &variant) const {
  Dispatch dispatch;
  dispatch.kernel = table.kernel();
  if (dispatch.kernel >= variant.kernels.size())
    return bad(&table, "program '{}' calls kernel {} of {}", program.name,
               dispatch.kernel, variant.kernels.size());
  const Kernel &kernel = variant.kernels[dispatch.kernel];
  size_t count = table.buffers() ? table.buffers()->size() : 0;
  size_t scalars = table.scalars() ? table.scalars()->size() : 0;
  if (count != kernel.bufferBytes.size() || scalars != kernel.scalars)
    return bad(&table,
               "program '{}' calls '{}' with {} buffers and {} scalars; it "
               "takes {} and {}",
               program.name, kernel.name, count, scalars,
               kernel.bufferBytes.size(), kernel.scalars);
  for (size_t i = 0; i < count; ++i) {
    const fb::Buffer *entry = table.buffers()->Get(unsigned(i));
    BB_ASSIGN(Buffer buffer,
              readPlace(&table, entry, program, variant, kernel.writes[i]));
    if (buffer.bytes < kernel.bufferBytes[i])
      return bad(entry, "program '{}': buffer {} of '{}' has {} bytes of {}",
                 program.name, i, kernel.name, buffer.bytes,
                 kernel.bufferBytes[i]);
    if (buffer.offset % bufferAlignment != 0)
      return bad(
          entry,
          "program '{}': buffer {} of '{}' begins at {}, no multiple of {}",
          program.name, i, kernel.name, buffer.offset, bufferAlignment);
    for (size_t other = 0; other < i; ++other)
      if (kernel.writes[i] && kernel.writes[other] &&
          overlap(buffer, dispatch.buffers[other]))
        return bad(
            entry,
            "program '{}': '{}' writes its buffers {} and {}, which overlap",
            program.name, kernel.name, other, i);
    dispatch.buffers.push_back(buffer);
  }
  dispatch.scalars = numbersOf(table.scalars());
  return dispatch;
}

Result<Copy> TableReader::readCopy(const fb::Copy &table,
                                   const Program &program,
                                   const Variant &variant) const {
  Copy copy;
  BB_ASSIGN(copy.source,
            readPlace(&table, table.source(), program, variant, false));
  BB_ASSIGN(copy.target,
            readPlace(&table, table.target(), program, variant, true));
  if (copy.source.bytes != copy.target.bytes ||
      overlap(copy.source, copy.target))
    return bad(&table, "program '{}' copies {} bytes to {} bytes{}",
               program.name, copy.source.bytes, copy.target.bytes,
               overlap(copy.source, copy.target) ? " that overlap them" : "");
  return copy;
}

Result<Zero> TableReader::readZero(const fb::Zero &table,
                                   const Program &program,
                                   const Variant &variant) const {
  Zero zero;
  BB_ASSIGN(zero.target,
            readPlace(&table, table.target(), program, variant, true));
  return zero;
}

Result<Program> TableReader::readProgram(const fb::Program &table,
                                         const Variant &variant) const {
  Program program;
  BB_ASSIGN(program.name, readName(&table, table.name(), "a program's name"));
  BB_ASSIGN(program.base, readName(&table, table.base(), "a program's base"));
  if (program.name != program.base &&
      !program.name.starts_with(program.base + "."))
    return bad(&table, "program '{}' is no form of '{}'", program.name,
               program.base);
  BB_ASSIGN(auto shape, readPairs(table.shape()));
  program.shape = {shape.begin(), shape.end()};
  program.arenaBytes = table.arena_bytes();
  program.liveBytes = table.live_bytes();
  program.flops = table.flops();
  program.trafficBytes = table.traffic_bytes();
  if (program.arenaBytes > largestSpace ||
      program.liveBytes > program.arenaBytes)
    return bad(&table, "program '{}': {} live bytes in an arena of {}",
               program.name, program.liveBytes, program.arenaBytes);

  BB_ASSIGN(program.inputs, readTensors(table.inputs(), program, variant));
  BB_ASSIGN(program.outputs, readTensors(table.outputs(), program, variant));
  for (size_t i = 0; i < program.inputs.size(); ++i) {
    const Tensor &input = program.inputs[i];
    if (input.buffer.space != Space::arena)
      return bad(&table, "program '{}': input '{}' is not in the arena",
                 program.name, input.name);
    for (size_t other = 0; other < i; ++other)
      if (overlap(input.buffer, program.inputs[other].buffer))
        return bad(&table, "program '{}': inputs '{}' and '{}' overlap",
                   program.name, program.inputs[other].name, input.name);
  }

  size_t steps = table.steps() ? table.steps()->size() : 0;
  program.steps.reserve(steps);
  for (unsigned i = 0; i < steps; ++i) {
    switch (table.steps_type()->GetEnum<fb::Step>(i)) {
    case fb::Step::Dispatch: {
      BB_ASSIGN(Step step, readDispatch(*table.steps()->GetAs<fb::Dispatch>(i),
                                        program, variant));
      program.steps.push_back(std::move(step));
      break;
    }
    case fb::Step::Copy: {
      BB_ASSIGN(Step step,
                readCopy(*table.steps()->GetAs<fb::Copy>(i), program, variant));
      program.steps.push_back(std::move(step));
      break;
    }
    case fb::Step::Zero: {
      BB_ASSIGN(Step step,
                readZero(*table.steps()->GetAs<fb::Zero>(i), program, variant));
      program.steps.push_back(std::move(step));
      break;
    }
    default:
      return bad(&table, "program '{}': step {} is of an unknown kind",
                 program.name, i);
    }
  }
  return program;
}

} // namespace bitbyte
