// The mixer of Mamba-1 (arXiv 2312.00752). Names are those of the published
// checkpoints.

// dt_proj.bias starts as the inverse softplus of a step drawn log-uniformly from
// [dt_min, dt_max]. The scan, its step and its decay are f32.
bb.block @mamba_mixer<expand = 2, d_state = 16, d_conv = 4, dt_rank = ceildiv(d, 16), n_layer,
                      dt_min = 0.001, dt_max = 0.1>(%u: [B, T, d]) -> [B, T, d] {
  %w_in   = param "in_proj.weight" [2*expand*d, d] init kaiming_uniform
  %w_conv = param "conv1d.weight" [expand*d, d_conv] init kaiming_uniform
  %b_conv = param "conv1d.bias" [expand*d] init uniform(-1/sqrt(d_conv), 1/sqrt(d_conv)) no_decay
  %w_x    = param "x_proj.weight" [dt_rank + 2*d_state, expand*d] init kaiming_uniform
  %w_dt   = param "dt_proj.weight" [expand*d, dt_rank] init uniform(-1/sqrt(dt_rank), 1/sqrt(dt_rank))
  %b_dt   = param "dt_proj.bias" f32[expand*d] init softplus_inverse(dt_min, dt_max) no_decay
  %a_log  = param "A_log" f32[expand*d, d_state] init log_range no_decay
  %skip   = param "D" f32[expand*d] init ones no_decay
  %w_out  = param "out_proj.weight" [d, expand*d] init kaiming_uniform(1/sqrt(n_layer))

  %xz     = linear %u, %w_in
  %x0, %z = split %xz into [expand*d, expand*d]
  %x      = conv %x0, %w_conv, %b_conv silu
  %p      = linear %x, %w_x
  %r, %b, %c = split %p into [dt_rank, d_state, d_state]
  %dt0    = linear %r, %w_dt
  %dt1    = add %dt0, %b_dt
  %dt     = softplus %dt1
  %a0     = exp %a_log
  %a      = neg %a0
  %y      = selective_scan %x, %dt, %a, %b, %c skip %skip gate %z
  %out    = linear %y, %w_out
  return %out
}

// One layer: h + mixer(norm(h)), with the residual stream in f32.
bb.block @mamba_layer<expand, d_state, d_conv, dt_rank, n_layer, norm_eps = 1.0e-5>(%h: f32[B, T, d]) -> f32[B, T, d] {
  %hr = cast %h to real
  %n  = call @rms<norm_eps>(%hr) as "norm"
  %m  = call @mamba_mixer<expand, d_state, d_conv, dt_rank>(%n) as "mixer"
  %y  = add %h, %m
  return %y
}
