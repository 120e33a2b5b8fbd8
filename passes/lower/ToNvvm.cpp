//===- ToNvvm.cpp - The phase `lower`: tile kernels to LLVM for GPUs ------===//
#include "passes/lower/ToNvvm.h"

#include "passes/lower/NvvmLowering.h"

#include "passes/lower/Passes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace bitbyte::tile {
#define GEN_PASS_DEF_TONVVMPASS
#include "passes/lower/Passes.h.inc"

static constexpr unsigned shared = static_cast<unsigned>(Space::Scratch);
static constexpr llvm::StringLiteral scratchName = "scratch";

//===-- The function ------------------------------------------------------===//

/// All programs have one name for their shared memory.
static void declareScratch(KernelOp kernel) {
  auto module = kernel->getParentOfType<ModuleOp>();
  if (module.lookupSymbol(scratchName))
    return;
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  auto bytes = LLVM::LLVMArrayType::get(builder.getI8Type(), 0);
  // Swizzled tiles want a multiple of 1024.
  LLVM::GlobalOp::create(builder, kernel.getLoc(), bytes, /*isConstant=*/false,
                         LLVM::Linkage::External, scratchName, Attribute(),
                         /*alignment=*/1024, shared);
}

LLVM::LLVMFuncOp NvvmLowering::run(StringRef name) {
  Builder attributes(kernel.getContext());
  SmallVector<Type> types;
  for (Type type : kernel.getArgumentTypes()) {
    auto buffer = cast<BufType>(type);
    if (buffer.getBytes() / buffer.getElementBytes() > INT32_MAX) {
      kernel.emitOpError("a buffer of ")
          << buffer.getNumElements()
          << " elements is too large for a GPU kernel's 32-bit indices";
      return {};
    }
    types.push_back(pointerTo(buffer));
  }
  auto type = LLVM::LLVMFunctionType::get(
      LLVM::LLVMVoidType::get(kernel.getContext()), types);
  function = LLVM::LLVMFuncOp::create(emit.builder, emit.loc, name, type);
  function.setCConv(LLVM::cconv::CConv::PTX_Kernel);
  function.setNoUnwind(true);
  int64_t threads = 32 * warps();
  auto pair = [&](StringRef key, int64_t value) -> Attribute {
    return attributes.getArrayAttr(
        {attributes.getStringAttr(key),
         attributes.getStringAttr(std::to_string(value))});
  };
  SmallVector<Attribute> passed{pair("nvvm.reqntid", threads)};
  if (std::optional<uint64_t> blocks = kernel.getMinBlocks())
    passed.push_back(pair("nvvm.minctasm", *blocks));
  function.setPassthroughAttr(attributes.getArrayAttr(passed));
  for (unsigned i = 0; i < types.size(); ++i)
    function.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(),
                        attributes.getI64IntegerAttr(64));

  Block *entry = function.addEntryBlock(emit.builder);
  emit.builder.setInsertionPointToStart(entry);
  for (auto [argument, pointer] :
       llvm::zip_equal(kernel.getBody().getArguments(), entry->getArguments()))
    lowered[argument] = {firstOf(argument, pointer)};
  Type i32 = emit.integer(32);
  program = emit.intrinsic("llvm.nvvm.read.ptx.sreg.ctaid.x", i32, {});
  thread = emit.intrinsic("llvm.nvvm.read.ptx.sreg.tid.x", i32, {});
  bool many = warps() > 1;
  lane = many ? emit.bitAnd(thread, emit.constant(i32, 31)) : thread;
  warp = many ? emit.shiftRight(thread, 5) : emit.constant(i32, 0);

  bool good = succeeded(lowerBlock(kernel.getBody().front()));
  int64_t bytes = exchangeBytes
                      ? llvm::alignTo(scratchPlan.bytes, 64) + exchangeBytes
                      : scratchPlan.bytes;
  if (good && bytes > target.scratchBytes) {
    kernel.emitOpError("wants ")
        << bytes << " bytes of shared memory, but a block has "
        << target.scratchBytes;
    good = false;
  }
  if (!good) {
    function.erase();
    return {};
  }
  LLVM::ReturnOp::create(emit.builder, emit.loc, ValueRange());
  function->setAttr("tile.scratch_bytes", attributes.getI64IntegerAttr(bytes));
  function->setAttr("tile.threads", attributes.getI64IntegerAttr(threads));
  return function;
}

//===-- Threads -----------------------------------------------------------===//

Value NvvmLowering::digitOf(Value number, int64_t weight, int64_t extent,
                            int64_t count) {
  // Lanes and warps count in powers of two, but the outermost digit of the
  // warps may be any.
  Value digit = number;
  if (weight > 1)
    digit = llvm::isPowerOf2_64(weight)
                ? emit.shiftRight(digit, llvm::Log2_64(weight))
                : Value(LLVM::UDivOp::create(emit.builder, emit.loc, digit,
                                             emit.index(weight)));
  if (weight * extent >= count)
    return digit;
  if (llvm::isPowerOf2_64(extent))
    return emit.bitAnd(digit, emit.index(extent - 1));
  return LLVM::URemOp::create(emit.builder, emit.loc, digit,
                              emit.index(extent));
}

Value NvvmLowering::threadCoordinate(const Distribution &tile, unsigned axis) {
  std::vector<int64_t> key{axis};
  for (const auto *level : {&tile.lane, &tile.warp}) {
    key.push_back(-2);
    for (const Digit &digit : *level)
      key.insert(key.end(), {digit.extent, digit.axis, digit.stride});
  }
  auto [entry, fresh] = coordinates.try_emplace(key);
  if (!fresh)
    return entry->second;
  // Where every later use sees it.
  OpBuilder::InsertionGuard guard(emit.builder);
  emit.builder.setInsertionPointAfterValue(warp);
  Value sum;
  auto add = [&](Value number, ArrayRef<Digit> level, int64_t count) {
    int64_t weight = 1;
    for (const Digit &digit : level) {
      if (digit.axis == axis && digit.extent > 1)
        sum =
            emit.add(sum, emit.mul(digitOf(number, weight, digit.extent, count),
                                   digit.stride));
      weight *= digit.extent;
    }
  };
  add(lane, tile.lane, 32);
  add(warp, tile.warp, warps());
  coordinates[key] = sum;
  return sum;
}

Value NvvmLowering::firstReplica(const Distribution &tile) {
  Value first;
  auto require = [&](Value digit) {
    Value zero = emit.icmp(LLVM::ICmpPredicate::eq, digit, emit.index(0));
    first = first ? emit.bitAnd(first, zero) : zero;
  };
  auto look = [&](Value number, ArrayRef<Digit> level, int64_t count) {
    int64_t weight = 1;
    for (const Digit &digit : level) {
      if (digit.axis < 0 && digit.extent > 1)
        require(digitOf(number, weight, digit.extent, count));
      weight *= digit.extent;
    }
    if (weight < count) // the tile does not know of the others
      require(digitOf(number, weight, count / weight, count));
  };
  if (tile.lanesAreReplicas() &&
      llvm::all_of(tile.warp, [](const Digit &d) { return d.axis < 0; })) {
    require(thread); // all the same: one comparison
    return first;
  }
  look(lane, tile.lane, 32);
  look(warp, tile.warp, warps());
  return first;
}

Value NvvmLowering::scratchBase() {
  if (scratch)
    return scratch;
  declareScratch(kernel);
  OpBuilder::InsertionGuard guard(emit.builder);
  emit.builder.setInsertionPointToStart(&function.getBody().front());
  scratch = LLVM::AddressOfOp::create(emit.builder, emit.loc,
                                      emit.pointer(shared), scratchName);
  return scratch;
}

Value NvvmLowering::exchange(int64_t bytes) {
  exchangeBytes = std::max(exchangeBytes, bytes);
  return emit.move(scratchBase(), {}, llvm::alignTo(scratchPlan.bytes, 64), 1);
}

void NvvmLowering::barrier() {
  emit.intrinsic("llvm.nvvm.barrier.cta.sync.aligned.all", {},
                 {emit.constant(emit.integer(32), 0)});
}

void NvvmLowering::when(Value condition, function_ref<void()> body) {
  if (!condition)
    return body();
  Block *then = addBlock({}), *after = addBlock({});
  jumpIf(condition, then, {}, after, {});
  emit.builder.setInsertionPointToEnd(then);
  body();
  jump(after, {});
  emit.builder.setInsertionPointToEnd(after);
}

Registers NvvmLowering::valuesWhen(Value condition, TypeRange types,
                                   function_ref<Registers()> body) {
  if (!condition)
    return body();
  Registers zeros;
  for (Type type : types)
    zeros.push_back(emit.zero(type));
  Block *then = addBlock({}), *join = addBlock(types);
  jumpIf(condition, then, {}, join, zeros);
  emit.builder.setInsertionPointToEnd(then);
  jump(join, body());
  emit.builder.setInsertionPointToEnd(join);
  return Registers(ValueRange(join->getArguments()));
}

//===-- The pass ----------------------------------------------------------===//

LLVM::LLVMFuncOp lowerGpuKernel(KernelOp kernel, StringRef name,
                                const KernelTarget &target) {
  return NvvmLowering(kernel, target).run(name);
}

namespace {

struct ToNvvm final : tile::impl::ToNvvmPassBase<ToNvvm> {
  void runOnOperation() override {
    KernelTarget target = KernelTarget::cuda();
    for (KernelOp kernel :
         llvm::make_early_inc_range(getOperation().getOps<KernelOp>())) {
      std::string name = kernel.getSymName().str();
      if (!lowerGpuKernel(kernel, name, target))
        return signalPassFailure();
      kernel.erase();
    }
  }
};

} // namespace

} // namespace bitbyte::tile
