"""Runs that drop elements repeat each other, however they are run.

  check_dropout.py FOLDER    with f32.bba, small.bba (less memory), bf16.bba and data
"""

import json
import os
import subprocess
import sys

import numpy as np
import tensors

SETTINGS = ["train.log_every=1", "train.accumulate=2", "optimizer.schedule=constant"]


def train(folder, artifact, out, *more, steps=4, seed=1):
    subprocess.run(["bb-run", "train", f"{folder}/{artifact}.bba", "--data", f"{folder}/data", "--out",
                    f"{folder}/{out}", "--steps", str(steps), "--seed", str(seed),
                    *(f"--set={value}" for value in SETTINGS), *more], check=True)
    with open(f"{folder}/{out}/metrics.jsonl") as file:
        return [row["loss"] for row in map(json.loads, file) if "loss" in row]


def weights(folder, out, step=4):
    return tensors.load(f"{folder}/{out}/checkpoints/step-{step}/weights.safetensors")


def equal(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def main():
    (folder,) = sys.argv[1:]
    one = train(folder, "f32", "one", "--threads", "1")
    two = train(folder, "f32", "two", "--threads", "2")
    assert one == two and equal(weights(folder, "one"), weights(folder, "two")), (one, two)

    train(folder, "f32", "stopped", "--set", "train.checkpoint_every=2", steps=4)
    os.system(f"rm -rf {folder}/stopped/checkpoints/step-4")
    resumed = train(folder, "f32", "stopped", "--resume")
    assert resumed == one and equal(weights(folder, "one"), weights(folder, "stopped")), (one, resumed)

    assert abs(train(folder, "f32", "seed", seed=2)[0] - one[0]) > 1e-4
    emulated = train(folder, "f32", "emu", "--device", "emu")
    assert np.allclose(emulated, one, rtol=1e-5, atol=0), (one, emulated)
    small = train(folder, "small", "small")
    assert np.allclose(small, one, rtol=1e-6, atol=0), (one, small)
    narrow = train(folder, "bf16", "bf16")
    assert np.allclose(narrow, one, rtol=2e-2, atol=0), (one, narrow)


if __name__ == "__main__":
    main()
