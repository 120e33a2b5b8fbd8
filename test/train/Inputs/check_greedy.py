"""Greedy bytes with cache = without cache = those of a public implementation.

  check_greedy.py CASE SPEC WORK SETS [DEVICE]
"""

import os
import subprocess
import sys

from tensors import load


def main():
    case, spec, work, sets, *more = sys.argv[1:]
    device = more[0] if more else "cpu"
    expected = load(os.path.join(case, "expected.safetensors"))
    prompt = bytes(expected["greedy.prompt"].reshape(-1).tolist())
    ids = bytes(expected["greedy.ids"].reshape(-1).tolist())
    want = ids[len(prompt):] if ids.startswith(prompt) else ids
    os.makedirs(work, exist_ok=True)
    path = lambda name: os.path.join(work, name)
    subprocess.run(["bbc", spec, "--dtype", "f32", "--targets", "cpu" if device == "cpu" else "cpu,cuda",
                    "--programs", "generate",
                    "--set", sets, "-o", path("m.bba")], check=True)
    subprocess.run(["bb-run", "import", os.path.join(case, "weights.safetensors"), "-o", path("run"),
                    "--artifact", path("m.bba")], check=True)
    for cache in ([], ["--no-cache"]):
        got = subprocess.run(["bb-run", "generate", path("m.bba"), "--checkpoint", path("run"), "--prompt", "-",
                              "--greedy", "--bytes", str(len(want)), "--device", device, *cache], check=True, input=prompt,
                             stdout=subprocess.PIPE).stdout
        same = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
        assert got == want, (f"{cache or 'with cache'}: byte {same} of {len(want)} differs, where the two best logits "
                             f"were {expected['greedy.margin'].reshape(-1)[min(same, len(want) - 1)]:.1e} apart")
    print(f"{len(want)} bytes agree")


if __name__ == "__main__":
    main()
