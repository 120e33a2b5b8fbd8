//===- Assemble.cpp - From a planned module to the tables of a variant ----===//

#include "compiler/pipeline/Assemble.h"

#include "dialects/plan/PlanDialect.h"
#include "dialects/tile/TileOps.h"

#include "llvm/ADT/StringMap.h"

using namespace llvm;
using namespace mlir;
using namespace bitbyte;
using namespace bitbyte::bb;

namespace {

fb::DType dtypeOf(Type type) {
  if (type.isF32())
    return fb::DType::f32;
  if (type.isBF16())
    return fb::DType::bf16;
  if (type.isF16())
    return fb::DType::f16;
  if (type.isUnsignedInteger(8))
    return fb::DType::u8;
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return fb::DType::i1;
  case 8:
    return fb::DType::i8;
  case 32:
    return fb::DType::i32;
  default:
    return fb::DType::i64;
  }
}

fb::Buffer bufferOf(plan::BufferAttr buffer) {
  return {static_cast<fb::Space>(buffer.getSpace()),
          uint64_t(buffer.getOffset()), uint64_t(buffer.getBytes())};
}

std::unique_ptr<fb::Buffer> tableOf(plan::BufferAttr buffer) {
  return std::make_unique<fb::Buffer>(bufferOf(buffer));
}

template <typename Table>
void setType(Table &table, RankedTensorType type) {
  table.dtype = dtypeOf(type.getElementType());
  table.shape.assign(type.getShape().begin(), type.getShape().end());
}

/// The bytes of a constant as they lie in memory; an i1 takes a byte.
std::string bytesOf(ElementsAttr value) {
  auto dense = cast<DenseElementsAttr>(value);
  std::string bytes;
  if (dense.getElementType().isInteger(1)) {
    for (bool bit : dense.getValues<bool>())
      bytes.push_back(bit);
    return bytes;
  }
  ArrayRef<char> raw = dense.getRawData();
  for (int64_t i = 0, copies = dense.isSplat() ? dense.getNumElements() : 1;
       i < copies; ++i)
    bytes.append(raw.begin(), raw.end());
  return bytes;
}

class Assembler {
public:
  Assembler(ModuleOp module, ArrayRef<CompiledKernel> kernels)
      : module(module), kernels(kernels),
        variant(std::make_unique<fb::VariantT>()) {}

  AssembledVariant run(StringRef target) {
    variant->target = target;
    AssembledVariant result;
    addStates(result.states);
    addConstants(result.constants);
    addKernels();
    for (auto program : module.getOps<plan::ProgramOp>())
      addProgram(program);
    result.tables = std::move(variant);
    return result;
  }

private:
  void addStates(std::vector<std::unique_ptr<fb::StateT>> &common) {
    StringMap<int> index; // in the list that the state is in
    for (auto state : module.getOps<plan::StateOp>()) {
      bool isDerived = state.getKind() == plan::StateKind::derived;
      auto &list = isDerived ? variant->derived : common;
      auto table = std::make_unique<fb::StateT>();
      table->name = state.getName();
      setType(*table, cast<RankedTensorType>(state.getType()));
      table->kind = static_cast<fb::StateKind>(state.getKind());
      table->group = state.getGroup().value_or("");
      if (auto flat = state.getSliceOf())
        table->slice_of = index.lookup(*flat);
      table->buffer = tableOf(state.getBuffer());
      if (auto init = state.getInit()) {
        table->init = std::make_unique<fb::InitT>();
        table->init->kind = static_cast<fb::InitKind>(init->getKind());
        table->init->a = init->getA().getValueAsDouble();
        table->init->b = init->getB().getValueAsDouble();
      }
      table->saved = state.getSaved();
      index[state.getName()] = int(list.size());
      list.push_back(std::move(table));
      grow(state.getBuffer());
    }
  }

  /// Makes the space of a state large enough for it.
  void grow(plan::BufferAttr buffer) {
    uint64_t *size = nullptr;
    switch (buffer.getSpace()) {
    case plan::Space::parameters:
      size = &variant->parameters_bytes;
      break;
    case plan::Space::training:
      size = &variant->training_bytes;
      break;
    case plan::Space::derived:
      size = &variant->derived_bytes;
      break;
    case plan::Space::cache:
      size = &variant->cache_bytes;
      break;
    case plan::Space::arena:
    case plan::Space::constant:
      return;
    }
    *size = std::max<uint64_t>(*size, plan::alignUp(buffer.getEnd()));
  }

  void addConstants(std::string &segment) {
    for (auto constant : module.getOps<plan::ConstantOp>()) {
      auto buffer = constant.getBuffer();
      if (segment.size() < size_t(buffer.getEnd()))
        segment.resize(buffer.getEnd());
      std::string bytes = bytesOf(constant.getValue());
      segment.replace(buffer.getOffset(), bytes.size(), bytes);
    }
  }

  void addKernels() {
    for (const CompiledKernel &compiled : kernels) {
      auto kernel = module.lookupSymbol<tile::KernelOp>(compiled.name);
      auto table = std::make_unique<fb::KernelT>();
      table->name = compiled.name;
      table->symbol = compiled.symbol;
      table->hash = compiled.hash;
      table->anchor = kernel.getAnchor().value_or("elementwise");
      table->module_ = compiled.module;
      table->programs = kernel.getPrograms();
      table->scratch_bytes = compiled.scratchBytes;
      table->threads = compiled.threads;
      table->flops = kernel.getFlops().value_or(0);
      table->traffic_bytes = kernel.getTraffic().value_or(0);
      for (Type argument : kernel.getArgumentTypes())
        table->buffer_types.push_back(
            dtypeOf(cast<tile::BufType>(argument).getElementType()));
      kernelIndex[compiled.name] = uint32_t(variant->kernels.size());
      variant->kernels.push_back(std::move(table));
    }
  }

  void addProgram(plan::ProgramOp program) {
    auto table = std::make_unique<fb::ProgramT>();
    table->name = program.getSymName();
    table->base = program.getBase();
    for (NamedAttribute entry : program.getShape()) {
      auto pair = std::make_unique<fb::NameValueT>();
      pair->name = entry.getName().str();
      pair->value = cast<StringAttr>(entry.getValue()).str();
      table->shape.push_back(std::move(pair));
    }
    table->arena_bytes = program.getArenaBytes();
    table->live_bytes = program.getLiveBytes();
    table->flops = program.getFlops();
    table->traffic_bytes = program.getTrafficBytes();
    for (Operation &op : program.getBody().front()) {
      if (auto input = dyn_cast<plan::InputOp>(op)) {
        addTensor(table->inputs, input);
        table->inputs.back()->ahead = input.getAhead();
      } else if (auto output = dyn_cast<plan::OutputOp>(op)) {
        addTensor(table->outputs, output);
      } else {
        table->steps.push_back(stepOf(op));
      }
    }
    variant->programs.push_back(std::move(table));
  }

  template <typename TensorOp>
  void addTensor(std::vector<std::unique_ptr<fb::TensorT>> &list, TensorOp op) {
    auto table = std::make_unique<fb::TensorT>();
    table->name = op.getName();
    setType(*table, cast<RankedTensorType>(op.getType()));
    table->buffer = tableOf(op.getBuffer());
    list.push_back(std::move(table));
  }

  fb::StepUnion stepOf(Operation &op) {
    fb::StepUnion step;
    if (auto copy = dyn_cast<plan::CopyOp>(op)) {
      fb::CopyT table;
      table.source = tableOf(copy.getSource());
      table.target = tableOf(copy.getTarget());
      step.Set(std::move(table));
    } else if (auto zero = dyn_cast<plan::ZeroOp>(op)) {
      fb::ZeroT table;
      table.target = tableOf(zero.getTarget());
      step.Set(std::move(table));
    } else {
      auto dispatch = cast<plan::DispatchOp>(op);
      fb::DispatchT table;
      table.kernel = kernelIndex.lookup(dispatch.getKernel());
      fb::KernelT &kernel = *variant->kernels[table.kernel];
      bool isFirst = kernel.buffer_bytes.empty();
      auto add = [&](ArrayAttr buffers, bool writes) {
        for (auto buffer : buffers.getAsRange<plan::BufferAttr>()) {
          table.buffers.push_back(bufferOf(buffer));
          if (isFirst) {
            kernel.buffer_bytes.push_back(buffer.getBytes());
            kernel.writes.push_back(writes);
          }
        }
      };
      add(dispatch.getReads(), false);
      add(dispatch.getWrites(), true);
      table.scalars.assign(dispatch.getScalars().begin(),
                           dispatch.getScalars().end());
      step.Set(std::move(table));
    }
    return step;
  }

  ModuleOp module;
  ArrayRef<CompiledKernel> kernels;
  std::unique_ptr<fb::VariantT> variant;
  StringMap<uint32_t> kernelIndex;
};

} // namespace

AssembledVariant bb::assembleVariant(ModuleOp module, StringRef target,
                                     ArrayRef<CompiledKernel> kernels) {
  return Assembler(module, kernels).run(target);
}
