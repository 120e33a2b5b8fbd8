"""Peer: Mamba-1 on bytes in PyTorch, and the time of its training step.

The scan comes in two forms, of which the faster counts: `loop` walks the items, `tree`
doubles the reach of an associative scan over [B, T, D, N] in log2(T) passes. Prints one
JSON object.
"""

import argparse
import json
import math
import time

import torch
import torch.nn.functional as F
from torch import nn


def scan_loop(a, u):
    """h[t] = a[t] h[t - 1] + u[t], [B, T, D, N]."""
    h, states = torch.zeros_like(u[:, 0]), []
    for t in range(u.shape[1]):
        h = a[:, t] * h + u[:, t]
        states.append(h)
    return torch.stack(states, 1)


def scan_tree(a, u):
    step = 1
    while step < u.shape[1]:
        before = F.pad(u[:, :-step], (0, 0, 0, 0, step, 0))
        factor = F.pad(a[:, :-step], (0, 0, 0, 0, step, 0), value=1.0)
        u = u + a * before
        a = a * factor
        step *= 2
    return u


class Mixer(nn.Module):
    def __init__(self, width, states, scan):
        super().__init__()
        inner, self.rank, self.states, self.scan = 2 * width, math.ceil(width / 16), states, scan
        self.inputs = nn.Linear(width, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, 4, groups=inner, padding=3)
        self.rows = nn.Linear(inner, self.rank + 2 * states, bias=False)
        self.step = nn.Linear(self.rank, inner)
        self.decay = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(inner, 1))
        self.skip = nn.Parameter(torch.ones(inner))
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, u):
        x, z = self.inputs(u).chunk(2, -1)
        x = F.silu(self.conv(x.transpose(1, 2))[..., : u.shape[1]].transpose(1, 2))
        r, b, c = self.rows(x).split([self.rank, self.states, self.states], -1)
        dt = F.softplus(self.step(r))
        a = torch.exp(dt[..., None] * -self.decay.exp())
        h = self.scan(a, (dt * x)[..., None] * b[:, :, None])
        y = (h @ c[..., None]).squeeze(-1) + self.skip * x
        return self.out(y * F.silu(z))


class Model(nn.Module):
    def __init__(self, width, layers, states, scan):
        super().__init__()
        self.table = nn.Embedding(256, width)
        nn.init.normal_(self.table.weight, 0, 0.02)
        self.norms = nn.ModuleList(nn.RMSNorm(width, 1e-5) for _ in range(layers + 1))
        self.mixers = nn.ModuleList(Mixer(width, states, scan) for _ in range(layers))

    def forward(self, ids, targets):
        x = self.table(ids)
        for norm, mixer in zip(self.norms, self.mixers):
            x = x + mixer(norm(x))
        logits = F.linear(self.norms[-1](x), self.table.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def measure(options, scan):
    torch.manual_seed(0)
    model = Model(options.width, options.layers, options.states, scan)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    seconds = []
    for _ in range(options.steps):
        data = torch.randint(0, 256, (options.batch, options.length + 1))
        start = time.perf_counter()
        model(data[:, :-1], data[:, 1:]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
    return options.batch * options.length / min(seconds[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in dict(width=256, layers=4, states=16, length=256, batch=4, threads=1, steps=3).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rates = {scan.__name__[5:]: measure(options, scan) for scan in (scan_loop, scan_tree)}
    print(json.dumps({"torch": torch.__version__, "bytes_per_second": max(rates.values()), **rates}))


if __name__ == "__main__":
    main()
