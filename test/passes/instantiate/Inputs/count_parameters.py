"""Prints the number of parameters of an instantiated model on standard input."""
import math
import re
import sys

state = re.compile(r"^ *state @\S+ \w+\[([\d, ]*)\] parameter")
total = 0
for line in sys.stdin:
    if found := state.match(line):
        total += math.prod(int(d) for d in found.group(1).split(","))
print(f"{total:,} parameters")
