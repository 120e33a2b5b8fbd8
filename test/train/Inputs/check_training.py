"""Takes the steps of a golden training case through `bb-run exec --program train`.

The case holds first weights, the bytes of each step `data` u8 [step, micro, B, T+1], the
learning rates, and what a public implementation then saw. Allowed: losses 1e-5 relative in
the first ten steps and 1e-4 after, gradient norms 1e-3, last weights 1e-3 of the largest
change of their tensor.
"""

import json
import os
import subprocess
import sys

import numpy as np

from tensors import load, save


def main():
    case, spec, work, sets = sys.argv[1:]
    with open(os.path.join(case, "config.json")) as file:
        config = json.load(file)
    first = load(os.path.join(case, "weights.safetensors"))
    expected = load(os.path.join(case, "expected.safetensors"))
    data = expected["data"]
    steps, _, batch, length = data.shape
    os.makedirs(work, exist_ok=True)
    path = lambda name: os.path.join(work, name)
    subprocess.run(["bbc", spec, "--dtype", "f32", "--targets", "cpu", "--programs", "train",
                    "--set", f"{sets},B={batch},T={length - 1}", "-o", path("m.bba")], check=True)
    weights = os.path.join(case, "weights.safetensors")
    number = lambda value: np.array([value], np.float32)
    for step in range(steps):
        save({"bytes": data[step, :, :, :-1], "next": data[step, :, :, 1:], "lr": number(expected["lr"][step]),
              "beta1": number(config["betas"][0]), "beta2": number(config["betas"][1]),
              "eps": number(config["eps"]), "weight_decay": number(0.1), "clip": number(config["clip"])},
             path("in.safetensors"))
        after = path(f"after{step % 2}.safetensors")
        subprocess.run(["bb-run", "exec", path("m.bba"), "--program", "train", "--weights", weights,
                        "--inputs", path("in.safetensors"), "--outputs", path("out.safetensors"),
                        "--state-out", after], check=True)
        weights = after
        got = load(path("out.safetensors"))
        for name in ("loss", "grad_norm"):
            want, have = float(expected[name][step]), float(got[name].reshape(-1)[0])
            error, bound = abs(have - want) / abs(want), 1e-5 if step < 10 else 1e-4
            print(f"step {step + 1}: {name} {have:.7f}, {error:.1e} off")
            assert error <= (bound if name == "loss" else 1e-3), f"step {step + 1}: {name} {have}, but {want} was seen"
    last = load(weights)
    finals = [key for key in expected if key.startswith("final.")]
    assert finals, "the case holds no last weights"
    for key in finals:
        name, want = key[len("final."):], expected[key]
        change = np.abs(want - first[name]).max()
        worst = np.abs(last[name].reshape(want.shape) - want).max() / change
        print(f"{name}: {worst:.1e} of its largest change")
        assert worst <= 1e-3, f"{name} ends {worst:.2e} of its largest change away"


if __name__ == "__main__":
    main()
