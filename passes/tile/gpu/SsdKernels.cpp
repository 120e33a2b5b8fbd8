//===- SsdKernels.cpp - The kernels that SSD takes on a GPU ---------------===//
#include "passes/tile/gpu/SsdKernels.h"
#include "passes/tile/gpu/Fragments.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace bitbyte::tile {

static bb::GraphTensorType tensorOf(Value v) {
  return cast<bb::GraphTensorType>(v.getType());
}
static int64_t dimOf(Value v, unsigned axis) {
  return *tensorOf(v).dim(axis).constant();
}
/// Of a tile for tensor cores: a power of two from 16 on.
static int64_t padded(int64_t n) {
  return std::max<int64_t>(16, llvm::PowerOf2Ceil(n));
}

GpuSsd::GpuSsd(ScheduleContext &context, Operation *op, Value x, Value b,
               bb::DimAttr chunk)
    : context(context), op(op) {
  s.batch = dimOf(x, 0), s.length = dimOf(x, 1), s.heads = dimOf(x, 2),
  s.width = dimOf(x, 3), s.groups = dimOf(b, 2), s.states = dimOf(b, 3);
  int64_t whole = *chunk.constant();
  s.items = std::min<int64_t>(64, whole);
  while (whole % s.items)
    --s.items;
  s.perSave = whole / s.items;
}

//===-- A program of one chunk and head -----------------------------------===//

namespace {
class ChunkTiles {
public:
  ChunkTiles(KernelBuilder &k, const GpuSsdSizes &s, int64_t warps,
             int64_t blocks = 1)
      : k(k), s(s), warps(warps), zero(k.index(0)) {
    Values at =
        k.delinearize(k.program(), {s.batch, s.chunks(), s.heads, blocks});
    b = at[0], chunk = at[1], h = at[2], block = at[3];
    group = k.div(h, s.headsPerGroup());
    t0 = k.mul(chunk, s.items);
    count = s.length % s.items
                ? k.min(k.sub(k.index(s.length), t0), k.index(s.items))
                : k.index(s.items);
  }

  /// [B, T, H or G, n] as [T, n].
  Value ofHead(Value tensor) {
    ArrayRef<int64_t> shape = cast<BufType>(tensor.getType()).getShape();
    return k.view(tensor, {b, zero, shape[2] == s.heads ? h : group, zero},
                  {s.length, shape[3]}, ArrayRef<int64_t>{0, 2});
  }
  /// [B, H, T] as [T].
  Value numbersOf(Value tensor) {
    return k.view(tensor, {b, h, zero}, {s.length}, ArrayRef<int64_t>{0, 1});
  }
  /// [B, chunks, H, N, P] as [N, P].
  Value stateOf(Value tensor) {
    return k.view(tensor, {b, chunk, h, zero, zero}, {s.states, s.width},
                  ArrayRef<int64_t>{0, 1, 2});
  }
  /// cs of the last item.
  Value last(Value sums) {
    return k.loadScalar(k.f32(), numbersOf(sums), {k.sub(k.add(t0, count), 1)});
  }

  Value scratch(int64_t stages, int64_t rows, int64_t columns, Type element) {
    BufType type = stagedBuffer(stages, rows, columns, element);
    return k.alloc(type.getShape(), element, type.getLayout());
  }
  /// [rows, columns] over all threads.
  RegType spread(int64_t rows, int64_t columns, int64_t run) {
    MLIRContext *context = k.builder.getContext();
    return RegType::get(context, {rows, columns}, k.f32(),
                        spreadLayout(context, rows, columns, run, warps));
  }
  RegType accumulator(int64_t rows, int64_t columns) {
    MLIRContext *context = k.builder.getContext();
    return RegType::get(context, {rows, columns}, k.f32(),
                        accumulatorLayout(context, rows, columns, warps, 1));
  }
  /// A part of a matrix to scratch, zeros where it does not exist; there after
  /// the next wait.
  void stage(Value matrix, Value row, Value column, Value dest, Value rowsLeft,
             Value columnsLeft) {
    auto from = cast<BufType>(matrix.getType()),
         to = cast<BufType>(dest.getType());
    Values bounds{rowsLeft, columnsLeft};
    if (from.getElementType() == to.getElementType()) {
      k.copyAsync(matrix, {row, column}, dest, bounds);
      return;
    }
    RegType type = spread(to.getShape()[0], to.getShape()[1], 4);
    k.store(k.load(type, matrix, {row, column}, bounds), dest, {zero, zero});
  }
  Value stageOf(Value ring, Value number) {
    ArrayRef<int64_t> shape = cast<BufType>(ring.getType()).getShape();
    return k.view(ring, {k.rem(number, 2)}, shape.drop_front());
  }
  /// Takes `steps` copies through a ring of two stages.
  Value pipeline(int64_t steps, Value init, function_ref<void(Value)> copy,
                 function_ref<Value(Value, Value)> use) {
    copy(zero);
    k.commit();
    Value sum =
        k.loop(0, steps, 1, {init}, [&](Value step, ValueRange carried) {
          k.wait(0);
          if (steps > 1)
            k.when(k.less(k.add(step, 1), k.index(steps)),
                   [&] { copy(k.add(step, 1)); });
          k.commit();
          return Values{use(step, carried[0])};
        })[0];
    k.wait(0);
    return sum;
  }

  KernelBuilder &k;
  const GpuSsdSizes &s;
  int64_t warps;
  Value b, chunk, h, block, group, t0, count, zero;
};
} // namespace

/// 2^(x log2(e)).
static Value decay(ScalarBuilder &s, Value x, const KernelTarget &target) {
  return exp2(s, s.mul(x, s.constant(kLog2E)), target);
}

//===-- Sums of steps -----------------------------------------------------===//

void GpuSsd::makeSums(Value dt, Value a) {
  auto type = temporary(op->getContext(), {s.batch, s.heads, s.length});
  // A lane takes a head and walks the chunk's items in order.
  int64_t columns = llvm::divideCeil(s.heads, 32);
  auto made = context.kernel(
      op->getLoc(), "ssd_sums", {bufferOf(dt), flatBuffer(tensorOf(a))},
      {denseBuffer(type), denseBuffer(type)}, s.batch * s.chunks() * columns);
  KernelBuilder &k = *made;
  k.setCost(2 * s.batch * s.length * s.heads,
            byteCount(tensorOf(dt)) + 2 * byteCount(type));
  k.setVector(1);
  Values at = k.delinearize(k.program(), {s.batch, s.chunks(), columns});
  Value h0 = k.mul(at[2], 32), begin = k.mul(at[1], s.items);
  Value end = k.min(k.index(s.length), k.add(begin, s.items));
  RegType row = k.row(32, k.f32());
  Values bounds;
  if (s.heads % 32)
    bounds = {k.sub(k.index(s.heads), h0)};
  Value rate = k.load(row, k.arg(1), {h0}, bounds);
  k.loop(begin, end, 1, {k.full(row, 0.0)}, [&](Value t, ValueRange before) {
    Value step = k.load(row, k.arg(0), {at[0], t, h0}, bounds);
    Value sum = k.map({before[0], step, rate}, k.f32(),
                      [](ScalarBuilder &s, ValueRange v) {
                        return s.add(s.mul(v[1], v[2]), v[0]);
                      });
    for (auto [i, value] : llvm::enumerate(Values{step, sum}))
      k.store(value,
              k.view(k.arg(2 + i), {at[0], k.index(0), t}, {s.heads},
                     ArrayRef<int64_t>{0, 2}),
              {h0}, bounds);
    return Values{sum};
  });
  Values results = context.dispatch(op, k, {dt, a}, {type, type});
  steps = results[0], sums = results[1];
}

//===-- States ------------------------------------------------------------===//

Value GpuSsd::chunkStates(Value rows, Value columns, bool backwards) {
  auto result = temporary(op->getContext(),
                          {s.batch, s.chunks(), s.heads, s.states, s.width});
  int64_t q = padded(s.items), n = std::min<int64_t>(128, padded(s.states)),
          p = std::min<int64_t>(64, padded(s.width));
  int64_t down = llvm::divideCeil(s.states, n),
          across = llvm::divideCeil(s.width, p);
  int64_t warps = std::min<int64_t>(4, n / 16);
  auto made = context.kernel(
      op->getLoc(), "ssd_states",
      {bufferOf(rows), bufferOf(columns), denseBuffer(tensorOf(steps)),
       denseBuffer(tensorOf(sums))},
      {denseBuffer(result)}, s.programs() * down * across, warps);
  KernelBuilder &k = *made;
  k.setCost(2 * s.batch * s.length * s.heads * s.states * s.width,
            byteCount(tensorOf(rows)) + byteCount(tensorOf(columns)) +
                byteCount(result));
  ChunkTiles tiles(k, s, warps, down * across);
  Type element = tensorOf(rows).getElement();
  Value left = tiles.scratch(0, q, n, element),
        right = tiles.scratch(0, q, p, element);
  Value n0 = k.mul(k.div(tiles.block, across), n),
        p0 = k.mul(k.rem(tiles.block, across), p);
  Value nLeft = k.sub(k.index(s.states), n0),
        pLeft = k.sub(k.index(s.width), p0);
  tiles.stage(tiles.ofHead(k.arg(0)), tiles.t0, n0, left, tiles.count, nLeft);
  k.commit();
  // Numbers of items behind the end are 0 times something finite.
  RegType type = tiles.spread(q, p, 4);
  Values bounds{tiles.count};
  auto numbers = [&](unsigned argument) {
    return k.broadcast(k.load(type.drop(1), tiles.numbersOf(k.arg(argument)),
                              {tiles.t0}, bounds),
                       type, 1);
  };
  Value x = k.load(type, tiles.ofHead(k.arg(1)), {tiles.t0, p0},
                   {tiles.count, pLeft});
  Value end = tiles.last(k.arg(3));
  Value scaled = k.map({x, numbers(2), numbers(3)}, k.f32(),
                       [&](ScalarBuilder &s, ValueRange v) {
                         if (backwards)
                           return s.mul(v[0], decay(s, v[2], k.target));
                         Value e = decay(s, s.sub(end, v[2]), k.target);
                         return s.mul(v[0], s.mul(v[1], e));
                       });
  k.store(scaled, right, {tiles.zero, tiles.zero});
  k.wait(0);
  Value sum = k.mma(left, right, k.full(tiles.accumulator(n, p), 0.0),
                    /*transposeA=*/true);
  k.store(sum, tiles.stateOf(k.arg(4)), {n0, p0}, {nLeft, pLeft});
  return context.dispatch(op, k, {rows, columns, steps, sums}, {result})[0];
}

GpuSsd::Carried GpuSsd::carry(Value added, Value from, bool save,
                              Value dotWith) {
  MLIRContext *ctx = op->getContext();
  int64_t elements = s.states * s.width;
  int64_t vector = elements % 4 == 0 ? 4 : 1, width = 32 * vector;
  int64_t slices = llvm::divideCeil(elements, width);
  bool backwards = !!dotWith;
  auto rowsOf = [&](Value v, ArrayRef<int64_t> lead) {
    SmallVector<int64_t> shape(lead);
    shape.append({s.heads, elements});
    return BufType::global(shape, Float32Type::get(ctx));
  };
  Values operands{added, sums};
  SmallVector<BufType> in{rowsOf(added, {s.batch, s.chunks()}),
                          denseBuffer(tensorOf(sums))},
      out{in[0]};
  SmallVector<Type> results{added.getType()};
  int64_t bytes = 2 * byteCount(tensorOf(added));
  if (from) {
    operands.push_back(from);
    in.push_back(rowsOf(from, {s.batch}));
    results.push_back(from.getType());
    out.push_back(in.back());
    bytes += 2 * byteCount(tensorOf(from));
  }
  int64_t saves = llvm::divideCeil(s.chunks(), s.perSave);
  bool savesApart = save && s.perSave > 1;
  if (savesApart) {
    results.push_back(
        temporary(ctx, {s.batch, saves, s.heads, s.states, s.width}));
    out.push_back(rowsOf({}, {s.batch, saves}));
    bytes += byteCount(cast<bb::GraphTensorType>(results.back()));
  }
  auto dotType = temporary(ctx, {slices, s.batch, s.chunks(), s.heads});
  if (backwards) {
    operands.push_back(dotWith);
    in.push_back(in[0]);
    results.push_back(dotType);
    out.push_back(denseBuffer(dotType));
    bytes += byteCount(tensorOf(added)) + byteCount(dotType);
  }
  auto made = context.kernel(op->getLoc(), "ssd_carry", in, out,
                             s.batch * s.heads * slices);
  KernelBuilder &k = *made;
  k.setCost(2 * s.programs() * elements, bytes);
  k.setVector(vector);
  RegType row = k.row(width, k.f32());
  Values at = k.delinearize(k.program(), {s.batch, s.heads, slices});
  Value b = at[0], h = at[1], first = k.mul(at[2], width);
  Values bounds;
  if (elements % width)
    bounds = {k.sub(k.index(elements), first)};
  unsigned firstResult = in.size();
  Value start =
      from ? k.load(row, k.arg(2), {b, h, first}, bounds) : k.full(row, 0.0);
  Value last = k.index(s.chunks() - 1);
  Value end =
      k.loop(0, s.chunks(), 1, {start}, [&](Value done, ValueRange before) {
        Value chunk = backwards ? k.sub(last, done) : done;
        Values place{b, chunk, h, first};
        Value own = k.load(row, k.arg(0), place, bounds);
        if (backwards) {
          // Behind the last chunk the gradient is 0, and any state will do.
          Value next = k.min(last, k.add(chunk, 1));
          Value s = k.load(row, k.arg(2), {b, next, h, first}, bounds);
          Value product = k.map(
              {s, before[0]}, k.f32(),
              [](ScalarBuilder &s, ValueRange v) { return s.mul(v[0], v[1]); });
          k.store(k.reduce(Combiner::Add, product, 0), k.arg(firstResult + 1),
                  {at[2], b, chunk, h});
        }
        k.store(before[0], k.arg(firstResult), place, bounds);
        if (savesApart)
          k.when(k.less(k.rem(chunk, s.perSave), k.index(1)), [&] {
            k.store(before[0], k.arg(firstResult + 1 + !!from),
                    {b, k.div(chunk, s.perSave), h, first}, bounds);
          });
        Value item =
            k.sub(k.min(k.index(s.length), k.mul(k.add(chunk, 1), s.items)), 1);
        Value sum = k.loadScalar(k.f32(), k.arg(1), {b, h, item});
        return Values{k.map({before[0], own}, k.f32(),
                            [&](ScalarBuilder &s, ValueRange v) {
                              Value e = decay(s, sum, k.target);
                              return s.add(s.mul(v[0], e), v[1]);
                            })};
      })[0];
  if (from)
    k.store(end, k.arg(firstResult + 1), {b, h, first}, bounds);
  SmallVector<int64_t> inplace(results.size(), -1);
  inplace[0] = 0; // a chunk's sum is read before its state is written
  Values made2 = context.dispatch(op, k, operands, results, inplace);
  Carried carried;
  carried.states = made2[0];
  if (from)
    carried.last = made2[1];
  if (save)
    carried.saved = savesApart ? made2.back() : made2[0];
  if (backwards)
    carried.dots = gpuSumParts(context, op, made2.back(), slices,
                               temporary(ctx, {s.batch, s.chunks(), s.heads}));
  return carried;
}

//===-- Rows --------------------------------------------------------------===//

Values GpuSsd::rows(const Rows &r) {
  int64_t depth = dimOf(r.left, 3), width = dimOf(r.value, 3);
  Type element = tensorOf(r.value).getElement();
  int64_t q = padded(s.items), kStep = std::min<int64_t>(32, padded(depth)),
          wide = std::min<int64_t>(element.isF32() ? 64 : 128, padded(width));
  int64_t kSteps = llvm::divideCeil(depth, kStep),
          blocks = llvm::divideCeil(width, wide), warps = q / 16;
  Values operands{r.left, r.right, r.value, r.state, steps, sums};
  if (r.dotWith)
    operands.push_back(r.dotWith);
  SmallVector<BufType> in, out{denseBuffer(r.result)};
  SmallVector<Type> results{r.result};
  int64_t bytes = 0;
  for (Value v : operands) {
    in.push_back(bufferOf(v));
    bytes += byteCount(tensorOf(v));
  }
  if (r.dotWith) {
    results.push_back(sums.getType());
    out.push_back(denseBuffer(tensorOf(sums)));
  }
  for (Type type : results)
    bytes += byteCount(cast<bb::GraphTensorType>(type));
  auto made =
      context.kernel(op->getLoc(), "ssd_rows", in, out, s.programs(), warps);
  KernelBuilder &k = *made;
  // About as many as shared memory allows. Without a wish ptxas guesses, and
  // spills for a number that does not fit; so it does for three with dots over
  // rows of x, which may lie in other strides than the rest.
  k.setWarps(warps, /*minBlocks=*/r.dotWith && !r.turned ? 2 : 3);
  k.setCost(2 * s.batch * s.heads * s.length *
                (s.items * (depth + width) + s.states * s.width),
            bytes);
  ChunkTiles tiles(k, s, warps);
  Value zero = tiles.zero, count = tiles.count, t0 = tiles.t0;
  Value ringL = tiles.scratch(2, q, kStep, element),
        ringR = tiles.scratch(2, q, kStep, element),
        scores = tiles.scratch(0, q, q, element),
        value = tiles.scratch(0, q, wide, element);
  Value left = tiles.ofHead(k.arg(0)), right = tiles.ofHead(k.arg(1)),
        state = tiles.stateOf(k.arg(3));
  auto depthLeft = [&](Value step) {
    return k.sub(k.index(depth), k.mul(step, kStep));
  };
  auto copyTo = [&](Value matrix, Value ring, Value step) {
    tiles.stage(matrix, t0, k.mul(step, kStep), tiles.stageOf(ring, step),
                count, depthLeft(step));
  };

  // Scores, with the decay between both items.
  RegType square = tiles.accumulator(q, q);
  Value products = tiles.pipeline(
      kSteps, k.full(square, 0.0),
      [&](Value step) {
        copyTo(left, ringL, step);
        copyTo(right, ringR, step);
      },
      [&](Value step, Value sum) {
        return k.mma(tiles.stageOf(ringL, step), tiles.stageOf(ringR, step),
                     sum, false, /*transposeB=*/true);
      });
  auto along = [&](unsigned argument, RegType type, unsigned axis) {
    return k.broadcast(k.load(type.drop(axis), tiles.numbersOf(k.arg(argument)),
                              {t0}, {count}),
                       type, axis);
  };
  Value exist = k.toI32(count);
  Values inputs{products, along(5, square, 1), along(5, square, 0),
                k.iota(square.withElement(k.i32()), 0),
                k.iota(square.withElement(k.i32()), 1)};
  if (r.weighted)
    inputs.push_back(along(4, square, 0));
  Value weights = k.map(inputs, k.f32(), [&](ScalarBuilder &s, ValueRange v) {
    Value one = s.integer(1), sees, ahead;
    if (r.backwards) { // those behind the end have no sum
      sees = arith::AndIOp::create(s.builder, s.loc,
                                   s.less(v[3], s.add(v[4], one)),
                                   s.less(v[4], exist));
      ahead = s.sub(v[2], v[1]);
    } else {
      sees = s.less(v[4], s.add(v[3], one));
      ahead = s.sub(v[1], v[2]);
    }
    Value weight = s.mul(v[0], decay(s, ahead, k.target));
    if (r.weighted)
      weight = s.mul(weight, v[5]);
    return s.select(sees, weight, s.constant(0));
  });
  k.store(weights, scores, {zero, zero});

  // All have left the ring of the right side: this one may take its place.
  Value ringS = r.turned ? tiles.scratch(2, wide, kStep, element)
                         : tiles.scratch(2, kStep, wide, element);
  RegType type = tiles.accumulator(q, wide);
  Value end = r.backwards ? tiles.last(k.arg(5)) : Value();
  Value output = r.isPart
                     ? k.view(k.arg(in.size()),
                              {k.rem(tiles.h, s.headsPerGroup()), tiles.b, zero,
                               tiles.group, zero},
                              {s.length, width}, ArrayRef<int64_t>{0, 1, 3})
                     : tiles.ofHead(k.arg(in.size()));
  auto block = [&](Value w0, ValueRange dots) {
    Value widthLeft = k.sub(k.index(width), w0);
    tiles.stage(tiles.ofHead(k.arg(2)), t0, w0, value, count, widthLeft);
    Value far = tiles.pipeline(
        kSteps, k.full(type, 0.0),
        [&](Value step) {
          copyTo(left, ringL, step);
          Value dest = tiles.stageOf(ringS, step), k0 = k.mul(step, kStep);
          if (r.turned)
            tiles.stage(state, w0, k0, dest, widthLeft, depthLeft(step));
          else
            tiles.stage(state, k0, w0, dest, depthLeft(step), widthLeft);
        },
        [&](Value step, Value sum) {
          return k.mma(tiles.stageOf(ringL, step), tiles.stageOf(ringS, step),
                       sum, false, r.turned);
        });
    far = k.map({far, along(5, type, 1)}, k.f32(),
                [&](ScalarBuilder &s, ValueRange v) {
                  Value ahead = end ? s.sub(end, v[1]) : v[1];
                  return s.mul(v[0], decay(s, ahead, k.target));
                });
    Value made = k.mma(scores, value, far);
    Value scaled = r.scaled ? k.map({made, along(4, type, 1)}, k.f32(),
                                    [](ScalarBuilder &s, ValueRange v) {
                                      return s.mul(v[0], v[1]);
                                    })
                            : made;
    Values bounds{count, widthLeft};
    k.store(scaled, output, {t0, w0}, bounds);
    if (!r.dotWith)
      return Values();
    Value other = k.load(type, tiles.ofHead(k.arg(6)), {t0, w0}, bounds);
    Value product =
        k.map({r.dotScaled ? scaled : made, other}, k.f32(),
              [](ScalarBuilder &s, ValueRange v) { return s.mul(v[0], v[1]); });
    Value sum = k.reduce(Combiner::Add, product, 1);
    return Values{
        k.map({dots[0], sum}, k.f32(), [](ScalarBuilder &s, ValueRange v) {
          return s.add(v[0], v[1]);
        })};
  };
  Values dots;
  if (r.dotWith)
    dots.push_back(k.full(type.drop(1), 0.0));
  if (blocks == 1) {
    dots = block(zero, dots);
  } else {
    auto body = [&](Value i, ValueRange before) {
      k.barrier(); // before the last block's tiles are overwritten
      return block(k.mul(i, wide), before);
    };
    if (dots.empty())
      k.loop(0, blocks, 1, [&](Value i) { (void)body(i, {}); });
    else
      dots = k.loop(0, blocks, 1, dots, body);
  }
  if (r.dotWith)
    k.store(dots[0], tiles.numbersOf(k.arg(in.size() + 1)), {t0}, {count});
  return context.dispatch(op, k, operands, results);
}

} // namespace bitbyte::tile
