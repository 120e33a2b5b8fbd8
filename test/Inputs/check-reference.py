"""Fails, naming it, for an op of `bb` whose page has no shapes or no text."""
import re
import sys

text = open(sys.argv[1]).read()
graph = text.split("\n## `tile`")[0]
poor = []
sections = re.split(r"\n### `bb\.", graph)[1:]
for section in sections:
    name, _, body = section.partition("`")
    summary, _, rest = body.strip().partition("\n")
    rest = re.sub(r"```mlir\n%[^\n]*\n```", "", rest)
    if not summary or len(rest.split()) < 4 or "```mlir\n%" in body and "[" not in rest:
        poor.append(name)
if len(sections) < 70 or poor:
    sys.exit(f"{len(sections)} ops; without shapes or text: {', '.join(poor)}")
