//===- ScanTiles.cpp - What the schedules of scans on a GPU share ---------===//
#include "passes/tile/gpu/ScanTiles.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace bitbyte::tile {

static constexpr int64_t lanes = 32;

GpuScanSizes gpuScanSizes(Value x, Value a, Value b, int64_t chunk,
                          int64_t most, int64_t wide, int64_t warps) {
  auto rows = cast<bb::GraphTensorType>(x.getType());
  auto decay = cast<bb::GraphTensorType>(a.getType());
  auto numbers = cast<bb::GraphTensorType>(b.getType());
  GpuScanSizes s;
  s.batch = *rows.dim(0).constant();
  s.length = *rows.dim(1).constant();
  s.channels = *rows.dim(2).constant();
  s.states = *decay.dim(1).constant();
  // Rows of B and C are whole copies of 16 bytes.
  s.padded =
      std::max<int64_t>(llvm::PowerOf2Ceil(s.states),
                        128 / numbers.getElement().getIntOrFloatBitWidth());
  s.perLane = std::max(std::min(most, s.padded), s.padded / lanes);
  s.wide = wide;
  while (s.wide > 1 && s.channels % s.warpChannels())
    s.wide /= 2;
  s.whole = s.channels % s.warpChannels() == 0;
  s.warps = s.whole ? warps : 1;
  while (s.warps > 1 && s.channels % (s.warps * s.warpChannels()))
    s.warps /= 2;
  s.step = std::min<int64_t>(4, llvm::PowerOf2Ceil(s.length));
  s.chunk = std::min(chunk, (int64_t)llvm::alignTo(s.length, s.step));
  while (s.chunk % s.step)
    s.step /= 2;
  s.partChunks = s.chunks();
  return s;
}

GpuScanTiles::GpuScanTiles(KernelBuilder &k, const GpuScanSizes &sizes)
    : k(k), s(sizes) {
  MLIRContext *context = k.builder.getContext();
  int64_t down = s.stateLanes(), across = s.channelLanes();
  Distribution layout{{{s.wide, 3, 1}, {s.perLane, 0, 1}},
                      {{across, 2, 1}, {down, 0, s.perLane}},
                      {{s.warps, 1, 1}},
                      4};
  tile = RegType::get(context, {s.padded, s.warps, across, s.wide}, k.f32(),
                      DistAttr::get(context, layout));
  row = tile.drop(0);
  number = tile.drop(3).drop(2).drop(1);
  Values at = k.delinearize(k.program(), {s.batch, s.parts, s.columns()});
  b = at[0], part = at[1], column = at[2];
  zero = k.index(0);
}

//===-- Buffers -----------------------------------------------------------===//

static SmallVector<int64_t> shapeOf(bb::GraphTensorType type) {
  SmallVector<int64_t> shape;
  for (bb::DimAttr d : type.getShape())
    shape.push_back(*d.constant());
  return shape;
}

/// Groups of a warp's channels, and channels of a group.
static std::pair<int64_t, int64_t> groups(const GpuScanSizes &s) {
  if (!s.whole)
    return {1, s.channels};
  return {s.channels / s.warpChannels(), s.warpChannels()};
}

/// [.., D] as [.., D / C, C / wide, wide], or [.., 1, D, 1].
static BufType splitLast(const GpuScanSizes &s, BufType buffer) {
  SmallVector<int64_t> shape(buffer.getShape()), strides = buffer.getStrides();
  auto [count, size] = groups(s);
  int64_t stride = strides.back();
  shape.back() = count;
  shape.append({size / s.wide, s.wide});
  if (!buffer.getLayout())
    return BufType::global(shape, buffer.getElementType());
  strides.back() = size * stride;
  strides.append({s.wide * stride, stride});
  MLIRContext *context = buffer.getContext();
  return BufType::get(context, shape, buffer.getElementType(), Space::Global,
                      StridedAttr::get(context, strides, buffer.getOffset()));
}

BufType GpuScanTiles::split(const GpuScanSizes &s, bb::GraphTensorType type) {
  return splitLast(s, denseBuffer(type));
}

BufType GpuScanTiles::split(const GpuScanSizes &s, Value tensor) {
  return splitLast(s, bufferOf(tensor));
}

BufType GpuScanTiles::turned(const GpuScanSizes &s, bb::GraphTensorType type) {
  SmallVector<int64_t> shape = shapeOf(type), strides;
  auto [count, size] = groups(s);
  shape.pop_back_n(2);
  int64_t matrices = 1;
  for (int64_t n : llvm::reverse(shape)) {
    strides.insert(strides.begin(), matrices * s.channels * s.states);
    matrices *= n;
  }
  shape.append({s.states, count, size / s.wide, s.wide});
  strides.append({1, size * s.states, s.wide * s.states, s.states});
  MLIRContext *context = type.getContext();
  return BufType::get(context, shape, type.getElement(), Space::Global,
                      StridedAttr::get(context, strides));
}

//===-- Places ------------------------------------------------------------===//

Values GpuScanTiles::place(ValueRange at, bool isTile) {
  Values offsets(at);
  if (isTile)
    offsets.push_back(zero);
  Value first = k.mul(column, s.whole ? s.warps : s.channelLanes());
  if (s.whole)
    offsets.append({first, zero, zero});
  else
    offsets.append({zero, first, zero});
  return offsets;
}

/// How many lanes of a tile's channels have any.
static Value lanesLeft(GpuScanTiles &t) {
  if (t.s.whole)
    return t.k.index(t.s.channelLanes());
  return t.k.sub(t.k.index(t.s.channels),
                 t.k.mul(t.column, t.s.channelLanes()));
}

Values GpuScanTiles::tileBounds() {
  if (s.whole && s.padded == s.states)
    return {};
  return {k.index(s.states), k.index(s.warps), lanesLeft(*this),
          k.index(s.wide)};
}

Values GpuScanTiles::channelBounds() {
  if (s.whole)
    return {};
  return {k.index(s.warps), lanesLeft(*this), k.index(s.wide)};
}

Values GpuScanTiles::rowBounds(Value t) {
  if (s.whole && !s.ragged())
    return {};
  Value warps = s.ragged() // all, or none
                    ? k.mul(k.sub(k.index(s.length), t), s.warps)
                    : k.index(s.warps);
  return {warps, lanesLeft(*this), k.index(s.wide)};
}

Value GpuScanTiles::loadRow(Value buffer, Value t) {
  return k.load(row, buffer, place({b, t}), rowBounds(t));
}

//===-- B and C -----------------------------------------------------------===//

GpuScanRing GpuScanTiles::ring(Value tensor) {
  Type element = cast<BufType>(tensor.getType()).getElementType();
  GpuScanRing ring{k.alloc({2, s.chunk, s.padded}, element), Value()};
  if (!element.isF32())
    ring.widened = k.alloc({s.chunk, s.padded}, k.f32());
  return ring;
}

void GpuScanTiles::copyChunk(Value tensor, const GpuScanRing &ring,
                             Value chunk) {
  Value t0 = k.mul(chunk, s.chunk);
  Values bounds;
  if (s.ragged() || s.padded != s.states)
    bounds = {k.sub(k.index(s.length), t0), k.index(s.states)};
  k.copyAsync(tensor, {b, t0, zero}, stage(ring, chunk), bounds);
}

Value GpuScanTiles::stage(const GpuScanRing &ring, Value chunk) {
  return k.view(ring.copied, {k.rem(chunk, 2)}, {s.chunk, s.padded});
}

void GpuScanTiles::widen(ArrayRef<GpuScanRing> rings, Value chunk) {
  MLIRContext *context = k.builder.getContext();
  RegType type =
      RegType::get(context, {s.chunk, s.padded}, k.f32(),
                   spreadLayout(context, s.chunk, s.padded, 4, s.warps));
  bool any = false;
  for (const GpuScanRing &ring : rings)
    if (ring.widened) {
      k.store(k.load(type, stage(ring, chunk), {zero, zero}), ring.widened,
              {zero, zero});
      any = true;
    }
  if (any)
    k.barrier();
}

Value GpuScanTiles::numbers(const GpuScanRing &ring, Value chunk, Value i) {
  Value values = k.load(
      number, ring.widened ? ring.widened : stage(ring, chunk), {i, zero});
  Value lanes = k.broadcast(k.broadcast(values, tile.drop(3).drop(2), 1),
                            tile.drop(3), 2);
  return k.broadcast(lanes, tile, 3);
}

Value GpuScanTiles::rates(Value a) {
  return k.map({loadTile(a, {})}, k.f32(), [](ScalarBuilder &s, ValueRange v) {
    return s.mul(v[0], s.constant(kLog2E));
  });
}

//===-- Rows of a matrix --------------------------------------------------===//

DistAttr spreadLayout(MLIRContext *context, int64_t rows, int64_t columns,
                      int64_t run, int64_t warps) {
  auto share = [](int64_t size, int64_t most) {
    return std::min(most, size & -size);
  };
  run = share(columns, run);
  int64_t across = share(columns / run, lanes),
          down = share(rows, lanes / across),
          warpRows = share(rows / down, warps), once = down * warpRows;
  return DistAttr::get(
      context,
      {{{run, 1, 1},
        {columns / run / across, 1, run * across},
        {rows / once, 0, once}},
       {{across, 1, run}, {down, 0, 1}, {lanes / across / down, -1, 0}},
       {{warpRows, 0, down}, {warps / warpRows, -1, 0}},
       2});
}

//===-- Sums of parts -----------------------------------------------------===//

Value gpuSumParts(ScheduleContext &context, Operation *at, Value parts,
                  int64_t count, bb::GraphTensorType result) {
  constexpr int64_t warps = 8, deep = 4;
  int64_t elements = elementCount(result);
  int64_t vector = elements % 4 == 0 && elements >= (1 << 15) ? 4 : 1;
  int64_t width = lanes * vector;
  MLIRContext *ctx = at->getContext();
  auto made = context.kernel(
      at->getLoc(), "sum_parts",
      {BufType::global({count, elements}, Float32Type::get(ctx))},
      {flatBuffer(result)}, llvm::divideCeil(elements, width), warps);
  KernelBuilder &k = *made;
  k.setCost(count * elements, (count + 1) * elements * 4);
  // Warps, and registers of a lane, take different parts.
  RegType type =
      RegType::get(ctx, {warps * deep, width}, k.f32(),
                   DistAttr::get(ctx, {{{vector, 1, 1}, {deep, 0, warps}},
                                       {{lanes, 1, vector}},
                                       {{warps, 0, 1}},
                                       2}));
  Value i = k.mul(k.program(), width);
  Values bounds;
  if (elements % width)
    bounds = {k.sub(k.index(elements), i)};
  Value sum = k.loop(0, count, warps * deep, {k.full(type, 0.0)},
                     [&](Value first, ValueRange carried) {
                       Values limits;
                       if (count % (warps * deep) || !bounds.empty())
                         limits = {k.sub(k.index(count), first),
                                   bounds.empty() ? k.index(width) : bounds[0]};
                       Value x = k.load(type, k.arg(0), {first, i}, limits);
                       return Values{k.map({carried[0], x}, k.f32(),
                                           [](ScalarBuilder &s, ValueRange v) {
                                             return s.add(v[0], v[1]);
                                           })};
                     })[0];
  k.store(k.reduce(Combiner::Add, sum, 0), k.arg(1), {i}, bounds);
  return context.dispatch(at, k, {parts}, {result})[0];
}

} // namespace bitbyte::tile
