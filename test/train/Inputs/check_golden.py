"""Runs one golden case through bbc and bb-run and compares with its reference.

  check_golden.py CASE SPEC WORK SETS [DEVICE [SHAPES [options of the device]]]

A case holds weights and, per shape `bBtT`, ids, logits, loss and gradients that a public
implementation computed. Allowed: logits 1e-4, loss 1e-5 relative, each gradient 1e-3 of
its largest entry.
"""

import os
import subprocess
import sys

import numpy as np

from tensors import load, save


def main():
    case, spec, work, sets, *more = sys.argv[1:]
    device, only, options = more[0] if more else "cpu", more[1].split(",") if len(more) > 1 else None, more[2:]
    expected = load(os.path.join(case, "expected.safetensors"))
    os.makedirs(work, exist_ok=True)
    path = lambda name: os.path.join(work, name)
    shapes = sorted(key[:-4] for key in expected if key.endswith(".ids") and key.startswith("b"))
    shapes = only or shapes
    assert shapes, "the case holds no shape"
    for shape in shapes:
        ids = expected[shape + ".ids"].astype(np.uint8)
        batch, length = ids.shape[0], ids.shape[1] - 1
        subprocess.run(["bbc", spec, "--dtype", "f32", "--targets", "cpu" if device == "cpu" else "cuda",
                        "--programs", "logits,gradients",
                        "--set", f"{sets},B={batch},T={length}", "-o", path("m.bba")], check=True)
        for program in ("logits", "gradients"):
            inputs = {"bytes": ids[:, :-1]}
            if program == "gradients":
                inputs["next"] = ids[:, 1:]
            save(inputs, path("in.safetensors"))
            subprocess.run(["bb-run", "exec", path("m.bba"), "--program", program, "--weights",
                            os.path.join(case, "weights.safetensors"), "--inputs", path("in.safetensors"),
                            "--outputs", path("out.safetensors"), "--device", device,
                            *options], check=True)
            got = load(path("out.safetensors"))
            if program == "logits":
                worst = np.abs(got["logits"] - expected[shape + ".logits"]).max()
                assert worst <= 1e-4, f"{shape}: logits are {worst:.2e} off"
                continue
            loss = expected[shape + ".loss"].reshape(-1)[0]
            assert abs(got["loss"].reshape(-1)[0] - loss) <= 1e-5 * max(1, abs(loss)), f"{shape}: loss"
            for key in (k for k in expected if k.startswith(shape + ".grad.")):
                name, want = key[len(shape) + 6:], expected[key]
                worst = np.abs(got["gradient." + name].reshape(want.shape) - want).max()
                assert worst <= 1e-3 * max(np.abs(want).max(), 1e-6), f"{shape}: gradient of {name} is {worst:.2e} off"
    print(f"{len(shapes)} shapes agree")


if __name__ == "__main__":
    main()
