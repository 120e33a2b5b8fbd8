// Blocks of GPT-2. Names are those of the published checkpoints; their Conv1D
// weights lie [in, out] on disk (see the import rules of gpt2_bytes.mlir).

bb.block @layer_norm<norm_eps = 1.0e-5>(%x: [B, T, d]) -> [B, T, d] {
  %g = param "weight" [d] init ones no_decay
  %b = param "bias" [d] init zeros no_decay
  %y = layer_norm %x, %g, %b eps norm_eps
  return %y
}

bb.block @dense<out, std = 0.02>(%x: [B, T, d]) -> [B, T, out] {
  %w = param "weight" [out, d] init normal(std)
  %b = param "bias" [out] init zeros no_decay
  %y = linear %x, %w, %b
  return %y
}

bb.block @gpt2_attention<n_head, std_out>(%x: [B, T, d]) -> [B, T, d] {
  %qkv = call @dense<out = 3*d>(%x) as "c_attn" -> [B, T, 3*d]
  %q0, %k0, %v0 = split %qkv into [d, d, d]
  %q  = reshape %q0 to [B, T, n_head, d/n_head]
  %k  = reshape %k0 to [B, T, n_head, d/n_head]
  %v  = reshape %v0 to [B, T, n_head, d/n_head]
  %o0 = attention %q, %k, %v causal
  %o1 = reshape %o0 to [B, T, d]
  %y  = call @dense<out = d, std = std_out>(%o1) as "c_proj" -> [B, T, d]
  return %y
}

// `dropout` is of what a layer adds to the residual stream.
bb.block @gpt2_layer<n_head, d_ff, norm_eps, std_out, dropout>(%x: [B, T, d]) -> [B, T, d] {
  %n1 = call @layer_norm<norm_eps>(%x) as "ln_1"
  %a0 = call @gpt2_attention(%n1) as "attn"
  %a  = dropout %a0 p dropout
  %h  = add %x, %a
  %n2 = call @layer_norm<norm_eps>(%h) as "ln_2"
  %u  = call @dense<out = d_ff>(%n2) as "mlp.c_fc" -> [B, T, d_ff]
  %g  = gelu %u
  %m0 = call @dense<out = d, std = std_out>(%g) as "mlp.c_proj" -> [B, T, d]
  %m  = dropout %m0 p dropout
  %y  = add %h, %m
  return %y
}
