// GPT-2 on raw bytes: LayerNorm, learned positions, fused qkv, tanh GELU.
bb.import "blocks/gpt2.mlir"

bb.model @gpt2_bytes(
    batch B = 16, stream T = min(1024, context), context = 1024, vocab = 256,
    d_model = 512, n_layer = 8, n_head = 8, n_kv = n_head, d_head = d_model / n_head,
    d_ff = 4*d_model, norm_eps = 1.0e-5, std_out = 0.02 / sqrt(2*n_layer),
    dropout = 0.0) {

  preset @tiny {d_model = 128, n_layer = 4, n_head = 4, T = 64, context = 64, B = 12}
  preset @xs   {d_model = 256, n_layer = 6, n_head = 4}
  preset @s    {d_model = 384, n_layer = 6, n_head = 6}
  preset @m    {d_model = 512, n_layer = 8, n_head = 8}
  preset @b    {d_model = 768, n_layer = 12, n_head = 12}
  preset @l    {d_model = 1024, n_layer = 24, n_head = 16}

  import_rule "transformer.h.*.attn.c_attn.weight" transpose
  import_rule "transformer.h.*.attn.c_proj.weight" transpose
  import_rule "transformer.h.*.mlp.c_fc.weight" transpose
  import_rule "transformer.h.*.mlp.c_proj.weight" transpose
  import_rule ignore "transformer.h.*.attn.bias", "transformer.h.*.attn.masked_bias"

  program @logits(%bytes: u8[B, T]) -> [B, T, vocab] {
    %wte = param "transformer.wte.weight" [vocab, d_model] init normal(0.02)
    %wpe = param "transformer.wpe.weight" [context, d_model] init normal(0.02)
    %e = embed %bytes, %wte
    %t = positions of T
    %p = embed %t, %wpe
    %s = add %e, %p
    %x = dropout %s p dropout
    %y = repeat i < n_layer as "transformer.h.{i}" with %h = %x {
      %n = call @gpt2_layer(%h)
      yield %n
    }
    %z = call @layer_norm<norm_eps>(%y) as "transformer.ln_f"
    %logits = linear %z, %wte
    return %logits
  }

  program @score(%bytes: u8[B, T], %next: u8[B, T] ahead 1) -> f32[B, T] {
    %logits = call @logits(%bytes) -> [B, T, vocab]
    %nats = cross_entropy %logits, %next
    return %nats
  }
}
