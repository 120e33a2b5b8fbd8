// An optimizer is a block of a certain form; any other is refused.
// RUN: split-file %s %t
// RUN: not bb-opt %t/model.mlir --bb-differentiate="train optimizer-file=%t/missing.mlir" 2>&1 | FileCheck %s --check-prefix=FILE
// RUN: not bb-opt %t/model.mlir --bb-differentiate="train optimizer=sgd optimizer-file=%models/optim/adamw.mlir" 2>&1 | FileCheck %s --check-prefix=NAME
// RUN: not bb-opt %t/model.mlir --bb-differentiate="train optimizer=order optimizer-file=%t/bad.mlir" 2>&1 | FileCheck %s --check-prefix=ORDER
// RUN: not bb-opt %t/model.mlir --bb-differentiate="train optimizer=results optimizer-file=%t/bad.mlir" 2>&1 | FileCheck %s --check-prefix=RESULTS
// RUN: bb-opt %t/model.mlir --bb-differentiate="train optimizer=sgd optimizer-file=%t/sgd.mlir" | FileCheck %s --check-prefix=SGD

// FILE: error: 'bb.model' op cannot be trained: no optimizer can be read from
// NAME: has no block @sgd
// ORDER: @order is no optimizer: tensor %g stands after a number
// RESULTS: @results is no optimizer: it must return the parameter and its 1 moments

// SGD-NOT: moment
// SGD: program @update(%lr: f32[], %clip: f32[])

//--- model.mlir
bb.model @m() {
  state @w f32[8, 4] parameter init ones group "decay" saved
  program @score(%x: f32[2, 4]) -> f32[2, 8] {
    %w = read @w f32[8, 4]
    %y = linear %x, %w
    return %y
  }
}
//--- sgd.mlir
bb.block @sgd(%p: f32[N], %g: f32[N], %lr: f32[]) -> f32[N] {
  %d = mul %g, %lr
  %p1 = sub %p, %d
  return %p1
}
//--- bad.mlir
bb.block @order(%p: f32[N], %lr: f32[], %g: f32[N]) -> f32[N] {
  return %p
}
bb.block @results(%p: f32[N], %g: f32[N], %m: f32[N]) -> f32[N] {
  return %p
}
