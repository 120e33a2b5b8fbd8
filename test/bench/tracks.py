#!/usr/bin/env python3
"""Trains both tracks on the same bytes and prints bits per byte against bytes and time.

  test/bench/tracks.py --data DIR [--steps 600] [--out DIR]

BitByteLM and Mamba-1, preset xs, which have about the same number of parameters, B 4
and T 256, f32, one thread each, one after the other: the same seeds, so the same
batches, and the same optimizer and schedule. DIR is made by `bb-data recipe stories-en
-o DIR`. Evaluations are of the whole validation split; seconds are those of training
steps alone, and mean little where the machine does other things meanwhile.
"""

import argparse
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from compare import BIN, ROOT, machine, run

TRACKS = {"BitByteLM": "bitbyte_lm.mlir", "Mamba-1": "mamba_lm.mlir"}


def train(spec, options, out):
    artifact = out + ".bba"
    run(os.path.join(BIN, "bbc"), os.path.join(ROOT, "models", spec), "--preset", "xs", "--set", "B=4,T=256",
        "--dtype", "f32", "--targets", "cpu", "--programs", "train,eval", "-o", artifact)
    settings = {"optimizer.lr": 1e-3, "optimizer.min_lr": 1e-4, "optimizer.warmup": options.steps // 10,
                "optimizer.weight_decay": 0.1, "optimizer.clip": 1.0, "train.seed": options.seed, "train.log_every": 1,
                "train.eval_every": options.eval_every, "train.eval_bytes": 0}
    sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    run(os.path.join(BIN, "bb-run"), "train", artifact, "--data", options.data, "--out", out, "--steps", options.steps,
        "--threads", 1, "--device", "cpu", "--record-batches", out + ".batches", *sets)
    rows = [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl"))]
    spent, at = 0.0, {0: 0.0}
    for row in rows:
        if "loss" in row:
            spent += row["ms"] / 1000
            at[row["step"]] = spent
    points = {row["step"]: (row["bpb"], at[row["step"]]) for row in rows if row.get("split") == "val"}
    return points, open(out + ".batches", "rb").read()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--eval-every", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", help="keep the runs here")
    options = parser.parse_args()
    out = options.out or tempfile.mkdtemp(prefix="bb-tracks-")
    os.makedirs(out, exist_ok=True)
    made = {name: train(spec, options, os.path.join(out, spec.split(".")[0])) for name, spec in TRACKS.items()}
    first, second = TRACKS
    if made[first][1] != made[second][1]:
        sys.exit("error: the two runs saw different batches")
    print(f"machine: {machine()}")
    print(f"| bytes seen | {first}, bits per byte | s | {second}, bits per byte | s |\n|--:|--:|--:|--:|--:|")
    for step in sorted(set(made[first][0]) & set(made[second][0])):
        cells = [f"{bpb:.3f} | {seconds:.0f}" for bpb, seconds in (made[name][0][step] for name in TRACKS)]
        print(f"| {step * 4 * 256} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
