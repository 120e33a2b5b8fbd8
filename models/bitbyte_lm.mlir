// BitByteLM: a Llama-like decoder on raw bytes.
bb.import "blocks/llama.mlir"

bb.model @bitbyte_lm(
    batch B = 16, stream T = 1024, context = T, vocab = 256,
    d_model = 512, n_layer = 8, n_head = 8, n_kv = n_head, d_head = d_model / n_head,
    d_ff = round_up(floordiv(8*d_model, 3), 64), rope_theta = 10000.0, norm_eps = 1.0e-5,
    window = 0, tied = true, std_out = 0.02 / sqrt(2*n_layer)) {

  preset @tiny {d_model = 128, n_layer = 4, n_head = 4, T = 64, B = 12}
  preset @xs   {d_model = 256, n_layer = 6, n_head = 4}
  preset @s    {d_model = 384, n_layer = 6, n_head = 6}
  preset @m    {d_model = 512, n_layer = 8, n_head = 8}
  preset @b    {d_model = 768, n_layer = 12, n_head = 12}
  preset @l    {d_model = 1024, n_layer = 24, n_head = 16, d_ff = 2816}

  // The published layout of a tied model leaves lm_head out; some files repeat it.
  program @logits(%bytes: u8[B, T]) -> [B, T, vocab] {
    %table = param "model.embed_tokens.weight" [vocab, d_model] init normal(0.02)
    %x = embed %bytes, %table
    %y = repeat i < n_layer as "model.layers.{i}" with %h = %x {
      %n = call @llama_layer<window, norm_eps>(%h)
      yield %n
    }
    %z = call @rms<norm_eps>(%y) as "model.norm"
    %head = if tied {
      yield %table
    } else {
      %w = param "lm_head.weight" [vocab, d_model] init normal(0.02)
      yield %w
    }
    %logits = linear %z, %head
    return %logits
  }

  program @score(%bytes: u8[B, T], %next: u8[B, T] ahead 1) -> f32[B, T] {
    %logits = call @logits(%bytes) -> [B, T, vocab]
    %nats = cross_entropy %logits, %next
    return %nats
  }
}
