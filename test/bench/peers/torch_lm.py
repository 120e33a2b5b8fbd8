"""The peer of `compare.py train-step`: the same Llama-like byte model in PyTorch.

Times whole training steps (forward, backward, clipping at norm 1, fused AdamW) on
random bytes and prints one JSON object.
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F
from torch import nn


class Layer(nn.Module):
    """One pre-norm block: causal attention with RoPE, then SwiGLU."""

    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.RMSNorm(width, 1e-5)
        self.norm2 = nn.RMSNorm(width, 1e-5)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x, cos, sin):
        batch, time_, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, time_, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, time_, width))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin


class ByteModel(nn.Module):
    def __init__(self, layers, width, heads, hidden, context):
        super().__init__()
        self.table = nn.Embedding(256, width)
        self.layers = nn.ModuleList(Layer(width, heads, hidden) for _ in range(layers))
        self.norm = nn.RMSNorm(width, 1e-5)
        nn.init.normal_(self.table.weight, 0, 0.02)
        head = width // heads
        angle = torch.outer(torch.arange(context), 10000.0 ** (-torch.arange(0, head, 2) / head))
        self.register_buffer("cos", torch.cat((angle, angle), -1).cos())
        self.register_buffer("sin", torch.cat((angle, angle), -1).sin())

    def forward(self, ids, targets):
        x = self.table(ids)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        logits = F.linear(self.norm(x), self.table.weight).float()
        return F.cross_entropy(logits.view(-1, 256), targets.reshape(-1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--heads", type=int, required=True)
    parser.add_argument("--hidden", type=int, required=True)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = ByteModel(options.layers, options.width, options.heads, options.hidden, options.context)
    model.to(options.device)
    wait = torch.cuda.synchronize if options.device == "cuda" else lambda: None
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    step_model = torch.compile(model) if options.compile else model
    seconds = []
    for _ in range(2 + options.steps):
        ids = torch.randint(0, 256, (options.batch, options.context + 1), device=options.device)
        wait()
        start = time.perf_counter()
        with torch.autocast(options.device, torch.bfloat16, enabled=options.dtype == "bf16"):
            loss = step_model(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        wait()
        seconds.append(time.perf_counter() - start)
    seconds = seconds[2:]
    print(json.dumps({
        "peer": f"torch {torch.__version__} {'compiled' if options.compile else 'eager'}",
        "bytes_per_second": [options.batch * options.context / s for s in seconds],
    }))


if __name__ == "__main__":
    main()
