#!/usr/bin/env python3
"""Races BitByte against PyTorch on this machine and prints ratios with their spread.

  test/bench/compare.py train-step [--threads 1] [--dtype f32]   preset s, T 256, batch 8
  test/bench/compare.py attention [--threads 1]                  T 2048, 6 heads of 64
  test/bench/compare.py mamba-step [--threads 1]                 Mamba-1, d 256, 4 layers, T 256, batch 4
  test/bench/compare.py scan                                     selective scan alone, state updates/s
  test/bench/compare.py decode                                   our own Mamba, time of a byte after long prompts
  test/bench/compare.py compile                                  bbc on preset b, empty cache
  test/bench/compare.py matmul [--dtype f32]                     products of preset s over the FMA peak
  test/bench/compare.py dtypes [--threads 1]                     our own train step, bf16 against f32

Both sides run in turn, several rounds, so that a slow minute hits both. --target cpu-v3
compiles for a level below this machine's best. The peer is the newest PyTorch that pip
installs, in its own virtual environment (build/peer-venv, or
BB_PEER_PYTHON=/path/to/python).
"""

import argparse
import fcntl
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(ROOT, "build", "bin")
PEERS = os.path.join(ROOT, "test", "bench", "peers")


def run(*command, **options):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if result.returncode:
        sys.exit(f"error: {' '.join(map(str, command))} gave {result.returncode}\n{result.stderr[-2000:]}")
    return result.stdout


def peer_python():
    given = os.environ.get("BB_PEER_PYTHON")
    if given:
        return given
    venv = os.path.join(ROOT, "build", "peer-venv")
    python = os.path.join(venv, "bin", "python")
    if not os.path.exists(python):
        print("==> making a virtual environment with PyTorch, once", file=sys.stderr)
        run(sys.executable, "-m", "venv", venv)
        run(python, "-m", "pip", "install", "-q", "torch", "numpy", "safetensors")
    return python


def machine():
    flags = open("/proc/cpuinfo").read()
    model = next(line.split(":")[1].strip() for line in flags.splitlines() if line.startswith("model name"))
    words = set(next(line for line in flags.splitlines() if line.startswith("flags")).split())
    features = [f for f in ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16") if f in words]
    return f"{model}, {os.cpu_count()} cores, {' '.join(features)}"


def spread(values):
    return f"{statistics.median(values):.1f} [{min(values):.1f} .. {max(values):.1f}]"


def ratio_line(name, ours, peers, higher_is_better):
    """Best of ours over best of theirs: both are capable of it on this machine."""
    best = max if higher_is_better else min
    ratio = best(ours) / best(peers) if higher_is_better else best(peers) / best(ours)
    return f"| {name} | {spread(ours)} | {spread(peers)} | {ratio:.2f}x |"


def train_step(options):
    work = tempfile.mkdtemp(prefix="bb-bench-")
    artifact = os.path.join(work, "s.bba")
    data = os.path.join(work, "data")
    run(os.path.join(BIN, "bb-data"), "synth", "-o", data, "--bytes", 4_000_000, "--seed", 1)
    run(os.path.join(BIN, "bbc"), os.path.join(ROOT, "models", "bitbyte_lm.mlir"), "--preset", "s",
        "--set", "B=8,T=256", "--dtype", options.dtype, "--targets", options.target, "--programs", "train", "-o", artifact)
    ours, eager, compiled = [], [], []
    for turn in range(options.rounds):
        out = os.path.join(work, f"run{turn}")
        run(os.path.join(BIN, "bb-run"), "train", artifact, "--data", data, "--out", out, "--steps", 8,
            "--threads", options.threads, "--device", "cpu", "--set", "train.log_every=1")
        rows = [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl"))]
        ours += [row["bytes_per_second"] for row in rows if "loss" in row][2:]
        for mode, figures in ((["--compile"], compiled), ([], eager)):
            peer = run(peer_python(), os.path.join(PEERS, "torch_lm.py"), "--layers", 6, "--width", 384,
                       "--heads", 6, "--hidden", 1024, "--context", 256, "--batch", 8,
                       "--threads", options.threads, "--dtype", options.dtype, *mode)
            figures += json.loads(peer.splitlines()[-1])["bytes_per_second"]
    print(f"train step, preset s, {options.dtype}, {options.threads} thread(s), bytes/s: median [min .. max]")
    print("| peer | BitByte | peer | ratio of the best |\n|---|---|---|---|")
    print(ratio_line("torch.compile", ours, compiled, True))
    print(ratio_line("torch eager", ours, eager, True))


def mamba_step(options):
    work = tempfile.mkdtemp(prefix="bb-bench-")
    artifact, data = os.path.join(work, "m.bba"), os.path.join(work, "data")
    run(os.path.join(BIN, "bb-data"), "synth", "-o", data, "--bytes", 1_000_000, "--seed", 1)
    run(os.path.join(BIN, "bbc"), os.path.join(ROOT, "models", "mamba_lm.mlir"), "--set",
        "B=4,T=256,d_model=256,n_layer=4", "--dtype", "f32", "--targets", options.target, "--programs", "train",
        "-o", artifact)
    ours, peers = [], []
    for turn in range(options.rounds):
        out = os.path.join(work, f"run{turn}")
        run(os.path.join(BIN, "bb-run"), "train", artifact, "--data", data, "--out", out, "--steps", 15,
            "--threads", options.threads, "--device", "cpu", "--set", "train.log_every=1")
        rows = [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl"))]
        ours += [row["bytes_per_second"] for row in rows if "loss" in row][3:]
        peer = run(peer_python(), os.path.join(PEERS, "torch_mamba.py"), "--threads", options.threads)
        peers.append(json.loads(peer.splitlines()[-1])["bytes_per_second"])
    print(f"Mamba-1 train step, f32, {options.threads} thread(s), bytes/s: median [min .. max]")
    print("| peer | BitByte | peer | ratio of the best |\n|---|---|---|---|")
    print(ratio_line("torch, associative scan or loop", ours, peers, True))


SCAN = """bb.model @scan(d = 512) {
  program @logits(%x: f32[4, 1024, 512], %dt: f32[4, 1024, 512], %a: f32[512, 16], %b: f32[4, 1024, 16],
                  %c: f32[4, 1024, 16], %dy: f32[4, 1024, 512]) -> f32[4, 1024, 512] {
    %y, %s = selective_scan %x, %dt, %a, %b, %c save 32
    %dx, %ddt, %da, %db, %dc = selective_scan_grad %x, %dt, %a, %b, %c, %s, %dy save 32
    return %dx
  }
}
"""


def scan(options):
    """Time of the kernels alone, one thread, over B T D N = 4 * 1024 * 512 * 16 state updates."""
    updates = 4 * 1024 * 512 * 16
    with tempfile.TemporaryDirectory() as work:
        spec, artifact = os.path.join(work, "scan.mlir"), os.path.join(work, "scan.bba")
        with open(spec, "w") as file:
            file.write(SCAN)
        run(os.path.join(BIN, "bbc"), spec, "--dtype", "f32", "--targets", options.target, "--programs", "logits",
            "-o", artifact)
        best = {}
        for _ in range(options.rounds):
            report = json.loads(run(os.path.join(BIN, "bb-run"), "bench", artifact, "--threads", 1, "-o", "json"))
            for row in report["rows"]:
                anchor = row.get("kernel", "").rsplit("_", 1)[0]
                if "scan" in anchor:
                    best[anchor] = min(best.get(anchor, 1e9), row["ms"] / row["calls"])
    for name, ms in best.items():
        print(f"{name}: {ms:.1f} ms, {updates / ms / 1e6:.2f} G state updates/s")
    print(f"both: {updates / sum(best.values()) / 1e6:.2f} G state updates/s")


def busy(pid):
    """Seconds that the threads of a process have run."""
    tasks = f"/proc/{pid}/task"
    return sum(int(open(f"{tasks}/{task}/schedstat").read().split()[0]) for task in os.listdir(tasks)) / 1e9


def decode(options):
    """Processor time of a byte, over 32 KiB of them, behind prompts of growing length."""
    work = tempfile.mkdtemp(prefix="bb-bench-")
    artifact, data, out, prompt = (os.path.join(work, name) for name in ("m.bba", "data", "run", "prompt"))
    run(os.path.join(BIN, "bb-data"), "synth", "-o", data, "--bytes", 1_000_000, "--seed", 1)
    run(os.path.join(BIN, "bbc"), os.path.join(ROOT, "models", "mamba_lm.mlir"), "--set",
        "B=1,T=64,d_model=64,n_layer=2", "--targets", "cpu", "--programs", "train,generate", "-o", artifact)
    run(os.path.join(BIN, "bb-run"), "train", artifact, "--data", data, "--out", out, "--steps", 1, "--device", "cpu")
    print("Mamba-1, d 64, 2 layers, f32, one thread\n| bytes before | us for each byte after |\n|---|---|")
    first, last = 1 << 12, 9 << 12  # the pipe holds a page, so that the writer is not far ahead
    for length in (1 << 10, 1 << 15, 1 << 20):
        with open(prompt, "wb") as file:
            file.write((b"The quick brown fox jumps over the lazy dog. " * (length // 40))[:length])
        with open(prompt, "rb") as file:
            process = subprocess.Popen(
                [os.path.join(BIN, "bb-run"), "generate", artifact, "--checkpoint", out, "--prompt", "-", "--bytes",
                 str(10 << 12), "--threads", "1", "--device", "cpu"], stdin=file, stdout=subprocess.PIPE, bufsize=0)
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 1 << 12)
        at = {}
        for count in range(1, (10 << 12) + 1):
            if not process.stdout.read(1):
                sys.exit(f"error: generate stopped after {count - 1} bytes")
            if count in (first, last):
                at[count] = busy(process.pid)
        process.wait()
        print(f"| {length} | {(at[last] - at[first]) / (last - first) * 1e6:.1f} |", flush=True)


def compile_time(options):
    seconds = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as work:
            start = time.monotonic()
            run(os.path.join(BIN, "bbc"), os.path.join(ROOT, "models", "bitbyte_lm.mlir"), "--preset", "b",
                "--targets", "cpu", "--cache", os.path.join(work, "cache"), "-o", os.path.join(work, "b.bba"))
            seconds.append(time.monotonic() - start)
    print(f"bbc, preset b, empty cache: {spread(seconds)} s")


def attention(options):
    work = tempfile.mkdtemp(prefix="bb-bench-")
    artifact = os.path.join(work, "attention.bba")
    run(os.path.join(BIN, "bbc"), os.path.join(ROOT, "models", "bitbyte_lm.mlir"),
        "--set", "B=1,T=2048,context=2048,d_model=384,n_head=6,n_layer=1,d_ff=64", "--dtype", "f32", "--targets",
        options.target, "--programs", "train", "-o", artifact)
    ours = {"attention": [], "attention_grad": []}
    peers = {"attention": [], "attention_grad": []}
    for _ in range(options.rounds):
        report = json.loads(run(os.path.join(BIN, "bb-run"), "bench", artifact, "--threads", options.threads,
                                "-o", "json"))
        for row in report["rows"]:
            anchor = row.get("kernel", "").rsplit("_", 1)[0]  # "attention_grad_0"
            if anchor in ours:
                ours[anchor].append(row["ms"] / row["calls"])
        if not all(ours.values()):
            sys.exit("error: bb-run bench names no attention kernel")
        peer = json.loads(run(peer_python(), os.path.join(PEERS, "torch_attention.py"), "--batch", 1, "--heads", 6,
                              "--context", 2048, "--head", 64, "--threads", options.threads).splitlines()[-1])
        peers["attention"] += peer["forward"]
        peers["attention_grad"] += peer["backward"]
    print(f"causal attention, T 2048, 6 heads of 64, f32, {options.threads} thread(s), ms: median [min .. max]")
    print("| | BitByte | torch SDPA | ratio of the best |\n|---|---|---|---|")
    for name in ours:
        print(ratio_line(name, ours[name], peers[name], False))


def compile_step(work, dtype, layers, target):
    artifact = os.path.join(work, f"{dtype}.bba")
    run(os.path.join(BIN, "bbc"), os.path.join(ROOT, "models", "bitbyte_lm.mlir"), "--preset", "s",
        "--set", f"B=8,T=256,n_layer={layers}", "--dtype", dtype, "--targets", target, "--programs", "train",
        "-o", artifact)
    return artifact


def bench_rows(artifact, threads, *more):
    return json.loads(run(os.path.join(BIN, "bb-run"), "bench", artifact, "--threads", threads, "-o", "json",
                          *more))["rows"]


def matmul(options):
    artifact = compile_step(tempfile.mkdtemp(prefix="bb-bench-"), options.dtype, 1, options.target)
    means, best = [], {}
    for _ in range(options.rounds):  # each measures the peak anew: clocks change
        shares = {row["kernel"]: row["achieved"]
                  for row in bench_rows(artifact, options.threads, "--program", "micro", "--repetitions", 3)
                  if row.get("kernel", "").startswith("matmul_")}
        means.append(statistics.geometric_mean(shares.values()))
        for kernel, share in shares.items():
            best[kernel] = max(share, best.get(kernel, 0))
    print(f"products of preset s ({options.dtype}, B 8, T 256; forward, input gradient, weight gradient; packing of "
          f"operands apart), {options.threads} thread(s):")
    print(f"{len(best)} kernels, share of the FMA peak, geometric mean: median of {options.rounds} rounds "
          f"{statistics.median(means):.1%} [{min(means):.1%} .. {max(means):.1%}]; each kernel's best round: "
          f"{statistics.geometric_mean(best.values()):.1%} ({min(best.values()):.1%} .. {max(best.values()):.1%})")


def dtypes(options):
    work = tempfile.mkdtemp(prefix="bb-bench-")
    artifacts = {dtype: compile_step(work, dtype, 6, options.target) for dtype in ("f32", "bf16")}
    steps = {dtype: [] for dtype in artifacts}
    for _ in range(options.rounds):
        for dtype, artifact in artifacts.items():
            rows = bench_rows(artifact, options.threads, "--program", "micro", "--program", "update",
                              "--repetitions", 1)
            steps[dtype].append(sum(row["ms"] for row in rows if "kernel" not in row))
    print(f"train step, preset s, {options.threads} thread(s), ms: median [min .. max]")
    print("| | bf16 | f32 | ratio of the best |\n|---|---|---|---|")
    print(ratio_line("bf16", steps["bf16"], steps["f32"], False))


RACES = {"train-step": train_step, "attention": attention, "compile": compile_time, "matmul": matmul, "dtypes": dtypes,
         "mamba-step": mamba_step, "scan": scan, "decode": decode}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=tuple(RACES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--target", default="cpu", help="level to compile for (default: this machine's best)")
    options = parser.parse_args()
    print(f"machine: {machine()}")
    RACES[options.what](options)


if __name__ == "__main__":
    main()
