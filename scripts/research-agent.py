#!/usr/bin/env python3
"""A small research agent: reads the texts in /in, reports on them in /out, and shows its walls.

It works offline: word counts, the vocabulary that each text has for itself, and which texts are
alike (cosine of their word counts). Then it tries what it may not do, and writes down what happened.
"""
import json
import math
import os
import re
import socket
from collections import Counter

IN, OUT = os.environ.get("AGENT_IN", "/in"), "/out"


def read_texts():
    texts = {}
    for name in sorted(os.listdir(IN)):
        path = os.path.join(IN, name)
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as f:
                texts[name] = f.read()
    return texts


def words(text):
    return Counter(w for w in re.findall(r"[a-z]{4,}", text.lower()))


def cosine(a, b):
    dot = sum(n * b[w] for w, n in a.items())
    norm = math.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))
    return dot / norm if norm else 0.0


def own_words(counts, name, n=5):
    """Words that are frequent here and rare elsewhere (tf-idf)."""
    here = counts[name]
    score = {w: c * math.log(len(counts) / sum(w in other for other in counts.values()))
             for w, c in here.items()}
    return [w for w, s in sorted(score.items(), key=lambda x: (-x[1], x[0]))[:n] if s > 0]


def attempt(what, do):
    try:
        do()
    except OSError as e:
        return f"{what}: refused ({e.strerror or e})", True
    return f"{what}: WORKED, and must not", False


def write(path):
    with open(path, "w", encoding="utf-8") as f:
        f.write("x")


def main():
    counts = {name: words(text) for name, text in read_texts().items()}
    pairs = sorted(((cosine(counts[a], counts[b]), a, b)
                    for a in counts for b in counts if a < b), reverse=True)
    report = ["# What the texts say", "", "| text | words | its own vocabulary |", "|---|---|---|"]
    for name, c in counts.items():
        report.append(f"| {name} | {sum(c.values())} | {', '.join(own_words(counts, name))} |")
    report += ["", "Most alike:", ""]
    report += [f"- {a} and {b}: {similar:.2f}" for similar, a, b in pairs[:5]]
    walls = [
        attempt("reach the network",
                lambda: socket.create_connection(("192.0.2.1", 443), timeout=5)),
        attempt("write to the inputs", lambda: write(f"{IN}/x")),
        attempt("write to the root", lambda: write("/etc/x")),
    ]
    report += ["", "Walls that were tried:", ""] + [f"- {text}" for text, _ in walls]
    with open(f"{OUT}/report.md", "w", encoding="utf-8") as f:
        f.write("\n".join(report) + "\n")
    with open(f"{OUT}/similar.json", "w", encoding="utf-8") as f:
        json.dump([{"a": a, "b": b, "cosine": round(s, 3)} for s, a, b in pairs[:20]], f, indent=1)
    print(f"read {len(counts)} texts, wrote report.md and similar.json")
    for text, _ in walls:
        print(text)
    return 0 if all(held for _, held in walls) else 1


if __name__ == "__main__":
    raise SystemExit(main())
