// MambaLM: Mamba-1 on raw bytes (arXiv 2312.00752, 2401.13660).
bb.import "blocks/llama.mlir"
bb.import "blocks/mamba.mlir"

bb.model @mamba_lm(
    batch B = 16, stream T = 1024, context = T, vocab = 256,
    d_model = 512, n_layer = 16, expand = 2, d_state = 16, d_conv = 4,
    dt_rank = ceildiv(d_model, 16), norm_eps = 1.0e-5, tied = true) {

  // xs to l have about the weights of bitbyte_lm's presets of the same name.
  preset @tiny {d_model = 128, n_layer = 4, T = 64, B = 12}
  preset @xs   {d_model = 256, n_layer = 12}
  preset @s    {d_model = 384, n_layer = 12}
  preset @m    {d_model = 512, n_layer = 16}
  preset @b    {d_model = 768, n_layer = 24}
  preset @l    {d_model = 1024, n_layer = 48}
  preset @mambabyte_353m {d_model = 1024, n_layer = 53, T = 8192, B = 1}

  // Two families of published files: "embeddings" (written by default) and
  // "embedding". Convolution weights lie [channels, 1, taps].
  import_rule "backbone.embeddings.weight" also "backbone.embedding.weight"
  import_rule "backbone.layers.*.mixer.conv1d.weight" reshape [-1, 1, d_conv]

  program @logits(%bytes: u8[B, T]) -> [B, T, vocab] {
    %table = param "backbone.embeddings.weight" [vocab, d_model] init normal(0.02)
    %x  = embed %bytes, %table
    %x0 = cast %x to f32
    %y  = repeat i < n_layer as "backbone.layers.{i}" with %h = %x0 {
      %n = call @mamba_layer<norm_eps>(%h)
      yield %n
    }
    %yr = cast %y to real
    %z  = call @rms<norm_eps>(%yr) as "backbone.norm_f"
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
