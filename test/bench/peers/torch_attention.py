"""The peer of `compare.py attention`: PyTorch's fused causal attention on the CPU.

Prints one JSON object: milliseconds of forward and of backward, one list each.
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("batch", "heads", "context", "head", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    shape = (options.batch, options.heads, options.context, options.head)
    q, k, v = (torch.randn(shape, requires_grad=True) for _ in range(3))
    grad = torch.randn(shape)
    forward, backward = [], []
    for _ in range(options.rounds + 1):
        start = time.perf_counter()
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        middle = time.perf_counter()
        y.backward(grad)
        backward.append((time.perf_counter() - middle) * 1e3)
        forward.append((middle - start) * 1e3)
    print(json.dumps({"peer": f"torch {torch.__version__}", "forward": forward[1:], "backward": backward[1:]}))


if __name__ == "__main__":
    main()
