// AdamW as a block: element-wise throughout, so fusion makes it one kernel.
//
// %p is the parameter, %g its (clipped) gradient; the tensors after them are
// the moments, which become states. The scalars are run-time values: the host
// computes 1 - beta in double, because 1 - 0.999 in f32 is off by 1e-5, and
//   rate1 = 1 / (1 - beta1^t),  rate2 = 1 / (1 - beta2^t).
// What stands in <...> is what a run uses where its config says nothing.
bb.block @adamw<lr = 1.0e-3, beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8,
                weight_decay = 0.1, clip = 1.0>
               (%p: f32[N], %g: f32[N], %m: f32[N], %v: f32[N],
                %lr: f32[], %beta1: f32[], %one_minus_beta1: f32[],
                %beta2: f32[], %one_minus_beta2: f32[], %eps: f32[],
                %decay: f32[], %rate1: f32[], %rate2: f32[])
    -> f32[N], f32[N], f32[N] {
  // m1 = beta1 m + (1 - beta1) g,  v1 = beta2 v + (1 - beta2) g^2
  %m_old = mul %m, %beta1
  %m_new = mul %g, %one_minus_beta1
  %m1    = add %m_old, %m_new
  %gg    = square %g
  %v_old = mul %v, %beta2
  %v_new = mul %gg, %one_minus_beta2
  %v1    = add %v_old, %v_new

  // p1 = p (1 - lr decay) - lr rate1 m1 / (sqrt(rate2 v1) + eps)
  %shrink = mul %lr, %decay
  %keep   = scale %shrink by -1 plus 1
  %kept   = mul %p, %keep
  %speed  = mul %lr, %rate1
  %top    = mul %m1, %speed
  %v_hat  = mul %v1, %rate2
  %root   = sqrt %v_hat
  %bottom = add %root, %eps
  %step   = div %top, %bottom
  %p1     = sub %kept, %step
  return %p1, %m1, %v1
}
