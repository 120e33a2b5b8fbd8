"""The elements that compiled dropouts drop are those of Philox4x32-10.

  check_masks.py ARTIFACT WORK DEVICE...
"""

import subprocess
import sys

import numpy as np
import tensors


def philox(counter, key):
    """Words [4, ...] of Philox4x32-10 at counters [4, ...] under a key of two words."""
    c = [np.asarray(word, np.uint64) for word in counter]
    low = np.uint64(0xFFFFFFFF)
    for turn in range(10):
        k = [(key[0] + turn * 0x9E3779B9) & 0xFFFFFFFF, (key[1] + turn * 0xBB67AE85) & 0xFFFFFFFF]
        p0, p2 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(p2 >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]), p2 & low,
             (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]), p0 & low]
    return c


def check_known_answers():
    """The first and the second vector of Random123's own test."""
    assert [int(w) for w in philox([0] * 4, [0] * 2)] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = 0xFFFFFFFF
    assert [int(w) for w in philox([ones] * 4, [ones] * 2)] == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def main():
    artifact, work, *devices = sys.argv[1:]
    check_known_answers()
    tensors.save({}, f"{work}/none.safetensors")
    shape, p = (3, 5, 1037), 0.3
    x = np.random.default_rng(0).uniform(0.5, 1, shape).astype(np.float32)
    kept = []
    for seed, counter in [(1, 0), (-7, 123456), (1, 1)]:
        place = np.arange(x.size).reshape(shape)
        first = philox([place, np.full(shape, 5), np.full(shape, counter), np.zeros(shape)], [seed & 0xFFFFFFFF, 0])[0]
        want = np.where(first < round(p * 2**32), np.float32(0), x * np.float32(1 / (1 - p)))
        tensors.save({"x": x, "seed": np.int32(seed), "counter": np.int32(counter)}, f"{work}/in.safetensors")
        for device in devices:
            subprocess.run(["bb-run", "exec", artifact, "--program", "mask", "--weights", f"{work}/none.safetensors",
                            "--inputs", f"{work}/in.safetensors", "--outputs", f"{work}/out.safetensors",
                            "--device", device], check=True)
            (got,) = tensors.load(f"{work}/out.safetensors").values()
            assert np.array_equal(got, want), (seed, counter, device, np.argwhere(got != want)[:4])
        kept.append((got != 0).ravel())
        rate = kept[-1].mean()
        assert abs(rate - (1 - p)) < 4 * (p * (1 - p) / x.size) ** 0.5, rate
    # Other seeds and other steps draw for themselves.
    for a in range(3):
        for b in range(a):
            assert abs(np.corrcoef(kept[a], kept[b])[0, 1]) < 4 / x.size**0.5


if __name__ == "__main__":
    main()
