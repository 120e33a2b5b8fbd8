"""Logits and gradients of a model with random weights: emulated kernels against the CPU's.

  check_emulator.py SPEC WORK SETS TOLERANCE [options of the emulator]

Allowed: TOLERANCE of a tensor's largest entry, since the order of sums differs. Two runs
must give equal bits, and the checks of the emulator find nothing.
"""

import os
import subprocess
import sys

import numpy as np

from check_differences import start
from tensors import load, save


def main():
    spec, work, sets, tolerance, *more = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    path = lambda name: os.path.join(work, name)
    subprocess.run(["bbc", spec, "--dtype", "f32", "--targets", "cpu,cuda", "--programs", "logits,gradients", "--set",
                    sets, "-o", path("m.bba")], check=True)
    config = dict(pair.split("=") for pair in sets.split(","))
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 256, (int(config["B"]), int(config["T"]) + 1)).astype(np.uint8)
    save(start(spec, sets, rng), path("weights.safetensors"))
    inputs = {"bytes": ids[:, :-1], "next": ids[:, 1:]}
    worst = (0, "")
    for program in ("logits", "gradients"):
        save({name: value for name, value in inputs.items() if program != "logits" or name == "bytes"},
             path("in.safetensors"))

        def run(out, *options):
            subprocess.run(["bb-run", "exec", path("m.bba"), "--program", program, "--weights",
                            path("weights.safetensors"), "--inputs", path("in.safetensors"), "--outputs", path(out),
                            *options], check=True)
            return open(path(out), "rb").read(), load(path(out))

        _, want = run("cpu.safetensors", "--device", "cpu")
        bits, got = run("emu.safetensors", "--device", "emu", "--emu-checks", "all", *more)
        assert bits == run("again.safetensors", "--device", "emu", "--emu-checks", "off")[0], "reruns differ"
        assert want.keys() == got.keys()
        for name, value in want.items():
            off = np.abs(got[name] - value).max() / max(np.abs(value).max(), 1e-6)
            worst = max(worst, (off, name))
            assert off <= float(tolerance), f"{name} is {off:.2e} off"
    print(f"worst: {worst[1]}, {worst[0]:.1e} off")


if __name__ == "__main__":
    main()
