// RUN: bb-opt %s --bb-plan | FileCheck %s

tile.kernel @double(%x: !tile.buf<256xf32, global>, %y: !tile.buf<256xf32, global>)
    attributes {programs = 1 : i64, flops = 256 : i64, traffic = 2048 : i64} {
  tile.return
}
tile.kernel @add(%a: !tile.buf<256xf32, global>, %b: !tile.buf<256xf32, global>,
                 %y: !tile.buf<256xf32, global>) attributes {programs = 1 : i64} {
  tile.return
}

tile.kernel @halve(%x: !tile.buf<512xf32, global>, %y: !tile.buf<256xf32, global>)
    attributes {programs = 1 : i64} {
  tile.return
}

// Slices lie inside their flat state; each space counts by itself.
// CHECK: plan.state "master.decay" : tensor<512xf32> parameter at parameters[0 : 2048] group "decay"
// CHECK: plan.state "a" : tensor<256xf32> parameter at parameters[0 : 1024] group "decay" slice of "master.decay" init <normal, 2.000000e-02, 0.000000e+00> saved
// CHECK: plan.state "b" : tensor<16x16xf32> parameter at parameters[1024 : 1024] group "decay" slice of "master.decay" init <ones, {{.*}}> saved
// CHECK: plan.state "c" : tensor<256xf32> parameter at parameters[2048 : 1024]
// CHECK: plan.state "gradient.c" : tensor<256xf32> gradient at training[0 : 1024]
// CHECK: plan.constant constant[0 : 1024] = dense<2.000000e+00> : tensor<256xf32>
bb.model @m() {
  state @master.decay f32[512] parameter group "decay"
  state @a f32[256] parameter init normal(0.02) group "decay" slice of @master.decay at 0 saved
  state @b f32[16, 16] parameter init ones group "decay" slice of @master.decay at 256 saved
  state @c f32[256] parameter init zeros
  state @gradient.c f32[256] gradient

  // The batch and stream names are the shape. Reshapes are free, results take
  // over what their operands leave, constants lie in the file.
  // CHECK: plan.program @score.B2T128 base "score" shape {B = "2", T = "128"} arena 2048 live 2048 flops 512 traffic 4096 {
  // CHECK:   plan.input "x" : tensor<2x128xf32> at arena[[X:[^a]*]] ahead 1
  // CHECK:   plan.dispatch @double(arena[[X]]) -> (arena[[D:.*]])
  // CHECK:   plan.dispatch @add(arena[[D]], constant[0 : 1024]) -> (arena[[D]])
  // CHECK:   plan.dispatch @double(arena[[D]]) -> (arena
  // CHECK:   plan.output "nats" : tensor<2x128xf32>
  program @score.B2T128<batch B = 2, stream T = 128>(%x: f32[2, 128] ahead 1) -> f32[2, 128] {
    %two = constant "two" dense<2.0> : tensor<256xf32>
    %flat = reshape %x to [256]
    %d = tile.dispatch @double(%flat) : (!bb.tensor<f32[256]>) -> !bb.tensor<f32[256]>
    %s = tile.dispatch @add(%d, %two) inplace [0] : (!bb.tensor<f32[256]>, !bb.tensor<f32[256]>) -> !bb.tensor<f32[256]>
    %e = tile.dispatch @double(%s) : (!bb.tensor<f32[256]>) -> !bb.tensor<f32[256]>
    %y = reshape %e to [2, 128]
    return %y
  }

  // An accumulation runs in the state; a zero that is only written is a step.
  // CHECK: plan.program @accumulate base "accumulate" shape {} arena 1024
  // CHECK:   plan.input "g"
  // CHECK:   plan.dispatch @add(training[0 : 1024], arena[0 : 1024]) -> (training[0 : 1024])
  // CHECK:   plan.zero parameters[2048 : 1024]
  // CHECK-NOT: plan.copy
  program @accumulate(%g: f32[256]) {
    %old = read @gradient.c f32[256]
    %new = tile.dispatch @add(%old, %g) inplace [0] : (!bb.tensor<f32[256]>, !bb.tensor<f32[256]>) -> !bb.tensor<f32[256]>
    write @gradient.c, %new
    %zero = constant "zero" dense<0.0> : tensor<256xf32>
    write @c, %zero
    return
  }

  // The flat state is read after the new slice is made: the slice waits.
  // CHECK: plan.program @late base "late"
  // CHECK:   plan.dispatch @double(parameters[0 : 1024]) -> (arena[[N:.*]])
  // CHECK:   plan.dispatch @halve(parameters[0 : 2048]) -> (arena[[H:.*]])
  // CHECK:   plan.copy arena[[N]] to parameters[0 : 1024]
  // CHECK:   plan.output "late.0" : tensor<256xf32> at arena[[N]]
  // CHECK:   plan.output "half" : tensor<256xf32> at arena[[H]]
  program @late() -> f32[256], f32[256] as "half" {
    %a = read @a f32[256]
    %n = tile.dispatch @double(%a) inplace [0] : (!bb.tensor<f32[256]>) -> !bb.tensor<f32[256]>
    write @a, %n
    %flat = read @master.decay f32[512]
    %h = tile.dispatch @halve(%flat) : (!bb.tensor<f32[512]>) -> !bb.tensor<f32[256]>
    return %n, %h
  }
}

// CHECK-NOT: bb.model
