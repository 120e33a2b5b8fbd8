// RUN: bb-opt %s | bb-opt | FileCheck %s
// RUN: bb-opt %s --mlir-print-op-generic | bb-opt | FileCheck %s

// A flat state and its slice, a counter, a derived state.
// CHECK: plan.state "master.decay" : tensor<512xf32> parameter at parameters[0 : 2048] group "decay"
// CHECK: plan.state "w" : tensor<8x32xf32> parameter at parameters[1024 : 1024] group "decay" slice of "master.decay" init <normal, {{.*}}, {{.*}}> saved
// CHECK: plan.state "optimizer.step" : tensor<i32> counter at training[0 : 4] saved
plan.state "master.decay" : tensor<512xf32> parameter at parameters[0 : 2048] group "decay"
plan.state "w" : tensor<8x32xf32> parameter at parameters[1024 : 1024] group "decay"
    slice of "master.decay" init <normal, 0.02, 0.0> saved
plan.state "optimizer.step" : tensor<i32> counter at training[0 : 4] saved

// CHECK: plan.constant constant[0 : 8] = dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>
plan.constant constant[0 : 8] = dense<[1.0, 2.0]> : tensor<2xf32>

// CHECK: plan.program @score base "score" shape {B = "8", T = "256"} arena 10240 live 10240 flops 7 traffic 9 {
plan.program @score base "score" shape {B = "8", T = "256"} arena 10240 live 10240 flops 7 traffic 9 {
  // CHECK: plan.input "bytes" : tensor<8x256xui8> at arena[0 : 2048]
  plan.input "bytes" : tensor<8x256xui8> at arena[0 : 2048]
  // CHECK: plan.input "next" : tensor<8x256xui8> at arena[2048 : 2048] ahead 1
  plan.input "next" : tensor<8x256xui8> at arena[2048 : 2048] ahead 1
  // In place: one operand gives its bytes to the result.
  // CHECK: plan.dispatch @embed_0(arena[0 : 2048], parameters[0 : 2048]) -> (arena[0 : 2048], arena[2048 : 64])
  plan.dispatch @embed_0(arena[0 : 2048], parameters[0 : 2048]) -> (arena[0 : 2048], arena[2048 : 64])
  // CHECK: plan.dispatch @embed_0() -> (arena[0 : 2048]) scalars [3]
  plan.dispatch @embed_0() -> (arena[0 : 2048]) scalars [3]
  // CHECK: plan.copy arena[0 : 2048] to parameters[0 : 2048]
  plan.copy arena[0 : 2048] to parameters[0 : 2048]
  // CHECK: plan.zero training[0 : 4]
  plan.zero training[0 : 4]
  // CHECK: plan.output "nats" : tensor<8x256xf32> at arena[2048 : 8192]
  plan.output "nats" : tensor<8x256xf32> at arena[2048 : 8192]
}
