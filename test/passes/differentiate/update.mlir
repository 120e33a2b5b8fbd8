// update: one norm over all gradients, then the optimizer's block once for each
// group. A step with a norm that is not finite changes nothing but the
// gradients, which start again at zero.
// RUN: bb-opt %s --bb-differentiate="train optimizer-file=%models/optim/adamw.mlir" | FileCheck %s

bb.model @m() {
  state @w f32[8, 4] parameter init ones group "decay" saved
  state @b f32[8] parameter init ones group "no_decay" saved
  program @score(%x: f32[2, 4]) -> f32[2, 8] {
    %w = read @w f32[8, 4]
    %b = read @b f32[8]
    %y = linear %x, %w, %b
    return %y
  }
}

// CHECK: program @update(%lr: f32[], %beta1: f32[], %one_minus_beta1: f32[], %beta2: f32[], %one_minus_beta2: f32[], %eps: f32[], %decay: f32[], %rate1: f32[], %rate2: f32[], %clip: f32[]) -> f32[] as "grad_norm", i32[] as "ok" {
// CHECK: %[[G0:.*]] = read @gradient.decay f32[256]
// CHECK: %[[ROWS0:.*]] = reshape %[[G0]] to [1, 256]
// CHECK: %[[SQ0:.*]] = square %[[ROWS0]]
// CHECK: %[[PART0:.*]] = reduce %[[SQ0]] by sum axes [1]
// CHECK: %[[SUM0:.*]] = reduce %[[PART0]] by sum axes [0]
// CHECK: %[[G1:.*]] = read @gradient.no_decay f32[256]
// CHECK: %[[PART1:.*]] = reduce %{{.*}} by sum axes [1]
// CHECK: %[[SUM1:.*]] = reduce %[[PART1]] by sum axes [0]
// CHECK: %[[TOTAL:.*]] = add %[[SUM0]], %[[SUM1]]
// CHECK: %[[NORM:.*]] = sqrt %[[TOTAL]]
// CHECK: %[[OK:.*]] = is_finite %[[NORM]]
// CHECK: %[[ONE:.*]] = fill value 1.0 to f32 of []
// CHECK: %[[ABOVE:.*]] = scale %[[NORM]] by 1.0 plus {{1.0*e-06}}
// CHECK: %[[RATIO:.*]] = div %clip, %[[ABOVE]]
// CHECK: %[[LIMIT:.*]] = min %[[RATIO]], %[[ONE]]
// CHECK: %[[ZERO:.*]] = fill value 0.0 to f32 of []
// CHECK: %[[CLIPS:.*]] = lt %[[ZERO]], %clip
// CHECK: %[[FACTOR:.*]] = select %[[CLIPS]], %[[LIMIT]], %[[ONE]]

// CHECK: %[[P0:.*]] = read @master.decay f32[256]
// CHECK: %[[M0:.*]] = read @optimizer.m.decay f32[256]
// CHECK: %[[C0:.*]] = mul %[[G0]], %[[FACTOR]]
// CHECK: mul %lr, %decay
// CHECK: %[[P1:.*]] = sub
// CHECK: %[[NEW:.*]] = select %[[OK]], %[[P1]], %[[P0]]
// CHECK: write @master.decay, %[[NEW]]
// CHECK: write @optimizer.m.decay
// CHECK: write @optimizer.v.decay
// CHECK: %[[CLEARED:.*]] = fill value 0.0 to f32 of [256]
// CHECK: write @gradient.decay, %[[CLEARED]]

// The second group does not decay.
// CHECK: read @master.no_decay
// CHECK: mul %lr, %[[ZERO]]
// CHECK: write @master.no_decay
// CHECK: write @gradient.no_decay

// CHECK: %[[APPLIED:.*]] = cast %[[OK]] to i32
// CHECK: %[[STEP:.*]] = read @optimizer.step i32[]
// CHECK: %[[NEXT:.*]] = add %[[STEP]], %[[APPLIED]]
// CHECK: write @optimizer.step, %[[NEXT]]
// CHECK: return %[[NORM]], %[[APPLIED]]
