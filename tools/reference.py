#!/usr/bin/env python3
"""Writes docs/reference/ops.md and passes.md from the TableGen records.

    tools/reference.py            write both
    tools/reference.py --check    fail if one is not what it should be

llvm-tblgen is that of --llvm, the folder of LLVM's tools.
"""
import argparse
import difflib
import json
import pathlib
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
DIALECTS = [
    ("dialects/bb/BBOps.td", "bb", "The graph: what is computed"),
    ("dialects/tile/TileOps.td", "tile", "Kernels: how one is computed"),
    ("dialects/plan/PlanOps.td", "plan", "The plan: when and where"),
]
PHASES = ["instantiate", "quantize", "differentiate", "incrementalize", "fuse",
          "tile", "plan", "lower"]
NOTE = "<!-- Made by `cmake --build --preset release --target docs` of the TableGen records. -->\n"
KINDS = {
    "flag": "",
    "dim": "n",
    "dims": "[n, ...]",
    "num": "number",
    "word": "word",
    "text": '"text"',
    "element": "type",
    "value": "%value",
}


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--check", action="store_true")
parser.add_argument("--llvm", type=pathlib.Path, default="/usr/lib/llvm-22/bin")
options = parser.parse_args()


def records(path):
    include = options.llvm.resolve().parent / "include"
    text = subprocess.run(
        [options.llvm / "llvm-tblgen", "-dump-json", "-I", ROOT, "-I", include, ROOT / path],
        check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(text)


def tidy(text):
    return textwrap.dedent((text or "").strip("\n")).strip()


def place(record):
    """File and line: the order in which a reader of the source meets it."""
    file, line = record["!locs"][0].rsplit(":", 1)
    return file, int(line)


def names(dag):
    return [name for _, name in dag["args"]]


def graph_syntax(record):
    """`%y = rope %x theta number [pairs]` of "x | theta:num pairs:flag"."""
    left, _, right = record["syntax"].partition("|")
    words = []
    for name in left.split():
        if name.startswith("*"):
            words.append(f"%{name[1:]}, ...")
        elif name.startswith("?"):
            words.append(f"[, %{name[1:]}]")
        else:
            words.append(f"%{name}")
    text = ", ".join(words).replace(", [,", "[,")
    optional = optional_names(record)
    for clause in right.split():
        name, kind = clause.split(":")
        word = f"{name} {KINDS[kind]}".strip()
        text += f" [{word}]" if name in optional else f" {word}"
    results = ", ".join(f"%{name}" for name in names(record["results"]))
    return f"{results} = {record['opName']} {text}".strip()


def optional_names(record):
    """Arguments that may be left out: optional ones, and flags."""
    result = set()
    for arg, name in record["arguments"]["args"]:
        kind = record["!all"].get(arg["def"], {})
        classes = kind.get("!superclasses", [])
        if arg["def"] == "UnitAttr" or "OptionalAttr" in classes or "Optional" in classes:
            result.add(name)
    return result


def traits(record):
    result = set()
    for trait in record["traits"]:
        interface = record["!all"].get(trait["def"], {})
        result.add(interface.get("cppInterfaceName") or interface.get("trait") or trait["def"])
    return result


def op_section(record, dialect):
    lines = [f"### `{dialect}.{record['opName']}`", "", tidy(record["summary"]), ""]
    if record.get("syntax"):
        lines += ["```mlir", graph_syntax(record), "```", ""]
    elif record.get("assemblyFormat"):
        form = " ".join(record["assemblyFormat"].split())
        lines += [f"    {dialect}.{record['opName']} {form}", ""]
    if record["description"]:
        lines += [tidy(record["description"]), ""]
    if record.get("syntax"):
        own = traits(record)
        notes = []
        if "IncrementalOpInterface" in own:
            notes.append("a rule of its own for one step of decoding")
        if "StreamOpInterface" in own:
            notes.append("a rule of its own for what it looks ahead")
        if notes:
            lines += ["Has " + " and ".join(notes) + ".", ""]
    return "\n".join(lines)


def ops_page():
    parts = [NOTE, "# Ops\n",
             "Every op of the three dialects, in the order of their records. Shapes stand",
             "in brackets; `..` is any number of axes. An op of the graph has one text form:",
             "operands, then clauses; clauses in brackets may be left out.\n"]
    for path, dialect, title in DIALECTS:
        every = records(path)
        ops = [every[name] for name in every["!instanceof"]["Op"]
               if every[every[name]["opDialect"]["def"]]["name"] == dialect]
        files = {}
        for op in ops:
            op["!all"] = every
            files.setdefault(place(op)[0], []).append(op)
        parts.append(f"## `{dialect}`: {title}\n")
        order = sorted(files, key=lambda file: ("Fused" in file, "Ops" in file))
        for file in order:
            for op in sorted(files[file], key=place):
                parts.append(op_section(op, dialect))
    return "\n".join(parts)


def passes_page():
    parts = [NOTE, "# Passes\n",
             "What `bb-opt` runs, in the order of the phases. Options follow the pass in",
             'braces: `--bb-tile="target=cpu-v4"`, or `bb-tile{target=cpu-v4}` in a pipeline.\n']
    for phase in PHASES:
        path = f"passes/{phase}/Passes.td"
        every = records(path)
        passes = [every[name] for name in every["!instanceof"]["PassBase"]]
        parts.append(f"## Phase `{phase}`\n")
        for record in sorted(passes, key=place):
            parts += [f"### `--{record['argument']}`\n", tidy(record["summary"]) + ".\n",
                      tidy(record["description"]) + "\n"]
            rows = [every[option["def"]] for option in record["options"]]
            if rows:
                parts.append("| option | default | meaning |\n|---|---|---|")
                for row in rows:
                    default = row.get("defaultValue") or ""
                    default = f"`{default}`" if default else "none"
                    meaning = tidy(row["description"]).replace("|", "\\|")
                    parts.append(f"| `{row['argument']}` | {default} | {meaning} |")
                parts.append("")
    return "\n".join(parts)


def main():
    stale = False
    for name, page in [("ops.md", ops_page()), ("passes.md", passes_page())]:
        page = page.rstrip("\n") + "\n"
        path = ROOT / "docs" / "reference" / name
        now = path.read_text() if path.exists() else ""
        if not options.check:
            path.write_text(page)
        elif now != page:
            stale = True
            sys.stderr.writelines(difflib.unified_diff(
                now.splitlines(True), page.splitlines(True),
                f"docs/reference/{name}", "the records", n=1))
    if stale:
        sys.exit("docs/reference is stale: run cmake --build --preset release --target docs")


main()
