// gradients: the mean loss and the gradient of every parameter, by name; zeros
// where the loss does not depend on it. Nothing else is made.
// RUN: bb-opt %s --bb-differentiate=gradients | FileCheck %s
// RUN: bb-opt %s --bb-differentiate | FileCheck %s --check-prefix=NEITHER

bb.model @m() {
  state @w f32[8, 4] parameter init ones group "decay" saved
  state @unused f32[3] parameter init ones group "no_decay" saved
  program @score(%x: f32[2, 4]) -> f32[2, 8] {
    %w = read @w f32[8, 4]
    %y = linear %x, %w
    return %y
  }
  program @score.B1(%x: f32[1, 4]) -> f32[1, 8] {
    %w = read @w f32[8, 4]
    %y = linear %x, %w
    return %y
  }
}

// CHECK-NOT: moment
// CHECK: program @gradients(%x: f32[2, 4]) -> f32[] as "loss", f32[8, 4] as "gradient.w", f32[3] as "gradient.unused" {
// CHECK: %[[WEIGHT:.*]] = fill value 0.0625 to f32 of []
// CHECK: %[[DW:.*]] = einsum %{{.*}}, %x as "ao,ai->oi"
// CHECK: %[[ZEROS:.*]] = fill value 0.0 to f32 of [3]
// CHECK: return %{{.*}}, %[[DW]], %[[ZEROS]]
// CHECK: program @gradients.B1(
// CHECK-NOT: program

// Without training only the masters are laid out, in the spec's groups.
// NEITHER: state @w f32[8, 4] parameter init ones group "decay" slice of @master.decay at 0 saved
// NEITHER: state @unused f32[3] parameter init ones group "no_decay" slice of @master.no_decay at 0 saved
// NEITHER-NOT: state
// NEITHER: program @score(
// NEITHER: program @score.B1(
// NEITHER-NOT: program
