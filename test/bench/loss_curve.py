#!/usr/bin/env python3
"""Trains one GPT-2-like byte model here and in PyTorch, from the same weights and data.

  test/bench/loss_curve.py [--steps 2000] [--data DIR]

nanoGPT's CPU setting: 4 layers, 4 heads, width 128, T 64, batch 12. Prints the largest
relative difference of the losses over the first 100 steps and the two final losses
(mean of the last 50 steps); exits 1 if they differ by more than 1e-3 and 1 %.
"""

import argparse
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from compare import BIN, PEERS, ROOT, peer_python, run

SETTING = {"layers": 4, "heads": 4, "width": 128, "context": 64, "batch": 12}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--data", help="a folder made by bb-data; default: 4 MB of seeded stories")
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="bb-curve-")
    path = lambda name: os.path.join(work, name)
    data = options.data
    if not data:
        data = path("data")
        run(os.path.join(BIN, "bb-data"), "synth", "-o", data, "--bytes", 4_000_000, "--seed", 1)

    torch_run = [peer_python(), os.path.join(PEERS, "torch_gpt2.py"), "--steps", options.steps, "--init",
                 path("init.safetensors")]
    for name, value in SETTING.items():
        torch_run += [f"--{name}", value]
    run(*torch_run, "--write-init")
    run(os.path.join(BIN, "bbc"), os.path.join(ROOT, "models", "gpt2_bytes.mlir"), "--dtype", "f32", "--targets", "cpu",
        "--programs", "train", "--set", "n_layer=4,n_head=4,d_model=128,T=64,B=12,context=64", "-o", path("gpt2.bba"))
    run(os.path.join(BIN, "bb-run"), "train", path("gpt2.bba"), "--data", data, "--out", path("run"),
        "--init", path("init.safetensors"), "--steps", options.steps, "--record-batches", path("batches.u8"),
        "--set", "optimizer.lr=1e-3", "--set", "optimizer.min_lr=1e-4", "--set", "optimizer.warmup=100",
        "--set", "optimizer.beta1=0.9", "--set", "optimizer.beta2=0.95", "--set", "optimizer.weight_decay=0.1",
        "--set", "optimizer.clip=1.0", "--set", "train.log_every=1")
    rows = [json.loads(line) for line in open(path("run/metrics.jsonl"))]
    rows = [row for row in rows if "loss" in row]
    with open(path("rates"), "w") as out:
        out.writelines(f"{row['lr']!r}\n" for row in rows)
    run(*torch_run, "--batches", path("batches.u8"), "--rates", path("rates"), "--losses", path("losses"))

    ours = [row["loss"] for row in rows]
    theirs = [float(line) for line in open(path("losses"))]
    first = max(abs(a - b) / b for a, b in list(zip(ours, theirs))[:100])
    tail = min(50, options.steps)
    final = [sum(losses[-tail:]) / tail for losses in (ours, theirs)]
    gap = abs(final[0] - final[1]) / final[1]
    print(f"first 100 steps: largest relative difference {first:.2e}")
    print(f"final loss over {tail} steps: BitByte {final[0]:.4f}, PyTorch {final[1]:.4f} nats, {gap:.2%} apart")
    sys.exit(0 if first <= 1e-3 and gap <= 0.01 else 1)


if __name__ == "__main__":
    main()
