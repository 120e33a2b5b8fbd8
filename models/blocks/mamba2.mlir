// The mixer of Mamba-2 (arXiv 2405.21060). Names are those of the published
// checkpoints.

// in_proj makes z | x | B | C | dt. One decay and one step per head; heads share
// the B and C of their group.
bb.block @mamba2_mixer<n_head, d_head = 64, d_state = 128, n_group = 1, d_conv = 4, chunk = 64, n_layer,
                       norm_eps = 1.0e-5, dt_min = 0.001, dt_max = 0.1>(%u: [B, T, d]) -> [B, T, d] {
  %w_in   = param "in_proj.weight" [2*n_head*d_head + 2*n_group*d_state + n_head, d] init kaiming_uniform
  %w_conv = param "conv1d.weight" [n_head*d_head + 2*n_group*d_state, d_conv] init kaiming_uniform
  %b_conv = param "conv1d.bias" [n_head*d_head + 2*n_group*d_state]
      init uniform(-1/sqrt(d_conv), 1/sqrt(d_conv)) no_decay
  %b_dt   = param "dt_bias" f32[n_head] init softplus_inverse(dt_min, dt_max) no_decay
  %a_log  = param "A_log" f32[n_head] init log_range no_decay
  %skip   = param "D" f32[n_head] init ones no_decay
  %g      = param "norm.weight" [n_head*d_head] init ones no_decay
  %w_out  = param "out_proj.weight" [d, n_head*d_head] init kaiming_uniform(1/sqrt(n_layer))

  %p      = linear %u, %w_in
  %z, %xbc0, %dt0 = split %p into [n_head*d_head, n_head*d_head + 2*n_group*d_state, n_head]
  %xbc    = conv %xbc0, %w_conv, %b_conv silu
  %x0, %b0, %c0 = split %xbc into [n_head*d_head, n_group*d_state, n_group*d_state]
  %x      = reshape %x0 to [B, T, n_head, d_head]
  %b      = reshape %b0 to [B, T, n_group, d_state]
  %c      = reshape %c0 to [B, T, n_group, d_state]
  %dt1    = add %dt0, %b_dt
  %dt     = softplus %dt1
  %a0     = exp %a_log
  %a      = neg %a0
  %s0     = ssd %x, %dt, %a, %b, %c chunk chunk
  %s      = reshape %s0 to [B, T, n_head*d_head]
  %d1     = reshape %skip to [n_head, 1]
  %d2     = broadcast %d1 to [n_head, d_head]
  %d3     = reshape %d2 to [n_head*d_head]
  %dx     = mul %x0, %d3
  %y      = add %s, %dx
  %gate   = silu %z
  %yz0    = mul %y, %gate
  %yz     = cast %yz0 to real
  %n      = rms_norm %yz, %g eps norm_eps groups n_group
  %out    = linear %n, %w_out
  return %out
}

// One layer: h + mixer(norm(h)), with the residual stream in f32.
bb.block @mamba2_layer<n_head, d_head, d_state, n_group, d_conv, chunk, n_layer,
                       norm_eps = 1.0e-5>(%h: f32[B, T, d]) -> f32[B, T, d] {
  %hr = cast %h to real
  %n  = call @rms<norm_eps>(%hr) as "norm"
  %m  = call @mamba2_mixer<d_head, d_state, n_group, d_conv, chunk, norm_eps>(%n) as "mixer"
  %y  = add %h, %m
  return %y
}
