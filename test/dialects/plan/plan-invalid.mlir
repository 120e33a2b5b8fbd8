// RUN: bb-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{parameter lies in space training instead of parameters}}
plan.state "w" : tensor<8xf32> parameter at training[0 : 32]

// -----

// expected-error @+1 {{'tensor<8xf32>' takes 32 bytes, but its buffer has 64}}
plan.state "w" : tensor<8xf32> parameter at parameters[0 : 64]

// -----

// expected-error @+1 {{buffer at offset 32 is not aligned to 64 bytes}}
plan.state "w" : tensor<8xf32> parameter at parameters[32 : 32]

// -----

// expected-error @+1 {{'tensor<?xf32>' takes 0 bytes, but its buffer has 64}}
plan.state "w" : tensor<?xf32> parameter at parameters[0 : 64]

// -----

// expected-error @+1 {{'heap' is not a space}}
plan.state "w" : tensor<8xf32> parameter at heap[0 : 32]

// -----

// expected-error @+1 {{buffer of 32 bytes at offset -64 is not a range}}
plan.state "w" : tensor<8xf32> parameter at parameters[-64 : 32]

// -----

// expected-error @+1 {{'normall' is not an initial value}}
plan.state "w" : tensor<8xf32> parameter at parameters[0 : 32] init <normall, 1.0, 0.0>

// -----

// expected-error @+1 {{lies in space constant, not in arena}}
plan.constant arena[0 : 8] = dense<[1.0, 2.0]> : tensor<2xf32>

// -----

// expected-error @+1 {{arena of 64 bytes cannot hold 128 live bytes}}
plan.program @p base "p" shape {} arena 64 live 128 flops 0 traffic 0 {
}

// -----

plan.program @p base "p" shape {} arena 64 live 64 flops 0 traffic 0 {
  // expected-error @+1 {{uses bytes outside the arena of 64 bytes}}
  plan.zero arena[0 : 128]
}

// -----

plan.program @p base "p" shape {} arena 64 live 64 flops 0 traffic 0 {
  plan.zero arena[0 : 64]
  // expected-error @+1 {{out of order: inputs stand first, outputs last}}
  plan.input "x" : tensor<16xf32> at arena[0 : 64]
}

// -----

plan.program @p base "p" shape {} arena 64 live 64 flops 0 traffic 0 {
  plan.input "x" : tensor<8xf32> at arena[0 : 32]
  // expected-error @+1 {{is the second of the name 'x'}}
  plan.input "x" : tensor<8xf32> at arena[32 : 32]
}

// -----

plan.program @p base "p" shape {} arena 64 live 64 flops 0 traffic 0 {
  // expected-error @+1 {{lies in the arena, not in space parameters}}
  plan.output "x" : tensor<8xf32> at parameters[0 : 32]
}

// -----

plan.program @p base "p" shape {} arena 256 live 64 flops 0 traffic 0 {
  // expected-error @+1 {{overlap without being equal}}
  plan.dispatch @k(arena[0 : 128]) -> (arena[64 : 128])
}

// -----

plan.program @p base "p" shape {} arena 256 live 64 flops 0 traffic 0 {
  // expected-error @+1 {{which overlap}}
  plan.dispatch @k() -> (arena[0 : 128], arena[64 : 128])
}

// -----

plan.program @p base "p" shape {} arena 256 live 64 flops 0 traffic 0 {
  // expected-error @+1 {{as 2 operands and computes in place there}}
  plan.dispatch @k(arena[0 : 128], arena[0 : 128]) -> (arena[0 : 128])
}

// -----

plan.program @p base "p" shape {} arena 256 live 64 flops 0 traffic 0 {
  // expected-error @+1 {{writes to space constant, which is read-only}}
  plan.dispatch @k() -> (constant[0 : 128])
}

// -----

plan.program @p base "p" shape {} arena 256 live 64 flops 0 traffic 0 {
  // expected-error @+1 {{copies 64 bytes to 128}}
  plan.copy arena[0 : 64] to parameters[0 : 128]
}

// -----

plan.program @p base "p" shape {} arena 256 live 64 flops 0 traffic 0 {
  // expected-error @+1 {{overlap}}
  plan.copy arena[0 : 64] to arena[32 : 64]
}
