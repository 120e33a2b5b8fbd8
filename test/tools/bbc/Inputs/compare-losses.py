"""compare-losses.py A.jsonl B.jsonl: the losses of both agree to 1e-5."""
import json
import sys

a, b = ([json.loads(line)["loss"] for line in open(path)] for path in sys.argv[1:])
print(a, b)
assert len(a) == len(b) > 1
assert all(abs(x - y) <= 1e-5 * abs(x) for x, y in zip(a, b))
