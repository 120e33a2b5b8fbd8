"""Safetensors files as dictionaries of numpy arrays."""

import json
import struct

import numpy as np

TYPES = {"F32": np.float32, "I32": np.int32, "U8": np.uint8}
NAMES = {np.dtype(kind): name for name, kind in TYPES.items()}


def load(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data[slice(*entry["data_offsets"])], TYPES[entry["dtype"]]).reshape(entry["shape"])
            for name, entry in header.items()}


def save(tensors, path):
    header, data = {}, b""
    for name, value in tensors.items():
        value = np.asarray(value)
        raw = np.ascontiguousarray(value).tobytes()
        header[name] = {"dtype": NAMES[value.dtype], "shape": list(value.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
