"""Gradients of a model against central differences, and its reruns bit for bit.

The model runs in f32, so each parameter is moved along one random direction, far enough
for the loss to change by much more than its rounding; 1e-2 of the slope is allowed, and
what rounding makes of it.
"""

import os
import re
import subprocess
import sys

import numpy as np

from tensors import load, save


def start(spec, sets, rng):
    """Random values for every parameter that the instantiated spec names."""
    text = subprocess.run(["bb-opt", spec, f"--bb-instantiate=set={sets}"], check=True, capture_output=True,
                          text=True).stdout
    weights = {}
    for name, shape in re.findall(r'state @"?([\w.]+)"? f32\[([\d, ]+)\] parameter', text):
        shape = [int(n) for n in shape.split(", ")]
        if name.endswith("conv1d.weight"):
            shape = [shape[0], 1, shape[1]]
        value = 0.2 * rng.standard_normal(shape)
        weights[name] = (value + 1 if "norm" in name else value).astype(np.float32)
    return weights


def main():
    spec, work, sets, *other = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    path = lambda name: os.path.join(work, name)

    def compile(artifact, sets):
        subprocess.run(["bbc", spec, "--dtype", "f32", "--targets", "cpu", "--programs", "logits,gradients",
                        "--set", sets, "-o", path(artifact)], check=True)

    def run(artifact, program, weights, out="out.safetensors", *more):
        inputs = {"bytes": ids[:, :-1]} if program == "logits" else {"bytes": ids[:, :-1], "next": ids[:, 1:]}
        save(inputs, path("in.safetensors"))
        save(weights, path("weights.safetensors"))
        subprocess.run(["bb-run", "exec", path(artifact), "--program", program, "--weights",
                        path("weights.safetensors"), "--inputs", path("in.safetensors"),
                        "--outputs", path(out), *more], check=True)
        return load(path(out))

    compile("m.bba", sets)
    config = dict(pair.split("=") for pair in sets.split(","))
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 256, (int(config["B"]), int(config["T"]) + 1)).astype(np.uint8)
    weights = start(spec, sets, rng)
    got = run("m.bba", "gradients", weights)
    for threads in ("1", "2"):
        run("m.bba", "gradients", weights, f"again{threads}.safetensors", "--threads", threads)
    first, second = (open(path(f"again{n}.safetensors"), "rb").read() for n in (1, 2))
    assert first == second, "the number of threads changes bits"

    slopes = {}
    for name in sorted(weights):
        direction = rng.standard_normal(weights[name].shape).astype(np.float32)
        size = 2e-2 * max(np.abs(weights[name]).mean(), 0.02)
        loss = []
        for sign in (1, -1):
            moved = dict(weights)
            moved[name] = weights[name] + np.float32(sign * size) * direction
            loss.append(float(run("m.bba", "gradients", moved)["loss"].reshape(-1)[0]))
        want = (loss[0] - loss[1]) / (2 * size)
        have = float((got["gradient." + name].reshape(direction.shape) * direction).sum())
        slopes[name] = want, have, 2e-7 * loss[0] / size
    for name, (want, have, noise) in slopes.items():
        assert abs(want - have) <= 1e-2 * max(abs(want), abs(have)) + 3 * noise, \
            f"{name}: {have:.4e} along a direction, by differences {want:.4e}"

    for more in other: # the same model in other chunks
        compile("other.bba", f"{sets},{more}")
        a, b = run("m.bba", "logits", weights)["logits"], run("other.bba", "logits", weights)["logits"]
        worst = np.abs(a - b).max()
        assert worst <= 1e-5, f"{more}: logits differ by {worst:.2e}"
    print(f"{len(slopes)} gradients agree")


if __name__ == "__main__":
    main()
