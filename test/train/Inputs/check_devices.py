"""Trains an artifact on two devices and compares the losses of all steps.

  check_devices.py ARTIFACT DATA WORK TOLERANCE DEVICE-A DEVICE-B [options of DEVICE-B]
"""

import json
import os
import subprocess
import sys


def losses(artifact, data, out, device, more):
    subprocess.run(["bb-run", "train", artifact, "--data", data, "--out", out, "--steps", "4", "--seed", "1",
                    "--device", device, "--set", "train.log_every=1", *more], check=True)
    with open(os.path.join(out, "metrics.jsonl")) as file:
        rows = [json.loads(line) for line in file]
    return [row["loss"] for row in rows if "loss" in row]


def main():
    artifact, data, work, tolerance, first, second, *more = sys.argv[1:]
    want = losses(artifact, data, os.path.join(work, first), first, [])
    got = losses(artifact, data, os.path.join(work, second), second, more)
    assert len(want) == len(got) == 4, (want, got)
    worst = max(abs(a - b) / abs(a) for a, b in zip(want, got))
    print(f"{second} {' '.join(more)}: losses {worst:.1e} from those of {first}")
    assert worst <= float(tolerance), (want, got)


if __name__ == "__main__":
    main()
