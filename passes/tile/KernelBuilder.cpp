//===- KernelBuilder.cpp - What schedules write kernels with --------------===//
#include "passes/tile/KernelBuilder.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace bitbyte::tile {

//===-- ScalarBuilder -----------------------------------------------------===//

static constexpr auto contract = arith::FastMathFlags::contract;

Value ScalarBuilder::constant(double value) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getF32FloatAttr(value));
}
Value ScalarBuilder::integer(int64_t value) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getI32IntegerAttr(value));
}
Value ScalarBuilder::add(Value a, Value b) {
  if (a.getType().isSignlessInteger())
    return arith::AddIOp::create(builder, loc, a, b);
  return arith::AddFOp::create(builder, loc, a, b, contract);
}
Value ScalarBuilder::sub(Value a, Value b) {
  if (a.getType().isSignlessInteger())
    return arith::SubIOp::create(builder, loc, a, b);
  return arith::SubFOp::create(builder, loc, a, b, contract);
}
Value ScalarBuilder::mul(Value a, Value b) {
  if (a.getType().isSignlessInteger())
    return arith::MulIOp::create(builder, loc, a, b);
  return arith::MulFOp::create(builder, loc, a, b, contract);
}
Value ScalarBuilder::div(Value a, Value b) {
  if (a.getType().isSignlessInteger())
    return arith::DivSIOp::create(builder, loc, a, b);
  return arith::DivFOp::create(builder, loc, a, b, contract);
}
Value ScalarBuilder::max(Value a, Value b) {
  if (a.getType().isSignlessInteger())
    return arith::MaxSIOp::create(builder, loc, a, b);
  return arith::MaximumFOp::create(builder, loc, a, b, contract);
}
Value ScalarBuilder::min(Value a, Value b) {
  if (a.getType().isSignlessInteger())
    return arith::MinSIOp::create(builder, loc, a, b);
  return arith::MinimumFOp::create(builder, loc, a, b, contract);
}
Value ScalarBuilder::exp(Value a) {
  return math::ExpOp::create(builder, loc, a, contract);
}
Value ScalarBuilder::exp2(Value a) {
  return math::Exp2Op::create(builder, loc, a,
                              contract | arith::FastMathFlags::afn);
}
Value ScalarBuilder::log(Value a) {
  return math::LogOp::create(builder, loc, a, contract);
}
Value ScalarBuilder::sqrt(Value a) {
  return math::SqrtOp::create(builder, loc, a, contract);
}
Value ScalarBuilder::rsqrt(Value a) {
  return math::RsqrtOp::create(builder, loc, a, contract);
}
Value ScalarBuilder::select(Value condition, Value a, Value b) {
  return arith::SelectOp::create(builder, loc, condition, a, b);
}
Value ScalarBuilder::less(Value a, Value b) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, a, b);
}

//===-- The kernel --------------------------------------------------------===//

KernelBuilder::KernelBuilder(OpBuilder at, Location loc, StringRef name,
                             const KernelTarget &target,
                             ArrayRef<BufType> operands,
                             ArrayRef<BufType> results, int64_t programs,
                             StringRef anchor)
    : builder(at), loc(loc), target(target) {
  SmallVector<Type> arguments(operands);
  arguments.append(results.begin(), results.end());
  kernel = KernelOp::create(
      builder, loc, builder.getStringAttr(name),
      TypeAttr::get(builder.getFunctionType(arguments, {})),
      builder.getI64IntegerAttr(programs),
      anchor.empty() ? StringAttr() : builder.getStringAttr(anchor),
      /*flops=*/IntegerAttr(), /*traffic=*/IntegerAttr(),
      /*warps=*/IntegerAttr(), /*min_blocks=*/IntegerAttr(),
      /*arg_attrs=*/ArrayAttr(), /*res_attrs=*/ArrayAttr());
  Block &entry = kernel.getBody().emplaceBlock();
  for (Type type : arguments)
    entry.addArgument(type, loc);
  builder.setInsertionPointToStart(&entry);
}

Value KernelBuilder::arg(unsigned index) {
  return kernel.getBody().getArgument(index);
}

Value KernelBuilder::program() {
  return ProgramIdOp::create(builder, loc, builder.getIndexType());
}

void KernelBuilder::setCost(int64_t flops, int64_t trafficBytes) {
  kernel.setFlops(flops);
  kernel.setTraffic(trafficBytes);
}

void KernelBuilder::setWarps(int64_t warps, int64_t minBlocks) {
  kernel.setWarps(warps);
  deal.warps = warps;
  if (minBlocks)
    kernel.setMinBlocks(minBlocks);
}

KernelOp KernelBuilder::finish() {
  ReturnOp::create(builder, loc);
  return kernel;
}

//===-- Types -------------------------------------------------------------===//

RegType KernelBuilder::row(int64_t n, Type element) {
  return rows({n}, element);
}

RegType KernelBuilder::rows(ArrayRef<int64_t> shape, Type element) {
  return along(shape, shape.size() - 1, element);
}

RegType KernelBuilder::along(ArrayRef<int64_t> shape, unsigned axis,
                             Type element) {
  MLIRContext *context = builder.getContext();
  return RegType::get(context, shape, element,
                      lanesAlong(context, target, shape, axis, deal));
}

RegType KernelBuilder::replicated(ArrayRef<int64_t> shape, Type element) {
  MLIRContext *context = builder.getContext();
  return RegType::get(context, shape, element,
                      replicatedLayout(context, target, shape, deal));
}

//===-- Index arithmetic --------------------------------------------------===//

static std::optional<int64_t> constantOf(Value value) {
  APInt constant;
  if (matchPattern(value, m_ConstantInt(&constant)))
    return constant.getSExtValue();
  return std::nullopt;
}

Value KernelBuilder::index(int64_t value) {
  return arith::ConstantIndexOp::create(builder, loc, value);
}

Value KernelBuilder::add(Value a, Value b) {
  std::optional<int64_t> x = constantOf(a), y = constantOf(b);
  if (x && y)
    return index(*x + *y);
  if (x == 0)
    return b;
  if (y == 0)
    return a;
  return arith::AddIOp::create(builder, loc, a, b);
}

Value KernelBuilder::sub(Value a, Value b) {
  std::optional<int64_t> x = constantOf(a), y = constantOf(b);
  if (x && y)
    return index(*x - *y);
  if (y == 0)
    return a;
  return arith::SubIOp::create(builder, loc, a, b);
}

Value KernelBuilder::mul(Value a, Value b) {
  std::optional<int64_t> x = constantOf(a), y = constantOf(b);
  if (x && y)
    return index(*x * *y);
  if (x == 1)
    return b;
  if (y == 1)
    return a;
  return arith::MulIOp::create(builder, loc, a, b);
}

Value KernelBuilder::div(Value a, Value b) {
  std::optional<int64_t> x = constantOf(a), y = constantOf(b);
  if (x && y && *y)
    return index(*x / *y);
  if (y == 1)
    return a;
  return arith::DivUIOp::create(builder, loc, a, b);
}

Value KernelBuilder::rem(Value a, Value b) {
  std::optional<int64_t> x = constantOf(a), y = constantOf(b);
  if (x && y && *y)
    return index(*x % *y);
  if (y == 1)
    return index(0);
  return arith::RemUIOp::create(builder, loc, a, b);
}

Value KernelBuilder::min(Value a, Value b) {
  std::optional<int64_t> x = constantOf(a), y = constantOf(b);
  if (x && y)
    return index(std::min(*x, *y));
  return arith::MinSIOp::create(builder, loc, a, b);
}

Value KernelBuilder::max(Value a, Value b) {
  std::optional<int64_t> x = constantOf(a), y = constantOf(b);
  if (x && y)
    return index(std::max(*x, *y));
  return arith::MaxSIOp::create(builder, loc, a, b);
}

Value KernelBuilder::less(Value a, Value b) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, a, b);
}

Value KernelBuilder::toI32(Value value) {
  return arith::IndexCastOp::create(builder, loc, i32(), value);
}

Value KernelBuilder::toIndex(Value integer) {
  return arith::IndexCastOp::create(builder, loc, builder.getIndexType(),
                                    integer);
}

SmallVector<Value> KernelBuilder::delinearize(Value number,
                                              ArrayRef<int64_t> extents) {
  SmallVector<Value> result(extents.size());
  for (size_t axis = extents.size(); axis-- > 0;) {
    result[axis] = axis ? rem(number, extents[axis]) : number;
    number = div(number, extents[axis]);
  }
  return result;
}

//===-- Memory ------------------------------------------------------------===//

Value KernelBuilder::alloc(ArrayRef<int64_t> shape, Type element,
                           Attribute layout) {
  return AllocOp::create(builder, loc,
                         BufType::get(builder.getContext(), shape, element,
                                      Space::Scratch, layout));
}

Value KernelBuilder::view(Value buffer, ValueRange offsets,
                          ArrayRef<int64_t> shape,
                          std::optional<ArrayRef<int64_t>> drop) {
  auto source = cast<BufType>(buffer.getType());
  MLIRContext *context = builder.getContext();
  SmallVector<int64_t> dropped;
  if (drop)
    dropped.assign(drop->begin(), drop->end());
  else
    dropped =
        llvm::to_vector(llvm::seq<int64_t>(0, source.getRank() - shape.size()));

  Attribute layout = source.getLayout();
  if (!source.isPanel()) {
    SmallVector<int64_t> strides;
    for (auto [axis, stride] : llvm::enumerate(source.getStrides()))
      if (!llvm::is_contained(dropped, axis))
        strides.push_back(stride);
    // Row-major views stay plain, so that equal kernels have equal text.
    auto plain = BufType::get(context, shape, source.getElementType(),
                              source.getSpace(), Attribute());
    layout = ArrayRef(strides) == ArrayRef(plain.getStrides())
                 ? Attribute()
                 : StridedAttr::get(context, strides);
  }
  auto result = BufType::get(context, shape, source.getElementType(),
                             source.getSpace(), layout);
  return ViewOp::create(builder, loc, result, buffer, offsets,
                        drop ? builder.getDenseI64ArrayAttr(dropped)
                             : DenseI64ArrayAttr());
}

Value KernelBuilder::load(RegType type, Value buffer, ValueRange offsets,
                          ValueRange bounds) {
  return LoadOp::create(builder, loc, type, buffer, offsets, bounds);
}

void KernelBuilder::store(Value value, Value buffer, ValueRange offsets,
                          ValueRange bounds) {
  StoreOp::create(builder, loc, value, buffer, offsets, bounds);
}

Value KernelBuilder::loadScalar(Type type, Value buffer, ValueRange offsets) {
  return LoadScalarOp::create(builder, loc, type, buffer, offsets);
}

void KernelBuilder::storeScalar(Value value, Value buffer, ValueRange offsets) {
  StoreScalarOp::create(builder, loc, value, buffer, offsets);
}

Value KernelBuilder::gather(RegType type, Value buffer, ValueRange indices,
                            ValueRange bounds) {
  return GatherOp::create(builder, loc, type, buffer, indices, bounds);
}

void KernelBuilder::copyAsync(Value source, ValueRange offsets, Value dest,
                              ValueRange bounds) {
  CopyAsyncOp::create(builder, loc, source, offsets, bounds, dest);
}

void KernelBuilder::commit() { CommitOp::create(builder, loc); }

void KernelBuilder::wait(int64_t pending) {
  WaitOp::create(builder, loc, pending);
}

void KernelBuilder::barrier() { BarrierOp::create(builder, loc); }

//===-- Tiles -------------------------------------------------------------===//

Value KernelBuilder::full(RegType type, double value) {
  Type element = type.getElementType();
  TypedAttr attr = isa<FloatType>(element)
                       ? cast<TypedAttr>(builder.getFloatAttr(element, value))
                       : cast<TypedAttr>(builder.getIntegerAttr(
                             element, static_cast<int64_t>(value)));
  return full(type, arith::ConstantOp::create(builder, loc, attr));
}

Value KernelBuilder::full(RegType type, Value value) {
  return SplatOp::create(builder, loc, type, value);
}

Value KernelBuilder::iota(RegType like, unsigned axis) {
  return IotaOp::create(builder, loc, like.withElement(i32()), axis);
}

Value KernelBuilder::broadcast(Value source, RegType type, unsigned axis) {
  Type element = cast<RegType>(source.getType()).getElementType();
  return BroadcastOp::create(builder, loc, type.withElement(element), source,
                             axis);
}

Value KernelBuilder::reduce(Combiner combiner, Value source, unsigned axis) {
  RegType result = cast<RegType>(source.getType()).drop(axis);
  return ReduceOp::create(builder, loc, result, combiner, source, axis);
}

Value KernelBuilder::relayout(Value source, RegType type) {
  return RelayoutOp::create(builder, loc, type, source, DenseI64ArrayAttr());
}

Value KernelBuilder::transpose(Value source, RegType type) {
  return RelayoutOp::create(builder, loc, type, source,
                            builder.getDenseI64ArrayAttr({1, 0}));
}

Value KernelBuilder::mma(Value a, Value b, Value accumulator, bool transposeA,
                         bool transposeB) {
  return MmaOp::create(builder, loc, accumulator.getType(), a, b, accumulator,
                       transposeA, transposeB);
}

SmallVector<Value> KernelBuilder::map(ValueRange inputs,
                                      ArrayRef<Type> elements, MapBody body) {
  auto first = cast<RegType>(inputs[0].getType());
  SmallVector<Type> types;
  for (Type element : elements)
    types.push_back(first.withElement(element));
  auto op = MapOp::create(builder, loc, types, inputs);
  Block &block = op.getBody().emplaceBlock();
  for (Value input : inputs)
    block.addArgument(cast<RegType>(input.getType()).getElementType(), loc);
  ScalarBuilder scalars(OpBuilder::atBlockEnd(&block), loc);
  SmallVector<Value> results = body(scalars, block.getArguments());
  YieldOp::create(scalars.builder, loc, results);
  return SmallVector<Value>(op.getResults());
}

Value KernelBuilder::map(ValueRange inputs, Type element, MapBody1 body) {
  return map(inputs, ArrayRef<Type>{element},
             [&](ScalarBuilder &scalars, ValueRange arguments) {
               return SmallVector<Value>{body(scalars, arguments)};
             })[0];
}

SmallVector<Value> KernelBuilder::map(ValueRange inputs, Block &block) {
  SmallVector<Type> elements(block.getTerminator()->getOperandTypes());
  return map(inputs, elements,
             [&](ScalarBuilder &scalars, ValueRange arguments) {
               IRMapping mapping;
               mapping.map(block.getArguments(), arguments);
               for (Operation &op : block.without_terminator())
                 scalars.builder.clone(op, mapping);
               SmallVector<Value> results;
               for (Value value : block.getTerminator()->getOperands())
                 results.push_back(mapping.lookupOrDefault(value));
               return results;
             });
}

//===-- Control -----------------------------------------------------------===//

SmallVector<Value> KernelBuilder::loop(Value low, Value high, int64_t step,
                                       ValueRange init, LoopBody body) {
  auto op = scf::ForOp::create(builder, loc, low, high, index(step), init);
  OpBuilder::InsertionGuard guard(builder);
  // The op brings its terminator only if it carries nothing.
  if (init.empty())
    builder.setInsertionPoint(op.getBody()->getTerminator());
  else
    builder.setInsertionPointToEnd(op.getBody());
  SmallVector<Value> next = body(op.getInductionVar(), op.getRegionIterArgs());
  if (!init.empty())
    scf::YieldOp::create(builder, loc, next);
  return SmallVector<Value>(op.getResults());
}

SmallVector<Value> KernelBuilder::loop(int64_t low, int64_t high, int64_t step,
                                       ValueRange init, LoopBody body) {
  return loop(index(low), index(high), step, init, body);
}

void KernelBuilder::loop(Value low, Value high, int64_t step,
                         function_ref<void(Value)> body) {
  loop(low, high, step, ValueRange(), [&](Value at, ValueRange) {
    body(at);
    return SmallVector<Value>();
  });
}

void KernelBuilder::loop(int64_t low, int64_t high, int64_t step,
                         function_ref<void(Value)> body) {
  loop(index(low), index(high), step, body);
}

SmallVector<Value>
KernelBuilder::branch(Value condition, TypeRange types,
                      function_ref<SmallVector<Value>()> then,
                      function_ref<SmallVector<Value>()> otherwise) {
  auto op = scf::IfOp::create(builder, loc, types, condition,
                              /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(builder);
  auto fill = [&](Block *block, function_ref<SmallVector<Value>()> body) {
    if (types.empty())
      builder.setInsertionPoint(block->getTerminator());
    else
      builder.setInsertionPointToEnd(block);
    SmallVector<Value> values = body();
    if (!types.empty())
      scf::YieldOp::create(builder, loc, values);
  };
  fill(op.thenBlock(), then);
  fill(op.elseBlock(), otherwise);
  return SmallVector<Value>(op.getResults());
}

void KernelBuilder::when(Value condition, function_ref<void()> then) {
  auto op = scf::IfOp::create(builder, loc, condition,
                              /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(op.thenBlock()->getTerminator());
  then();
}

} // namespace bitbyte::tile
