"""compare-arenas.py WHOLE.json SMALL.json BUDGET: the second fits, and pays for it."""
import json
import sys


def micro(path):
    for program in json.load(open(path))["variants"][0]["programs"]:
        if program["name"] == "micro":
            return program
    sys.exit(f"{path}: no micro")


whole, small, budget = micro(sys.argv[1]), micro(sys.argv[2]), int(sys.argv[3])
print(whole, small)
assert small["arena_bytes"] <= budget < 0.75 * whole["arena_bytes"]
assert small["flops"] > whole["flops"]
