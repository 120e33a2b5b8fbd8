"""A published file comes back from a checkpoint as it was, under either family's names."""

import os
import subprocess
import sys

import numpy as np

from tensors import load, save


def main():
    weights, spec, work, sets = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    path = lambda name: os.path.join(work, name)
    subprocess.run(["bbc", spec, "--dtype", "f32", "--targets", "cpu", "--programs", "logits", "--set",
                    sets + ",B=1,T=4", "-o", path("m.bba")], check=True)
    first = load(weights)
    other = {name.replace("embeddings", "embedding"): value for name, value in first.items()}
    assert other.keys() != first.keys()
    save(other, path("other.safetensors"))
    for source in (weights, path("other.safetensors")):
        run = path("run-" + os.path.basename(source))
        subprocess.run(["bb-run", "import", source, "-o", run, "--artifact", path("m.bba")], check=True)
        for names, want in (("published", first), ("also", other)):
            out = path(f"{names}.safetensors")
            subprocess.run(["bb-run", "export", run, "-o", out, "--names", names, "--artifact", path("m.bba")],
                           check=True)
            got = load(out)
            assert got.keys() == want.keys(), sorted(got.keys() ^ want.keys())
            for name, value in want.items():
                assert got[name].shape == value.shape and np.array_equal(got[name], value), name
    print(f"{len(first)} tensors come back")


if __name__ == "__main__":
    main()
