"""The peer of `loss_curve.py`: a GPT-2-like byte model in PyTorch, trained on recorded batches.

Reads the batches that `bb-run train --record-batches` wrote (u8 [steps, B, T + 1]),
starts from the given safetensors file (published GPT-2 names, Conv1D weights [in, out])
and writes one loss per line.
"""

import argparse
import math

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file


def initial_weights(layers, width, context, seed):
    """GPT-2's published initialisation, under the published names."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape, std=0.02):
        return torch.randn(*shape, generator=generator) * std

    weights = {"transformer.wte.weight": normal(256, width), "transformer.wpe.weight": normal(context, width),
               "transformer.ln_f.weight": torch.ones(width), "transformer.ln_f.bias": torch.zeros(width)}
    for i in range(layers):
        at = f"transformer.h.{i}."
        for norm in ("ln_1", "ln_2"):
            weights[f"{at}{norm}.weight"] = torch.ones(width)
            weights[f"{at}{norm}.bias"] = torch.zeros(width)
        for name, rows, columns in (("attn.c_attn", width, 3 * width), ("attn.c_proj", width, width),
                                    ("mlp.c_fc", width, 4 * width), ("mlp.c_proj", 4 * width, width)):
            std = 0.02 / math.sqrt(2 * layers) if name.endswith("c_proj") else 0.02
            weights[f"{at}{name}.weight"] = normal(rows, columns, std=std)
            weights[f"{at}{name}.bias"] = torch.zeros(columns)
    return weights


def forward(w, ids, layers, heads):
    """Logits [B, T, 256] for ids [B, T]."""
    batch, context = ids.shape
    x = w["transformer.wte.weight"][ids] + w["transformer.wpe.weight"][:context]
    width = x.shape[-1]
    for i in range(layers):
        at = f"transformer.h.{i}."
        norm = lambda name, value: F.layer_norm(value, (width,), w[f"{at}{name}.weight"], w[f"{at}{name}.bias"], 1e-5)
        dense = lambda name, value: value @ w[f"{at}{name}.weight"] + w[f"{at}{name}.bias"]
        q, k, v = dense("attn.c_attn", norm("ln_1", x)).view(batch, context, 3, heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + dense("attn.c_proj", y.transpose(1, 2).reshape(batch, context, width))
        x = x + dense("mlp.c_proj", F.gelu(dense("mlp.c_fc", norm("ln_2", x)), approximate="tanh"))
    x = F.layer_norm(x, (width,), w["transformer.ln_f.weight"], w["transformer.ln_f.bias"], 1e-5)
    return x @ w["transformer.wte.weight"].T


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("layers", "heads", "width", "context", "batch", "steps"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--init", required=True, help="safetensors; written first with --write-init")
    parser.add_argument("--write-init", action="store_true")
    parser.add_argument("--batches", help="file of u8 [steps, B, T + 1]")
    parser.add_argument("--rates", help="file with one learning rate per line")
    parser.add_argument("--losses", help="file to write, one mean loss in nats per line")
    options = parser.parse_args()
    if options.write_init:
        save_file(initial_weights(options.layers, options.width, options.context, 1337), options.init)
        return

    weights = {name: value.requires_grad_() for name, value in load_file(options.init).items()}
    decay = [v for v in weights.values() if v.dim() >= 2]
    rest = [v for v in weights.values() if v.dim() < 2]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}],
                                  lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
    batches = np.fromfile(options.batches, np.uint8).reshape(-1, options.batch, options.context + 1)
    rates = [float(line) for line in open(options.rates)]
    with open(options.losses, "w") as out:
        for step in range(options.steps):
            ids = torch.from_numpy(batches[step].astype(np.int64))
            logits = forward(weights, ids[:, :-1], options.layers, options.heads)
            loss = F.cross_entropy(logits.reshape(-1, 256), ids[:, 1:].reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = rates[step]
            optimizer.step()
            out.write(f"{loss.item():.9g}\n")


if __name__ == "__main__":
    main()
