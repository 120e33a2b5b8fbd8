"""Checks every #include "..." of our own against the table of docs/architecture.md.

usage: check-includes.py ROOT
"""
import pathlib
import re
import sys

# Room -> the rooms that it may include besides itself. `dialects` stands for all
# folders below it. What is not named here may include nothing of ours.
RULES = {
    "dialects": ["dialects"],
    "passes": ["dialects"],  # and its own folder: never another pass's
    "compiler": ["dialects", "passes", "compiler"],
    "runtime/core": [],
    "runtime/artifact": ["runtime/core"],
    "runtime/device": ["runtime/core"],
    "runtime/engine": ["runtime/core", "runtime/artifact", "runtime/device"],
    "runtime/data": ["runtime/core", "runtime/artifact", "runtime/device", "runtime/engine"],
    "runtime/train": ["runtime"],
    "runtime/generate": ["runtime"],
    "tools/bbc": ["dialects", "passes", "compiler"],
    "tools/bb-opt": ["dialects", "passes", "compiler"],
    "tools/bb-reduce": ["dialects", "passes", "compiler"],
    "tools/bb-lsp-server": ["dialects", "passes", "compiler"],
    "tools/bb-run": ["runtime"],
    "tools/bb-data": ["runtime"],
    "tools/bb-emu": ["runtime"],
}
# The one header that crosses the middle.
CROSSING = {"compiler/artifact": "runtime/artifact/bitbyte_generated.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def room_of(folder):
    """The rule that a folder falls under, and the folder it may include itself."""
    parts = folder.split("/")
    for length in (2, 1):
        name = "/".join(parts[:length])
        if name in RULES:
            return name, "/".join(parts[:2])
    return None, None


def main(root):
    wrong = 0
    files = [p for top in ("dialects", "passes", "compiler", "runtime", "tools")
             for p in sorted((root / top).rglob("*")) if p.suffix in (".h", ".cpp", ".td")]
    for path in files:
        folder = path.parent.relative_to(root).as_posix()
        room, own = room_of(folder)
        if folder == "tools/cmake":
            continue
        for target in INCLUDE.findall(path.read_text()):
            top = target.split("/")[0]
            if "/" not in target or top in ("llvm", "mlir", "lld", "clang"):
                continue
            allowed = room is not None and any(
                target.startswith(name + "/") for name in RULES[room] + [own])
            if not allowed and CROSSING.get(own) != target:
                print(f"{path.relative_to(root)}: includes {target}")
                wrong += 1
    print(f"{len(files)} files, {wrong} includes against the rules")
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main(pathlib.Path(sys.argv[1])) else 0)
