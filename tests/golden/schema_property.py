#!/usr/bin/env python3
"""schema_property: documents that nobody thought of, tried with lazaret's parser and the published schema.

schema_property.py PLAN_CHECK    status 77: there is no python3-jsonschema

The same documents each time. What the parser takes the schema takes; and of one key with a number, a
truth or a value of a wrong type both say the same. What the schema cannot say, and the parser refuses, are
contradictions between keys, units that make a text too large, and the grammar of texts.
"""
import json
import os
import random
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is missing")
    sys.exit(77)

PLAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../vmm/plan")
BASE = {"manifest": {"format": "lazaret-manifest", "version": 1, "command": ["x"]},
        "policy": {"format": "lazaret-policy", "version": 1}}
TEXTS = ["", "a", "A", "/", "/a", "1", "0", "64M", "1G", "90s", "1.5h", "7:8", "-1", "q35", "tcg", "trim", "refuse", "keep",
         "https://a.org", "tcp://a.org:22", "https://a.org,bytes=1", "sha256:" + "0" * 64, "10.0.0.0/8", "a=b", "landlock",
         "\u0001", "\ud83d\ude00", "x" * 70, "sk-*", "*"]
NUMBERS = [-(1 << 63), -1, 0, 1, 2, 9, 63, 64, 65, 100, 4096, 65536, 1 << 24, 1 << 25, 1 << 31, 1 << 44, (1 << 63) - 1, 1.5, 1e3]
# Keys that say nothing alone, or not with what BASE has.
TOGETHER = {"trace", "mark_each_exec", "max_marks", "after", "output_max", "input_max", "tmp"}
N_EXACT, N_MIXED = 120, 240


def wild(rng, depth=0):
    """Any JSON value, small."""
    pick = rng.randrange(6 if depth < 2 else 4)
    if pick < 4:
        return rng.choice([rng.choice(TEXTS), rng.choice(NUMBERS), rng.random() < 0.5, None])
    if pick == 4:
        return [wild(rng, depth + 1) for _ in range(rng.randrange(3))]
    return {rng.choice(["to", "when", "key", "x"]): wild(rng, depth + 1) for _ in range(rng.randrange(3))}


def fitting(rng, schema):
    """Often what the schema wants here."""
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return fitting(rng, rng.choice(schema[choice]))
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema.get("type")
    kind = rng.choice(kind) if isinstance(kind, list) else kind
    if kind == "object":
        return {k: fitting(rng, s) for k, s in schema.get("properties", {}).items()
                if k in schema.get("required", ()) or rng.random() < 0.5}
    if kind == "array":
        return [fitting(rng, schema.get("items", {})) for _ in range(rng.randrange(3))]
    if kind == "integer":
        edges = [schema[e] + d for e in ("minimum", "maximum") if e in schema for d in (-1, 0, 1)]
        return rng.choice(edges or NUMBERS)
    if kind == "boolean":
        return rng.random() < 0.5
    return rng.choice(TEXTS)


def is_exact(value):
    """1000.0 is whole for JSON Schema, and not for us."""
    return not isinstance(value, (str, list, dict)) and not (isinstance(value, float) and value.is_integer())


def documents(rng, kind, schema):
    """(document, do both have to say the same?)"""
    keys = [k for k in schema["properties"] if k not in BASE[kind]]
    numbers = [k for k in keys if schema["properties"][k].get("type") in (["integer", "string"], "boolean")]
    for _ in range(N_EXACT):
        key = rng.choice(numbers)
        value = rng.choice([fitting, lambda r, _: wild(r)])(rng, schema["properties"][key])
        yield {**BASE[kind], key: value}, is_exact(value) and key not in TOGETHER
    for _ in range(N_MIXED):
        more = {rng.choice(keys): None for _ in range(rng.randrange(1, 4))}
        for key in more:
            more[key] = fitting(rng, schema["properties"][key]) if rng.random() < 0.8 else wild(rng)
        yield {**BASE[kind], **more}, False


def main():
    failed, taken = 0, {"manifest": 0, "policy": 0}
    rng = random.Random(7)
    for kind in BASE:
        with open(f"{PLAN}/lazaret.{kind}.schema.json", encoding="utf-8") as f:
            schema = json.load(f)
        validator = jsonschema.Draft202012Validator(schema)
        tried = list(documents(rng, kind, schema))
        # In one process: there are many, and machines that are busy.
        said = subprocess.run([sys.argv[1], kind, "lines"], input="".join(json.dumps(d) + "\n" for d, _ in tried),
                              capture_output=True, text=True, timeout=120, check=True).stdout.splitlines()
        for (document, exact), line in zip(tried, said, strict=True):
            code, published = line.startswith("yes"), validator.is_valid(document)
            taken[kind] += code
            if (code and not published) or (exact and code != published):
                print(f"{kind} {json.dumps(document)}: code {line}, schema {published}")
                failed += 1
    print(f"taken: {taken}")
    # Documents that nobody takes would show nothing.
    return 1 if failed or min(taken.values()) < 30 else 0


sys.exit(main())
