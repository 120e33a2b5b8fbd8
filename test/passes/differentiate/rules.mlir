// Rules whose form matters to later phases or is easily got wrong. The values
// of all rules are compared with finite differences in test/ops.
// RUN: bb-opt %s --split-input-file --bb-differentiate=gradients | FileCheck %s

// A norm: statistics as in the forward op, one row-wise gradient, one column sum.
bb.model @rms_norm() {
  state @x f32[4, 8] parameter init ones group "decay" saved
  state @g f32[8] parameter init ones group "decay" saved
  program @score() -> f32[4, 8] {
    %x = read @x f32[4, 8]
    %g = read @g f32[8]
    %y = rms_norm %x, %g eps 1.0e-05
    return %y
  }
}
// CHECK-LABEL: @rms_norm
// CHECK: program @gradients
// CHECK: %[[X:.*]] = read @x
// CHECK: %[[G:.*]] = read @g
// CHECK: %[[DY:.*]] = broadcast
// CHECK: %[[XX:.*]] = square %[[X]]
// CHECK: %[[MEAN:.*]] = reduce %[[XX]] by mean axes [1] keep
// CHECK: %[[SHIFTED:.*]] = scale %[[MEAN]] by 1.0 plus 1.0e-05
// CHECK: %[[R:.*]] = rsqrt %[[SHIFTED]]
// CHECK: %[[Z:.*]] = mul %[[X]], %[[R]]
// CHECK: %[[DZ:.*]] = mul %[[DY]], %[[G]]
// CHECK: %[[DZZ:.*]] = mul %[[DZ]], %[[Z]]
// CHECK: %[[ALONG:.*]] = reduce %[[DZZ]] by mean axes [1] keep
// CHECK: %[[BACK:.*]] = mul %[[Z]], %[[ALONG]]
// CHECK: %[[REST:.*]] = sub %[[DZ]], %[[BACK]]
// CHECK: %[[DX:.*]] = mul %[[R]], %[[REST]]
// CHECK: %[[DYZ:.*]] = mul %[[DY]], %[[Z]]
// CHECK: %[[DG:.*]] = reduce %[[DYZ]] by sum axes [0]
// CHECK: return %{{.*}}, %[[DX]], %[[DG]]

// -----

// Broadcast operands sum over what was stretched; a value used twice sums both.
bb.model @stretched() {
  state @a f32[3, 1] parameter init ones group "decay" saved
  state @b f32[2, 1, 5] parameter init ones group "decay" saved
  program @score() -> f32[2, 3, 5] {
    %a = read @a f32[3, 1]
    %b = read @b f32[2, 1, 5]
    %p = mul %a, %b
    %y = add %p, %a
    return %y
  }
}
// CHECK-LABEL: @stretched
// CHECK: program @gradients
// CHECK: %[[A:.*]] = read @a
// CHECK: %[[B:.*]] = read @b
// CHECK: %[[DY:.*]] = broadcast
// CHECK: %[[KEPT:.*]] = reduce %[[DY]] by sum axes [2] keep
// CHECK: %[[DA0:.*]] = reduce %[[KEPT]] by sum axes [0]{{$}}
// CHECK: %[[PA:.*]] = mul %[[DY]], %[[B]]
// CHECK: %[[KEPT:.*]] = reduce %[[PA]] by sum axes [2] keep
// CHECK: %[[DA1:.*]] = reduce %[[KEPT]] by sum axes [0]{{$}}
// CHECK: %[[DA:.*]] = add %[[DA0]], %[[DA1]]
// CHECK: %[[PB:.*]] = mul %[[DY]], %[[A]]
// CHECK: %[[DB:.*]] = reduce %[[PB]] by sum axes [1] keep
// CHECK: return %{{.*}}, %[[DA]], %[[DB]]

// -----

// A part of a split that nothing uses counts as zeros.
bb.model @split() {
  state @x f32[2, 9] parameter init ones group "decay" saved
  program @score() -> f32[2, 4] {
    %x = read @x f32[2, 9]
    %p, %q = split %x into [5, 4]
    return %q
  }
}
// CHECK-LABEL: @split
// CHECK: program @gradients
// CHECK: %[[DY:.*]] = broadcast
// CHECK: %[[ZEROS:.*]] = fill value 0.0 to f32 of [2, 5]
// CHECK: concat %[[ZEROS]], %[[DY]]

// -----

// In each period, row 0 came from %first and row t from row t - 1.
bb.model @shift() {
  state @x f32[2, 6, 4] parameter init ones group "decay" saved
  state @first f32[4] parameter init ones group "decay" saved
  program @score() -> f32[2, 6, 4] {
    %x = read @x f32[2, 6, 4]
    %f = read @first f32[4]
    %y = shift %x, %f period 3
    return %y
  }
}
// CHECK-LABEL: @shift
// CHECK: program @gradients
// CHECK: %[[PERIODS:.*]] = reshape %{{.*}} to [2, 2, 3, 4]
// CHECK: %[[ROW0:.*]] = slice %[[PERIODS]] axis 2 from 0 size 1
// CHECK: %[[DFIRST:.*]] = reduce %[[ROW0]] by sum axes [0, 1, 2]
// CHECK: %[[LATER:.*]] = slice %[[PERIODS]] axis 2 from 1 size 2
// CHECK: %[[BACK:.*]] = pad %[[LATER]] axis 2 before 0 after 1
// CHECK: %[[DX:.*]] = reshape %[[BACK]] to [2, 6, 4]
// CHECK: return %{{.*}}, %[[DX]], %[[DFIRST]]

// -----

// No gradient is made of what leads to no parameter, nor through a stop.
bb.model @unwanted() {
  state @w f32[4, 8] parameter init ones group "decay" saved
  program @score(%x: f32[2, 8]) -> f32[2, 4] {
    %w = read @w f32[4, 8]
    %e = exp %x
    %p = linear %e, %w
    %q = stop_gradient %p
    %y = mul %p, %q
    return %y
  }
}
// CHECK-LABEL: @unwanted
// CHECK: program @gradients
// CHECK: %[[E:.*]] = exp %x
// CHECK: %[[Q:.*]] = stop_gradient
// CHECK: %[[DY:.*]] = broadcast
// CHECK-NEXT: %[[DP:.*]] = mul %[[DY]], %[[Q]]
// CHECK-NEXT: %[[DW:.*]] = einsum %[[DP]], %[[E]] as "ao,ai->oi"
// CHECK-NEXT: return %{{.*}}, %[[DW]]
