// Every graph op reads back what it prints, in its own form and in the generic one.
// RUN: bb-opt %s -o %t.once
// RUN: bb-opt %t.once | diff %t.once -
// RUN: bb-opt %s --mlir-print-op-generic | bb-opt | diff %t.once -
// RUN: FileCheck %s < %t.once

// CHECK-LABEL: bb.model @m(batch B = 2, stream T = 8, d = 16, n_head = 2, eps = 1.0e-05, tied = 1)
bb.model @m(batch B = 2, stream T = 8, d = 16, n_head = 2, eps = 1.0e-5, tied = true) {
  // CHECK: preset @small {d = 8, eps = (0.02 / n_head)}
  preset @small {d = 8, eps = 0.02 / n_head}
  // CHECK: import_rule "a.*.weight" transpose
  import_rule "a.*.weight" transpose
  // CHECK: import_rule "b" name "b1" also "b2" reshape [4, 4]
  import_rule "b" name "b1" also "b2" reshape [4, 4]
  // CHECK: import_rule ignore "c", "d.*"
  import_rule ignore "c", "d.*"

  // CHECK: program @elements(%x: [B, T, d], %i: i32[B, T], %n: u8[B, T] ahead 1) -> [B, T, d], f32[] as "loss"
  program @elements(%x: [B, T, d], %i: i32[B, T], %n: u8[B, T] ahead 1) -> [B, T, d], f32[] as "loss" {
    %0 = neg %x
    %1 = exp %0
    %2 = square %1
    %3 = sigmoid %2
    %4 = tanh %3
    %5 = silu %4
    %6 = gelu %5
    %7 = relu %6
    %8 = softplus %7
    %9 = sqrt %8
    %10 = rsqrt %9
    %11 = log %10
    %12 = abs %11
    %13 = round %12
    %14 = stop_gradient %13
    %15 = add %14, %x
    %16 = sub %15, %x
    %17 = mul %16, %x
    %18 = div %17, %x
    %19 = min %18, %x
    %20 = max %19, %x
    %21 = rem %20, %x
    %22 = lt %21, %x
    %23 = le %21, %x
    %24 = eq %21, %x
    %25 = select %22, %21, %x
    // CHECK: scale {{.*}} by (1.0 / sqrt(d)) plus eps
    %26 = scale %25 by 1.0 / sqrt(d) plus eps
    %27 = cast %26 to f32
    // CHECK: fake_quant {{.*}} to ternary/tensor
    %28 = fake_quant %26 to ternary/tensor
    %29 = quantize %28 to int8/row
    %30 = dequantize %29 to real
    // CHECK: fill value 0.5 to f32 of [B, T, 2*d]
    %31 = fill value 0.5 to f32 of [B, T, 2*d]
    %32 = is_finite %31
    %33 = dropout %30 p 0.1
    %34 = softmax %33
    %35 = reduce %27 by sum axes [0, 1, 2]
    // CHECK: reduce {{.*}} by absmax axes [-1] keep
    %36 = reduce %34 by absmax axes [-1] keep
    %37 = cross_entropy %34, %n bidirectional
    // CHECK: one_hot %i of 2*d
    %38 = one_hot %i of 2*d
    return %34, %35
  }

  program @blocks(%x: [B, T, d], %i: i32[B, T], %t: i32[]) -> [B, T, d] {
    %g = param "g" [d] init ones no_decay
    // CHECK: param "w" [2*d, d] init normal((0.02 / sqrt(2*d)))
    %w = param "w" [2*d, d] init normal(0.02 / sqrt(2*d))
    %b = param "b" [2*d] init uniform(-1, 1)
    %r = rms_norm %x, %g eps eps groups n_head
    %l = layer_norm %r, %g, %g eps 1.0e-5
    %l0 = layer_norm %l, %g eps 1.0e-5
    %u = linear %l0, %w, %b
    // CHECK: einsum {{.*}} as "abo,oi->abi" into f32
    %e = einsum %u, %w as "abo,oi->abi" into f32
    %h = reshape %e to [B, T, n_head, d/n_head]
    // CHECK: rope {{.*}} theta 10000.0 pairs inverse at %t
    %p = rope %h theta 1.0e4 pairs inverse at %t
    // CHECK: attention {{.*}} causal window 4 scale 1.0 lse at %t
    %a, %lse = attention %p, %h, %h causal window 4 scale 1.0 lse at %t
    %dq, %dk, %dv = attention_grad %p, %h, %h, %a, %lse, %a causal window 4
    %ring = append %a, %p, %t
    %one = pick %ring, %t
    %s = transpose %dq by [0, 2, 1, 3]
    %s1 = slice %s axis 2 from 1 size 2
    %s2 = pad %s1 axis -1 before 1 after d
    %c = broadcast %g to [B, T, d]
    %k0, %k1 = split %c into [d/2, d/2]
    %k = concat %k1, %k0
    // CHECK: shift {{.*}} period 4
    %f = shift %k, %g period 4
    %q = patch %f by 4
    %v = unpatch %q by 4
    %y = embed %i, %c
    // CHECK: scatter_add %i, {{.*}} rows 256 into f32
    %z = scatter_add %i, %v rows 256 into f32
    // CHECK: positions of T period 4
    %o = positions of T period 4
    // CHECK: conv %x, {{.*}}, {{.*}} from %
    // CHECK: conv_grad %{{.*}}, %{{.*}}, %x{{$}}
    // CHECK: conv %x, {{.*}}, {{.*}} silu
    // CHECK: conv_grad {{.*}}, {{.*}}, %x, {{.*}} silu
    %cw = param "cw" [d, 4] init ones
    %rows = fill value 0 to real of [B, 3, d]
    %c1, %tail = conv %x, %cw, %g from %rows
    %c2, %c3, %c4 = conv_grad %c1, %cw, %x
    %c5 = conv %x, %cw, %g silu
    %c6, %c7, %c8 = conv_grad %c1, %cw, %x, %g silu
    %a0 = param "a" [d, 8] init ones
    %bc = fill value 0 to real of [B, T, 8]
    %h0 = fill value 0 to f32 of [B, 8, d]
    // CHECK: selective_scan {{.*}} from %
    %y1, %h1 = selective_scan %c1, %x, %a0, %bc, %bc from %h0
    // CHECK: selective_scan {{.*}} gate {{%.*}} from %
    %y3, %h3 = selective_scan %c1, %x, %a0, %bc, %bc gate %x from %h0
    %xs = fill value 1 to f32 of [2, 8, 16]
    %as = fill value 1 to f32 of [16, 4]
    %bs = fill value 1 to f32 of [2, 8, 4]
    %ss = fill value 1 to f32 of [16]
    // CHECK: selective_scan {{.*}} skip {{%.*}} gate {{%.*}} save 4
    %y4, %h4 = selective_scan %xs, %xs, %as, %bs, %bs skip %ss gate %xs save 4
    // CHECK: selective_scan_grad {{.*}} skip {{%.*}} gate {{%.*}} save 4
    %s3, %s4, %s5, %s6, %s7, %s8, %s9 = selective_scan_grad %xs, %xs, %as, %bs, %bs, %h4, %y4 skip %ss gate %xs save 4
    %hd = reshape %x to [B, T, n_head, d/n_head]
    %dt = fill value 0 to real of [B, T, n_head]
    %a1 = param "a1" [n_head] init ones
    %bg = fill value 0 to real of [B, T, 1, 8]
    // CHECK: ssd {{.*}} chunk 4
    %y2 = ssd %hd, %dt, %a1, %bg, %bg chunk 4
    // CHECK: repeat i < 2 as "layers.{i}" with
    %n = repeat i < 2 as "layers.{i}" with %m = %v {
      %m1 = call @twice<k = 2*i>(%m) as "inner"
      yield %m1
    }
    // CHECK: if tied
    %last = if tied {
      yield %n
    } else {
      yield %v
    }
    return %last
  }
}

// CHECK-LABEL: bb.block @twice<k = 2>(%x: [B, T, d]) -> [B, T, d]
bb.block @twice<k = 2>(%x: [B, T, d]) -> [B, T, d] {
  %y = scale %x by k
  return %y
}
