"""The machines that --gpu-arch names are those of the cubins in the artifact, where
ptxas is present.

  gpu_archs.py SPEC FOLDER
"""

import os
import re
import shutil
import subprocess
import sys

SMALL = "d_model=32,n_layer=1,n_head=2,d_ff=64,T=32,B=2"


def main():
    spec, folder = sys.argv[1:]
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    if not (shutil.which("ptxas") or shutil.which("ptxas", path=home + "/bin")):
        print("no ptxas here")
        return
    for asked, want in [("sm_89", ["sm_89"]), ("sm_90,sm_80,sm_90", ["sm_80", "sm_90"]), (None, ["sm_80", "sm_90"])]:
        dump = f"{folder}/{asked}"
        subprocess.run(["bbc", spec, "--set", SMALL, "--programs", "score", "--targets", "cuda", "-o", f"{dump}.bba",
                        "--dump-kernels", dump, *(["--gpu-arch", asked] if asked else [])], check=True)
        cubins = sorted(name[:-6] for name in os.listdir(dump) if name.endswith(".cubin"))
        facts = next(name for name in os.listdir(dump) if name.endswith(".txt"))
        with open(f"{dump}/{facts}") as file:
            told = sorted(re.findall(r"^(sm_\d+): \d+ registers", file.read(), re.M))
        assert cubins == told == want, (asked, cubins, told)


if __name__ == "__main__":
    main()
