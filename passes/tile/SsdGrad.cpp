//===- SsdGrad.cpp - Gradients of Mamba-2's scan --------------------------===//
//
// A program owns a head of one sequence and walks its chunks backwards, with dS
// the gradient of the state behind the chunk and S the saved one before it.
// With the names of Ssd.cpp, M = (C B^T) . L and W = (dY X^T) . L:
//   dX = M^T dY + exp(cs_Q - cs) (B dS)
//   dC = W B + exp(cs) (dY S^T)
//   dB = W^T C + exp(cs_Q - cs) (X dS^T)
//   dS <- exp(cs_Q) dS + C^T exp(cs) dY.
// The gradient of cs_i is C_i dC_i - B_i dB_i, and that of cs_Q has <S', dS> on
// top, S' the state behind the chunk; suffix sums of it are the gradient of dt
// A.
//
//===----------------------------------------------------------------------===//
#include "passes/tile/ScanTiles.h"
#include "passes/tile/SsdTiles.h"

using namespace mlir;

namespace bitbyte::tile {

namespace {
class GradientKernel {
public:
  /// `shared`: argument 7 holds the shared scores.
  GradientKernel(KernelBuilder &k, const SsdSizes &s, bool shared)
      : k(k), s(s), shared(shared), results(shared ? 8 : 7), tiles(k, s),
        zero(k.index(0)) {
    int64_t q = s.chunk, p = s.width, n = s.states;
    xRows = tiles.allocRows(q, p), dyRows = tiles.allocRows(q, p);
    bRows = tiles.allocRows(q, n), cRows = tiles.allocRows(q, n);
    products = tiles.allocRows(q, q), weights = tiles.allocRows(q, q);
    dyPanels = tiles.allocPanels(q, p);
    bPanels = tiles.allocPanels(q, n), cPanels = tiles.allocPanels(q, n);
    xAcross = tiles.allocPanels(p, q);
    if (!shared)
      bAcross = tiles.allocPanels(n, q);
    state = tiles.allocPanels(n, p), gradState = tiles.allocPanels(n, p);
    stateAcross = tiles.allocPanels(p, n), gradAcross = tiles.allocPanels(p, n);
    gradSum = tiles.allocVector(), gradStep = tiles.allocVector();
    rows = tiles.allocRows(q, std::max(n, p));
  }

  void run() {
    tiles.clear(gradState);
    tiles.clear(state);        // finite, where dS is 0 and there is no S'
    tiles.clearRows(products); // above the diagonal they stay 0
    tiles.clearRows(weights);
    ScalarBuilder scalars(k.builder, k.loc);
    Value none = scalars.constant(0);
    Value gradDecay =
        k.loop(0, s.chunks(), 1, {none}, [&](Value done, ValueRange carried) {
          chunk = k.sub(k.index(s.chunks() - 1), done);
          return Values{oneChunk(carried[0])};
        })[0];
    k.storeScalar(gradDecay, k.arg(results + 2), {tiles.b, tiles.h});
  }

private:
  Value oneChunk(Value gradDecay) {
    int64_t q = s.chunk, p = s.width, n = s.states;
    tiles.enter(k.mul(chunk, q), k.arg(1), k.arg(2));
    tiles.loadRows(k.arg(0), tiles.h, p, tiles.dt, xRows, {});
    tiles.loadRows(k.arg(6), tiles.h, p, {}, dyRows, dyPanels);
    tiles.loadRows(k.arg(3), tiles.group, n, {}, bRows, bPanels);
    tiles.loadRows(k.arg(4), tiles.group, n, {}, cRows, cPanels);
    tiles.across(xRows, q, p, xAcross);
    Value end = behind();
    tiles.loadState(k.arg(5), {tiles.b, chunk, tiles.h}, state);
    tiles.transposePanels(state, n, p, stateAcross);
    tiles.transposePanels(gradState, n, p, gradAcross);
    auto zeroTile = [&](Value, Value) { return k.full(tiles.tile, 0.0); };
    auto decayedInto = [&](Value to) {
      return [this, to](Value r, Value panel, Value sum) {
        k.store(tiles.decayed(sum, r, panel), to, {r, tiles.column(panel)});
      };
    };
    if (shared) {
      tiles.eachScore(k.arg(7), decayedInto(products));
    } else {
      tiles.across(bRows, q, n, bAcross);
      tiles.product(q, q, n, cRows, false, bAcross, Causal::result, zeroTile,
                    decayedInto(products));
    }
    tiles.product(q, q, p, dyRows, false, xAcross, Causal::result, zeroTile,
                  decayedInto(weights));

    // What the state contributes, times a number per row, plus the chunk's own.
    auto sum = [&](int64_t width, Value inside, bool transposed, Value right,
                   Value outside, int64_t depth, Value statePanels,
                   Value factors, Value to) {
      tiles.product(
          q, width, q, inside, transposed, right,
          transposed ? Causal::across : Causal::left,
          [&](Value r, Value panel) {
            Value far = k.mma(k.view(outside, {r, zero}, {s.rows, depth},
                                     ArrayRef<int64_t>{}),
                              k.view(statePanels, {panel, zero, zero},
                                     {depth, s.columns}, ArrayRef<int64_t>{0}),
                              k.full(tiles.tile, 0.0));
            return tiles.scaled(far, tiles.rowNumbers(factors, r));
          },
          [&](Value r, Value panel, Value made) {
            k.store(made, to, {r, tiles.column(panel)});
          });
    };
    sum(n, weights, false, bPanels, dyRows, p, stateAcross, tiles.fromStart,
        rows);
    give(rows, k.arg(results + 4), cRows, /*add=*/true);
    sum(n, weights, true, cPanels, xRows, p, gradAcross, tiles.toEnd, rows);
    give(rows, k.arg(results + 3), bRows, /*add=*/false);
    sum(p, products, true, dyPanels, bRows, n, gradState, tiles.toEnd, rows);
    giveInputs(rows);
    Value decay = steps(end, gradDecay);
    tiles.scaleRows(dyPanels, tiles.fromStart);
    tiles.product(
        n, p, q, cRows, true, dyPanels, Causal::no,
        [&](Value r, Value panel) {
          return tiles.scaledBy(tiles.panelTile(gradState, r, panel),
                                tiles.whole);
        },
        [&](Value r, Value panel, Value made) {
          tiles.storePanelTile(made, gradState, r, panel);
        });
    return decay;
  }

  /// <S', dS>; 0 behind the last chunk, where dS is 0. S' is the state that
  /// the chunk before this one, which follows it, has started from.
  Value behind() {
    Value sum = k.loop(
        0, llvm::divideCeil(s.width, s.columns), 1, {k.full(tiles.row, 0.0)},
        [&](Value panel, ValueRange outer) {
          return k.loop(0, s.states, 1, outer, [&](Value n, ValueRange inner) {
            return Values{k.map({k.load(tiles.row, state, {panel, n, zero}),
                                 k.load(tiles.row, gradState, {panel, n, zero}),
                                 inner[0]},
                                k.f32(), [](ScalarBuilder &s, ValueRange v) {
                                  return s.add(s.mul(v[0], v[1]), v[2]);
                                })};
          });
        })[0];
    return scalarOf(sum);
  }

  /// The sum of a row, as a scalar.
  Value scalarOf(Value row) {
    Value slot = k.alloc({s.columns}, k.f32());
    Value sum = k.broadcast(k.reduce(Combiner::Add, row, 0), tiles.row, 0);
    k.store(sum, slot, {zero});
    return k.loadScalar(k.f32(), slot, {zero});
  }
  Value dot(Value a, Value b, Value t, int64_t width) {
    Value sum = k.loop(
        0, llvm::divideCeil(width, s.columns), 1, {k.full(tiles.row, 0.0)},
        [&](Value panel, ValueRange carried) {
          Value c = tiles.column(panel);
          return Values{k.map({k.load(tiles.row, a, {t, c}),
                               k.load(tiles.row, b, {t, c}), carried[0]},
                              k.f32(), [](ScalarBuilder &s, ValueRange v) {
                                return s.add(s.mul(v[0], v[1]), v[2]);
                              })};
        })[0];
    return scalarOf(sum);
  }

  /// Rows of dC or dB to this head's part [heads per group, B, T, G, N], and
  /// their product with the operand to the gradient of cs.
  void give(Value from, Value part, Value operand, bool add) {
    Value member = k.rem(tiles.h, s.headsPerGroup());
    Value to = k.view(part, {member, tiles.b, zero, tiles.group, zero},
                      {s.length, s.states}, ArrayRef<int64_t>{0, 1, 3});
    k.loop(zero, tiles.count, 1, [&](Value t) {
      copyRow(from, t, to, s.states, {});
      Value d = dot(from, operand, t, s.states);
      if (!add) {
        ScalarBuilder scalars(k.builder, k.loc);
        d = scalars.sub(k.loadScalar(k.f32(), gradSum, {t}), d);
      }
      k.storeScalar(d, gradSum, {t});
    });
  }
  /// dx = dt dX, and the part of ddt that is X's: sum of dX x. The rows of X
  /// are dt x; at a step of 0, x is read again.
  void giveInputs(Value from) {
    Value to = k.view(k.arg(results), {tiles.b, zero, tiles.h, zero},
                      {s.length, s.width}, ArrayRef<int64_t>{0, 2});
    tiles.loadRows(k.arg(0), tiles.h, s.width, {}, xRows, {});
    k.loop(zero, tiles.count, 1, [&](Value t) {
      copyRow(from, t, to, s.width, k.loadScalar(k.f32(), tiles.dt, {t}));
      k.storeScalar(dot(from, xRows, t, s.width), gradStep, {t});
    });
  }
  void copyRow(Value from, Value t, Value to, int64_t width, Value factor) {
    for (int64_t c = 0; c < width; c += s.columns) {
      Value x = k.load(tiles.row, from, {t, k.index(c)});
      if (factor)
        x = tiles.scaledBy(x, factor);
      k.store(x, to, {k.add(tiles.t0, t), k.index(c)},
              width - c < s.columns ? Values{k.index(width - c)} : Values{});
    }
  }

  /// ddt and dA from the suffix sums of the gradient of cs.
  Value steps(Value end, Value gradDecay) {
    Value a = k.loadScalar(k.f32(), k.arg(2), {tiles.h});
    return k.loop(zero, tiles.count, 1, {end, gradDecay},
                  [&](Value done, ValueRange carried) {
                    Value t = k.sub(k.sub(tiles.count, 1), done);
                    Value own = k.loadScalar(k.f32(), gradSum, {t}),
                          step = k.loadScalar(k.f32(), gradStep, {t}),
                          dt = k.loadScalar(k.f32(), tiles.dt, {t});
                    ScalarBuilder scalars(k.builder, k.loc);
                    Value suffix = scalars.add(carried[0], own);
                    Value ddt = scalars.add(scalars.mul(suffix, a), step);
                    Value da = scalars.add(scalars.mul(suffix, dt), carried[1]);
                    k.storeScalar(ddt, k.arg(results + 1),
                                  {tiles.b, k.add(tiles.t0, t), tiles.h});
                    return Values{suffix, da};
                  })[1];
  }

  KernelBuilder &k;
  const SsdSizes &s;
  bool shared;
  unsigned results; ///< the first result's argument
  SsdTiles tiles;
  Value zero, chunk;
  Value xRows, dyRows, bRows, cRows, products, weights, rows;
  Value dyPanels, bPanels, cPanels, xAcross, bAcross;
  Value state, gradState, stateAcross, gradAcross;
  Value gradSum, gradStep; // per item
};
} // namespace

LogicalResult scheduleSsdGrad(ScheduleContext &context, bb::SsdGradOp op) {
  SsdSizes s =
      ssdSizes(context.target, op.getX(), op.getB(), op.getChunkAttr());
  MLIRContext *ctx = op.getContext();
  auto type = [](Value v) { return cast<bb::GraphTensorType>(v.getType()); };
  Values operands(op->getOperands());
  Value shared = sharedScores(context, op, s, op.getB(), op.getC());
  if (shared)
    operands.push_back(shared);
  // Parts of dA, one per sequence, and of dB and dC, one per head of a group.
  auto decayParts = temporary(ctx, {s.batch, s.heads});
  auto rowParts = temporary(
      ctx, {s.headsPerGroup(), s.batch, s.length, s.groups, s.states});
  SmallVector<Type> results{type(op.getDx()), type(op.getDdt()), decayParts,
                            rowParts, rowParts};
  int64_t bytes = 0;
  SmallVector<BufType> in = denseBuffers(operands, bytes), out;
  for (Type t : results) {
    auto tensor = cast<bb::GraphTensorType>(t);
    out.push_back(denseBuffer(tensor));
    bytes += byteCount(tensor);
  }
  auto made =
      context.kernel(op.getLoc(), "ssd_grad", in, out, s.batch * s.heads);
  int64_t q = s.chunk, p = s.width, n = s.states;
  made->setCost(s.batch * s.heads * s.length *
                    (q * ((shared ? 2 : 3) * n + 2 * p) + 8 * n * p),
                bytes);
  GradientKernel(*made, s, bool(shared)).run();
  Values parts = context.dispatch(op, *made, operands, results);
  op.getDx().replaceAllUsesWith(parts[0]);
  op.getDdt().replaceAllUsesWith(parts[1]);
  op.getDa().replaceAllUsesWith(
      sumParts(context, op, parts[2], s.batch, type(op.getDa())));
  op.getDb().replaceAllUsesWith(
      sumParts(context, op, parts[3], s.headsPerGroup(), type(op.getDb())));
  op.getDc().replaceAllUsesWith(
      sumParts(context, op, parts[4], s.headsPerGroup(), type(op.getDc())));
  op->erase();
  return success();
}

} // namespace bitbyte::tile
