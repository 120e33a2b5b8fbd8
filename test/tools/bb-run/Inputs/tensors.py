"""Safetensors files without numpy.

tensors.py write FILE NAME=TYPE[SIZES]:VALUES ...   w=F32[2,2]:1,2,3,4; one value fills
tensors.py show FILE                                a line per tensor, sorted
"""
import json, struct, sys

CODES = {"F32": "f", "U8": "B", "I32": "i", "I64": "q", "F64": "d"}


def write(path, specs):
    header, data = {}, b""
    for spec in specs:
        name, rest = spec.split("=", 1)
        kind, rest = rest.split("[", 1)
        sizes, values = rest.split("]:", 1)
        shape = [int(size) for size in sizes.split(",") if size]
        count = 1
        for size in shape:
            count *= size
        numbers = [float(v) if kind[0] == "F" else int(v) for v in values.split(",")]
        numbers = numbers * count if len(numbers) == 1 else numbers
        begin = len(data)
        data += struct.pack(f"<{len(numbers)}{CODES[kind]}", *numbers)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def show(path):
    raw = open(path, "rb").read()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    for name in sorted(header):
        if name == "__metadata__":
            print("metadata", header[name])
            continue
        entry = header[name]
        begin, end = entry["data_offsets"]
        code = CODES[entry["dtype"]]
        bytes = raw[8 + length + begin : 8 + length + end]
        values = struct.unpack(f"<{len(bytes) // struct.calcsize(code)}{code}", bytes)
        shown = " ".join(f"{v:.6g}" for v in values[:8])
        print(name, entry["dtype"], entry["shape"], shown)


write(sys.argv[2], sys.argv[3:]) if sys.argv[1] == "write" else show(sys.argv[2])
